"""A small BERT for sentences (Devlin et al. 2019; MiniLM, Wang et al. 2020), light to load and to ship.

Its weights are kept in 8 bits with one scale a row, its vocabulary may be cut to the pieces that are used, and it
needs no model library: `MiniLm.from_folder(folder).embed(["How was it?"])`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from torch import Tensor, nn

WEIGHTS, VOCABULARY, BERT = "model.safetensors", "vocab.txt", "config.json"
SCALE = ".scale"  # ends the name of the row scales (fp16) beside a tensor in 8 bits
SIZES = ("vocabulary", "layers", "width", "heads", "inner", "positions")


class WordPieces:
    """Words as pieces of a BERT vocabulary, lower case, accents dropped."""

    def __init__(self, vocabulary: Sequence[str], *, longest: int = 128) -> None:
        self.vocabulary = tuple(vocabulary)
        pieces = {piece: i for i, piece in enumerate(vocabulary)}
        self.start, self.end, self.unknown = (pieces[p] for p in ("[CLS]", "[SEP]", "[UNK]"))
        self.longest = longest
        self._tokenizer = Tokenizer(WordPiece(pieces, unk_token="[UNK]"))  # noqa: S106 a word piece
        self._tokenizer.normalizer = BertNormalizer(lowercase=True)
        self._tokenizer.pre_tokenizer = BertPreTokenizer()

    def __call__(self, text: str) -> list[int]:
        """The ids of `text`, [CLS] and [SEP] around them, at most `longest` of them; what is beyond is cut."""
        ids = self._tokenizer.encode(text, add_special_tokens=False).ids
        return [self.start, *ids[: self.longest - 2], self.end]


class MiniLm(nn.Module):
    """(B, T) ids of word pieces and their mask -> (B, T, width) contextual vectors."""

    def __init__(
        self,
        *,
        vocabulary: int,
        layers: int = 6,
        width: int = 384,
        heads: int = 12,
        inner: int = 1536,
        positions: int = 512,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.sizes = dict(zip(SIZES, (vocabulary, layers, width, heads, inner, positions), strict=True))
        self.words = nn.Embedding(vocabulary, width)
        self.places = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(BertLayer(width, heads, inner, dropout) for _ in range(layers))
        self.pieces: WordPieces | None = None  # with a vocabulary, texts can be given

    def forward(self, ids: Tensor, mask: Tensor, *, first: int | None = None) -> Tensor:
        """(B, T) ids and mask (True where a piece is) -> (B, T, width), after the `first` layers or all of them;
        masked positions hold zeros."""
        x = self.words(ids) + self.places.weight[: ids.shape[1]]
        x = self.dropout(self.norm(x))
        for layer in self.layers[:first]:
            x = layer(x, mask)
        return x * mask.unsqueeze(-1)

    def pooled(self, ids: Tensor, mask: Tensor) -> Tensor:
        """(B, width): the mean over the pieces, of length 1 (Reimers and Gurevych 2019)."""
        return mean(self(ids, mask), mask)

    def batch(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Ids and mask (B, T) of `texts`, padded to the longest."""
        assert self.pieces is not None, "this model was made without a vocabulary"
        rows = [torch.tensor(self.pieces(text)) for text in texts]
        ids = nn.utils.rnn.pad_sequence(rows, batch_first=True)
        lengths = torch.tensor([len(row) for row in rows])
        return ids, torch.arange(ids.shape[1]) < lengths[:, None]

    @torch.inference_mode()
    def embed(self, texts: Sequence[str]) -> Tensor:
        """(B, width) sentence vectors of length 1; a text's vector does not depend on its neighbours."""
        if not texts:
            return torch.zeros(0, self.sizes["width"])
        return self.pooled(*self.batch(texts))

    @classmethod
    def from_folder(cls, folder: Path, *, dropout: float = 0.0) -> Self:
        """The model kept in `folder` by `save`, or a BERT as transformers saves it. ValueError names what is wrong."""
        path = folder / WEIGHTS
        try:
            with safe_open(path, "pt") as file:
                sizes = (file.metadata() or {}).get("sizes")
            state = load_file(path)
            vocabulary = (folder / VOCABULARY).read_text(encoding="utf-8").split("\n")
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{folder}: no model of sentences: {error}") from None
        if sizes is None:
            config = json.loads((folder / BERT).read_text(encoding="utf-8"))
            model = cls(**_bert_sizes(config), dropout=dropout)
            state = _from_bert(state, len(model.layers))
        else:
            model = cls(**json.loads(sizes), dropout=dropout)
            state = from_rows(state)
        model.load_state_dict(state)
        model.pieces = WordPieces(vocabulary[: model.sizes["vocabulary"]])
        return model.eval()

    def save(self, folder: Path, vocabulary: Sequence[str]) -> None:
        """Into `folder`: matrices in 8 bits with one scale a row, all else in 16."""
        folder.mkdir(parents=True, exist_ok=True)
        save_file(in_rows(self.state_dict()), folder / WEIGHTS, metadata={"sizes": json.dumps(self.sizes)})
        (folder / VOCABULARY).write_text("\n".join(vocabulary), encoding="utf-8")

    def cut(self, keep: Sequence[int]) -> Self:
        """The same model with the vocabulary rows `keep` alone, in that order."""
        small = type(self)(**{**self.sizes, "vocabulary": len(keep)}, dropout=self.dropout.p)
        state = self.state_dict()
        small.load_state_dict({**state, "words.weight": state["words.weight"][torch.tensor(keep)]})
        return small.eval()


