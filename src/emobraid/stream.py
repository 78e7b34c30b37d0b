"""How data travels: padded sequences with a mask, and batches of them.

Shapes: B batch, T time, D width, C classes, K affect dimensions. A missing modality is a sequence of
length zero: its mask is False.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import reduce
from itertools import combinations
from typing import NamedTuple, Self

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


class Stream(NamedTuple):
    """A batch of sequences of unequal length. What `values` holds where `mask` is False never matters."""

    values: Tensor  # (B, T, ...)
    mask: Tensor  # (B, T) bool, True where values are real

    @property
    def present(self) -> Tensor:
        """(B,) bool: which samples have this modality at all."""
        return self.mask.any(dim=1)

    def to(self, device: torch.device | str) -> "Stream":
        return Stream(self.values.to(device), self.mask.to(device))

    def blanked(self) -> "Stream":
        """Zero where nothing is real. Needed before any product: 0 * NaN is NaN, in a gradient too."""
        absent = ~self.mask[(..., *[None] * (self.values.dim() - 2))]
        return Stream(self.values.masked_fill(absent, 0), self.mask)

    def rows(self, index: Tensor) -> "Stream":
        """The samples at `index` (a bool mask or integer positions), cut to their own longest length."""
        values, mask = self.values[index], self.mask[index]
        used = int(mask.any(dim=0).nonzero().max()) + 1 if mask.any() else 0
        return Stream(values[:, :used], mask[:, :used])


def pad(sequences: Sequence[Tensor]) -> Stream:
    """Unequal sequences, each (T_i, ...), as one Stream (B, max T_i, ...); a length of zero is a missing modality."""
    lengths = torch.tensor([s.shape[0] for s in sequences])
    # one float32 among float16 sequences is there because its numbers are too large for them
    kind = reduce(torch.promote_types, {s.dtype for s in sequences})
    values = pad_sequence([s.to(kind) for s in sequences], batch_first=True)
    return Stream(values, torch.arange(values.shape[1]) < lengths[:, None])


def stacked(streams: Sequence[Stream]) -> Stream:
    """Batches of the same modality as one, (B_1 + B_2 + ..., max T_i, ...)."""
    longest = max(s.mask.shape[1] for s in streams)

    def wide(x: Tensor) -> Tensor:
        return torch.cat([x, x.new_zeros(x.shape[0], longest - x.shape[1], *x.shape[2:])], dim=1)

    return Stream(torch.cat([wide(s.values) for s in streams]), torch.cat([wide(s.mask) for s in streams]))


class Batch(NamedTuple):
    """What a model sees (`streams`) and what it is asked (`labels`, `affect`)."""

    ids: tuple[str, ...]
    streams: dict[str, Stream]
    labels: Tensor  # (B, C) float: one-hot, soft or multi-hot; a row of NaN is unlabelled
    affect: Tensor | None = None  # (B, K) float in the corpus's own units, NaN where absent; None: nothing is asked
    share: Tensor | None = None  # (B,) float, how much each row counts in the losses; None: all alike

    def to(self, device: torch.device | str) -> Self:
        streams = {m: s.to(device) for m, s in self.streams.items()}
        affect = None if self.affect is None else self.affect.to(device)
        return self._replace(streams=streams, labels=self.labels.to(device), affect=affect)


def present(streams: Mapping[str, Stream]) -> Tensor:
    """(B, M) bool: which modalities each sample has, in the order of `streams`."""
    return torch.stack([s.present for s in streams.values()], dim=1)


def keep_only(streams: Mapping[str, Stream], kept: Collection[str]) -> dict[str, Stream]:
    """The same streams with every modality outside `kept` missing."""
    return {m: s if m in kept else Stream(s.values, torch.zeros_like(s.mask)) for m, s in streams.items()}


def drop_modalities(streams: Mapping[str, Stream], rate: float, generator: torch.Generator) -> dict[str, Stream]:
    """Modality dropout: each present modality goes missing with probability `rate`; one present one always stays.

    (Neverova et al. 2016, ModDrop, arXiv:1501.00102.) The draw happens on the CPU, so it is the same on any device.
    """
    there = present(streams).cpu()  # (B, M)
    survives = (torch.rand(there.shape, generator=generator) >= rate) & there
    # where all would go, the present modality with the largest draw is spared
    lottery = torch.rand(there.shape, generator=generator).masked_fill(~there, -1.0)
    spared = torch.zeros_like(survives).scatter_(1, lottery.argmax(dim=1, keepdim=True), True)
    survives |= spared & ~survives.any(dim=1, keepdim=True)
    return {
        m: Stream(s.values, s.mask & survives[:, i : i + 1].to(s.mask.device))
        for i, (m, s) in enumerate(streams.items())
    }


def subsets(modalities: Iterable[str]) -> list[tuple[str, ...]]:
    """Every non-empty subset, single modalities first, all together last."""
    names = tuple(modalities)
    return [s for size in range(1, len(names) + 1) for s in combinations(names, size)]
