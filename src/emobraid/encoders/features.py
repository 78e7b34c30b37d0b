"""Published features as an encoder: vectors or sequences that somebody else extracted.

Shapes: B batch, T time (1 for an utterance vector), W the features' width, D our width.
"""

from collections.abc import Iterable

import numpy as np
import torch
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.stream import Stream


class Features(Encoder):
    """Standardised by training statistics, then one linear map; the fusion does the rest."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int, dim: int = 128, *, dropout: float = 0.3, noise: float = 0.1) -> None:
        super().__init__()
        self.width, self.dim, self.noise = width, dim, noise
        self.preparation = f"features:1:{width}"
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.drop = nn.Dropout(dropout)
        self.project = nn.Linear(width, dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """(W,) or (T, W) -> (T, W) float32; single NaN and infinities, which COVAREP has, become zero.

        Not one finite number is a missing modality.
        """
        values = torch.as_tensor(np.asarray(raw, dtype=np.float32))
        values = values[None] if values.dim() == 1 else values
        if values.dim() != 2 or values.shape[1] != self.width:
            raise ValueError(f"features have shape {tuple(raw.shape)}, this model reads vectors of width {self.width}")
        seen = values.isfinite()
        return values.where(seen, 0.0) if seen.any() else self.absent()

    def absent(self) -> Tensor:
        return torch.zeros(0, self.width)

    def fit(self, prepared: Iterable[Tensor]) -> None:
        rows = torch.cat([p for p in prepared if len(p)] or [torch.zeros(1, self.width)])
        self.mean.copy_(rows.mean(dim=0))
        spread = rows.std(dim=0) if len(rows) > 1 else torch.ones(self.width)
        self.scale.copy_(torch.where(spread > 1e-6, spread, 1.0))  # a constant column stays zero

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Gaussian noise of a tenth of each feature's spread."""
        noise = torch.randn(stream.values.shape, generator=generator).to(stream.values.device)
        return Stream(stream.values + self.noise * self.scale * noise, stream.mask)

    def encode(self, stream: Stream) -> Stream:
        return Stream(self.project(self.drop((stream.values - self.mean) / self.scale)), stream.mask)
