"""A voice encoder on Whisper's first layers, frozen, whose weights come with the package: `--audio_encoder
whisper_stem`.

The layers run once for each recording, and their states are kept as moments of short windows; what learns is small.
Shapes: B batch, N samples, T frames, S states (50 a second), T' windows, W width of the last two layers
together, D our width.
"""

from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.encoders.pretrained import Precision, arithmetic
from emobraid.encoders.whisper_layers import BANDS, LONGEST, WhisperLayers, file_hash, log_mel, slaney_filters
from emobraid.layers import positions
from emobraid.stream import Stream
from emobraid.weights import __file__ as weights

LAYERS = Path(weights).parent / "whisper_stem" / "model.safetensors"
LAST = 2  # layers that are listened to: the last but one keeps more of the voice, the last generalises better
STATES = 10  # of a window: a fifth of a second
STRETCH = 2 * LONGEST  # frames that are read at once
SMALLEST = 1e-3  # spread of a column that is still worth dividing by


@cache
def layers_file_hash() -> str:
    return file_hash(LAYERS)


class WhisperStem(Encoder):
    """Mean and spread over the whole utterance, standardised, in every position; beside them each window's own mean."""

    has_stem = True
    title = "whisper_stem"
    mean: Tensor
    scale: Tensor

    def __init__(
        self, dim: int = 128, *, width: int = 1_024, precision: Precision = "auto", dropout: float = 0.3
    ) -> None:
        super().__init__()
        self.dim, self.width, self.precision = dim, width, precision
        self.preparation = "whisper-log-mel:1"
        self.filters = slaney_filters()
        self._layers: dict[str, WhisperLayers] = {}  # in a dict, so that they are no part of the network
        self.register_buffer("mean", torch.zeros(2 * width))
        self.register_buffer("scale", torch.ones(2 * width))
        self.drop = nn.Dropout(dropout)
        self.whole = nn.Linear(2 * width, dim)
        self.part = nn.Linear(width, dim)
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Mono samples (N,) float at 16 kHz -> (T, 80) log-mel, 100 frames a second, whatever the level."""
        wave = torch.as_tensor(np.ascontiguousarray(raw), dtype=torch.float32)
        return log_mel(wave, self.filters) if wave.numel() else torch.zeros(0, BANDS)

    def absent(self) -> Tensor:
        return torch.zeros(0, 2 * self.width)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        return f"whisper-stem:1:{layers_file_hash()}:{arithmetic(self.precision, torch.device('cpu'))}:{STATES}"

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        """Each (T, 80) -> (T', 2 W): mean and deviation of the last layers' states in windows of a fifth of a second.
        One recording at a time: nobody else's length changes what is heard."""
        return [torch.cat([self._moments(part) for part in mel.split(STRETCH)]) for mel in prepared]

    def _moments(self, mel: Tensor) -> Tensor:
        return moments_of_windows(torch.cat(self.layers()(mel)[-LAST:], dim=1))

    def layers(self) -> WhisperLayers:
        """The frozen layers, on the CPU; loaded when first asked for."""
        taken = arithmetic(self.precision, torch.device("cpu"))
        if taken not in self._layers:
            self._layers[taken] = WhisperLayers.from_file(LAYERS).lowered(taken.partition(":")[0])
        return self._layers[taken]

    def fit(self, prepared: Iterable[Tensor]) -> None:
        """Mean and scale of each utterance's moments, over TRAINING utterances."""
        rows = [utterance(p[None], p.new_ones(1, len(p), dtype=torch.bool), self.width)[0] for p in prepared if len(p)]
        if not rows:
            return
        figures = torch.stack(rows)
        self.mean.copy_(figures.mean(dim=0))
        self.scale.copy_(figures.std(dim=0, correction=0).clamp(min=SMALLEST) if len(rows) > 1 else torch.tensor(1.0))

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream.values.float(), stream.mask
        whole = (utterance(values, mask, self.width) - self.mean) / self.scale
        parts = (values[..., : self.width] - self.mean[: self.width]) / self.scale[: self.width]
        x = self.whole(self.drop(whole))[:, None] + self.part(self.drop(parts))
        x = self.norm(x + positions(x.shape[1], self.dim, like=x))
        return Stream(x * mask[..., None], mask)


def moments_of_windows(states: Tensor) -> Tensor:
    """(S, W) -> (T', 2 W): mean and standard deviation of windows of `STATES` states or a few fewer, all about as
    long."""
    parts = states.float().tensor_split(-(-len(states) // STATES))
    return torch.stack([torch.cat([p.mean(dim=0), p.std(dim=0, correction=0)]) for p in parts])


def utterance(values: Tensor, mask: Tensor, width: int) -> Tensor:
    """Moments of windows (B, T', 2 W), (B, T') -> those of the whole (B, 2 W)."""
    real = mask[..., None].float()
    count = real.sum(dim=1).clamp(min=1)
    means, spreads = values[..., :width], values[..., width:]
    mean = (means * real).sum(dim=1) / count
    variance = (((means - mean[:, None]).square() + spreads.square()) * real).sum(dim=1) / count
    return torch.cat([mean, (variance + 1e-6).sqrt()], dim=-1)
