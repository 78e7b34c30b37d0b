"""Splits in memory, ready for batches.

Shapes: N utterances, C classes, T time, K affect dimensions.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from emobraid.data.contents import contents
from emobraid.data.corpus import Sample
from emobraid.stream import Batch, pad


def targets(samples: Sequence[Sample], classes: int) -> Tensor:
    """(N, C) what training asks for: the spread where there is one, else one-hot; a row of NaN is unlabelled."""
    rows = torch.full((len(samples), classes), float("nan"))
    for row, sample in zip(rows, samples, strict=True):
        if sample.spread is not None:
            row[:] = torch.tensor(sample.spread)
        elif sample.label is not None:
            row[:] = torch.eye(classes)[sample.label]
    return rows


def affect_targets(samples: Sequence[Sample], dimensions: Sequence[str]) -> Tensor | None:
    """(N, K) in the corpus's own units, NaN where absent; None without dimensions."""
    if not dimensions:
        return None
    rows = [[s.affect.get(d, float("nan")) for d in dimensions] for s in samples]
    return torch.tensor(rows).view(-1, len(dimensions))


@dataclass(frozen=True)
class PreparedSplit:
    """A split in memory. `notes` tells, by utterance and modality, what is missing or odd and why."""

    samples: tuple[Sample, ...]
    tensors: Mapping[str, tuple[Tensor, ...]]
    labels: Tensor  # (N, C), NaN rows unlabelled
    notes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    affect: Tensor | None = None  # (N, K), NaN where absent; None when nothing is asked

    def __len__(self) -> int:
        return len(self.samples)

    def truth(self) -> Tensor:
        """(N, C) what is scored against: the one class of a row where it has one, though training asks for a spread."""
        hard = torch.tensor([s.label is not None for s in self.samples], dtype=torch.bool)
        one_hot = targets([replace(s, spread=None) for s in self.samples], self.labels.shape[1])
        return torch.where(hard[:, None], one_hot, self.labels)

    def batch(self, index: Sequence[int]) -> Batch:
        streams = {m: pad([tensors[i] for i in index]) for m, tensors in self.tensors.items()}
        affect = None if self.affect is None else self.affect[list(index)]
        return Batch(tuple(self.samples[i].id for i in index), streams, self.labels[list(index)], affect)

    def batches(self, size: int) -> Iterator[Batch]:
        """All utterances in their own order."""
        for start in range(0, len(self), size):
            yield self.batch(range(start, min(start + size, len(self))))

    def missing(self) -> str:
        """`480 utterances; audio missing in 24 (not given 20, silent 4); ...`."""
        parts = [f"{len(self)} utterances"]
        for modality, tensors in self.tensors.items():
            gone = [s.id for s, t in zip(self.samples, tensors, strict=True) if not len(t)]
            if gone:
                reasons = Counter(self.notes.get(i, {}).get(modality, "").split(":")[0] for i in gone)
                told = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common(3))
                parts.append(f"{modality} missing in {len(gone)} ({told})")
        return "; ".join(parts)

    def fingerprint(self) -> str:
        """A short hash of which utterances these are, what is asked of them, what they hold, how much is there.

        What they hold is taken from the cells, as frozen encoders differ in the last digits from one day to the next.
        """
        rows = [(s.id, s.group, [len(t[i]) for t in self.tensors.values()]) for i, s in enumerate(self.samples)]
        named = [m for m in self.tensors if all(m in s.cells for s in self.samples)]
        told = hashlib.sha256(repr((rows, contents(self.samples, named))).encode())
        for modality in self.tensors.keys() - set(named):
            for tensor in self.tensors[modality]:
                told.update(tensor.contiguous().view(torch.uint8).numpy().tobytes())
        for asked in (self.labels, self.affect):
            told.update(b"" if asked is None else asked.numpy().tobytes())
        return told.hexdigest()[:16]

    def lengths(self) -> Tensor:
        """(N,) the longest of each utterance's streams, by which batches are formed."""
        return torch.tensor([max(len(t[i]) for t in self.tensors.values()) for i in range(len(self))])


def training_order(lengths: Tensor, size: int, *, seed: int, epoch: int) -> list[list[int]]:
    """Batches of one epoch: shuffled, but neighbours in length share a batch so that little is padded.

    A pure function of its arguments, so that a resumed run sees the batches it would have seen.
    """
    generator = torch.Generator().manual_seed(seed * 1_000_003 + epoch)
    shuffled = torch.randperm(len(lengths), generator=generator)
    pools = [pool[lengths[pool].argsort(stable=True)] for pool in shuffled.split(size * 8)]
    batches = [batch.tolist() for pool in pools for batch in pool.split(size)]
    return [batches[i] for i in torch.randperm(len(batches), generator=generator).tolist()]
