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

from emobraid.decoding.channels import LOUDEST, SIXTEEN_BIT, Stretch, channels_of, sixteen_bit, waveform
from emobraid.decoding.clock import A_DAY, ABSURD, ANEW, chosen_sound
from emobraid.decoding.tracks import WHOLE, Damaged, Part, Refused, Track, join, opened, refuse_more, spoken
from emobraid.media.kinds import SAMPLE_RATE, SILENCE, Audio

SHORTEST = 0.025  # s, one frame of the usual speech front ends
BLOCK = 1 << 16  # samples to resample at once
PAUSE = 0.1  # s without sound that are filled with silence
ROUNDED = 2e-3  # s that stamps of consecutive frames may be off
PAUSES = 3  # that are told of one by one

# numbers that sound may have, all channels together: a few bytes can unfold to any amount
HONEST = 384_000  # in a second: stereo at 192 kHz, or eight channels at 48
SPARE, DENSEST = 20_000_000, 1_000  # in a file of no size, and for each of its bytes: silence packs 600 into one

UNFOLDS = "unfolds to far more sound than recordings of its size hold; save it at 48 kHz, in one or two channels"
NO_AUDIO = Audio(np.empty(0, np.float32))


def hear(file: io.FileIO, request: Mapping[str, Any]) -> Audio:
    """The sound track on the film's clock, pauses as silence; no samples and the reason where nothing is heard."""
    with opened(file, request) as container:
        if not container.streams.audio:
            return NO_AUDIO._replace(note="no audio track")
        chosen, note = chosen_sound(container)
        track = Track(container, chosen, request["seconds"], Part.of(request))
        sound = Sound(request["seconds"], track.part.start)
        for pause, frame, kept in inside(track):
            sound.pause(pause)
            if frame is not None:
                sound.add(frame, kept)
    if not sound.heard:
        return NO_AUDIO._replace(note=join([why_nothing(track), note]))
    parts = riff_parts(file) if track.part == WHOLE else None
    whole = sound.seconds * parts if parts else track.part.within(track.length)
    warnings = [note, *sound.pauses, *track.notes(sound.seconds, whole, "sound")]
    if sound.heard < SHORTEST:
        return NO_AUDIO._replace(note=join([f"too short ({sound.heard * 1000:.0f} ms)", *warnings]))
    samples, notes = sound.finish()
    if samples.std(dtype=np.float64) < SILENCE:  # about the mean, so that a constant offset is silence
        return NO_AUDIO._replace(note=join(["silent", *warnings]))
    return Audio(samples, join(notes + warnings))


def why_nothing(track: Track) -> str:
    """Of a track without a sample in its stretch; Damaged where one should be there."""
    if track.begins is not None:
        return f"its sound begins at {track.begins:.1f} s" if not track.reached else "its sound pauses here"
    if track.part != WHOLE and not track.lost:
        raise Damaged(track.part.beyond("sound", track.reached or track.length or 0.0))
    if track.lost or track.length:
        raise Damaged("none of its sound could be decoded: it is damaged")
    return "the audio track is empty"


def inside(track: Track) -> Iterator[tuple[float, av.AudioFrame | None, slice]]:
    """The decoded frames, each with those of its samples that are in the track's stretch, and the seconds before it in
    which there is no sound; at the end perhaps such seconds alone."""
    start, end = track.part
    until = math.inf if end is None else end
    at: float | None = None  # s, where a frame begins that follows on
    given, owed = start, 0.0  # s: until when the film is told, and what small gaps come to
    for frame in frames_of(track):
        stamp = None if frame.pts is None else float(frame.pts * track.stream.time_base) - track.zero
        if at is None and stamp is not None and abs(stamp) > A_DAY:  # the whole track is on another clock
            track.zero, stamp = track.zero + stamp, 0.0
        # stamps are rounded, in Matroska to a millisecond: only a real gap moves what follows
        if at is None or (stamp is not None and abs(stamp - at) > ROUNDED):
            at = stamp or 0.0
        if at >= until:
            track.begins = at
            if given > start and until - given > PAUSE:
                yield until - given, None, slice(0)
            return
        rate = max(frame.sample_rate, 1)
        first, last = max(round((start - at) * rate), 0), math.ceil(min((until - at) * rate - 1e-6, frame.samples))
        first = 0 if track.part == WHOLE else first  # what a codec needs to begin has stamps before the start
        begin, at = at, at + frame.samples / rate
        track.reached = at
        if last > first:
            owed = max(owed + begin + first / rate - given, -PAUSE)
            yield owed if owed > PAUSE else 0.0, frame, slice(first, last)
            given, owed = begin + last / rate, 0.0 if owed > PAUSE else owed


