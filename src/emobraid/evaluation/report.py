"""From a table of predictions to numbers, files and pictures."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.evaluation import plots
from emobraid.evaluation.calibration import BOUND, USELESS
from emobraid.evaluation.contributions import contributions
from emobraid.evaluation.errors import errors
from emobraid.evaluation.page import print_report
from emobraid.evaluation.pictures import pictures_of
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.scoring import (
    Thresholds,
    calibration_conventions,
    conventions,
    plain,
    score,
)

__all__ = ["evaluate_predictions", "print_report", "write_report"]


def evaluate_predictions(
    predictions: Predictions, temperatures: Mapping[str, float], thresholds: Thresholds | None = None
) -> dict[str, Any]:
    """All scores, ready for JSON: `all` (the full subset), `subsets` (each one), and what a reader needs beside them.

    A subset is scored on the labelled rows that have at least one of its modalities; `n` says how many. What cannot be
    told is None (JSON null), never NaN. A subset without a temperature uses the full set's, and 1.0 without that; one
    without `thresholds` (of multi-label classes) the full set's, and 0.5. ValueError if no row at all can be scored.
    """
    if not predictions.rows(predictions.full).any():
        raise ValueError(f"none of the {len(predictions.ids)} rows has both a label and a modality: nothing to score")
    by_subset = {s: score(predictions, s, temperatures, thresholds or {}) for s in predictions.subsets}
    full = by_subset[predictions.full]
    closer = {} if predictions.kind == "multi" else {"errors": errors(predictions, full["temperature"])}
    if moved := contributions(predictions, temperatures):
        closer["contributions"] = moved
    return {
        "kind": predictions.kind,
        "classes": list(predictions.classes),
        "modalities": list(predictions.modalities),
        "all": {"subset": predictions.full, **full},
        "subsets": by_subset,
        "present": _presence(predictions),
        "calibration": calibration_conventions(predictions),
        "conventions": conventions(predictions),
        **closer,
        "notes": _notes(predictions, full),
    }


def write_report(
    folder: Path | str,
    predictions: Predictions,
    temperatures: Mapping[str, float],
    *,
    extra: Mapping[str, Any],
    thresholds: Thresholds | None = None,
    notes: Sequence[str] = (),
    retrieval: Mapping[str, Any] | None = None,
    pictures: bool = True,
) -> dict[str, Any]:
    """Write metrics.json, predictions.csv and the PNGs that fit into `folder` (made if absent); returns the metrics.

    `extra` (checkpoint, split, seed, ...) is kept under `run`, `retrieval` (see `retrieval_figures`) under its own
    name, `notes` beside those of the scores. Each file is written
    aside and renamed, so a reader never meets half of one. Without matplotlib the pictures are skipped, and a note in
    the metrics says so; with `pictures` off they are not asked for.
    """
    folder = Path(folder)
    scores = evaluate_predictions(predictions, temperatures, thresholds) | {"run": plain(dict(extra))}
    scores["notes"] += notes
    if retrieval:
        scores["retrieval"] = plain(retrieval)
    folder.mkdir(parents=True, exist_ok=True)
    with _aside(folder / "predictions.csv") as path:
        predictions.save_csv(path, temperatures, thresholds)
    try:
        for name, draw in pictures_of(predictions, scores) if pictures else ():
            with _aside(folder / f"{name}.png") as path:
                draw(path)
    except ImportError as error:
        if str(error) != plots.MISSING:
            raise
        scores["notes"].append(plots.MISSING)
    with _aside(folder / "metrics.json") as path:
        path.write_text(json.dumps(scores, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return scores


def _presence(predictions: Predictions) -> dict[str, int]:
    """How many rows had which modalities, commonest first; "" is a row with none."""
    names = np.array(predictions.modalities, dtype=object)
    return dict(Counter("+".join(names[row]) for row in predictions.present).most_common())


def _notes(predictions: Predictions, full: Mapping[str, Any]) -> list[str]:
    total, notes = len(predictions.ids), []
    if unlabelled := int((~predictions.labelled).sum()):
        notes.append(f"{unlabelled} of {total} rows have no label and are not scored")
    if empty := int((~predictions.readable(predictions.full)).sum()):
        notes.append(f"{empty} of {total} rows have no modality and are not scored")
    if full["temperature"] >= BOUND:
        notes.append(USELESS)
    absent = [name for name, row in full["per_class"].items() if not row["support"]]
    if predictions.kind == "multi":
        return [*notes, *([f"no scored row is {', '.join(absent)}: n/a, and left out of the means"] if absent else [])]
    if len(absent) == len(predictions.classes) - 1:
        notes.append(f"every scored row is {full['majority']['label']!r}: the scores say nothing about telling classes")
    elif absent:
        notes.append(f"no scored row is {', '.join(absent)}: n/a, and left out of the macro means")
    return notes


@contextmanager
def _aside(path: Path) -> Iterator[Path]:
    """A path to write to that becomes `path` when the block ends well, and is removed when it does not."""
    aside = path.with_name(f".{path.stem}.{os.getpid()}.partial{path.suffix}")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        aside.unlink(missing_ok=True)
