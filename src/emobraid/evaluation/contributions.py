"""How much each modality moves what is said, over a whole split: exact Shapley values, as in a single prediction.

Shapes: N utterances, M modalities, C classes.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation.predictions import Predictions, subsets
from emobraid.prediction import shapley

CONVENTION = (
    "mean Shapley value of each modality for the probability of the class that is said, counted from what the model "
    "says of nothing at all; a missing modality has 0"
)


def contributions(predictions: Predictions, temperatures: Mapping[str, float]) -> dict[str, Any] | None:
    """Means over all rows with a modality, and over those of which each class is said; None where the table has not
    every subset of modalities, or not what the model says of nothing."""
    if predictions.nothing is None or len(predictions.subsets) < 2 ** len(predictions.modalities) - 1:
        return None
    if not predictions.present.any():
        return None
    shares, said = by_utterance(predictions, temperatures)
    own = {name: shares[said == c] for c, name in enumerate(predictions.classes)}
    return {
        "all": _means(shares[said >= 0], predictions.modalities),
        "by_class": {name: _means(rows, predictions.modalities) for name, rows in own.items() if len(rows)},
        "convention": CONVENTION,
    }


def by_utterance(
    predictions: Predictions, temperatures: Mapping[str, float]
) -> tuple[NDArray[np.float64], NDArray[np.intp]]:
    """Each utterance's Shapley values (N, M), and the class that is said (N,); 0 and -1 where it has no modality."""
    assert predictions.nothing is not None
    shares, said = np.zeros(predictions.present.shape), np.full(len(predictions.ids), -1)
    for pattern in np.unique(predictions.present[predictions.present.any(axis=1)], axis=0):
        rows = np.flatnonzero((predictions.present == pattern).all(axis=1))
        there = tuple(m for m, has in zip(predictions.modalities, pattern, strict=True) if has)
        names = ["+".join(kept) for kept in subsets(there)]
        chances = {s: predictions.probabilities(s, temperatures.get(s, 1.0))[rows] for s in names}
        top = chances["+".join(there)].argmax(axis=1)
        value = {frozenset(s.split("+")): p[np.arange(len(rows)), top] for s, p in chances.items()}
        value[frozenset()] = predictions.chances(predictions.nothing)[top]
        for m, own in shapley(value, there).items():
            shares[rows, predictions.modalities.index(m)] = own
        said[rows] = top
    return shares, said


def _means(shares: NDArray[np.float64], modalities: tuple[str, ...]) -> dict[str, float]:
    return dict(zip(modalities, shares.mean(axis=0).tolist(), strict=True))
