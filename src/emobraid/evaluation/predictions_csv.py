"""The table of predictions as a CSV file, and back."""

import csv
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from emobraid.emotions import LabelKind
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.scoring import Thresholds, cuts_of

FIXED = ("id", "true", "predicted", "confidence")  # then p_<class> for each class, `modalities`, and affect
NONE = "|"  # expresses none of the classes; an empty cell is unlabelled


def save(predictions: Predictions, path: Path | str, temperatures: Mapping[str, float], thresholds: Thresholds) -> None:
    """See `Predictions.save_csv`."""
    full, several = predictions.full, predictions.kind == "multi"
    probabilities = predictions.probabilities(full, temperatures.get(full, 1.0))
    readable, true, labelled = predictions.readable(full), predictions.true, predictions.labelled
    cuts = cuts_of(predictions, full, thresholds)
    affect = [name for d in predictions.dimensions for name in (f"true_{d}", d)]

    def named(chosen: Iterable[bool]) -> str:
        return "|".join(c for c, expressed in zip(predictions.classes, chosen, strict=True) if expressed) or NONE

    # every cell quoted, and CRLF: an id holding any kind of line break comes back unchanged
    with open(path, "w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, quoting=csv.QUOTE_ALL)
        table.writerow([*FIXED, *(f"p_{c}" for c in predictions.classes), "modalities", *affect])
        for i, name in enumerate(predictions.ids):
            row, label, said = probabilities[i], "", [""] * (2 + len(predictions.classes))
            if readable[i]:
                top = named(row >= cuts) if several else predictions.classes[int(row.argmax())]
                said = [top, *map(repr, [float(row.max()), *row.tolist()])]
            if labelled[i]:
                label = named(predictions.labels[i] > 0.5) if several else predictions.classes[true[i]]
            had = "+".join(m for m, there in zip(predictions.modalities, predictions.present[i], strict=True) if there)
            table.writerow([name, label, *said, had, *_affect_cells(predictions, i, bool(readable[i]))])


def _affect_cells(predictions: Predictions, i: int, readable: bool) -> list[str]:
    cells = []
    for k in range(len(predictions.dimensions)):
        told = float(predictions.affect_true[i, k])
        cells += ["" if math.isnan(told) else repr(told)]
        cells += [repr(float(predictions.affect[predictions.full][i, k])) if readable else ""]
    return cells


class _Header(NamedTuple):
    classes: tuple[str, ...]
    dimensions: tuple[str, ...]


def load(path: Path | str, modalities: Sequence[str] | None, kind: LabelKind) -> Predictions:
    """See `Predictions.load_csv`."""
    with open(path, encoding="utf-8-sig", newline="") as file:
        header, *rows = list(csv.reader(file)) or [[]]
    columns = _columns(path, header)
    classes = columns.classes
    parsed = [_parse_row(path, number, row, columns, kind) for number, row in enumerate(rows, start=1)]
    labels, logits = (np.array([p[k] for p in parsed]).reshape(-1, len(classes)) for k in (0, 1))
    place = len(FIXED) + len(classes)
    had = [tuple(row[place].split("+")) if row[place] else () for row in rows]
    known = tuple(modalities) if modalities is not None else _ordered(had)
    if stray := {m for row in had for m in row} - set(known):
        raise ValueError(f"{path} has the modalities {sorted(stray)} beside the given {list(known)}")
    present = np.array([[m in row for m in known] for row in had], dtype=bool).reshape(len(had), len(known))
    full, width = "+".join(known), len(columns.dimensions)
    numbers = np.array([p[2] for p in parsed]).reshape(len(parsed), width, 2)
    return Predictions(
        tuple(row[0] for row in rows),
        classes,
        labels,
        {full: logits},
        present,
        known,
        kind=kind,
        dimensions=columns.dimensions,
        affect={full: numbers[:, :, 1]} if width else {},
        affect_true=numbers[:, :, 0],
    )


def _columns(path: Path | str, header: Sequence[str]) -> _Header:
    place = header.index("modalities") if "modalities" in header else 0
    classes = tuple(h.removeprefix("p_") for h in header[len(FIXED) : place])
    dimensions = tuple(header[place + 2 :: 2])
    affect = [name for d in dimensions for name in (f"true_{d}", d)]
    if not classes or header != [*FIXED, *(f"p_{c}" for c in classes), "modalities", *affect]:
        raise ValueError(f"{path} has columns {header}, need {', '.join(FIXED)}, p_<class>..., modalities")
    return _Header(classes, dimensions)


def _parse_row(
    path: Path | str, number: int, row: Sequence[str], columns: _Header, kind: LabelKind
) -> tuple[list[float], list[float], list[float]]:
    """Label, logits and affect of one CSV row; a row without a prediction gets even ones."""
    classes, where = columns.classes, f"{path}, row {number}"
    wanted = len(FIXED) + len(classes) + 1 + 2 * len(columns.dimensions)
    if len(row) != wanted:
        raise ValueError(f"{where}: {len(row)} cells, need {wanted}")
    labels = [name for name in row[1].split("|") if name] if kind == "multi" else [row[1]] * bool(row[1])
    if stray := [name for name in labels if name not in classes]:
        raise ValueError(f"{where}: unknown class {stray[0]!r}, known: {', '.join(classes)}")
    label = [float(c in labels) if row[1] else np.nan for c in classes]
    place = len(FIXED) + len(classes)
    try:
        probabilities = [float(cell) if row[place] else 0.5 for cell in row[len(FIXED) : place]]
        affect = [float(cell) if cell else np.nan for cell in row[place + 1 :]]
    except ValueError:
        raise ValueError(f"{where}: {row[len(FIXED) :]} are not probabilities and numbers") from None
    if not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(f"{where}: {probabilities} are not probabilities")
    chances = np.maximum(probabilities, np.finfo(float).tiny)
    logits = np.log(chances) - (np.log(np.maximum(1 - chances, np.finfo(float).tiny)) if kind == "multi" else 0.0)
    return label, logits.tolist(), affect


def _ordered(had: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    # the fullest rows first: they carry the order of the modalities
    return tuple(dict.fromkeys(m for row in sorted(had, key=len, reverse=True) for m in row))
