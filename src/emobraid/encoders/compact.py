"""Our own small encoders: nothing to download, trained from the first step, a few million parameters together.

Shapes: B batch, T time, K hashed pieces of a word, F mel bands, S side of a face crop, D width.
"""

import re
import zlib
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.layers import TransformerLayer, positions
from emobraid.stream import Stream

WORD = re.compile(r"\w+(?:['\u2019]\w+)*|[^\w\s]")
PIECES = 12  # hashed pieces kept of one word: the word itself, then its character n-grams


def word_pieces(word: str, buckets: int) -> list[int]:
    """Hash buckets (1..buckets) of a word and its character 3- to 5-grams (Bojanowski 2017, arXiv:1607.04606)."""
    edged = f"<{word}>"
    grams = [edged[i : i + n] for n in (3, 4, 5) for i in range(len(edged) - n + 1)]
    pieces = [word, *grams][:PIECES]
    return [zlib.crc32(piece.encode()) % buckets + 1 for piece in pieces]


class CompactText(Encoder):
    """Hashed words and character n-grams, then a small transformer. No vocabulary, so no word is ever unknown."""

    def __init__(self, dim: int = 128, *, buckets: int = 16_384, layers: int = 2, max_length: int = 512) -> None:
        super().__init__()
        self.dim, self.buckets, self.max_length = dim, buckets, max_length
        self.preparation = f"hashed-words:1:{buckets}:{max_length}:{PIECES}"
        self.embedding = nn.EmbeddingBag(buckets + 1, dim, mode="mean", padding_idx=0)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.layers = nn.ModuleList(TransformerLayer(dim, 4, 0.1) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: str) -> Tensor:
        """Text -> (T, K) int64 hash buckets, 0 where a word has fewer pieces; at most `max_length` words."""
        words = WORD.findall(raw.casefold())[: self.max_length]
        table = torch.zeros(len(words), PIECES, dtype=torch.long)
        for i, word in enumerate(words):
            pieces = word_pieces(word, self.buckets)
            table[i, : len(pieces)] = torch.tensor(pieces)
        return table

    def absent(self) -> Tensor:
        return torch.zeros(0, PIECES, dtype=torch.long)

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Word dropout: one word in ten is hidden, never the whole utterance."""
        kept = torch.rand(stream.mask.shape, generator=generator).to(stream.mask.device) >= 0.1
        mask = stream.mask & kept
        return Stream(stream.values, torch.where(mask.any(dim=1, keepdim=True), mask, stream.mask))

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream
        words = self.embedding(values.flatten(0, 1)).unflatten(0, mask.shape)
        x = Stream(words + positions(mask.shape[1], self.dim, like=words), mask)
        for layer in self.layers:
            x = layer(x)
        return Stream(self.norm(x.values), mask)


def mel_filters(bands: int, *, rate: int, window: int) -> Tensor:
    """Triangular filters (F, window // 2 + 1) evenly spaced in mel (O'Shaughnessy 1987) from 50 Hz to 7.6 kHz."""

    def to_mel(hertz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hertz / 700.0))

    edges = 700.0 * (10.0 ** (np.linspace(to_mel(50.0), to_mel(7_600.0), bands + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, rate / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32))


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


class CompactAudio(Encoder):
    """Log-mel spectrogram, convolutions over time and frequency, then temporal attention at eight positions a second."""

    mean: Tensor
    scale: Tensor
    WINDOW, HOP, BANDS = 512, 256, 64

    def __init__(self, dim: int = 128, *, rate: int = 16_000, layers: int = 2, dropout: float = 0.2) -> None:
        super().__init__()
        self.dim, self.rate = dim, rate
        self.preparation = f"log-mel:3:{rate}:{self.WINDOW}:{self.HOP}:{self.BANDS}"
        self.filters = mel_filters(self.BANDS, rate=rate, window=self.WINDOW)
        self.register_buffer("mean", torch.zeros(self.BANDS))
        self.register_buffer("scale", torch.ones(self.BANDS))
        widths = (2, 24, 48, 96, 128)
        strides = (2, 2, 2, 1)
        self.convs = nn.ModuleList(ConvBlock(i, o, s) for i, o, s in zip(widths[:-1], widths[1:], strides, strict=True))
        self.project = nn.Linear(widths[-1] * self.BANDS // 16, dim)
        self.drop = nn.Dropout(dropout)
        self.layers = nn.ModuleList(TransformerLayer(dim, 4, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Mono samples (N,) float at `rate` -> (T, F) natural-log mel energies, 62.5 a second.

        Silence before the first and after the last frame within 40 dB of the loudest is left out: it says nothing, and
        how much of it there is tells one recording from another.
        """
        wave = torch.as_tensor(np.ascontiguousarray(raw), dtype=torch.float32)
        if not wave.numel():
            return self.absent()
        wave = F.pad(wave, (0, max(0, self.WINDOW - len(wave))))
        spectrum = torch.stft(
            wave, self.WINDOW, self.HOP, window=torch.hann_window(self.WINDOW), center=False, return_complex=True
        ).abs()
        energies = (self.filters @ spectrum.square()).T  # (T, F)
        loud = (energies.sum(dim=1) > 1e-4 * energies.sum(dim=1).max()).nonzero()
        first, last = (int(loud.min()), int(loud.max())) if len(loud) else (0, len(energies) - 1)
        # the floor keeps the many shades of near-silence from taking up the scale
        return torch.log(energies[first : last + 1] + 1e-4).contiguous()

    def absent(self) -> Tensor:
        return torch.zeros(0, self.BANDS)

    def fit(self, prepared: Iterable[Tensor]) -> None:
        """Each band's mean and one scale for all, over training frames: differences between bands keep their size."""
        frames = torch.cat([p for p in prepared if len(p)] or [torch.zeros(1, self.BANDS)])
        self.mean.copy_(frames.mean(dim=0))
        self.scale.copy_(frames.std().clamp(min=1e-3).expand(self.BANDS))

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Loudness within 3 dB, a shift along frequency (a longer or shorter vocal tract), and SpecAugment's time and
        frequency stripes (Park et al. 2019, arXiv:1904.08779), filled with the training mean."""
        values, mask = stream.values.clone(), stream.mask

        def draw(low: int, high: int) -> int:
            return int(torch.randint(low, high + 1, (), generator=generator))

        gain = (torch.rand(len(values), 1, 1, generator=generator) * 2 - 1) * 0.69  # natural log of +-3 dB of power
        values += gain.to(values.device)
        for i, length in enumerate(mask.sum(dim=1).tolist()):
            values[i] = values[i].roll(draw(-3, 3), dims=1)
            for _ in range(2):
                width, start = draw(0, 10), draw(0, self.BANDS - 1)
                values[i, :, start : start + width] = self.mean[start : start + width]
                width, start = draw(0, max(1, length // 8)), draw(0, max(1, length - 1))
                values[i, start : start + width] = self.mean
        return Stream(values, mask)

    def encode(self, stream: Stream) -> Stream:
        mask = stream.mask
        values = ((stream.values - self.mean) / self.scale).masked_fill(~mask[..., None], 0.0)
        # beside it, the same without the utterance's own mean: who speaks, how near the microphone, is in that mean
        own = values.sum(dim=1, keepdim=True) / mask.sum(dim=1)[:, None, None].clamp(min=1)
        values = torch.stack([values, (values - own).masked_fill(~mask[..., None], 0.0)], dim=-1)
        for conv in self.convs:
            values, mask = conv(values, mask)
        x = self.drop(self.project(values.flatten(2)))
        out = Stream(x + positions(x.shape[1], self.dim, like=x), mask)
        for layer in self.layers:
            out = layer(out)
        return Stream(self.norm(out.values), out.mask)


class CompactVideo(Encoder):
    """A small CNN on each face crop, then a bidirectional LSTM over the frames."""

    SIDE = 48

    def __init__(self, dim: int = 128, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.dim = dim
        self.preparation = f"grey-faces:1:{self.SIDE}"
        widths = (1, 32, 64, 96, 128)
        blocks: list[nn.Module] = []
        for i, o in pairwise(widths):
            # groups of channels within one frame: neither frames nor samples see each other
            blocks += [nn.Conv2d(i, o, 3, stride=2, padding=1), nn.GroupNorm(8, o), nn.GELU()]
        self.cnn = nn.Sequential(*blocks, nn.Flatten(1), nn.Dropout(dropout), nn.Linear(128 * 9, dim))
        self.lstm = nn.LSTM(dim, dim // 2, batch_first=True, bidirectional=True)
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Face crops (T, S, S, 3) uint8 RGB -> (T, SIDE, SIDE) uint8 grey."""
        if not len(raw):
            return self.absent()
        grey = torch.as_tensor(np.ascontiguousarray(raw)).float() @ torch.tensor([0.299, 0.587, 0.114])
        small = F.interpolate(grey[:, None], (self.SIDE, self.SIDE), mode="bilinear", antialias=True)[:, 0]
        return small.round().clamp(0, 255).byte()

    def absent(self) -> Tensor:
        return torch.zeros(0, self.SIDE, self.SIDE, dtype=torch.uint8)

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Mirrored or not, a shift of up to three pixels, brightness within a fifth; one choice a clip."""
        values = stream.values.clone()
        for i in range(len(values)):
            mirror, *shift = torch.randint(0, 7, (3,), generator=generator).tolist()
            clip = values[i].flip(-1) if mirror % 2 else values[i]
            values[i] = clip.roll((shift[0] - 3, shift[1] - 3), dims=(-2, -1))
        light = 0.8 + 0.4 * torch.rand(len(values), 1, 1, 1, generator=generator).to(values.device)
        return Stream((values.float() * light).clamp(0, 255), stream.mask)

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream
        # real frames first, so that a hole in the middle is as if the frame had never been taken
        order = (~mask).long().argsort(dim=1, stable=True)
        lengths = mask.sum(dim=1)
        flat = values[mask].float()[:, None] / 127.5 - 1.0
        flat = flat - flat.mean(dim=(2, 3), keepdim=True)  # a darker room or skin is no emotion
        flat = flat / flat.std(dim=(2, 3), keepdim=True).clamp(min=0.05)
        front = torch.arange(mask.shape[1], device=mask.device)[None] < lengths[:, None]
        faces = self.cnn(flat)
        seen = faces.new_zeros(*mask.shape, self.dim).masked_scatter(front[..., None], faces)
        packed = nn.utils.rnn.pack_padded_sequence(seen, lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        out = self.norm(out + seen)
        back = order.argsort(dim=1)[..., None].expand_as(out)
        return Stream(out.gather(1, back), mask)
