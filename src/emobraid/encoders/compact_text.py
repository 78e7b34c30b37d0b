"""Our own small text encoder: nothing to download, no vocabulary, trained from the first step.

Shapes: B batch, T words, K hashed pieces of a word, D width.
"""

import re
import zlib

import torch
from torch import Tensor, nn

from emobraid.encoders.base import Encoder, Utterance
from emobraid.layers import TransformerLayer, positions
from emobraid.stream import Stream

WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
PIECES = 12  # hashed pieces kept of one word: the word itself, then its character n-grams


def word_pieces(word: str, buckets: int, *, before: bool = False) -> list[int]:
    """Hash buckets (1..buckets) of a word and its character 3- to 5-grams (Bojanowski 2017, arXiv:1607.04606).

    A word `before` the utterance has buckets of its own: what others said is another thing than what is said."""
    edged = f"<{word}>"
    grams = [edged[i : i + n] for n in (3, 4, 5) for i in range(len(edged) - n + 1)]
    pieces = [word, *grams][:PIECES]
    where = "before\0" if before else ""
    return [zlib.crc32((where + piece).encode()) % buckets + 1 for piece in pieces]


class CompactText(Encoder):
    """Hashed words and character n-grams, then a small transformer. No vocabulary, so no word is ever unknown."""

    def __init__(self, dim: int = 128, *, buckets: int = 16_384, layers: int = 2, max_length: int = 512) -> None:
        super().__init__()
        self.dim, self.buckets, self.max_length = dim, buckets, max_length
        self.preparation = f"hashed-words:3:{buckets}:{max_length}:{PIECES}"
        self.embedding = nn.EmbeddingBag(buckets + 1, dim, mode="mean", padding_idx=0)
        # small, and normalised afterwards: a word that is seen three times must be able to move away from chance
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.norm_in = nn.LayerNorm(dim)
        self.layers = nn.ModuleList(TransformerLayer(dim, 4, 0.1) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: str | Utterance) -> Tensor:
        """Text -> (T, K) int64 hash buckets, 0 where a word has fewer pieces; at most `max_length` words, of which the
        utterance's own come first, and then those of its context that still fit, newest last."""
        said = (raw if isinstance(raw, Utterance) else Utterance(raw)).written()
        if not (own := WORD.findall(said.text.casefold())[: self.max_length]):
            return self.absent()
        own += WORD.findall(said.speaker.casefold())[: self.max_length - len(own)]
        before = [w for turn in said.context for w in WORD.findall(" ".join(turn).casefold())]
        before = before[max(0, len(before) - self.max_length + len(own)) :]
        pieces = [word_pieces(w, self.buckets, before=True) for w in before]
        pieces += [word_pieces(w, self.buckets) for w in own]
        table = torch.zeros(len(pieces), PIECES, dtype=torch.long)
        for i, some in enumerate(pieces):
            table[i, : len(some)] = torch.tensor(some)
        return table

    def absent(self) -> Tensor:
        return torch.zeros(0, PIECES, dtype=torch.long)

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Word dropout: one word in ten is hidden, never the whole utterance."""
        kept = torch.rand(stream.mask.shape, generator=generator).to(stream.mask.device) >= 0.1
        mask = stream.mask & kept
        return Stream(stream.values, torch.where(mask.any(dim=1, keepdim=True), mask, stream.mask))

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream
        words = self.norm_in(self.embedding(values.flatten(0, 1)).unflatten(0, mask.shape))
        # the bag of words goes past the transformer: with few utterances it is most of what can be learnt (fastText,
        # Joulin et al. 2017, arXiv:1607.01759)
        bag = words.masked_fill(~mask[..., None], 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True).clamp(min=1)
        # faint positions: which words are said counts more than where
        x = Stream(words + 0.1 * positions(mask.shape[1], self.dim, like=words), mask)
        for layer in self.layers:
            x = layer(x)
        return Stream(self.norm(x.values + bag[:, None]), mask)
