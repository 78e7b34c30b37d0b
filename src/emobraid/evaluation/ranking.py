"""How well the probabilities of a class rank the rows that have it above those that have not, without any cut.

Shapes: N utterances, C classes. A class that every scored row has, or none, cannot be ranked: None, and it is left out
of the means over classes.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

CONVENTIONS: Mapping[str, str] = {
    "auroc": "area under the ROC curve of the class's probability against all other classes; no threshold",
    "auprc": "average precision: precision at each probability said, weighted by the recall it adds, not interpolated; "
    "a constant scores the share of rows that have the class",
    "macro_auroc": "mean over the classes that some scored rows have and some have not",
    "macro_auprc": "mean over the classes that some scored rows have and some have not",
}


def auroc(true: Bools, probabilities: Floats) -> float | None:
    """Area under the ROC curve of one class (N,): 1/2 for a constant."""
    return float(roc_auc_score(true, probabilities)) if mixed(true) else None


def auprc(true: Bools, probabilities: Floats) -> float | None:
    """Average precision of one class (N,), as scikit-learn counts it: the share of rows with it for a constant."""
    return float(average_precision_score(true, probabilities)) if mixed(true) else None


def mixed(true: Bools) -> bool:
    """Whether some rows (N,) have the class and some have not."""
    return bool(true.any() and not true.all())


def prevalence(true: Bools) -> float | None:
    """Of the classes of (N, C) that can be ranked, the mean share of rows: the macro AUPRC of any constant."""
    return mean_told(float(column.mean()) if mixed(column) else None for column in true.T)


def mean_told(values: Iterable[float | int | None]) -> float | None:
    """The mean of those that can be told; None where none can."""
    told = [v for v in values if v is not None]
    return float(np.mean(told)) if told else None
