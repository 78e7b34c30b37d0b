"""What the cells of a row say that is asked of a model: classes, numbers on affect dimensions, a stretch of time."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from emobraid.data.corpus import Clip
from emobraid.emotions import LabelSpace

#: how a `split` column may call the three
SPLIT_NAMES = {"train": "train", "val": "val", "dev": "val", "valid": "val", "validation": "val", "test": "test"}


class RowTargets(NamedTuple):
    """The targets of one row; nothing where its cells are empty."""

    label: int | None = None
    spread: tuple[float, ...] | None = None
    affect: Mapping[str, float] = {}


def read_targets(row: Mapping[str, str], space: LabelSpace, dimensions: Sequence[str]) -> RowTargets:
    """From columns `emotion` and those of the affect `dimensions`; ValueError says what is wrong with a cell."""
    affect = {d: number(d, row[d]) for d in dimensions if row.get(d)}
    cell = row.get("emotion", "")
    if not cell:
        return RowTargets(affect=affect)
    if space.kind == "multi":
        return RowTargets(spread=space.spread(cell), affect=affect)
    return RowTargets(label=space.index(cell), affect=affect)


def number(column: str, value: str) -> float:
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise ValueError(f"{column} {value!r} is not a number")
    return found


def split_of(row: Mapping[str, str]) -> str:
    """train, val or test, as the column `split` says."""
    key = row["split"].casefold()
    if key not in SPLIT_NAMES:
        raise ValueError(f"split {row['split']!r} is none of {', '.join(SPLIT_NAMES)}")
    return SPLIT_NAMES[key]


def stretch_of(row: Mapping[str, str]) -> tuple[float, float | None] | None:
    """Columns `start` and `end` in seconds; None when both are empty or not there."""
    start, end = row.get("start", ""), row.get("end", "")
    if not (start or end):
        return None
    begins = number("start", start) if start else 0.0
    ends = number("end", end) if end else None
    if begins < 0 or (ends is not None and ends <= begins):
        raise ValueError(f"start {start or 0} and end {end} are no stretch of time")
    return begins, ends


def clipped(cells: Mapping[str, Any], stretch: tuple[float, float | None] | None) -> dict[str, Any]:
    """The cells with every media file cut to the stretch."""
    if stretch is None:
        return dict(cells)
    return {m: Clip(c, *stretch) if isinstance(c, Path) else c for m, c in cells.items()}
