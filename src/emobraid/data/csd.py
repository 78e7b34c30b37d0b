"""Computational sequences (.csd) of the CMU Multimodal SDK: HDF5 files with one track of timed rows for each video.

    /<name>/data/<video>/features    (N, D) numbers, or (N, 1) words
    /<name>/data/<video>/intervals   (N, 2) seconds from the video's start
    /<name>/metadata/<key>           (1,) JSON

Shapes: N rows of a video, D their width, K positions that rows are averaged into.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import numpy as np

from emobraid.data.features import ArrayCell

LARGEST = 512 << 20  # bytes of one video's track; a file may claim any shape in a few bytes
LONGEST_WORD = 1 << 10  # bytes
#: what the HDF5 library raises for a damaged file
DAMAGE = (OSError, RuntimeError, KeyError, TypeError, AttributeError, UnicodeError)

Span = tuple[float, float]  # start and end in seconds


class Track(NamedTuple):
    """The rows of one video, by time."""

    values: np.ndarray  # (N, D) float32, or (N,) str for words
    times: np.ndarray  # (N, 2) float64 seconds, sorted; never NaN
    places: np.ndarray  # (N,) int, each row's place in the file, which is not by time

    def overlapping(self, start: float, end: float) -> "Track":
        """The rows that share some time with `start` to `end`; those that only touch it do not."""
        shared = (self.times[:, 0] < _later(start, end)) & (_ends(self.times) > start)
        return Track(*(part[shared] for part in self))


@dataclass(frozen=True)
class Csd:
    """One file that has been looked into: the name of its sequence, its metadata, its videos."""

    path: Path
    name: str
    metadata: dict[str, Any]
    videos: tuple[str, ...]

    def track(self, video: str) -> Track:
        """The rows of `video`; ValueError says what is wrong with them."""
        with _file(self.path) as file:
            return _read_track(self.path, file[self.name]["data"], video)

    def tracks(self) -> Iterator[tuple[str, Track | str]]:
        """Every video with its rows, or with the reason in words why they cannot be read."""
        with _file(self.path) as file:
            for video in self.videos:
                try:
                    yield video, _read_track(self.path, file[self.name]["data"], video)
                except (ValueError, *DAMAGE) as error:
                    yield video, " ".join(str(error).split())


def open_csd(path: Path) -> Csd:
    """Looks into a file without reading its tracks; ValueError in one line when it is no computational sequence."""
    with _file(path) as file:
        if len(names := list(file)) != 1:
            raise ValueError(f"{path}: holds {len(names)} computational sequences, need one; download it again")
        root = _member(path, file, names[0], h5py.Group)
        for part in ("metadata", "data"):
            if part not in root:
                raise ValueError(f"{path}: {names[0]!r} has no {part}; download it again")
        data = _member(path, root, "data", h5py.Group)
        metadata = _member(path, root, "metadata", h5py.Group)
        if not len(metadata):
            raise ValueError(f"{path}: {names[0]!r} has no metadata; download it again")
        return Csd(path, names[0], {k: _json(path, metadata, k) for k in metadata}, tuple(data))


@contextmanager
def _file(path: Path) -> Iterator[h5py.File]:
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except DAMAGE as error:
        raise ValueError(f"{path}: no readable HDF5 file: {' '.join(str(error).split())}") from None


def _member(path: Path, group: h5py.Group, name: str, kind: type) -> Any:
    """`group[name]`, stored in this very file: links and external data could show any other file of the disk."""
    place = f"{group.name}/{name}".replace("//", "/")
    link = group.get(name, getlink=True) if name in group else None
    if link is None:
        raise ValueError(f"{path}: no {place}; download it again")
    if not isinstance(link, h5py.HardLink):
        raise ValueError(f"{path}: {place} is a link; only what is in the file itself is read")
    member = group[name]
    if not isinstance(member, kind):
        raise ValueError(f"{path}: {place} is a {type(member).__name__.lower()}, need a {kind.__name__.lower()}")
    if isinstance(member, h5py.Dataset) and (member.external or member.is_virtual):
        raise ValueError(f"{path}: {place} lies in another file; only what is in the file itself is read")
    return member


def _json(path: Path, metadata: h5py.Group, key: str) -> Any:
    """A value of the metadata; None when it is not JSON, as nothing depends on most of them."""
    given = _member(path, metadata, key, h5py.Dataset)
    if given.shape != (1,) or given.dtype.kind not in "SO" or given.nbytes > LARGEST:
        return None
    try:
        return json.loads(given[0])
    except (ValueError, TypeError, RecursionError):
        return None


def _read_track(path: Path, data: h5py.Group, video: str) -> Track:
    group = _member(path, data, video, h5py.Group)
    features, intervals = (_member(path, group, part, h5py.Dataset) for part in ("features", "intervals"))
    place = f"{path}: video {video!r}"
    if features.ndim not in (1, 2) or intervals.ndim != 2 or intervals.shape[1] != 2 or not features.dtype.itemsize:
        raise ValueError(f"{place} has features {features.shape} and intervals {intervals.shape}; need (N, D), (N, 2)")
    if len(features) != len(intervals):
        raise ValueError(f"{place} has {len(features)} rows of features and {len(intervals)} intervals")
    if max(features.nbytes, intervals.nbytes) > LARGEST:
        raise ValueError(f"{place} claims {features.nbytes:,} bytes; at most {LARGEST:,} are read")
    if intervals.dtype.kind not in "fiu":
        raise ValueError(f"{place} has intervals of {intervals.dtype}, need numbers")
    values, times = _values(place, features), intervals[()].astype(np.float64)
    order = np.lexsort((times[:, 1], times[:, 0]))
    order = order[np.isfinite(times[order]).all(axis=1)]  # a row without a time is at no time
    return Track(values[order], times[order], order)


def _values(place: str, features: h5py.Dataset) -> np.ndarray:
    """(N, D) float32, or (N,) str."""
    if features.dtype.kind in "fiu":
        if features.ndim != 2:
            raise ValueError(f"{place} has features {features.shape}, need (N, D)")
        with np.errstate(over="ignore"):  # what 32 bits cannot hold becomes infinite, and does not count
            return features[()].astype(np.float32)
    text = features.dtype.kind == "S" or h5py.check_string_dtype(features.dtype) is not None
    if not text or features.shape != (len(features), 1)[: features.ndim]:
        raise ValueError(f"{place} has features of {features.dtype} {features.shape}, need numbers or (N, 1) words")
    if features.dtype.itemsize > LONGEST_WORD:
        raise ValueError(f"{place} has words of {features.dtype.itemsize} bytes; at most {LONGEST_WORD} are read")
    said = (word if isinstance(word, bytes) else str(word).encode() for word in features[()].reshape(-1))
    return np.array([word[:LONGEST_WORD].decode("utf-8", "replace").strip() for word in said], dtype=object)


def average(track: Track, spans: Sequence[Span]) -> np.ndarray:
    """(K', D) float32: for each of the K spans the mean of the rows that share time with it, K' <= K.

    A span that no row shares time with is left out: nothing is there, and zeros would be data. Infinities and NaN,
    which COVAREP has, do not count; a value that no row of a span has stays NaN.
    """
    if not spans:
        return track.values[:0]
    near = track.overlapping(min(s for s, _ in spans), max(e for _, e in spans))
    found = [rows for start, end in spans if len(rows := near.overlapping(start, end).values)]
    return np.stack([_finite_mean(rows) for rows in found]) if found else track.values[:0]


def _finite_mean(rows: np.ndarray) -> np.ndarray:
    finite = np.isfinite(rows)
    total = np.where(finite, rows, 0).sum(axis=0, dtype=np.float64)
    count = finite.sum(axis=0)
    return np.where(count, total / np.maximum(count, 1), np.nan).astype(np.float32)


def _later(start: float, end: float) -> float:
    """The end of a span: one that ends where it starts is the moment of its start."""
    return max(end, float(np.nextafter(start, np.inf)))


def _ends(times: np.ndarray) -> np.ndarray:
    return np.maximum(times[:, 1], np.nextafter(times[:, 0], np.inf))


@dataclass(frozen=True)
class CsdCell(ArrayCell):
    """The rows of a sequence while an utterance lasts: averaged in each of `positions`, or as they are."""

    path: Path
    name: str
    video: str
    span: Span
    positions: tuple[Span, ...] | None  # None: every row

    def load(self) -> np.ndarray:
        """(K, D) float32, K = 0 when there is nothing at that time; ValueError says what is wrong with the file."""
        track = _kept(self.path, self.path.stat().st_mtime_ns, self.name, self.video)
        if track.values.ndim != 2:
            raise ValueError(f"{self.path}: holds words, need numbers")
        return track.overlapping(*self.span).values if self.positions is None else average(track, self.positions)


@lru_cache(maxsize=8)  # utterances come video by video
def _kept(path: Path, mtime: int, name: str, video: str) -> Track:
    """A video's track; `mtime` makes a changed file a new entry."""
    with _file(path) as file:
        return _read_track(path, file[name]["data"], video)
