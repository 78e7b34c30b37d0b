"""Our own small encoder of motion capture: nothing to download, trained from the first step.

Shapes: B batch, T frames, W values a frame (coordinates of markers), D width.
"""

from collections.abc import Iterable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.layers import TransformerLayer, positions
from emobraid.stream import Stream

MOCAP_WIDTH = 189  # 55 markers and six on the hands, three coordinates each, and six numbers of the head


class TimeConv(nn.Module):
    """A strided convolution over time that sees zero where nothing is real, as beyond the ends."""

    def __init__(self, dim: int, dropout: float) -> None:
        super().__init__()
        self.conv = nn.Conv1d(dim, dim, 5, stride=2, padding=2)
        # within each position: the length of the others cannot matter
        self.norm, self.drop = nn.LayerNorm(dim), nn.Dropout(dropout)

    def forward(self, stream: Stream) -> Stream:
        """(B, T, D) -> (B, ceil(T / 2), D); real where either of two positions was."""
        values, mask = stream.blanked()
        values = self.conv(values.transpose(1, 2)).transpose(1, 2)
        mask = F.pad(mask, (0, mask.shape[1] % 2)).unflatten(1, (-1, 2)).any(dim=2)
        return Stream(self.drop(F.gelu(self.norm(values))), mask)


class CompactMotion(Encoder):
    """Where markers are and how they move: convolutions over time, then temporal attention at five positions a second.

    Every value is standardised by training statistics, the same for everybody; one that was not seen is a zero and says
    so in a column of its own. Beside each place stands its distance from the utterance's mean: the shape of a face is
    in that mean, and is no emotion.
    """

    mean: Tensor
    scale: Tensor

    def __init__(
        self, width: int, dim: int = 128, *, layers: int = 1, dropout: float = 0.2, noise: float = 0.05
    ) -> None:
        super().__init__()
        self.width, self.dim, self.noise = width, dim, noise
        self.preparation = f"motion:1:{width}"
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.project = nn.Linear(3 * width, dim)
        self.drop = nn.Dropout(2 * dropout)
        self.convs = nn.ModuleList(TimeConv(dim, dropout) for _ in range(2))
        self.layers = nn.ModuleList(TransformerLayer(dim, 4, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """(T, W) at 20 frames a second, NaN where not seen -> (T, 2 W): values, zero there, then 1 where seen, else 0.

        Nothing seen at all is a missing modality."""
        values = torch.as_tensor(np.array(raw, dtype=np.float32))
        if values.dim() != 2 or values.shape[1] != self.width:
            raise ValueError(f"motion has shape {tuple(raw.shape)}, this model reads {self.width} values a frame")
        seen = values.isfinite()
        return torch.cat([values.where(seen, 0.0), seen.float()], dim=1) if seen.any() else self.absent()

    def absent(self) -> Tensor:
        return torch.zeros(0, 2 * self.width)

    def fit(self, prepared: Iterable[Tensor]) -> None:
        """Mean and spread of each value over the training frames where it was seen."""
        frames = torch.cat([p for p in prepared if len(p)] or [self.absent()]).double()
        values, seen = frames.split(self.width, dim=1)
        count = seen.sum(dim=0)
        mean = (values * seen).sum(dim=0) / count.clamp(min=1)
        spread = (((values - mean) * seen).square().sum(dim=0) / (count - 1).clamp(min=1)).sqrt()
        self.mean.copy_(mean)
        self.scale.copy_(torch.where(spread > 1e-6, spread, 1.0))  # a constant value stays zero

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Noise of a twentieth of each value's spread, and one value in ten lost for the whole utterance."""
        values, seen = stream.values.split(self.width, dim=-1)
        noise = torch.randn(values.shape, generator=generator).to(values.device)
        kept = torch.rand(len(values), 1, self.width, generator=generator).to(values.device) >= 0.1
        seen = seen * kept
        values = (values + self.noise * self.scale * noise) * seen
        return Stream(torch.cat([values, seen], dim=-1), stream.mask)

    def encode(self, stream: Stream) -> Stream:
        values, seen = stream.values.split(self.width, dim=-1)
        seen = seen * stream.mask[..., None]
        place = (values - self.mean) / self.scale * seen
        own = place.sum(dim=1, keepdim=True) / seen.sum(dim=1, keepdim=True).clamp(min=1)
        columns = torch.cat([place, (place - own) * seen, seen], dim=-1)
        out = Stream(self.project(self.drop(columns)), stream.mask)
        for conv in self.convs:
            out = conv(out)
        out = Stream(out.values + positions(out.mask.shape[1], self.dim, like=out.values), out.mask)
        for layer in self.layers:
            out = layer(out)
        return Stream(self.norm(out.values), out.mask)
