"""One table into train, val and test, so that no speaker (or dialogue) is in two of them."""

import csv
import itertools
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from emobraid.data.corpus import SPLITS
from emobraid.data.tables import records
from emobraid.emotions import LabelSpace

By = Literal["speaker", "dialogue", "row"]
Rows = NDArray[np.intp]
PARTS = 7  # one for val, one for test, the others for train
LARGE, SMALL = 2 / PARTS, 1 / (3 * PARTS)  # shares of the rows that val and test should lie between


@dataclass(frozen=True, kw_only=True)
class Part:
    """One of the three tables."""

    split: str
    rows: int
    groups: int
    labels: Mapping[str, int]

    def told(self, by: By) -> str:
        labels = ", ".join(f"{name or 'unlabelled'} {count:,}" for name, count in sorted(self.labels.items()))
        return f"{self.split}: {self.rows:,} rows{'' if by == 'row' else f', {self.groups:,} {by}s'}; {labels}"


def split_table(table: Path, folder: Path, *, by: By = "speaker", seed: int = 0, overwrite: bool = False) -> list[Part]:
    """Write train.csv, val.csv and test.csv into `folder`: about five, one and one seventh of the rows.

    Train is the largest part whatever the speakers' sizes (`not_kept` says what else did not come out). Labels are
    spread as evenly as whole speakers allow (StratifiedGroupKFold of scikit-learn); the same seed gives the same
    tables. In another folder than the table's own, relative paths become absolute. ValueError without three
    speakers or dialogues, or when there are tables already.
    """
    there = [f"{s}.csv" for s in SPLITS if (folder / f"{s}.csv").exists()]
    if there and not overwrite:
        raise ValueError(f"{folder} holds {', '.join(there)} already; --overwrite writes them anew")
    read = list(records(table))
    rows, labels = [row for _, row in read], [_first_label(row) for _, row in read]
    place = _parts(labels, _groups(table, read, by), seed)
    if folder.resolve() != table.parent.resolve():
        rows = [_anchored(row, table.parent.resolve()) for row in rows]
    folder.mkdir(parents=True, exist_ok=True)
    return [_write(folder, split, [r for r, p in zip(rows, place, strict=True) if p == split], by) for split in SPLITS]


def _first_label(row: Mapping[str, str]) -> str:
    return LabelSpace.key(re.split("[|;]", row.get("emotion", ""))[0])


def _groups(table: Path, read: Sequence[tuple[int, Mapping[str, str]]], by: By) -> list[str]:
    """Whose each row is; every row its own for "row"."""
    if by == "row":
        return [str(line) for line, _ in read]
    remedy = "or accept with --by row that train and test share people: results then say nothing about new ones"
    if by not in read[0][1]:
        raise ValueError(f"{table}: there is no column {by}; add it, {remedy}")
    for line, row in read:
        if not row[by]:
            raise ValueError(f"{table} line {line}: no {by}; fill it in, {remedy}")
    groups = [row[by] for _, row in read]
    if (count := len(set(groups))) < len(SPLITS):
        raise ValueError(f"{table}: {count} {by}s are too few for three tables; collect more, {remedy}")
    return groups


def _parts(labels: Sequence[str], groups: Sequence[str], seed: int) -> list[str]:
    count = min(PARTS, len(set(groups)))
    if count < len(SPLITS):
        raise ValueError(f"{len(labels)} rows are too few for three tables")
    # stratifying needs a class that can be in every part
    most = max(Counter(labels).values())
    kind = StratifiedGroupKFold if most >= count else GroupKFold
    place = np.full(len(labels), "train", dtype=object)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a rare class is in few parts: the summary shows which
        folds = kind(count, shuffle=True, random_state=seed).split(np.zeros(len(labels)), labels, groups)
        held = [rows for _, rows in folds if len(rows)]
    for split, rows in zip(("test", "val"), _held_out(held, groups), strict=True):
        place[rows] = split
    return place.tolist()


def _held_out(folds: Sequence[Rows], groups: Sequence[str]) -> tuple[Rows, Rows]:
    """The rows of test and of val: the first two folds; where one is too large, the two that come nearest to a seventh
    and leave train the largest part."""
    total = len(groups)
    if len(folds) < len(SPLITS):  # too few whole speakers came apart: each is a fold
        folds = [np.flatnonzero(np.asarray(groups) == g) for g in dict.fromkeys(groups)]
    if max(len(folds[0]), len(folds[1])) <= LARGE * total:
        return folds[0], folds[1]

    def strayed(pair: tuple[Rows, Rows]) -> tuple[int, float]:
        sizes = [len(rows) for rows in pair]
        return max(0, max(sizes) - (total - sum(sizes))), sum(abs(size - total / PARTS) for size in sizes)

    return min(itertools.combinations(folds, 2), key=strayed)


def not_kept(parts: Sequence[Part], by: By) -> str:
    """What is to be said where whole speakers did not come out as five, one and one seventh; empty where they did."""
    total = sum(part.rows for part in parts)
    held = [part.rows / total for part in parts if part.split != "train"]
    if max(held) <= LARGE and min(held) >= SMALL:
        return ""
    told = ", ".join(f"{part.split} {100 * part.rows / total:.0f} %" for part in parts)
    return f"{by}s stay whole, so the parts are not five, one and one seventh of the rows: {told}"


def _anchored(row: Mapping[str, str], home: Path) -> dict[str, str]:
    """The row with its relative paths made absolute."""
    return {c: str(home / v) if c.endswith("_path") and v else v for c, v in row.items()}


def _write(folder: Path, split: str, rows: Sequence[Mapping[str, str]], by: By) -> Part:
    with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows({**row, **({"split": split} if "split" in row else {})} for row in rows)
    labels = Counter(label for row in rows for label in re.split("[|;]", row.get("emotion", "")))
    return Part(split=split, rows=len(rows), groups=len({row.get(by, "") for row in rows}), labels=labels)
