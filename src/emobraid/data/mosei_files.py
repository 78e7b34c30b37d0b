"""The files of CMU-MOSEI: which of them are there, its segments with their ratings, its transcripts."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emobraid.data.csd import Csd, Span, Track, open_csd
from emobraid.data.folds import find
from emobraid.data.mosei_labels import COLUMNS, Rating

LABELS = "CMU_MOSEI_Labels.csd"
WORDS = "CMU_MOSEI_TimestampedWords.csd"
FEATURES = {
    "glove": "CMU_MOSEI_TimestampedWordVectors.csd",
    "covarep": "CMU_MOSEI_COVAREP.csd",
    "facet": "CMU_MOSEI_VisualFacet42.csd",
    "openface": "CMU_MOSEI_VisualOpenFace2.csd",
}
PAUSE = "sp"  # among the words
TRANSCRIPTS, VIDEOS, SOUNDS = "Transcript/Segmented/Combined", "Videos/Full/Combined", "Audio/Full/WAV_16000"
VIDEO_ID = re.compile(r"[\w-]+")  # as part of a path it leads nowhere else
SAME_TIME = 0.02  # seconds; one file holds 32-bit numbers, the other decimals
LARGEST_TRANSCRIPT = 4 << 20  # bytes


class Segment(NamedTuple):
    """One rated stretch of a video."""

    video: str
    place: int  # its row in the file, as the SDK numbers segments
    told: Span  # seconds as they stand in the file
    rating: Rating  # as it stands in the file

    @property
    def name(self) -> str:
        return f"{self.video}[{self.place}]"

    @property
    def span(self) -> Span:
        """Seconds within the video: 239 published starts are negative."""
        return max(0.0, self.told[0]), max(0.0, self.told[1])


class Line(NamedTuple):
    """One line of a transcript."""

    number: int
    told: Span
    text: str


@dataclass(frozen=True)
class Files:
    """Where the parts of CMU-MOSEI lie below `root`; None for what is not there."""

    root: Path

    @cached_property
    def labels(self) -> Path | None:
        return find(self.root, LABELS)

    def csd(self, name: str) -> Path | None:
        return find(self.root, name)

    def folder(self, inside: str) -> Path | None:
        """A folder of the raw release, in `root`, `root`/Raw, or where the archive unpacks."""
        places = (self.root / above / inside for above in ("", "Raw", "CMU_MOSEI/Raw"))
        return next((place for place in places if place.is_dir()), None)


def every_segment(path: Path) -> Iterator[Segment | str]:
    """All segments of the labels, video by video in order of time; in words, a video that cannot be read."""
    csd = open_csd(path)
    columns = _columns(csd)
    for video, track in csd.tracks():
        if isinstance(track, str):
            yield track
        elif not VIDEO_ID.fullmatch(video):
            yield f"{path}: {video!r} is no name of a video"
        elif track.values.ndim != 2 or track.values.shape[1] != len(COLUMNS):
            yield f"{path}: video {video!r} has labels {track.values.shape}; need (N, {len(COLUMNS)})"
        elif (times := track.times).size and (times[:, 1] < times[:, 0]).any():
            bad = int(np.argmax(times[:, 1] < times[:, 0]))
            yield f"{path}: video {video!r} row {track.places[bad]} ends at {times[bad, 1]:g} s, before its start"
        else:
            yield from _segments(video, track, columns)


def _segments(video: str, track: Track, columns: list[int]) -> Iterator[Segment]:
    for row, times, place in zip(track.values[:, columns], track.times, track.places, strict=True):
        sentiment, *intensities = (float(x) if np.isfinite(x) else float("nan") for x in row)
        yield Segment(video, int(place), (float(times[0]), float(times[1])), Rating(sentiment, tuple(intensities)))


def _columns(csd: Csd) -> list[int]:
    """The place of each of COLUMNS, by the names that the file has for them; in its usual order when it has none."""
    names = csd.metadata.get("dimension names")
    told = [str(n).strip().lower() for n in names] if isinstance(names, list) else []
    return [told.index(c) for c in COLUMNS] if set(COLUMNS) == set(told) else list(range(len(COLUMNS)))


def read_segments(path: Path) -> dict[str, list[Segment]]:
    """The segments of every video in order of time; ValueError names the first video that cannot be read."""
    videos: dict[str, list[Segment]] = {}
    for segment in every_segment(path):
        if isinstance(segment, str):
            raise ValueError(segment)
        videos.setdefault(segment.video, []).append(segment)
    return videos


def read_transcript(path: Path) -> list[Line]:
    """The lines of a transcript, `video___number___start___end___text`; what is no such line is passed over."""
    if path.stat().st_size > LARGEST_TRANSCRIPT:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes are no transcript")
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            _, number, start, end, text = line.split("___", 4)
            found.append(Line(int(number), (float(start), float(end)), text.strip()))
        except ValueError:
            continue
    return found


def said_in(segment: Segment, lines: list[Line]) -> str | None:
    """The text of the line that has the segment's times; None when none has."""
    near = [(max(abs(a - b) for a, b in zip(x.told, segment.told, strict=True)), x.number, x.text) for x in lines]
    off, _, text = min(near, default=(SAME_TIME, 0, ""))
    return text if off < SAME_TIME else None


def words_in(track: Track, span: Span) -> list[tuple[str, Span]]:
    """The words and pauses of a stretch, with their times.

    Each belongs to the stretch that its middle lies in, so that none is in two.
    """
    middles = track.times.mean(axis=1)
    inside = (middles >= span[0]) & (middles < span[1])
    times = [(float(start), float(end)) for start, end in track.times[inside]]
    return list(zip((str(word) for word in track.values[inside]), times, strict=True))
