"""The figures of one modality subset, as they fit what the model reads: exclusive classes, several at once, affect.

Shapes: N utterances, C classes.
"""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation import affect, metrics, multilabel
from emobraid.evaluation.predictions import Predictions

Thresholds = Mapping[str, Mapping[str, float]]  # by modality subset and class

CALIBRATION: Mapping[str, str] = {
    "ece": f"top-label confidence, {metrics.BINS} equal-width bins (lower, upper]; one temperature per modality subset",
    "classwise_ece": f"mean over all classes of that of each one's own probability, {metrics.BINS} equal-width bins",
    "adaptive_ece": f"after calibration; top-label confidence, {metrics.BINS} bins of equal count",
    "brier": "after calibration; squared error summed over classes, 0 to 2",
    "nll": "after calibration; nats",
}
_CALIBRATED = (
    *("ece_before", "ece_after", "adaptive_ece", "classwise_ece_before", "classwise_ece_after"),
    *("temperature", "brier", "nll"),
)
_FIELDS = {
    "exclusive": (*(f.name for f in dataclasses.fields(metrics.Scores)), *_CALIBRATED),
    "multi": (*(f.name for f in dataclasses.fields(multilabel.MultiLabelScores)), *_CALIBRATED),
}


def conventions(predictions: Predictions) -> dict[str, str]:
    """What each figure is, by its name."""
    of_classes = multilabel.CONVENTIONS if predictions.kind == "multi" else metrics.CONVENTIONS
    return {**of_classes, **(affect.CONVENTIONS if predictions.dimensions else {})}


def calibration_conventions(predictions: Predictions) -> dict[str, str]:
    """What the figures on confidence are."""
    if predictions.kind == "exclusive":
        return dict(CALIBRATION)
    return {name: multilabel.CONVENTIONS[name] for name in ("ece", "classwise_ece", "brier", "nll", "thresholds")}


def score(
    predictions: Predictions, subset: str, temperatures: Mapping[str, float], thresholds: Thresholds
) -> dict[str, Any]:
    """All figures of `subset`, plain values for JSON; None for what cannot be told."""
    temperature = temperatures.get(subset, temperatures.get(predictions.full, 1.0))
    found: dict[str, Any] = {**dict.fromkeys(_FIELDS[predictions.kind]), "n": 0, "temperature": temperature}
    rows = predictions.rows(subset)
    if rows.any():
        before, after = (predictions.probabilities(subset, t)[rows] for t in (1.0, temperature))
        if predictions.kind == "multi":
            cuts = cuts_of(predictions, subset, thresholds)
            found |= _several(predictions.labels[rows] > 0.5, before, after, cuts, predictions.classes)
        else:
            found |= _exclusive(predictions.true[rows], before, after, predictions.classes)
    if predictions.dimensions:
        found["affect"] = _affect(predictions, subset)
    return found


def cuts_of(predictions: Predictions, subset: str, thresholds: Thresholds) -> NDArray[np.float64]:
    """(C,) from which probability on a class is expressed: those of the subset, else of the full one, else 0.5."""
    own = thresholds.get(subset, thresholds.get(predictions.full, {}))
    return np.array([own.get(c, 0.5) for c in predictions.classes])


def _exclusive(true: Any, before: Any, after: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        **plain(dataclasses.asdict(metrics.classification(true, after, classes))),
        "ece_before": metrics.ece(before, true),
        "ece_after": metrics.ece(after, true),
        "adaptive_ece": metrics.adaptive_ece(after, true),
        "classwise_ece_before": metrics.classwise_ece(before, true),
        "classwise_ece_after": metrics.classwise_ece(after, true),
        "brier": metrics.brier(after, true),
        "nll": metrics.nll(after, true),
    }


def _several(true: Any, before: Any, after: Any, cuts: Any, classes: tuple[str, ...]) -> dict[str, Any]:
    return {
        **plain(dataclasses.asdict(multilabel.multilabel(true, after, cuts, classes))),
        "ece_before": multilabel.decision_ece(true, before),
        "ece_after": multilabel.decision_ece(true, after),
        "classwise_ece_before": float(metrics.class_eces(true, before).mean()),
        "classwise_ece_after": float(metrics.class_eces(true, after).mean()),
        "brier": float(((after - true) ** 2).mean()),
        "nll": multilabel.decision_nll(true, after),
    }


def _affect(predictions: Predictions, subset: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for k, name in enumerate(predictions.dimensions):
        true = predictions.affect_true[:, k]
        rows = predictions.readable(subset) & ~np.isnan(true)
        read = predictions.affect[subset][rows, k]
        groups = [g for g, scored in zip(predictions.groups, rows, strict=True) if scored] if predictions.groups else ()
        found[name] = plain(affect.score(name, true[rows], read, groups)) if rows.any() else {"n": 0}
    return found


def plain(value: Any) -> Any:
    """The same for JSON: arrays as lists, NaN and infinities as None, whatever JSON does not know as text."""
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(v) for v in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