class BertLayer(nn.Module):
    """Self-attention, then two linear maps; a layer norm after each (the original order)."""

    def __init__(self, width: int, heads: int, inner: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.attend = nn.Linear(width, 3 * width)  # queries, keys, values
        self.joined = nn.Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=1e-12)
        self.wider = nn.Linear(width, inner)
        self.back = nn.Linear(inner, width)
        self.last = nn.LayerNorm(width, eps=1e-12)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        batch, time, width = x.shape
        parts = self.attend(x).view(batch, time, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        seen = self.joined(seen.transpose(1, 2).reshape(batch, time, width))
        x = self.norm(x + self.dropout(seen))
        return self.last(x + self.dropout(self.back(F.gelu(self.wider(x)))))


def mean(x: Tensor, mask: Tensor) -> Tensor:
    """(B, T, width) and mask -> (B, width): the mean over what is there, of length 1."""
    return F.normalize(x.sum(1) / mask.sum(1, keepdim=True).clamp(min=1), dim=-1)


def in_rows(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Matrices in 8 bits with one scale a row, all else in 16."""
    small = {}
    for name, values in state.items():
        if values.ndim < 2:
            small[name] = values.half().contiguous()
            continue
        scale = (values.abs().amax(1) / 127).clamp(min=1e-7).half()
        small[name] = (values / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        small[name + SCALE] = scale
    return small


def from_rows(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values that in_rows kept."""
    return {
        name: values.float() * state[name + SCALE].float()[:, None] if name + SCALE in state else values.float()
        for name, values in state.items()
        if not name.endswith(SCALE)
    }


def _bert_sizes(config: dict[str, int]) -> dict[str, int]:
    names = ("vocab_size", "num_hidden_layers", "hidden_size", "num_attention_heads", "intermediate_size")
    return {ours: int(config[name]) for ours, name in zip(SIZES, (*names, "max_position_embeddings"), strict=True)}


def _from_bert(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """The names and shapes of transformers' BertModel as ours; the segment of a single text joins the positions."""
    state = {name.removeprefix("bert."): values.float() for name, values in state.items()}
    ours = {
        "words.weight": state["embeddings.word_embeddings.weight"],
        "places.weight": state["embeddings.position_embeddings.weight"]
        + state["embeddings.token_type_embeddings.weight"][0],
    }
    names = {"joined": "attention.output.dense", "norm": "attention.output.LayerNorm", "wider": "intermediate.dense"}
    names |= {"back": "output.dense", "last": "output.LayerNorm"}
    for part in ("weight", "bias"):
        ours[f"norm.{part}"] = state[f"embeddings.LayerNorm.{part}"]
        for i in range(layers):
            at = f"encoder.layer.{i}"
            attend = [state[f"{at}.attention.self.{name}.{part}"] for name in ("query", "key", "value")]
            ours[f"layers.{i}.attend.{part}"] = torch.cat(attend)
            ours |= {f"layers.{i}.{new}.{part}": state[f"{at}.{old}.{part}"] for new, old in names.items()}
    return ours
