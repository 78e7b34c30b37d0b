"""A split as a frozen base reads it, kept.

Shapes: N utterances, B batch, T time, D fusion width, W reading.
"""

from functools import cache

import torch
from torch import Tensor

from emobraid.data.prepared import PreparedSplit
from emobraid.fusion.added import reading
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, keep_only, pad


class Frozen:
    """A split as a frozen base reads it. Its encoders run once, its fusion once for each subset of modalities."""

    def __init__(self, base: MultimodalEmotionModel, split: PreparedSplit, *, batch_size: int = 64) -> None:
        self.base, self.split = base.eval(), split
        self.encoded: dict[str, list[Tensor]] = {m: [] for m in base.config.modalities}  # N of (T, D) each
        for batch in split.batches(batch_size):
            with torch.no_grad():
                for m, (values, mask) in base.encode(batch.streams).items():
                    self.encoded[m] += [v[real] for v, real in zip(values, mask, strict=True)]
        self.readings = cache(self._readings)

    def streams(self, rows: tuple[int, ...], subset: tuple[str, ...]) -> dict[str, Stream]:
        """What the fusion is given: (B, T, D) with only `subset` kept."""
        return keep_only({m: pad([tensors[i] for i in rows]) for m, tensors in self.encoded.items()}, subset)

    def inputs(self, rows: tuple[int, ...], subset: tuple[str, ...]) -> dict[str, Stream]:
        """What the encoders are given: (B, T, ...) with only `subset` kept."""
        return keep_only(self.split.batch(rows).streams, subset)

    @torch.no_grad()
    def _readings(self, subset: tuple[str, ...]) -> Tensor:
        """(N, W) of all utterances with only `subset` kept."""
        pieces = torch.arange(len(self.split)).split(64)
        return torch.cat([reading(self.base.fuse(self.streams(tuple(p.tolist()), subset))) for p in pieces])

    def readable(self, rows: tuple[int, ...], subset: tuple[str, ...]) -> Tensor:
        """(B,) bool: rows that have at least one modality of `subset`."""
        return torch.tensor([any(len(self.split.tensors[m][i]) for m in subset) for i in rows])
