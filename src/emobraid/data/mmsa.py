"""Feature pickles of MMSA (Mao et al. 2022, arXiv:2203.12441), read without executing anything.

    {"train" | "valid" | "test": {"raw_text", "text" (N, T, 768), "audio" (N, T, 74), "vision" (N, T, 35),
        "audio_lengths", "vision_lengths", "regression_labels" (N,), "id" ("video$_$number"), ...}}

They hold sentiment only. Splits are the file's own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.config import ModelConfig
from emobraid.data.context import in_context
from emobraid.data.corpus import Cell, OwnLabel, Sample
from emobraid.data.csv import TEXT_LIMIT
from emobraid.data.features import ArrayCell
from emobraid.data.mosei_labels import SENTIMENTS, Asked, Rating, Reading
from emobraid.data.safe_pickle import read_pickle
from emobraid.data.turns import Turn, before

PICKLES = {"words": "aligned_50.pkl", "none": "unaligned_50.pkl"}
OWN_NAMES = {"train": "train", "val": "valid", "test": "test"}
Videos = Sequence[Sequence[int]]  # the rows of each video, in their order
ARRAYS = {"text": "text", "audio": "audio", "video": "vision"}


@dataclass(frozen=True)
class PickledCell(ArrayCell):
    """One row of an array in a feature pickle, without its padding."""

    path: Path
    split: str
    name: str
    row: int
    length: int | None  # positions that are real; None: all but zeros at either end

    def load(self) -> np.ndarray:
        array = read_splits(self.path)[self.split][self.name][self.row]
        if self.length is not None:
            return np.asarray(array[: self.length])
        there = np.flatnonzero(array.any(axis=1))
        return np.asarray(array[there[0] : there[-1] + 1] if len(there) else array[:0])


@dataclass(frozen=True, kw_only=True)
class MmsaRows:
    """One pickle."""

    path: Path
    config: ModelConfig

    def table(self, split: str) -> Path:
        """The pickle: it holds all splits."""
        return self.path

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        rows = self._split(split)
        ratings = self._ratings(split)
        asked = self._reading().asked(ratings) if labelled else [Asked()] * len(ratings)
        ids = [str(name) for name in rows["id"]]
        videos = _videos(ids)
        cells = self._cells(split, videos)
        context = self._context(videos, rows)
        return [
            Sample(
                id=name,
                table=f"{self.path.name} {OWN_NAMES[split]}",
                line=row,
                group=name.partition("$_$")[0],
                context=context.get(row, ()),
                cells=cells[row],
                sound_from_video=False,
                label=asked[row].label,
                spread=asked[row].spread,
                affect={"sentiment": ratings[row].sentiment},
            )
            for row, name in enumerate(ids)
            if asked[row].known or not labelled
        ]

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        return self._reading().labels(self._ratings(split))

    def notes(self, split: str) -> tuple[str, ...]:
        return self._reading().notes(self._ratings(split))

    def _reading(self) -> Reading:
        reading = Reading(self.config)
        if not reading.by_sentiment:
            names = " ".join(SENTIMENTS)
            raise ValueError(f"{self.path} tells sentiment, no emotions: use --labels {names} (--affect sentiment)")
        return reading

    def _split(self, split: str) -> Mapping[str, Any]:
        return read_splits(self.path)[OWN_NAMES[split]]

    def _ratings(self, split: str) -> list[Rating]:
        return [Rating(float(x)).clamped() for x in self._split(split)["regression_labels"]]

    def _context(self, videos: Videos, rows: Mapping[str, Any]) -> dict[int, tuple[tuple[str, str], ...]]:
        """What was said before each row in its video."""
        if not (count := self.config.context_turns) or "raw_text" not in rows:
            return {}
        said = [[Turn(i, row, "", str(rows["raw_text"][row])[:TEXT_LIMIT]) for i, row in enumerate(v)] for v in videos]
        return {turn.line: before(turns, turn.line, count) for turns in said for turn in turns}

    def _cells(self, split: str, videos: Videos) -> dict[int, dict[str, Cell]]:
        """What each row names, with the features before it in its video if these are asked for."""
        found: dict[int, dict[str, Cell]] = {}
        for video in videos:
            own: list[dict[str, Cell]] = [
                {m: self._cell(split, m, row) for m in self.config.modalities} for row in video
            ]
            found |= zip(video, in_context(own, self.config.context_features), strict=True)
        return found

    def _cell(self, split: str, modality: str, row: int) -> Cell:
        rows = self._split(split)
        if getattr(self.config, f"{modality}_encoder") != "features":
            if modality == "text" and "raw_text" in rows:
                return str(rows["raw_text"][row])[:TEXT_LIMIT] or None
            raise ValueError(f"{self.path} has no {modality} to encode; use --{modality}_encoder features")
        name = ARRAYS[modality]
        if name not in rows:
            raise ValueError(f"{self.path}: no {name!r} in it; take {modality} out of --modalities")
        return PickledCell(self.path, OWN_NAMES[split], name, row, _length(rows, name, row))


def _videos(ids: Sequence[str]) -> Videos:
    """The rows of each video, by the numbers in their ids."""
    videos: dict[str, list[tuple[float, int]]] = {}
    for row, name in enumerate(ids):
        video, _, number = name.partition("$_$")
        place = float(number) if number.isascii() and number.isdecimal() else float(row)
        videos.setdefault(video, []).append((place, row))
    return [[row for _, row in sorted(places)] for places in videos.values()]


def _length(rows: Mapping[str, Any], name: str, row: int) -> int | None:
    """How many positions are real, if the file tells."""
    if name == "text" and "text_bert" in rows:
        return int((rows["text_bert"][row, 1] > 0).sum())  # tokens, which of them are real, a row of zeros
    return max(0, int(rows[f"{name}_lengths"][row])) if f"{name}_lengths" in rows else None


def read_splits(path: Path) -> Mapping[str, Mapping[str, Any]]:
    """What is in a pickle, by its own names of the splits; ValueError says what it lacks."""
    return _kept(path, path.stat().st_mtime_ns)


@lru_cache(maxsize=2)
def _kept(path: Path, mtime: int) -> Mapping[str, Mapping[str, Any]]:
    """What is in a pickle, checked; `mtime` makes a changed file a new entry."""
    told = read_pickle(path)
    if not isinstance(told, dict) or not all(isinstance(told.get(own), dict) for own in OWN_NAMES.values()):
        raise ValueError(f"{path}: no feature pickle of MMSA; it has no {', '.join(OWN_NAMES.values())}")
    for own in OWN_NAMES.values():
        _check(path, own, told[own])
    return told


def _check(path: Path, own: str, rows: dict[str, Any]) -> None:
    """ValueError unless everything that is read has as many rows as there are ids, in the shape that it should have."""
    place = f"{path}: {own}"
    if lacking := [name for name in ("id", "regression_labels") if name not in rows]:
        raise ValueError(f"{place} has no {' and no '.join(lacking)}")
    if not isinstance(rows["id"], list | np.ndarray):
        raise ValueError(f"{place} has ids of {type(rows['id']).__name__}, need a list")
    count = len(rows["id"])
    for name in ("regression_labels", "raw_text", "audio_lengths", "vision_lengths", "text_lengths"):
        if name in rows and (not isinstance(rows[name], list | np.ndarray) or len(rows[name]) != count):
            raise ValueError(f"{place} has {count} ids and not as many {name}")
        if name in rows and name != "raw_text" and np.asarray(rows[name]).dtype.kind not in "fiu":
            raise ValueError(f"{place} has {name} that are no numbers")
    for name in (*ARRAYS.values(), "text_bert"):
        array = rows.get(name)
        if array is not None and not _is_sequences(array, count):
            told = getattr(array, "shape", type(array).__name__)
            raise ValueError(f"{place} has {name} of shape {told}; need ({count}, T, W) numbers")
    if "text_bert" in rows and rows["text_bert"].shape[1] != 3:
        raise ValueError(f"{place} has text_bert of shape {rows['text_bert'].shape}; need ({count}, 3, T) numbers")


def _is_sequences(array: Any, count: int) -> bool:
    return isinstance(array, np.ndarray) and array.ndim == 3 and len(array) == count and array.dtype.kind in "fiu"
