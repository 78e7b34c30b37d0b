"""What can be measured in a voice: mel spectrum, pitch, voicing, loudness.

Shapes: N samples, T frames, F mel bands, W samples of a window.
"""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.signal import butter, sosfilt
from torch import Tensor

LOWEST, HIGHEST = 70.0, 450.0  # Hz, the pitch of speaking voices
REFERENCE = 150.0  # Hz; pitch is counted in octaves from here
OCTAVE_COST = 0.03  # of the autocorrelation (Boersma 1993 takes 0.01); at 0.03 pulse trains in noise lose no octave
VOICED = 0.45  # of the autocorrelation at lag zero: below it, a frame has no pitch (after Boersma 1993)
RUMBLE = 90.0  # Hz; below it there is hardly any voice, but hum (50 and 60 Hz), wind and steps
LOUD = 2.5  # log energy of an average loud frame, once `levelled`: the median of RAVDESS as it was recorded
QUIET = 1e-4  # floor of energies, so that the many shades of near-silence do not take up the scale


def mel_filters(bands: int, *, rate: int, window: int) -> Tensor:
    """Triangular filters (F, window // 2 + 1) evenly spaced in mel (O'Shaughnessy 1987) from 50 Hz to 7.6 kHz."""

    def to_mel(hertz: float) -> float:
        return float(2595.0 * np.log10(1.0 + hertz / 700.0))

    edges = 700.0 * (10.0 ** (np.linspace(to_mel(50.0), to_mel(7_600.0), bands + 2) / 2595.0) - 1.0)
    bins = np.linspace(0.0, rate / 2, window // 2 + 1)
    rising = (bins - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - bins) / (edges[2:] - edges[1:-1])[:, None]
    return torch.from_numpy(np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32))


def pitch(frames: Tensor, window: Tensor, *, rate: int) -> tuple[Tensor, Tensor]:
    """Pitch in octaves from 150 Hz, 0 where unvoiced, and voicing 0..1, each (T,), of windowed frames (T, W).

    The highest peak of the autocorrelation, divided by that of the window (Boersma 1993, "Accurate short-term analysis
    of the fundamental frequency").
    """
    size = len(window)

    def correlate(x: Tensor) -> Tensor:
        return torch.fft.irfft(torch.fft.rfft(x, 2 * size).abs().square())[..., :size]

    of_window = correlate(window)
    correlation = correlate(frames - frames.mean(dim=1, keepdim=True))
    correlation = correlation / correlation[:, :1].clamp(min=1e-9) / (of_window / of_window[0]).clamp(min=1e-3)
    shortest, longest = int(rate / HIGHEST), int(rate / LOWEST)
    correlation, lags = correlation[:, shortest:longest], torch.arange(shortest, longest)
    # two and three periods fit as well as one: each octave down must fit clearly better
    lag = (correlation - OCTAVE_COST * torch.log2(lags.float())).argmax(dim=1)
    strength = correlation.gather(1, lag[:, None]).squeeze(1)
    voicing = ((strength.clamp(0, 1) - VOICED) / (1 - VOICED)).clamp(min=0)
    octaves = torch.log2(rate / (lag + shortest).float() / REFERENCE)
    return torch.where(voicing > 0, octaves, 0.0), voicing


def as_others(values: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """What `measure` gave for a batch (B, T, F + 3), each as if somebody else spoke in another room: the mel spectrum
    stretched by up to `most` as by another length of the vocal tract (Jaitly and Hinton 2013), the pitch moved by up to
    twice that share of an octave, and the spectrum coloured by a random curve (FilterAugment, Nam et al. 2022,
    arXiv:2110.03282)."""
    size, steps, bands = len(values), values.shape[1], values.shape[2] - 3
    stretch, tune = (most * (2 * torch.rand(size, 1, generator=generator) - 1) for _ in range(2))
    colour = 4 * most * torch.randn(size, 1, 5, generator=generator)
    at = (torch.arange(bands) * (1 + stretch)).clamp(max=bands - 1)  # (B, F)
    low = at.floor().long().clamp(max=bands - 2)
    below, above = (i[:, None].expand(-1, steps, -1).to(values.device) for i in (low, low + 1))
    share = (at - low)[:, None].to(values.device)
    mel = values[..., :bands]
    mel = mel.gather(2, below) * (1 - share) + mel.gather(2, above) * share
    mel = mel + F.interpolate(colour, size=bands, mode="linear", align_corners=True).to(values.device)
    octaves = values[..., -3:-2] + 2 * tune[:, None].to(values.device) * (values[..., -2:-1] > 0)
    return torch.cat([mel, octaves, values[..., -2:]], dim=-1)


def without_rumble(wave: Tensor, *, rate: int) -> Tensor:
    """Mono samples (N,) without their constant offset and without what lies below the voice: 21 dB less at 60 Hz."""
    filtered = sosfilt(butter(6, RUMBLE, "high", fs=rate, output="sos"), (wave - wave.mean()).numpy())
    return torch.from_numpy(np.ascontiguousarray(filtered, dtype=np.float32))


def levelled(wave: Tensor, window: Tensor, hop: int) -> Tensor:
    """Mono samples (N,), at least one window, so that their loud frames, those within 30 dB of the loudest, have an
    average log energy of LOUD: how near the microphone was and how it was set is no emotion."""
    energy = torch.fft.rfft(wave.unfold(0, len(window), hop) * window).abs().square().sum(dim=1)
    loud = energy[energy >= 1e-3 * energy.max()].mean()
    return wave * (math.exp(LOUD) / loud.clamp(min=1e-12)).sqrt()


def measure(wave: Tensor, filters: Tensor, window: Tensor, hop: int, *, rate: int) -> Tensor:
    """Mono samples (N,), at least one window -> (T, F + 3): log mel energies, pitch, voicing, log energy.

    Silence before the first and after the last frame within 40 dB of the loudest is left out: it says nothing, and how
    much of it there is tells one recording session from another.
    """
    frames = wave.unfold(0, len(window), hop) * window  # (T, W)
    power = torch.fft.rfft(frames).abs().square()
    energy = power.sum(dim=1)
    loud = (energy >= 1e-4 * energy.max()).nonzero()
    kept = slice(int(loud.min()), int(loud.max()) + 1)
    octaves, voicing = pitch(frames[kept], window, rate=rate)
    prosody = torch.stack([octaves, voicing, torch.log(energy[kept] + QUIET)], dim=1)
    return torch.cat([torch.log(power[kept] @ filters.T + QUIET), prosody], dim=1)
