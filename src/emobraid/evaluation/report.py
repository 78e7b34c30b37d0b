"""From a table of predictions to numbers, files, pictures and a page in the terminal."""

import dataclasses
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emobraid.evaluation import metrics, plots
from emobraid.evaluation.predictions import Predictions

CALIBRATION = {
    "ece": f"top-label confidence, {metrics.BINS} equal-width bins (lower, upper]; one temperature per modality subset",
    "adaptive_ece": f"after calibration; top-label confidence, {metrics.BINS} bins of equal count",
    "brier": "after calibration; squared error summed over classes, 0 to 2",
    "nll": "after calibration; nats",
}


def evaluate_predictions(predictions: Predictions, temperatures: Mapping[str, float]) -> dict[str, Any]:
    """All scores, ready for JSON: `all` (the full subset), `subsets` (each one), and what a reader needs beside them.

    A subset is scored on the labelled rows that have at least one of its modalities; `n` says how many. What cannot be
    told is None (JSON null), never NaN. A subset without a temperature uses the full set's, and 1.0 without that.
    ValueError if no row at all can be scored.
    """
    if not predictions.rows(predictions.full).any():
        raise ValueError(f"none of the {len(predictions.ids)} rows has both a label and a modality: nothing to score")
    by_subset = {subset: _score(predictions, subset, temperatures) for subset in predictions.subsets}
    return {
        "classes": list(predictions.classes),
        "modalities": list(predictions.modalities),
        "all": {"subset": predictions.full, **by_subset[predictions.full]},
        "subsets": by_subset,
        "present": _presence(predictions),
        "calibration": dict(CALIBRATION),
        "notes": _notes(predictions, by_subset[predictions.full]),
    }


def write_report(
    folder: Path | str,
    predictions: Predictions,
    temperatures: Mapping[str, float],
    *,
    extra: Mapping[str, Any],
    notes: Sequence[str] = (),
    pictures: bool = True,
) -> dict[str, Any]:
    """Write metrics.json, predictions.csv and four PNGs into `folder` (made if absent) and return the metrics.

    `extra` (checkpoint, split, seed, ...) is kept under `run`, `notes` beside those of the scores. Each file is written
    aside and renamed, so a reader never meets half of one. Without matplotlib the pictures are skipped, and a note in
    the metrics says so; with `pictures` off they are not asked for.
    """
    folder = Path(folder)
    scores = evaluate_predictions(predictions, temperatures) | {"run": _plain(dict(extra))}
    scores["notes"] += notes
    folder.mkdir(parents=True, exist_ok=True)
    with _aside(folder / "predictions.csv") as path:
        predictions.save_csv(path, temperatures)
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


def print_report(metrics: Mapping[str, Any], console: Console) -> None:
    """Print what `evaluate_predictions` returned: headline beside a constant answer, per class, modality subsets."""
    for table in (_headline(metrics), _class_table(metrics), _subset_table(metrics)):
        console.print(table)
    console.print(f"[dim]ECE: {escape(metrics['calibration']['ece'])}[/dim]")
    for note in metrics["notes"]:
        console.print(f"[yellow]note:[/yellow] {_safe(note)}")


def _score(predictions: Predictions, subset: str, temperatures: Mapping[str, float]) -> dict[str, Any]:
    rows, classes = predictions.rows(subset), predictions.classes
    temperature = temperatures.get(subset, temperatures.get(predictions.full, 1.0))
    if not rows.any():
        return {**dict.fromkeys(_FIELDS), "n": 0, "temperature": temperature}
    true = predictions.true[rows]
    before, after = (predictions.probabilities(subset, t)[rows] for t in (1.0, temperature))
    return {
        **_plain(dataclasses.asdict(metrics.classification(true, after, classes))),
        "ece_before": metrics.ece(before, true),
        "ece_after": metrics.ece(after, true),
        "adaptive_ece": metrics.adaptive_ece(after, true),
        "temperature": temperature,
        "brier": metrics.brier(after, true),
        "nll": metrics.nll(after, true),
    }


