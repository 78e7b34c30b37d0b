"""Motion capture as IEMOCAP publishes it: text files of two header lines, then frame, time and the markers' places.

    Frame# Time CH1 CH1 CH1 CH2 ...
            x y z x ...
    0 6.29011 -12.15 3.20 NaN ...

Shapes: F frames as recorded (120 a second), T frames at RATE, W values a frame.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emobraid.data.features import SUFFIXES, ArrayCell, FeatureCell

RATE = 20  # frames a second that recordings are brought to
#: an actor's recording, in this order: 55 markers on the face, turns and shifts of the head, six markers on the hands
PARTS = {"MOCAP_rotated": 165, "MOCAP_head": 6, "MOCAP_hand": 18}
WIDTH = sum(PARTS.values())
HEADER = 2  # lines
LONGEST = 600.0  # seconds
LARGEST = 512 << 20  # bytes of a file
LINE = 1 << 16  # bytes of a line


@dataclass(frozen=True)
class MotionCell(ArrayCell):
    """One utterance's motion: one file, or one for each of PARTS (None: missing); a stretch of them, in seconds."""

    files: tuple[Path | None, ...]
    start: float | None = None
    end: float | None = None
    nothing = unusable = "no marker was seen"

    @property
    def path(self) -> Path:
        """The file that a message names."""
        return next(file for file in self.files if file is not None)

    def at(self, path: Path) -> "MotionCell":
        return replace(self, files=(path,))

    def load(self) -> np.ndarray:
        """(T, W) at RATE, NaN where a marker was not seen or its file is missing; ValueError names what is wrong."""
        read = [None if file is None else recorded(file, self.start, self.end) for file in self.files]
        read = [part if part is not None and len(part[0]) else None for part in read]
        stamps = [stamp for part in read if part is not None for stamp in (part[0].min(), part[0].max())]
        if not stamps:
            return np.empty((0, sum(self._widths(read))), np.float32)
        first, last = float(min(stamps)), float(max(stamps))
        if last - first > LONGEST:
            raise ValueError(f"{self.path}: {last - first:.0f} s of motion, the limit is {LONGEST:.0f} s")
        steps = int((last - first) * RATE) + 1
        return np.concatenate(
            [
                np.full((steps, width), np.nan, np.float32) if part is None else resampled(*part, first, steps)
                for part, width in zip(read, self._widths(read), strict=True)
            ],
            axis=1,
        )

    def _widths(self, read: list[tuple[np.ndarray, np.ndarray] | None]) -> list[int]:
        usual = list(PARTS.values())
        return [usual[i] if part is None else part[1].shape[1] for i, part in enumerate(read)]


def motion_cell(value: str) -> FeatureCell | MotionCell:
    """What a table's motion cell names: an array file (`f.npz#motion[3]`), or a recording as text."""
    return FeatureCell.parse(value) if value.partition("#")[0].endswith(SUFFIXES) else MotionCell((Path(value),))


def recorded(path: Path, start: float | None = None, end: float | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Times (F,) in seconds and values (F, W) of a recording, or of a stretch of it; ValueError names file and line."""
    times: list[float] = []
    rows: list[list[str]] = []
    width = 0
    for line, frame, stamp, rest in _lines(path):
        try:
            time = float(stamp)
            int(frame)
        except ValueError:
            raise ValueError(f"{path} line {line}: {frame!r} and {stamp!r} are no frame and time") from None
        if start is not None and time < start:
            continue
        if end is not None and time >= end:
            break
        values = rest.split()
        width = width or len(values)
        if len(values) != width:
            raise ValueError(f"{path} line {line}: {len(values)} values, the lines before have {width}")
        times.append(time)
        rows.append(values)
    try:
        array = np.array(rows, np.float32).reshape(len(rows), width)
    except ValueError:
        raise ValueError(f"{path}: holds something that is no number among its values") from None
    if not np.isfinite(times).all():
        raise ValueError(f"{path}: holds a time that is no number")
    array[~np.isfinite(array)] = np.nan
    return np.array(times), array


def _lines(path: Path) -> Iterator[tuple[int, str, str, str]]:
    """Line number, frame, time and the rest of every line below the header; an unfinished last line is left out."""
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path}: {path.stat().st_size >> 20} MB, the limit is {LARGEST >> 20} MB")
        with path.open(encoding="ascii", errors="replace") as file:
            for number in range(1, HEADER + 1):
                head = file.readline(LINE)
                if number == 1 and not head.lstrip().startswith("Frame"):
                    raise ValueError(f"{path}: no motion capture: its first line begins with {head[:20]!r}, not Frame#")
            while text := file.readline(LINE):
                number += 1
                if not text.endswith("\n"):
                    return  # cut off, or without the values at its end: one frame of 120 a second is no loss
                if text.isspace():
                    continue
                parts = text.split(None, 2)
                if len(parts) != 3:
                    raise ValueError(f"{path} line {number}: no frame, time and values")
                yield number, parts[0], parts[1], parts[2]
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def resampled(times: np.ndarray, values: np.ndarray, first: float, steps: int) -> np.ndarray:
    """(F, W) at `times` -> (T, W): the mean of what was seen in each step of 1 / RATE s from `first` on, else NaN."""
    place = np.clip(((times - first) * RATE).astype(int), 0, steps - 1)
    seen = ~np.isnan(values)
    total, count = np.zeros((2, steps, values.shape[1]))
    np.add.at(total, place, np.where(seen, values, 0.0))
    np.add.at(count, place, seen)
    with np.errstate(invalid="ignore"):
        return (total / count).astype(np.float32)
