"""What every encoder promises.

Shapes: B batch, T time in, T' time out, D the encoder's own width.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from emobraid.encoders.written import as_written
from emobraid.stream import Stream


class Utterance(NamedTuple):
    """Words with what was said before them, oldest first: (speaker, words) each."""

    text: str
    speaker: str = ""
    context: tuple[tuple[str, str], ...] = ()

    def written(self) -> "Utterance":
        """The same without what web pages and exports put around words; what a text encoder reads."""
        turns = tuple((as_written(speaker), as_written(words)) for speaker, words in self.context)
        return Utterance(as_written(self.text), as_written(self.speaker), turns)


class Encoder(nn.Module, ABC):
    """One modality: `prepare` turns a raw input into a tensor without weights, `encode` reads a batch of them.

    An encoder with frozen weights at its bottom has a `stem`, which runs once for every input; its output is what is
    cached, batched, and given to `encode`.
    """

    dim: int
    #: everything that `prepare` depends on; part of the key under which prepared tensors are cached
    preparation: str
    #: side of the face crops that `prepare` wants, for video
    crop: int = 96
    has_stem: bool = False
    #: under which name the cache lists what it keeps for this encoder
    title: str = "compact"

    @abstractmethod
    def prepare(self, raw: Any) -> Tensor:
        """One raw input -> (T, ...); no weights, so it may run in a data worker."""

    @abstractmethod
    def absent(self) -> Tensor:
        """What `prepare` would give for a missing input: (0, ...)."""

    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        """The frozen part for prepared inputs (T, ...), any lengths: (T', ...) each, on the CPU."""
        return list(prepared)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        """Everything that `stem` depends on besides its input: weights, arithmetic, settings."""
        return ""

    def base(self) -> dict[str, str] | None:
        """Name and sha256 of a frozen net in a folder of the user's, which a checkpoint names and does not hold."""
        return None

    @abstractmethod
    def encode(self, stream: Stream) -> Stream:
        """What `enter` gave (B, T, ...) -> (B, T', D), for samples that all have this modality."""

    def fit(self, prepared: Iterable[Tensor]) -> None:  # most encoders have nothing to fit
        """Take statistics (mean, scale) from prepared TRAINING inputs, once before training."""

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """A training-time variation of a batch of prepared inputs; none by default."""
        return stream

    def enter(self, stream: Stream) -> Stream:
        """What comes in, before samples without this modality are left out: zero where nothing is real."""
        return stream.blanked()

    def forward(self, stream: Stream) -> Stream:
        """Encode the samples that have this modality; the others come back with nothing real in them."""
        stream = self.enter(stream)
        rows = stream.present
        if not rows.any():
            empty = stream.values.new_zeros(len(rows), 0, self.dim, dtype=torch.float32)
            return Stream(empty, stream.mask[:, :0])
        if rows.all():
            return self.encode(stream)
        some = self.encode(stream.rows(rows))
        values = some.values.new_zeros(len(rows), *some.values.shape[1:])
        mask = torch.zeros(len(rows), some.mask.shape[1], dtype=torch.bool, device=rows.device)
        # index_put, not assignment: differentiable, and the same for any place of the present rows
        index = rows.nonzero().squeeze(1)
        return Stream(values.index_copy(0, index, some.values), mask.index_copy(0, index, some.mask))
