"""A long recording read in windows that overlap: what is expressed, when.

Media is decoded in blocks, so that an hour takes no more memory than some minutes.
Shapes: N samples, T faces, S side of a face crop.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.data.shelf import Input
from emobraid.media import SAMPLE_RATE, MediaBytes, MediaError, MediaReader
from emobraid.media.frames import evenly
from emobraid.media.kinds import shown
from emobraid.recognizer import Prediction, Recognizer, told, unheard

SOUND_BLOCK, FACE_BLOCK = 240.0, 20.0  # seconds decoded at once: 15 MB of samples, 2 MB of small faces
NOBODY = "no face"
SLIVER = 0.1  # of a step: a rest that is shorter belongs to the last window
BATCH = 16  # windows that are encoded together


@dataclass(frozen=True)
class Window:
    """What a stretch from `start` to `end` seconds expresses; `missing` says by modality why it is not there."""

    start: float
    end: float
    reading: Prediction | None  # None: nothing could be read
    missing: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a recording is cut: windows of `window` seconds, a new one every `step`, faces at `fps` pictures a second."""

    window: float = 4.0
    step: float = 2.0
    fps: float = 4.0

    def __post_init__(self) -> None:
        if not (0.5 <= self.window <= 60 and 0 < self.step <= self.window):
            raise ValueError(f"window must be 0.5 to 60 s and step at most that, got {self.window:g} and {self.step:g}")
        if self.step < 0.1 or not 0.25 <= self.fps <= 30:
            raise ValueError(f"step must be at least 0.1 s and fps 0.25 to 30, got {self.step:g} and {self.fps:g}")

    def windows(self, seconds: float) -> list[tuple[float, float]]:
        """Start and end of every window; the last one ends with the recording, and may be shorter, or a bit longer."""
        count = 1 + max(0, math.ceil((seconds - self.window) / self.step - SLIVER))
        ends = [i * self.step + self.window for i in range(count - 1)] + [seconds]
        return [(i * self.step, end) for i, end in enumerate(ends)]


class Timeline:
    """The windows of one recording, read when they are asked for, in order and once."""

    def __init__(
        self,
        recognizer: Recognizer,
        source: Path | MediaBytes,
        plan: Plan | None = None,
        *,
        reader: MediaReader | None = None,
    ) -> None:
        """MediaError when the file cannot be read; ValueError when it has no length, or the model has no use for it."""
        self.recognizer, self.source, self.plan = recognizer, source, plan or Plan()
        self.reader = reader or recognizer.reader
        kinds = _kinds(recognizer)
        self.seconds = self.reader.length(source)
        if not self.seconds:
            raise MediaError(f"{shown(source)}: a picture, or empty; a timeline needs sound or film")
        self.spans = self.plan.windows(self.seconds)
        self.tracks = {m: kind(self) for m, kind in kinds.items()}

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[Window]:
        """MediaError at the start when no track of the file can be decoded."""
        for at in range(0, len(self), BATCH):
            spans = self.spans[at : at + BATCH]
            inputs = [self._inputs(*span) for span in spans]
            yield from self._read(spans, inputs)

    def _inputs(self, start: float, end: float) -> dict[str, Input]:
        encoders = self.recognizer.model.by_modality()
        inputs = {m: Input(e.absent(), "not given") for m, e in encoders.items()}
        inputs |= {m: track.of(start, end) for m, track in self.tracks.items()}
        if all(track.broken for track in self.tracks.values()):
            raise next(track.broken for track in self.tracks.values() if track.broken)
        return inputs

    def _read(self, spans: Sequence[tuple[float, float]], inputs: Sequence[dict[str, Input]]) -> Iterator[Window]:
        preparer = self.recognizer.preparer
        made = {m: preparer.through_stem(m, [one[m] for one in inputs]) for m in inputs[0]}
        finished = [{m: made[m][i] for m in made} for i in range(len(inputs))]
        there = [any(len(x.tensor) for x in one.values()) for one in finished]
        readings = iter(self.recognizer.read_many([one for one, some in zip(finished, there, strict=True) if some]))
        for (start, end), one, some in zip(spans, finished, there, strict=True):
            missing = {m: x.note for m, x in one.items() if not len(x.tensor) and told(x)}
            yield Window(start, end, next(readings) if some else None, missing)


