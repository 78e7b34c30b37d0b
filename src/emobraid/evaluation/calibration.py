"""Temperature scaling: one number per modality subset that makes confidences honest and changes no decision."""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from emobraid.evaluation.predictions import Predictions

LOWEST, HIGHEST = 0.05, 20.0
ENOUGH = 20  # rows; with fewer a subset of its own says less than all modalities together


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

    found = minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)), method="bounded")
    return float(math.exp(found.x))


def fit_temperatures(predictions: Predictions) -> dict[str, float]:
    """A temperature for each predicted subset, from the VALIDATION split; under 20 scored rows it is the full set's."""
    true, full = predictions.true, predictions.full

    def fit(subset: str) -> float:
        rows = predictions.rows(subset)
        return fit_temperature(predictions.logits[subset][rows], true[rows])

    together = fit(full)
    return {
        subset: together if subset == full or predictions.rows(subset).sum() < ENOUGH else fit(subset)
        for subset in predictions.subsets
    }
