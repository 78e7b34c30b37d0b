"""One table into train, val and test, so that no speaker (or dialogue) is in two of them."""

import csv
import re
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

from emobraid.data.corpus import SPLITS
from emobraid.data.csv import records
from emobraid.emotions import LabelSpace

By = Literal["speaker", "dialogue", "row"]
PARTS = 7  # one for val, one for test, the others for train


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

    Labels are spread as evenly as whole speakers allow (StratifiedGroupKFold of scikit-learn); the same seed gives the
    same tables. In another folder than the table's own, relative paths become absolute. ValueError without three
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
        for split, (_, held) in zip(("test", "val"), folds, strict=False):
            place[held] = split
    return place.tolist()


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
