"""Scores of many confusion matrices at once: of every resample, of every draw.

The same scores as in `metrics`, which has them for one prediction with all that belongs to it. Shapes: R many, N
utterances, C classes.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Counts = NDArray[Any]  # (..., C, C) whole numbers, of either kind


def confusions(true: NDArray[np.intp], predicted: NDArray[np.intp], classes: int) -> NDArray[np.int64]:
    """(R, C, C) counts, rows true, of columns `predicted` (R, N) against `true` (N,)."""
    cells = (np.arange(len(predicted))[:, None] * classes + true) * classes + predicted
    return np.bincount(cells.ravel(), minlength=len(predicted) * classes**2).reshape(-1, classes, classes)


def _accuracy(counts: Counts) -> Floats:
    return np.asarray(np.trace(counts, axis1=-2, axis2=-1) / counts.sum(axis=(-2, -1)))


def _uar(counts: Counts) -> Floats:
    return _over_occurring(np.diagonal(counts, axis1=-2, axis2=-1), counts.sum(axis=-1), counts)


def _macro_f1(counts: Counts) -> Floats:
    return _over_occurring(*_f1_parts(counts), counts)


def _weighted_f1(counts: Counts) -> Floats:
    hits, both = _f1_parts(counts)
    f1 = hits / np.maximum(both, 1)
    return np.asarray((f1 * counts.sum(axis=-1)).sum(axis=-1) / counts.sum(axis=(-2, -1)))


def _f1_parts(counts: Counts) -> tuple[Floats, Floats]:
    """Twice the hits of each class, and its true rows plus the predicted ones: their ratio is F1."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    return 2 * hits, counts.sum(axis=-1) + counts.sum(axis=-2)


def _over_occurring(part: Floats, whole: Floats, counts: Counts) -> Floats:
    """The mean ratio over the classes that truly occur in the resample, as the report's macro means are."""
    occurs = counts.sum(axis=-1) > 0
    return np.asarray((part / np.maximum(whole, 1) * occurs).sum(axis=-1) / occurs.sum(axis=-1))


#: confusion matrices (..., C, C), rows true -> scores (...)
COUNTED: Mapping[str, Callable[[Counts], Floats]] = {
    "macro_f1": _macro_f1,
    "weighted_f1": _weighted_f1,
    "accuracy": _accuracy,
    "uar": _uar,
}