def _kinds(recognizer: Recognizer) -> "dict[str, type[Track]]":
    """What a model reads of a recording."""
    encoders, config = recognizer.model.by_modality(), recognizer.config.model
    kinds: dict[str, type[Track]] = {"audio": Voice, "video": Face}
    for m in kinds:
        if m in encoders and getattr(config, f"{m}_encoder") == "features":
            raise ValueError(f"this model reads feature files for {m}, not recordings")
    if not kinds.keys() & encoders.keys():
        raise ValueError("this model reads text alone; a timeline needs one that reads sound or pictures")
    return {m: kind for m, kind in kinds.items() if m in encoders}


class Track(ABC):
    """One modality of the recording, a decoded block of it at a time."""

    modality: str
    block: float  # seconds

    def __init__(self, timeline: Timeline) -> None:
        self.source, self.reader, self.fps = timeline.source, timeline.reader, timeline.plan.fps
        self.encoder = timeline.recognizer.model.by_modality()[self.modality]
        self.most = timeline.recognizer.config.model.video_max_frames
        self.seconds = timeline.seconds
        self.first, self.until = 0.0, 0.0  # seconds that the block spans
        self.note = ""  # why there is nothing in it
        self.broken: MediaError | None = None  # the first block could not be decoded

    def of(self, start: float, end: float) -> Input:
        """The stretch, prepared; missing with the reason where there is nothing."""
        if end > self.until:
            self._load(start)
        raw, note = self.cut(start, end)
        return Input(self.encoder.prepare(raw) if len(raw) else self.encoder.absent(), note)

    def _load(self, start: float) -> None:
        self.first, self.until = start, start + self.block
        try:
            self.note = self.decode(start, min(self.until, self.seconds))
        except MediaError as error:
            self.note = str(error).removeprefix(f"{shown(self.source)}: ")
            self.clear()
            if start == 0:
                self.broken = error

    @abstractmethod
    def decode(self, start: float, end: float) -> str:
        """Take in a block; the reason when there is nothing in it."""

    @abstractmethod
    def clear(self) -> None:
        """Nothing is in the block."""

    @abstractmethod
    def cut(self, start: float, end: float) -> tuple[np.ndarray, str]:
        """What of the block lies in a stretch, empty with the reason when nothing does."""


class Voice(Track):
    """The sound."""

    modality, block = "audio", SOUND_BLOCK

    def decode(self, start: float, end: float) -> str:
        self.samples, note = self.reader.audio(self.source, start=start, end=end)  # (N,)
        return "" if len(self.samples) else note

    def clear(self) -> None:
        self.samples = np.empty(0, np.float32)

    def cut(self, start: float, end: float) -> tuple[np.ndarray, str]:
        if self.note:
            return self.samples, self.note
        begin, end_ = (round((s - self.first) * SAMPLE_RATE) for s in (start, end))
        samples = self.samples[begin:end_]
        reason = unheard(samples) if len(samples) else "its sound has ended"
        return (samples[:0], reason) if reason else (samples, "")


class Face(Track):
    """The face in the picture."""

    modality, block = "video", FACE_BLOCK

    def decode(self, start: float, end: float) -> str:
        most, size = math.ceil(self.fps * (end - start)), self.encoder.crop
        faces = self.reader.faces(self.source, max_frames=most, size=size, start=start, end=end)
        self.crops, self.times = faces.crops, faces.times + start  # (T, S, S, 3), (T,)
        # that nobody is in a block of film is no other reason than that nobody is in four seconds of it
        return "" if len(self.times) or faces.note.startswith(NOBODY) else faces.note

    def clear(self) -> None:
        self.crops, self.times = np.empty((0, 1, 1, 3), np.uint8), np.empty(0, np.float32)

    def cut(self, start: float, end: float) -> tuple[np.ndarray, str]:
        if self.note:
            return self.crops, self.note
        inside = np.flatnonzero((self.times >= start - 1e-3) & (self.times < end))
        crops = self.crops[inside[evenly(self.times[inside], self.most)]]
        return crops, "" if len(crops) else NOBODY
