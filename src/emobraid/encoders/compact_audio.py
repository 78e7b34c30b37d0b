"""Our own small audio encoder: nothing to download, trained from the first step.

Shapes: B batch, T frames, F mel bands, C channels, D width.
"""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.acoustics import levelled, measure, mel_filters, without_rumble
from emobraid.encoders.base import Encoder
from emobraid.layers import TransformerLayer, positions
from emobraid.stream import Stream


class ConvBlock(nn.Module):
    """Strided convolution over time and frequency. Only real positions are normalised; the masked ones are zero."""

    def __init__(self, channels_in: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels, 3, stride=(stride, 2), padding=1, bias=False)
        # per channel over all real cells of the batch, by running statistics once trained: unlike a norm within one
        # cell it keeps loudness, and unlike one within an utterance it lets no padding in
        self.norm = nn.BatchNorm1d(channels)
        self.stride = stride

    def forward(self, values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """(B, T, F, C) zero where masked, (B, T) -> the same, shorter by the stride."""
        # channels last throughout: a permuted view, and the convolution's own fastest layout
        values = self.conv(values.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        # real where any position under the stride is, so that whoever had something real keeps it
        mask = F.pad(mask, (0, -mask.shape[1] % self.stride)).unflatten(1, (-1, self.stride)).any(dim=2)
        cells = values[mask]  # (N, F, C)
        cells = F.relu(self.norm(cells.flatten(0, 1))).view_as(cells)
        return torch.zeros_like(values).masked_scatter(mask[..., None, None], cells), mask


class Functionals(nn.Module):
    """A whole utterance in one vector: means and spreads of cepstra, pitch, voicing and loudness, and of their
    changes from frame to frame (the idea of eGeMAPS, Eyben et al. 2016, doi:10.1109/TAFFC.2015.2457417)."""

    cosines: Tensor
    CEPSTRA = 20

    def __init__(self, bands: int, dim: int, dropout: float) -> None:
        super().__init__()
        steps = torch.arange(bands) + 0.5
        waves = torch.cos(torch.pi / bands * torch.arange(self.CEPSTRA)[:, None] * steps) * (2 / bands) ** 0.5
        self.register_buffer("cosines", waves, persistent=False)
        width = 3 * (self.CEPSTRA + 3)
        # by running statistics once trained: these figures differ in size by orders of magnitude
        self.norm = nn.BatchNorm1d(width)
        self.read = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))

    def forward(self, values: Tensor, mask: Tensor) -> Tensor:
        """(B, T, F + 3) zero where masked, (B, T) -> (B, 1, D)."""
        bands = self.cosines.shape[1]
        tracks = torch.cat([values[..., :bands] @ self.cosines.T, values[..., bands:]], dim=-1)
        counted = mask[..., None].expand_as(tracks).clone()
        counted[..., -3] &= values[..., -2] > 0  # pitch exists in voiced frames only
        change = (tracks[:, 1:] - tracks[:, :-1]).square()
        both = counted[:, 1:] & counted[:, :-1]
        mean, spread = moments(tracks, counted)
        figures = torch.cat([mean, spread, (moments(change, both)[0] + 1e-6).sqrt()], dim=-1)
        # a single utterance has no statistics of its own to train on
        alone = self.training and len(figures) == 1
        normal = (
            F.batch_norm(figures, self.norm.running_mean, self.norm.running_var, self.norm.weight, self.norm.bias)
            if alone
            else self.norm(figures)
        )
        return self.read(normal)[:, None]


