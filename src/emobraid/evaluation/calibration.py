"""What is fitted on VALIDATION: a temperature per modality subset that makes confidences honest, and for classes
that do not exclude each other, from which probability on each one counts as expressed."""

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_expit, log_softmax

from emobraid.evaluation.multilabel import best_threshold
from emobraid.evaluation.predictions import Predictions

LOWEST, HIGHEST = 0.05, 20.0
ENOUGH = 30  # rows; with fewer a subset of its own says less than all modalities together
USELESS = (
    "this model is useless: its temperature is at its bound, so on validation its confidences say nothing about what "
    "is right; do not use it"
)
BOUND = 0.98 * HIGHEST  # a temperature from here on would be higher still if it could: nothing is told apart


def fit_temperature(logits: NDArray[np.floating[Any]], labels_index: ArrayLike) -> float:
    """The T in [0.05, 20] that minimises the negative log likelihood of softmax(logits / T) (Guo et al. 2017).

    `logits` are (N, C), `labels_index` (N,) true columns, both from validation. Fewer than two rows or only one true
    class say nothing: 1.0. If every row is right the likelihood grows without end as T falls; the targets are then
    softened as if the next row might be wrong, 1 - 1/(N + 2) (Platt 1999, section 2.2).
    """
    true = np.asarray(labels_index)
    if len(true) < 2 or len(np.unique(true)) < 2:
        return 1.0
    scores = np.asarray(logits, dtype=np.float64)
    doubt = 1.0 / (len(true) + 2) if (scores.argmax(axis=1) == true).all() else 0.0
    target = np.full(scores.shape, doubt / (scores.shape[1] - 1))
    target[np.arange(len(true)), true] = 1.0 - doubt

    def loss(log_temperature: float) -> float:
        return float(-(target * log_softmax(scores / math.exp(log_temperature), axis=1)).sum(axis=1).mean())

    return _coolest(loss)


def fit_decision_temperature(logits: NDArray[np.floating[Any]], labels: ArrayLike) -> float:
    """The same for sigmoid(logits / T) of classes that do not exclude each other; `labels` (N, C) bool.

    1.0 with fewer than two rows, or when every decision is the same.
    """
    true, scores = np.asarray(labels, dtype=np.bool_), np.asarray(logits, dtype=np.float64)
    if len(true) < 2 or true.all() or not true.any():
        return 1.0
    doubt = 1.0 / (true.size + 2) if ((scores > 0) == true).all() else 0.0
    target = np.where(true, 1 - doubt, doubt)

    def loss(log_temperature: float) -> float:
        cooled = scores / math.exp(log_temperature)
        return float(-(target * log_expit(cooled) + (1 - target) * log_expit(-cooled)).mean())

    return _coolest(loss)


def _coolest(loss: Callable[[float], float]) -> float:
    found = minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return float(math.exp(found.x))


def fit_temperatures(predictions: Predictions) -> dict[str, float]:
    """A temperature for each predicted subset, from the VALIDATION split.

    Under 30 scored rows a subset has the full set's; the full set's own is then drawn towards 1, the nearer the fewer
    rows there are. `doubts` says so.
    """
    full = predictions.full

    def fit(subset: str) -> float:
        rows, logits = predictions.rows(subset), predictions.logits[subset]
        if predictions.kind == "multi":
            return fit_decision_temperature(logits[rows], predictions.labels[rows] > 0.5)
        return fit_temperature(logits[rows], predictions.true[rows])

    together = fit(full) ** min(1.0, predictions.rows(full).sum() / ENOUGH)
    return {
        subset: together if subset == full or predictions.rows(subset).sum() < ENOUGH else fit(subset)
        for subset in predictions.subsets
    }


def doubts(predictions: Predictions) -> list[str]:
    """What a user should know about temperatures that were fitted on these rows: too few, or a useless model."""
    full, told = predictions.full, []
    counts = {subset: int(predictions.rows(subset).sum()) for subset in predictions.subsets}
    if counts[full] < ENOUGH:
        told.append(
            f"{counts[full]} validation rows are too few for a temperature ({ENOUGH} are enough): it is drawn towards "
            "1, and confidences say little"
        )
    elif shared := [f"{subset} {count}" for subset, count in counts.items() if count < ENOUGH]:
        told.append(
            f"too few validation rows for a temperature of their own: {', '.join(shared)}; they share that of {full}"
        )
    if fit_temperatures(predictions)[full] >= BOUND:
        told.append(USELESS)
    return told


def fit_thresholds(predictions: Predictions, temperatures: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """By subset and class the cut of calibrated probabilities with the largest F1, from the VALIDATION split; under 30
    scored rows it is the full set's. Empty for exclusive classes."""
    if predictions.kind != "multi":
        return {}

    def fit(subset: str) -> dict[str, float]:
        rows = predictions.rows(subset)
        probabilities = predictions.probabilities(subset, temperatures.get(subset, 1.0))[rows]
        true = predictions.labels[rows] > 0.5
        return {c: best_threshold(true[:, k], probabilities[:, k]) for k, c in enumerate(predictions.classes)}

    together = fit(predictions.full)
    return {
        subset: together if subset == predictions.full or predictions.rows(subset).sum() < ENOUGH else fit(subset)
        for subset in predictions.subsets
    }
