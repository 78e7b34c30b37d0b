"""Channels of sound: as decoded, at 16 kHz, and the one that holds the voice.

Shapes: N samples, C channels.
"""

import av
import numpy as np
import soxr

from emobraid.media.kinds import SAMPLE_RATE

PCM = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}
CANCELLED = 0.1  # a mix 20 dB below its loudest channel: that is out of phase
BESIDE = 0.25  # a channel 12 dB below the loudest one only thins the voice out
SIXTEEN_BIT = 1 / 32768
LOUDEST = 16.0  # 24 dB over full scale: a float file may overshoot a little, this is damage


class Stretch:
    """Frames of one rate and layout on their way to 16 kHz: a column for each channel."""

    def __init__(self, rate: int, channels: list[str]) -> None:
        self.channels = channels  # FL, FR, FC, ... as FFmpeg names them
        self.chunks: list[np.ndarray] = []  # each (N, C) at SAMPLE_RATE
        self.resampler = soxr.ResampleStream(rate, SAMPLE_RATE, len(channels), dtype="float32")

    def add(self, channels: np.ndarray, *, last: bool = False) -> None:
        self.chunks.append(self.resampler.resample_chunk(np.ascontiguousarray(channels.T), last=last))

    def mixed(self) -> tuple[np.ndarray, str]:
        """(N,) the channels that hold the voice, and what is odd about them.

        Averaging silence in would make the voice quiet. Who speaks in a film is in the centre."""
        columns = np.concatenate(self.chunks)
        levels = columns.std(axis=0, dtype=np.float64)
        loudest = int(levels.argmax())
        kept = np.flatnonzero(levels >= BESIDE * levels[loudest])
        centre = [i for i in kept if self.channels[i] == "FC"]
        kept = np.array(centre) if centre else kept
        mix = columns[:, kept[0]] if len(kept) == 1 else columns[:, kept].mean(axis=1)
        if mix.std(dtype=np.float64) < CANCELLED * levels[loudest]:
            return np.ascontiguousarray(columns[:, loudest]), f"the channels cancel out, read {named(loudest)}"
        return np.ascontiguousarray(mix), ""


def named(channel: int) -> str:
    return "the first" if channel == 0 else f"channel {channel + 1}"


def sixteen_bit(channels: np.ndarray) -> bool:
    """Whether floats (C, N) hold 16-bit integers, as they are when somebody forgot to divide them."""
    there = np.abs(channels[np.isfinite(channels) & (channels != 0)])
    return len(there) > 0 and bool(np.median(there) > LOUDEST and there.max() <= 1 / SIXTEEN_BIT)


def channels_of(frame: av.AudioFrame) -> np.ndarray:
    """The samples of a frame as decoded, (C, N); unlike `to_ndarray` this knows 64-bit integers."""
    dtype, count = PCM[frame.format.name.removesuffix("p")], frame.layout.nb_channels
    if not frame.format.is_planar:
        return np.frombuffer(bytes(frame.planes[0]), dtype, frame.samples * count).reshape(-1, count).T
    return np.stack([np.frombuffer(bytes(plane), dtype, frame.samples) for plane in frame.planes])


def waveform(channels: np.ndarray) -> np.ndarray:
    """Samples of any type as float32 with full scale = 1."""
    if channels.dtype.kind == "f":
        with np.errstate(over="ignore"):  # to infinity, which is cleaned later
            return channels.astype(np.float32)
    full = 2.0 ** (8 * channels.dtype.itemsize - 1)
    return (channels.astype(np.float32) - np.float32(full if channels.dtype.kind == "u" else 0)) / np.float32(full)