def moments(values: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, W) over the counted (B, T, W) positions; zero where none are."""
    count = counted.sum(dim=1).clamp(min=1)
    mean = values.masked_fill(~counted, 0.0).sum(dim=1) / count
    off = (values - mean[:, None]).masked_fill(~counted, 0.0)
    return mean, (off.square().sum(dim=1) / count + 1e-6).sqrt()


def striped(image: Tensor, share: float = 0.15) -> Tensor:
    """Two stripes of time and two of frequency, up to `share` of the (B, T, F, C) image each, set to zero, its mean
    (SpecAugment, Park et al. 2019, arXiv:1904.08779)."""
    for axis in (1, 1, 2, 2):
        size = image.shape[axis]
        width = torch.rand(len(image), 1, device=image.device) * share * size
        start = torch.rand(len(image), 1, device=image.device) * size
        steps = torch.arange(size, device=image.device)[None]
        hidden = (steps >= start) & (steps < start + width)  # (B, size)
        image = image.masked_fill(hidden[:, :, None, None] if axis == 1 else hidden[:, None, :, None], 0.0)
    return image


class CompactAudio(Encoder):
    """Log-mel spectrogram and prosody; convolutions over time and frequency beside functionals of the whole utterance,
    then temporal attention at eight positions a second."""

    mean: Tensor
    scale: Tensor
    WINDOW, HOP, BANDS = 512, 256, 64

    def __init__(
        self, dim: int = 128, *, rate: int = 16_000, layers: int = 1, dropout: float = 0.2, level: bool = True
    ) -> None:
        super().__init__()
        self.dim, self.rate, self.width, self.level = dim, rate, self.BANDS + 3, level
        self.preparation = f"log-mel-prosody:3:{rate}:{self.WINDOW}:{self.HOP}:{self.BANDS}:{level}"
        self.filters = mel_filters(self.BANDS, rate=rate, window=self.WINDOW)
        self.register_buffer("mean", torch.zeros(self.width))
        self.register_buffer("scale", torch.ones(self.width))
        widths = (2, 16, 32, 64, 64)
        strides = (2, 2, 2, 1)
        self.convs = nn.ModuleList(ConvBlock(i, o, s) for (i, o), s in zip(pairwise(widths), strides, strict=True))
        self.project = nn.Linear(widths[-1] * self.BANDS // 16, dim)
        self.functionals = Functionals(self.BANDS, dim, 2 * dropout)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(dim, 4, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Mono samples (N,) float at `rate` -> (T, F + 3), 62.5 frames a second; see `acoustics.measure`. Neither a
        constant offset nor hum counts, nor, with `level`, how loud it was recorded."""
        wave = torch.as_tensor(np.ascontiguousarray(raw), dtype=torch.float32)
        if not wave.numel():
            return self.absent()
        window = torch.hann_window(self.WINDOW)
        wave = F.pad(without_rumble(wave, rate=self.rate), (0, max(0, self.WINDOW - len(wave))))
        wave = levelled(wave, window, self.HOP) if self.level else wave
        return measure(wave, self.filters, window, self.HOP, rate=self.rate)

    def absent(self) -> Tensor:
        return torch.zeros(0, self.width)

    def fit(self, prepared: Iterable[Tensor]) -> None:
        """Each column's mean over training frames, one scale for all bands (differences between them keep their size),
        one for loudness; pitch and voicing stay as they are."""
        frames = torch.cat([p for p in prepared if len(p)] or [torch.zeros(1, self.width)])
        bands = slice(0, self.BANDS)
        self.mean[bands] = frames[:, bands].mean(dim=0)
        self.scale[bands] = frames[:, bands].std().clamp(min=1e-3)
        if len(frames) > 1:
            self.mean[-1], self.scale[-1] = frames[:, -1].mean(), frames[:, -1].std().clamp(min=1e-3)

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Loudness within 3 dB and pitch within a semitone. What only the convolutions should not lean on is hidden
        from them in `encode`: here it would falsify the functionals."""
        values = stream.values.clone()
        gain = (torch.rand(len(values), generator=generator) * 2 - 1) * 0.69  # natural log of +-3 dB of power
        octaves = (torch.rand(len(values), generator=generator) * 2 - 1) / 12
        values[..., : self.BANDS] += gain.to(values.device)[:, None, None]
        values[..., -1] += gain.to(values.device)[:, None]
        values[..., -3] += octaves.to(values.device)[:, None] * (values[..., -2] > 0)
        return Stream(values, stream.mask)

    def encode(self, stream: Stream) -> Stream:
        mask = stream.mask
        values = ((stream.values - self.mean) / self.scale).masked_fill(~mask[..., None], 0.0)
        whole = self.functionals(values, mask)
        mel = values[..., : self.BANDS]
        # beside it, the same without the utterance's own mean: who speaks, how near the microphone, is in that mean
        own = mel.sum(dim=1, keepdim=True) / mask.sum(dim=1)[:, None, None].clamp(min=1)
        image = torch.stack([mel, (mel - own).masked_fill(~mask[..., None], 0.0)], dim=-1)
        if self.training:
            image = striped(image)
        for conv in self.convs:
            image, mask = conv(image, mask)
        x = self.drop(self.project(image.flatten(2)))
        # every position knows the whole: as one more position it would drown among the others when they are pooled
        out = Stream(x + positions(x.shape[1], self.dim, like=x) + whole, mask)
        for layer in self.layers:
            out = layer(out)
        return Stream(self.norm(out.values), out.mask)