_FIELDS = (
    *(field.name for field in dataclasses.fields(metrics.Scores)),
    *("ece_before", "ece_after", "adaptive_ece", "temperature", "brier", "nll"),
)


def _plain(value: Any) -> Any:
    """The same for JSON: arrays as lists, NaN and infinities as None, whatever JSON does not know as text."""
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def _presence(predictions: Predictions) -> dict[str, int]:
    """How many rows had which modalities, commonest first; "" is a row with none."""
    names = np.array(predictions.modalities, dtype=object)
    return dict(Counter("+".join(names[row]) for row in predictions.present).most_common())


def _notes(predictions: Predictions, full: Mapping[str, Any]) -> list[str]:
    total, notes = len(predictions.ids), []
    if unlabelled := int((predictions.true < 0).sum()):
        notes.append(f"{unlabelled} of {total} rows have no label and are not scored")
    if empty := int((~predictions.readable(predictions.full)).sum()):
        notes.append(f"{empty} of {total} rows have no modality and are not scored")
    absent = [name for name, row in full["per_class"].items() if not row["support"]]
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
    full, classes = scores["all"], scores["classes"]
    precision, recall, f1, support = (
        [full["per_class"][c][k] for c in classes] for k in ("precision", "recall", "f1", "support")
    )
    with _aside(folder / "confusion.png") as path:
        plots.confusion_matrix(np.array(full["confusion"]), classes, path)
    with _aside(folder / "per_class.png") as path:
        plots.per_class(classes, precision, recall, f1, support, path)
    rows = predictions.rows(predictions.full)
    (before, right), (after, _) = (
        metrics.top_label(predictions.probabilities(predictions.full, t)[rows], predictions.true[rows])
        for t in (1.0, full["temperature"])
    )
    with _aside(folder / "reliability.png") as path:
        plots.reliability(before, after, right, path, ece=(full["ece_before"], full["ece_after"]))
    names, of_each = list(scores["subsets"]), list(scores["subsets"].values())
    with _aside(folder / "subsets.png") as path:
        plots.subset_bars(
            names,
            [s["macro_f1"] for s in of_each],
            [s["n"] for s in of_each],
            full["majority"]["macro_f1"],
            path,
        )


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    return table


def _headline(metrics: Mapping[str, Any]) -> Table:
    full = metrics["all"]
    title = f"{full['n']:,} utterances, {_modalities(full['subset'])}"
    table = _table(title, "", "accuracy", "macro-F1", "weighted F1", "UAR", "ECE before -> after")
    keys = ("accuracy", "macro_f1", "weighted_f1", "uar")
    table.add_row("model", *(_number(full[k]) for k in keys), _ece(full))
    table.add_row(f"always {_safe(full['majority']['label'])}", *(_number(full["majority"][k]) for k in keys), "")
    return table


def _class_table(metrics: Mapping[str, Any]) -> Table:
    table = _table("Per class", "class", "precision", "recall", "F1", "utterances")
    for name, row in metrics["all"]["per_class"].items():
        table.add_row(_safe(name), *(_number(row[k]) for k in ("precision", "recall", "f1")), f"{row['support']:,}")
    return table


def _subset_table(metrics: Mapping[str, Any]) -> Table:
    table = _table("Modality subsets", "modalities", "utterances", "macro-F1", "accuracy", "ECE before -> after")
    for subset, row in metrics["subsets"].items():
        table.add_row(
            _modalities(subset), f"{row['n']:,}", _number(row["macro_f1"]), _number(row["accuracy"]), _ece(row)
        )
    return table


def _ece(row: Mapping[str, Any]) -> str:
    return f"{_number(row['ece_before'])} -> {_number(row['ece_after'])}" if row["n"] else "n/a"


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _modalities(subset: str) -> str:
    return _safe(subset.replace("+", " + "))


def _safe(text: str) -> str:
    # names come from files: neither rich's markup nor the terminal may obey them
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
