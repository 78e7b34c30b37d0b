"""What every fusion promises.

Shapes: B batch, T time, D width, M modalities, C classes, F member fusions (in `hierarchical` only),
K affect dimensions.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

from torch import Tensor, nn

from emobraid.stream import Stream


class Imagined(NamedTuple):
    """Each modality's mean over time as the others tell it, beside what it was."""

    guessed: Tensor  # (B, M, D)
    actual: Tensor  # (B, M, D) zero where missing
    told: Tensor  # (B, M) bool, where at least one other modality was there to tell


class Fused(NamedTuple):
    """A fusion's reading of a batch. Fields a method has no use for are None."""

    logits: Tensor  # (B, C)
    features: Tensor  # (B, D) what the logits were read from
    embeddings: Tensor  # (B, M, D) one summary per modality, zero where missing
    present: Tensor  # (B, M) bool, the modalities that this reading saw
    unimodal: Tensor | None = None  # (B, M, C) each modality's own logits; a missing one's are zero
    weights: Tensor | None = None  # (B, M) how much each modality counted, summing to 1; zero where missing
    members: Tensor | None = None  # (B, F, C) the logits of the fusions inside a meta-fusion
    affect: Tensor | None = None  # (B, K) read from `features` by the model, not by the fusion
    imagined: Imagined | None = None  # in models that imagine what is missing


def every_tensor(read: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same reading with `change` done to every tensor in it; what is None stays None."""
    if read is None or isinstance(read, Tensor):
        return read if read is None else change(read)
    return type(read)(*(every_tensor(part, change) for part in read))


class Fusion(nn.Module, ABC):
    """Streams of width D in, one reading out: `F(modalities, dim, classes, *, depth, heads, dropout)`.

    Any subset of the modalities may be missing, for each sample alone.
    Promises, tested for every fusion: what a masked position holds changes nothing, padding changes nothing,
    batch mates do not matter, and gradients stay finite even with everything missing.
    """

    #: weights of the objectives a method needs besides the classification loss; a recipe may change them
    objectives: ClassVar[Mapping[str, float]] = {}

    @abstractmethod
    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        """`streams` holds one (B, T, D) Stream for every modality, in the constructor's order."""
