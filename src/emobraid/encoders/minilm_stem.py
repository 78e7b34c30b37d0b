"""A text encoder on MiniLM tuned for emotion, frozen, whose weights lie in a folder that you name: `--text_encoder
minilm_stem --text_model_name FOLDER`.

Shapes: B batch, T word pieces, W width of MiniLM, C its seven emotions, D our width.
"""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from emobraid.encoders.base import Encoder, Utterance
from emobraid.encoders.hub import files_hash
from emobraid.encoders.minilm import VOCABULARY, WEIGHTS, MiniLm
from emobraid.encoders.stem_folder import StemFolder
from emobraid.encoders.written import as_written
from emobraid.stream import Stream, pad

SEVEN = "seven.safetensors"  # the map from the mean of the pieces to the emotions, and its temperature
CLASSES = 7
BATCH = 32  # texts that are read at once
LONGEST = 128  # pieces
FILES = (WEIGHTS, SEVEN, VOCABULARY)
INVISIBLE = {0xFE0E, 0xFE0F, 0x200D}  # how the emoji before is drawn, and what joins two


class MiniLmStem(Encoder):
    """The mean of the pieces of the whole utterance, and what it says of each emotion: one position an utterance.

    `folder` is what `benchmarks/stems_ship.py text` writes; ModelNotHere, a ValueError, when it is not.
    """

    has_stem = True
    title = "minilm_stem"

    def __init__(self, folder: str | Path, dim: int = 128, *, max_length: int = LONGEST, dropout: float = 0.1) -> None:
        super().__init__()
        self.folder = StemFolder(folder, "text", FILES)
        self.width = width = width_of(self.folder)
        self.dim, self.max_length = dim, min(max_length, LONGEST)
        self.preparation = f"minilm-pieces:3:{self.max_length}:{files_hash([self.folder.path / VOCABULARY])}"
        self._network: list[Network] = []  # in a list, so that it is no part of what learns
        self.norm_in = nn.LayerNorm(width)
        self.drop = nn.Dropout(dropout)
        self.vector = nn.Linear(width, dim)
        self.evidence = nn.Linear(CLASSES, dim)
        self.norm = nn.LayerNorm(dim)

    def network(self) -> "Network":
        """The frozen net, on the CPU; loaded when first asked for."""
        if not self._network:
            try:
                self._network.append(Network.from_folder(self.folder.path))
            except (RuntimeError, ValueError, KeyError) as error:
                raise self.folder.wrong(str(error).partition("\n")[0]) from None
        return self._network[0]

    def prepare(self, raw: str | Utterance) -> Tensor:
        """Text -> (T, 2) int64: piece, and whether it belongs to the utterance itself; its context stands before it,
        the oldest left out first."""
        said = raw if isinstance(raw, Utterance) else Utterance(raw)
        if not (words := spelled(said.text)).strip():
            return torch.zeros(0, 2, dtype=torch.long)
        start, *own, end = self.network().pieces(words)
        own = own[: self.max_length - 2]
        own = [*own, end]
        before: list[int] = []
        for _, words in reversed(said.context):
            turn = self.network().pieces(spelled(words))[1:]
            if len(before) + len(turn) + len(own) + 1 > self.max_length:
                break
            before = turn + before
        ids = torch.tensor([start, *before, *own])
        belongs = torch.ones_like(ids)
        belongs[1 : 1 + len(before)] = 0
        return torch.stack([ids, belongs], dim=1)

    def absent(self) -> Tensor:
        return torch.zeros(0, self.width + CLASSES)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        return f"minilm-stem:2:{self.folder.sha256}"

    def base(self) -> dict[str, str] | None:
        return {"name": self.folder.name, "sha256": self.folder.sha256}

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        """Each (T, 2) -> (1, W + C): the mean of its own pieces, and log-probabilities of the seven emotions."""
        made: list[Tensor] = [torch.empty(0)] * len(prepared)
        order = sorted(range(len(prepared)), key=lambda i: len(prepared[i]))
        for begin in range(0, len(order), BATCH):
            some = order[begin : begin + BATCH]
            read = self.network()(pad([prepared[i] for i in some]))
            for i, row in zip(some, read, strict=True):
                made[i] = row[None]
        return made

    def encode(self, stream: Stream) -> Stream:
        values = stream.values.float()
        vector, evidence = values[..., : self.width], values[..., self.width :]
        x = self.norm(self.vector(self.drop(self.norm_in(vector))) + self.evidence(evidence))
        return Stream(x * stream.mask[..., None], stream.mask)


class Network(nn.Module):
    """MiniLM and the map to the seven emotions: pieces (B, T, 2) -> (B, W + C)."""

    def __init__(self, body: MiniLm, seven: dict[str, Tensor]) -> None:
        super().__init__()
        self.body = body
        self.weight, self.bias = seven["weight"].float(), seven["bias"].float()

    @classmethod
    def from_folder(cls, folder: Path) -> "Network":
        return cls(MiniLm.from_folder(folder), load_file(folder / SEVEN)).eval()

    def pieces(self, text: str) -> list[int]:
        assert self.body.pieces is not None
        return self.body.pieces(text)

    def forward(self, stream: Stream) -> Tensor:
        own = (stream.mask & (stream.values[..., 1] == 1)).float()
        own[:, 0] = 1.0  # the mark at the beginning was in the mean when it was tuned
        states = self.body(stream.values[..., 0], stream.mask)
        mean = (states * own[..., None]).sum(dim=1) / own.sum(dim=1, keepdim=True)
        logits = mean @ self.weight.T + self.bias
        return torch.cat([mean, logits.log_softmax(dim=-1)], dim=-1)


def width_of(folder: StemFolder) -> int:
    """W, from the headers of its files; ModelNotHere when they are others."""
    about = folder.header(WEIGHTS)[1]
    try:
        width = json.loads(about.get("sizes", "{}")).get("width")
    except (ValueError, AttributeError):
        width = None
    if folder.header(SEVEN)[0] != {"weight": [CLASSES, width], "bias": [CLASSES]}:
        raise folder.wrong(f"{WEIGHTS} and {SEVEN} are not of one net for {CLASSES} emotions")
    return int(width)


def spelled(text: str) -> str:
    """`text` as it was written, each emoji as its name, which the pieces know: three of the same say it once.

    spelled("so good \N{PARTY POPPER}") -> "so good  party popper "
    """
    words, last = [], ""
    for letter in as_written(text):
        if ord(letter) in INVISIBLE or 0x1F3FB <= ord(letter) <= 0x1F3FF:
            continue
        if unicodedata.category(letter) != "So":
            words.append(letter)
            last = letter if letter.strip() else last
        elif letter != last:
            words.append(f" {unicodedata.name(letter, '').lower()} ")
            last = letter
    return "".join(words)