def frames_of(track: Track) -> Iterator[av.AudioFrame]:
    """Every decoded frame, as long as the file can honestly hold so much."""
    unfolded, most = 0, SPARE + DENSEST * track.container.size
    for packet in track.packets():
        for frame in track.decode(packet):
            unfolded += frame.samples * frame.layout.nb_channels
            if unfolded > most:
                raise Refused(UNFOLDS)
            yield frame
    yield from track.decode(None)


class Sound:
    """Decoded frames on their way to 16 kHz."""

    def __init__(self, limit: float, start: float = 0.0) -> None:
        self.limit, self.start = limit, start  # s; when it begins in the film
        self.seconds = self.heard = 0.0  # on the film's clock, and of sound
        self.numbers = 0  # of all channels together
        self.pauses: list[str] = []
        self.wild = self.loud = False
        self.kind: tuple[int, str, tuple[str, ...]] | None = None  # rate, sample format and channels of what waits
        self.waiting: list[np.ndarray] = []  # each (C, N) as decoded
        self.count = 0  # samples that wait
        self.stretches: list[Stretch] = []

    def add(self, frame: av.AudioFrame, kept: slice) -> None:
        if not 1000 <= frame.sample_rate <= 768_000:  # a low one would blow up in the resampler
            raise Refused(f"a sample rate of {frame.sample_rate} Hz is no sound")
        channels = channels_of(frame)[:, kept]
        self.seconds += channels.shape[1] / frame.sample_rate
        self.heard += channels.shape[1] / frame.sample_rate
        refuse_more(self.seconds, self.limit)
        self.numbers += channels.size
        if self.numbers > HONEST * self.limit:
            raise Refused(UNFOLDS)
        names = tuple(c.name for c in frame.layout.channels)
        self.begin((frame.sample_rate, frame.format.name, names))
        self.waiting.append(channels)
        self.count += channels.shape[1]
        if self.count >= BLOCK:
            self.resample()

    def begin(self, kind: tuple[int, str, tuple[str, ...]]) -> None:
        if kind != self.kind:
            self.flush()
            self.kind = kind
            self.stretches.append(Stretch(kind[0], list(kind[2])))

    def resample(self, *, last: bool = False) -> None:
        channels = waveform(np.concatenate(self.waiting, axis=1))
        self.waiting, self.count = [], 0
        if not self.stretches[-1].chunks:
            self.loud = sixteen_bit(channels)
        if self.loud:
            channels *= np.float32(SIXTEEN_BIT)
        wild = ~(np.abs(channels) <= LOUDEST)  # this way round it is true of NaN
        if wild.any():
            self.wild = True
            channels[wild] = 0
        self.stretches[-1].add(channels, last=last)

    def pause(self, seconds: float) -> None:
        """Silence for so long, which may be 0."""
        if not seconds:
            return
        if seconds > ABSURD:
            raise Refused(f"its sound stops for {spoken(seconds)} by its time stamps, which must be wrong; {ANEW}")
        refuse_more(self.seconds + seconds, self.limit)
        if len(self.pauses) < PAUSES:
            at = self.start + self.seconds
            self.pauses.append(f"no sound from {at:.1f} to {at + seconds:.1f} s")
        self.seconds += seconds
        self.flush()
        self.kind = None
        nothing = Stretch(SAMPLE_RATE, ["FC"])
        nothing.chunks.append(np.zeros((round(seconds * SAMPLE_RATE), 1), np.float32))
        self.stretches.append(nothing)

    def flush(self) -> None:
        if self.waiting:
            self.resample(last=True)
        elif self.kind is not None:
            self.stretches[-1].add(np.empty((len(self.kind[2]), 0), np.float32), last=True)

    def finish(self) -> tuple[np.ndarray, list[str]]:
        """The samples, and warnings about them."""
        self.flush()
        notes = ["values that are not a number, or far too large, were set to 0"] if self.wild else []
        notes += ["values of 16-bit scale were divided by 32768"] if self.loud else []
        mixed = [stretch.mixed() for stretch in self.stretches if sum(map(len, stretch.chunks))]
        odd = dict.fromkeys(note for _, note in mixed if note)
        return np.concatenate([np.empty(0, np.float32), *(mix for mix, _ in mixed)]), [*notes, *odd]


def riff_parts(file: io.FileIO) -> float | None:
    """What a RIFF file should hold, in parts of what it does hold: FFmpeg passes over a cut WAV in silence."""
    head, size = os.pread(file.fileno(), 8, 0), os.fstat(file.fileno()).st_size
    promised = int.from_bytes(head[4:], "little") + 8
    streamed = promised > 0x7FFF_0000  # written to a pipe: the length was not known
    return promised / size if head[:4] == b"RIFF" and not streamed else None
