"""From a table of predictions to numbers, files and pictures."""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation import metrics, plots
from emobraid.evaluation.page import print_report
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.scoring import (
    Thresholds,
    calibration_conventions,
    conventions,
    plain,
    score,
)

Floats = NDArray[np.floating[Any]]

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
    return {
        "kind": predictions.kind,
        "classes": list(predictions.classes),
        "modalities": list(predictions.modalities),
        "all": {"subset": predictions.full, **by_subset[predictions.full]},
        "subsets": by_subset,
        "present": _presence(predictions),
        "calibration": calibration_conventions(predictions),
        "conventions": conventions(predictions),
        "notes": _notes(predictions, by_subset[predictions.full]),
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
        if pictures:
            _draw(folder, predictions, scores)
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


def _draw(folder: Path, predictions: Predictions, scores: Mapping[str, Any]) -> None:
    full, classes, several = scores["all"], scores["classes"], predictions.kind == "multi"
    precision, recall, f1, support = (
        [full["per_class"][c][k] for c in classes] for k in ("precision", "recall", "f1", "support")
    )
    if not several:
        with _aside(folder / "confusion.png") as path:
            plots.confusion_matrix(np.array(full["confusion"]), classes, path)
    with _aside(folder / "per_class.png") as path:
        plots.per_class(classes, precision, recall, f1, support, path)
    before, after, right = _confidences(predictions, full["temperature"])
    with _aside(folder / "reliability.png") as path:
        plots.reliability(before, after, right, path, ece=(full["ece_before"], full["ece_after"]), several=several)
    names, of_each = list(scores["subsets"]), list(scores["subsets"].values())
    with _aside(folder / "subsets.png") as path:
        plots.subset_bars(
            names,
            [s["macro_f1"] for s in of_each],
            [s["n"] for s in of_each],
            full["constant" if several else "majority"]["macro_f1"],
            path,
            constant="every class" if several else "the commonest class",
        )
    for k, name in enumerate(predictions.dimensions):
        true = predictions.affect_true[:, k]
        rows = predictions.readable(predictions.full) & ~np.isnan(true)
        if rows.any():
            with _aside(folder / f"{name}.png") as path:
                read = predictions.affect[predictions.full][rows, k]
                plots.agreement(name, true[rows], read, full["affect"][name]["ccc"], path)


def _confidences(predictions: Predictions, temperature: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Before and after the temperature, and what came true: of the top label, or of every class of every row."""
    rows, full = predictions.rows(predictions.full), predictions.full
    before, after = (predictions.probabilities(full, t)[rows] for t in (1.0, temperature))
    if predictions.kind == "multi":
        return before.ravel(), after.ravel(), predictions.labels[rows].ravel() > 0.5
    confidence, right = metrics.top_label(before, predictions.true[rows])
    return confidence, metrics.top_label(after, predictions.true[rows])[0], right
