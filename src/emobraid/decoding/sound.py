"""The sound of a file: 16 kHz mono, or the reason there is none.

Shapes: N samples, C channels.
"""

import io
import math
import os
from collections.abc import Iterator, Mapping
from typing import Any

import av
import numpy as np
import soxr

from emobraid.decoding.tracks import WHOLE, Damaged, Part, Refused, Track, join, opened, refuse_more
from emobraid.media import SAMPLE_RATE, Audio

PCM = {"u8": "u1", "s16": "i2", "s32": "i4", "s64": "i8", "flt": "f4", "dbl": "f8"}

SILENCE = 10 ** (-70 / 20)  # root mean square, full scale = 1
SHORTEST = 0.025  # s, one frame of the usual speech front ends
BLOCK = 1 << 16  # samples to resample at once
ROUNDED = 2e-3  # s that stamps of consecutive frames may be off
LOUDEST = 16.0  # 24 dB over full scale: a float file may overshoot a little, this is damage
CANCELLED = 0.1  # a mix 20 dB below its first channel: that is out of phase

NO_AUDIO = Audio(np.empty(0, np.float32))


def hear(file: io.FileIO, request: Mapping[str, Any]) -> Audio:
    """The first sound track; no samples and the reason where there is nothing to hear."""
    with opened(file, request) as container:
        if not container.streams.audio:
            return NO_AUDIO._replace(note="no audio track")
        track = Track(container, container.streams.audio[0], request["seconds"], Part.of(request))
        sound = Sound(request["seconds"])
        for frame, kept in inside(track):
            sound.add(frame, kept)
    if not sound.seconds and track.part != WHOLE and not track.lost:
        raise Damaged(track.part.beyond("sound", track.reached or track.length or 0.0))
    if not sound.seconds and (track.lost or track.length):
        raise Damaged("none of its sound could be decoded: it is damaged")
    parts = riff_parts(file) if track.part == WHOLE else None
    warnings = track.notes(sound.seconds, sound.seconds * parts if parts else track.part.within(track.length))
    if sound.seconds < SHORTEST:
        length = f"too short ({sound.seconds * 1000:.0f} ms)" if sound.seconds else "the audio track is empty"
        return NO_AUDIO._replace(note=join([length, *warnings]))
    samples, notes = sound.finish()
    if samples.std(dtype=np.float64) < SILENCE:  # about the mean, so that a constant offset is silence
        return NO_AUDIO._replace(note=join(["silent", *warnings]))
    return Audio(samples, join(notes + warnings))


def inside(track: Track) -> Iterator[tuple[av.AudioFrame, slice]]:
    """The decoded frames, each with those of its samples that are in the track's stretch."""
    start, end = track.part
    until = math.inf if end is None else end
    at: float | None = None  # s, where a frame begins that follows on
    for frame in frames_of(track):
        if track.part == WHOLE:
            yield frame, slice(None)
            continue
        stamp = None if frame.pts is None else float(frame.pts * track.stream.time_base) - track.zero
        # stamps are rounded, in Matroska to a millisecond: only a real gap moves what follows
        if at is None or (stamp is not None and abs(stamp - at) > ROUNDED):
            at = stamp or 0.0
        if at >= until:
            return
        rate = max(frame.sample_rate, 1)
        first, last = round((start - at) * rate), math.ceil(min((until - at) * rate - 1e-6, frame.samples))
        at += frame.samples / rate
        track.reached = at
        if last > max(first, 0):
            yield frame, slice(max(first, 0), last)


def frames_of(track: Track) -> Iterator[av.AudioFrame]:
    for packet in track.packets():
        yield from track.decode(packet)
    yield from track.decode(None)


class Sound:
    """Decoded frames on their way to 16 kHz: two columns, the mix of all channels and the first channel."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.seconds = 0.0
        self.wild = False
        self.kind: tuple[int, str, int] | None = None  # rate, sample format and channels of what waits
        self.waiting: list[np.ndarray] = []  # each (C, N) as decoded
        self.count = 0  # samples that wait
        self.chunks: list[np.ndarray] = []  # each (N, 2) at SAMPLE_RATE

    def add(self, frame: av.AudioFrame, kept: slice) -> None:
        if not 1000 <= frame.sample_rate <= 768_000:  # a low one would blow up in the resampler
            raise Refused(f"a sample rate of {frame.sample_rate} Hz is no sound")
        channels = channels_of(frame)[:, kept]
        self.seconds += channels.shape[1] / frame.sample_rate
        refuse_more(self.seconds, self.limit)
        kind = (frame.sample_rate, frame.format.name, frame.layout.nb_channels)
        if kind != self.kind:
            self.flush()
            self.kind = kind
            self.resampler = soxr.ResampleStream(frame.sample_rate, SAMPLE_RATE, 2, dtype="float32")
        self.waiting.append(channels)
        self.count += channels.shape[1]
        if self.count >= BLOCK:
            self.resample()

    def resample(self, *, last: bool = False) -> None:
        channels = waveform(np.concatenate(self.waiting, axis=1))
        self.waiting, self.count = [], 0
        wild = ~(np.abs(channels) <= LOUDEST)  # this way round it is true of NaN
        if wild.any():
            self.wild = True
            channels[wild] = 0
        columns = np.stack([channels.mean(axis=0), channels[0]], axis=1)
        self.chunks.append(self.resampler.resample_chunk(columns, last=last))

    def flush(self) -> None:
        if self.waiting:
            self.resample(last=True)
        elif self.kind is not None:
            self.chunks.append(self.resampler.resample_chunk(np.empty((0, 2), np.float32), last=True))

    def finish(self) -> tuple[np.ndarray, list[str]]:
        """The samples, and warnings about them."""
        self.flush()
        mix, first = np.ascontiguousarray(np.concatenate(self.chunks).T)
        notes = ["values that are not a number, or far too large, were set to 0"] if self.wild else []
        if mix.std(dtype=np.float64) < CANCELLED * first.std(dtype=np.float64):
            return first, [*notes, "the channels cancel out, read the first"]
        return mix, notes


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


def riff_parts(file: io.FileIO) -> float | None:
    """What a RIFF file should hold, in parts of what it does hold: FFmpeg passes over a cut WAV in silence."""
    head, size = os.pread(file.fileno(), 8, 0), os.fstat(file.fileno()).st_size
    promised = int.from_bytes(head[4:], "little") + 8
    streamed = promised > 0x7FFF_0000  # written to a pipe: the length was not known
    return promised / size if head[:4] == b"RIFF" and not streamed else None
