"""Scores of numbers read from an utterance: sentiment (-3..3), valence, arousal, dominance.

Shapes: N utterances. `true` and `read` are (N,) without NaN; what is read is never clipped before MAE and correlation.
Figures that cannot be told (a correlation with a constant) are None.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import pearsonr
from sklearn.metrics import accuracy_score, f1_score, mean_absolute_error

from emobraid.evaluation.ranking import mean_told

Floats = NDArray[np.floating[Any]]
Figure = float | int | None

ENOUGH = 10  # rows of a speaker, dialogue or video, under which its concordance would be noise

#: what each figure of this module is, by its name in metrics.json
CONVENTIONS: Mapping[str, str] = {
    "mae": "mean absolute error, unclipped",
    "pearson": "Pearson r, unclipped",
    "ccc": "Lin's concordance over all scored rows at once, 2 cov / (var + var + (mean - mean)^2), population moments",
    "ccc_groups": f"mean of the ccc of each speaker, dialogue or video with at least {ENOUGH} scored rows; each one's "
    "is in metrics.json under by_group",
    "acc2_has0": "negative against non-negative (y >= 0), all rows",
    "acc2_non0": "negative against positive, rows with y = 0 left out",
    "f1_has0": "weighted F1 of acc2_has0",
    "f1_non0": "weighted F1 of acc2_non0",
    "acc7_rounded": "seven classes by np.round(np.clip(y, -3, 3)): halves to even",
    "acc7_sdk": "seven classes by the SDK's bins away from zero: (0,1] is 1, (1,2] is 2, above is 3, mirrored; 0 is 0",
    "acc5_rounded": "five classes by np.round(np.clip(y, -2, 2)): halves to even",
}


def ccc(true: Floats, read: Floats) -> float | None:
    """Lin's concordance correlation coefficient (1989), -1 to 1; None when both are one and the same constant."""
    x, y = np.asarray(true, np.float64), np.asarray(read, np.float64)
    apart = x.var() + y.var() + (x.mean() - y.mean()) ** 2
    return float(2 * ((x - x.mean()) * (y - y.mean())).mean() / apart) if apart > 0 else None


def pearson(true: Floats, read: Floats) -> float | None:
    """Pearson's r; None with fewer than two rows or a constant."""
    if len(true) < 2 or np.ptp(true) == 0 or np.ptp(read) == 0:
        return None
    return float(pearsonr(np.asarray(true, np.float64), np.asarray(read, np.float64)).statistic)


def seven_rounded(values: Floats) -> NDArray[np.int64]:
    """Classes -3..3 as MulT and MMSA count them: clipped, then rounded, halves to the even number (0.5 is 0)."""
    return np.round(np.clip(values, -3, 3)).astype(np.int64)


def seven_sdk(values: Floats) -> NDArray[np.int64]:
    """Classes -3..3 as the CMU-MultimodalSDK counts them: bins away from zero, (0,1] is 1; only 0 itself is 0."""
    return (np.sign(values) * np.minimum(np.ceil(np.abs(values)), 3)).astype(np.int64)


def five_rounded(values: Floats) -> NDArray[np.int64]:
    """Classes -2..2 as MulT and MMSA count them: clipped, then rounded, halves to the even number (2.6 is 2)."""
    return np.round(np.clip(values, -2, 2)).astype(np.int64)


def dimension(true: Floats, read: Floats) -> dict[str, Figure]:
    """MAE, Pearson and CCC of one dimension; ValueError without rows."""
    if not len(true):
        raise ValueError("no utterance has a value to score")
    return {
        "n": len(true),
        "mae": float(mean_absolute_error(true, read)),
        "pearson": pearson(true, read),
        "ccc": ccc(true, read),
    }


def sentiment(true: Floats, read: Floats) -> dict[str, Figure]:
    """The figures of `dimension`, and those of classes cut from sentiment in -3..3."""
    nonzero = true != 0
    has0, non0 = (true >= 0, read >= 0), (true[nonzero] > 0, read[nonzero] > 0)
    return {
        **dimension(true, read),
        "acc2_has0": float(accuracy_score(*has0)),
        "acc2_non0": float(accuracy_score(*non0)) if nonzero.any() else None,
        "f1_has0": float(f1_score(*has0, average="weighted", zero_division=0)),
        "f1_non0": float(f1_score(*non0, average="weighted", zero_division=0)) if nonzero.any() else None,
        "acc7_rounded": float(accuracy_score(seven_rounded(true), seven_rounded(read))),
        "acc7_sdk": float(accuracy_score(seven_sdk(true), seven_sdk(read))),
        "acc5_rounded": float(accuracy_score(five_rounded(true), five_rounded(read))),
    }


def by_group(true: Floats, read: Floats, groups: Sequence[str]) -> dict[str, dict[str, Figure]]:
    """`n` and `ccc` of each speaker, dialogue or video in `groups` (N,), in order of their names.

    A row without a group ("") is in none; a group of fewer than 10 rows has no CCC, as it would be noise.
    """
    names = np.asarray(groups)
    found: dict[str, dict[str, Figure]] = {}
    for name in sorted(set(groups) - {""}):
        own = names == name
        count = int(own.sum())
        found[name] = {"n": count, "ccc": ccc(true[own], read[own]) if count >= ENOUGH else None}
    return found


def score(name: str, true: Floats, read: Floats, groups: Sequence[str] = ()) -> dict[str, Any]:
    """The figures that fit the dimension called `name`, beside them under `constant` those of always saying the mean
    of the scored rows. With `groups` (N,) also `by_group`, and `ccc_groups`, their mean."""
    figures: Callable[[Floats, Floats], dict[str, Figure]] = sentiment if name == "sentiment" else dimension
    x, y = np.asarray(true, np.float64), np.asarray(read, np.float64)
    found: dict[str, Any] = figures(x, y)
    constant = found["constant"] = figures(x, np.full_like(x, x.mean() if len(x) else 0.0))
    if any(groups):
        found["by_group"] = by_group(x, y, groups)
        found["ccc_groups"] = mean_told(own["ccc"] for own in found["by_group"].values())
        constant["ccc_groups"] = 0.0 if found["ccc_groups"] is not None else None
    return found
