"""Scores of single-label classification and of how honest the confidences are.

Shapes: N utterances, C classes. scikit-learn counts; what is ours is which classes enter a mean: a class that no
utterance truly has cannot be recalled, so it is left out of every macro mean, and its own row says None ("n/a").
scikit-learn's own macro mean counts such a class as 0; ours is the higher of the two then.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from emobraid.evaluation import ranking

BINS = 15

#: what each figure is, by its name in metrics.json
CONVENTIONS: Mapping[str, str] = {
    "accuracy": "rows whose largest probability is the true class; the WA of the speech literature",
    "uar": "mean recall over the classes that occur; UA, balanced accuracy",
    "macro_f1": "mean F1 over the classes that occur",
    "weighted_f1": "mean F1 weighted by true rows; WF1",
    **ranking.CONVENTIONS,
}

Floats = NDArray[np.floating[Any]]
Indices = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class Baseline:
    """What always answering `label`, the commonest true class of the scored rows (the first on a tie), would score."""

    label: str
    accuracy: float
    uar: float
    macro_f1: float
    weighted_f1: float
    macro_auroc: float | None  # 1/2: it ranks nothing
    macro_auprc: float | None


@dataclass(frozen=True, eq=False)
class Scores:
    """How well N predictions agree with the truth; macro means are over the classes that truly occur."""

    n: int
    accuracy: float
    uar: float  # unweighted average recall = balanced accuracy
    macro_f1: float
    weighted_f1: float
    macro_precision: float
    macro_recall: float
    macro_auroc: float | None
    macro_auprc: float | None
    #: precision, recall, f1, auroc, auprc (None: class absent, or nothing else there), ece, support
    per_class: dict[str, dict[str, float | int | None]]
    confusion: NDArray[np.int64]  # (C, C) counts, rows are the true class
    majority: Baseline


def classification(labels_index: ArrayLike, probabilities: Floats, classes: Sequence[str]) -> Scores:
    """Score the largest of `probabilities` (N, C) against `labels_index` (N,), the true columns.

    A class absent from the labels has None in its row and is left out of the macro means (it counts 0 in the weighted
    one, having no support). Where nothing was predicted as a class its precision is 0. ValueError without rows.
    """
    true = _checked(labels_index, probabilities)
    if probabilities.shape[1] != len(classes):
        raise ValueError(f"{probabilities.shape[1]} columns of probabilities for {len(classes)} classes")
    predicted = probabilities.argmax(axis=1)
    columns = np.arange(len(classes))
    table = precision_recall_fscore_support(true, predicted, labels=columns, zero_division=0)
    occurs = table[3] > 0
    precision, recall, f1 = (float(column[occurs].mean()) for column in table[:3])
    told = true[:, None] == columns  # (N, C)
    honest = class_eces(told, probabilities)
    rows = {
        name: {
            **_class_row(*(column[i] for column in table)),
            "auroc": ranking.auroc(told[:, i], probabilities[:, i]),
            "auprc": ranking.auprc(told[:, i], probabilities[:, i]),
            "ece": float(honest[i]),
        }
        for i, name in enumerate(classes)
    }
    return Scores(
        n=len(true),
        accuracy=float(accuracy_score(true, predicted)),
        uar=recall,
        macro_f1=f1,
        weighted_f1=_weighted_f1(true, predicted, len(classes)),
        macro_precision=precision,
        macro_recall=recall,
        macro_auroc=ranking.mean_told(row["auroc"] for row in rows.values()),
        macro_auprc=ranking.mean_told(row["auprc"] for row in rows.values()),
        per_class=rows,
        confusion=confusion_matrix(true, predicted, labels=columns).astype(np.int64),
        majority=_majority(true, classes),
    )


def macro_f1(labels_index: ArrayLike, predicted_index: ArrayLike, n_classes: int) -> float:
    """Mean F1 over the classes that occur in `labels_index`; what early stopping watches. ValueError without rows.

    A class absent from the labels is left out of the mean, so a rare class missing from one fold does not cap the
    score below 1; predicting it still costs the recall of the true class.
    """
    true = np.asarray(labels_index)
    if not len(true):
        raise ValueError("no labelled utterance to score")
    occurring = [c for c in range(n_classes) if (true == c).any()]
    return float(f1_score(true, np.asarray(predicted_index), labels=occurring, average="macro", zero_division=0))


def ece(probabilities: Floats, labels_index: ArrayLike, bins: int = BINS) -> float:
    """Expected calibration error of the top label, 0 (honest) to 1, over equal-width bins (lower, upper].

    The mean over utterances of |accuracy - confidence| of their bin (Naeini et al. 2015; Guo et al. 2017,
    arXiv:1706.04599).
    """
    confidence, right = top_label(probabilities, labels_index)
    return _gap(confidence, right, np.linspace(0, 1, bins + 1)[1:-1])


def adaptive_ece(probabilities: Floats, labels_index: ArrayLike, bins: int = BINS) -> float:
    """Top-label calibration error over bins of equal count (Nguyen and O'Connor 2015, arXiv:1508.05154).

    Equal confidences share a bin, so the order of the rows never matters.
    """
    confidence, right = top_label(probabilities, labels_index)
    last = -(-np.arange(1, bins) * len(confidence) // bins) - 1  # ceil(k N / bins) - 1: where each bin ends
    return _gap(confidence, right, np.sort(confidence)[last])


def classwise_ece(probabilities: Floats, labels_index: ArrayLike, bins: int = BINS) -> float:
    """Mean over all C classes, absent ones too, of the calibration error of the class's own probability.

    Equal-width bins (lower, upper] of each column (Kull et al. 2019, arXiv:1910.12656; static calibration error in
    Nixon et al. 2019, arXiv:1904.01685). Unlike `ece` it sees the probabilities of classes that are not the largest.
    """
    true = _checked(labels_index, probabilities)
    return float(class_eces(true[:, None] == np.arange(probabilities.shape[1]), probabilities, bins).mean())


def class_eces(true: NDArray[np.bool_], probabilities: Floats, bins: int = BINS) -> NDArray[np.float64]:
    """(C,) of each column of `probabilities` (N, C) against `true` (N, C): |share present - mean probability| of its
    equal-width bins, weighted by rows."""
    edges = np.linspace(0, 1, bins + 1)[1:-1]
    return np.array([_gap(said, there, edges) for said, there in zip(probabilities.T, true.T, strict=True)])


def brier(probabilities: Floats, labels_index: ArrayLike) -> float:
    """Mean squared distance to the one-hot truth, summed over classes: 0 to 2 (Brier 1950)."""
    true = _checked(labels_index, probabilities)
    return float(((probabilities - np.eye(probabilities.shape[1])[true]) ** 2).sum(axis=1).mean())


def nll(probabilities: Floats, labels_index: ArrayLike) -> float:
    """Mean negative log likelihood in nats; finite, as a probability of 0 counts as the smallest float."""
    true = _checked(labels_index, probabilities)
    truth = probabilities[np.arange(len(true)), true].astype(np.float64)
    return float(-np.log(np.maximum(truth, np.finfo(np.float64).tiny)).mean())


def top_label(probabilities: Floats, labels_index: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """(N,) the largest probability of each row, and (N,) bool whether its class is the true one."""
    true = _checked(labels_index, probabilities)
    return probabilities.max(axis=1).astype(np.float64), probabilities.argmax(axis=1) == true


def bin_means(
    confidence: Floats, right: NDArray[np.bool_], edges: Floats
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Count, mean confidence and accuracy of each bin, (len(edges) + 1,); `edges` are the inner upper ends, inclusive.

    The means of an empty bin are NaN.
    """
    place = np.digitize(confidence, edges, right=True)
    count, total, hits = (
        np.bincount(place, weights=w, minlength=len(edges) + 1) for w in (None, confidence, right.astype(float))
    )
    with np.errstate(invalid="ignore"):
        return count, total / count, hits / count


def _gap(confidence: Floats, right: NDArray[np.bool_], edges: Floats) -> float:
    count, mean, accuracy = bin_means(confidence, right, edges)
    filled = count > 0
    return float((count[filled] * np.abs(accuracy - mean)[filled]).sum() / count.sum())


def _checked(labels_index: ArrayLike, probabilities: Floats) -> Indices:
    true = np.asarray(labels_index)
    if not len(true):
        raise ValueError("no labelled utterance to score")
    if probabilities.ndim != 2 or len(probabilities) != len(true):
        raise ValueError(f"probabilities of shape {probabilities.shape} for {len(true)} labels, need (N, C) and N")
    if true.min() < 0 or true.max() >= probabilities.shape[1]:
        raise ValueError(f"labels run from {true.min()} to {true.max()}, need 0 to {probabilities.shape[1] - 1}")
    return true


def _weighted_f1(true: Indices, predicted: Indices, n_classes: int) -> float:
    return float(f1_score(true, predicted, labels=range(n_classes), average="weighted", zero_division=0))


def _class_row(precision: float, recall: float, f1: float, support: int) -> dict[str, float | int | None]:
    if not support:
        return {"precision": None, "recall": None, "f1": None, "support": 0}
    return {"precision": float(precision), "recall": float(recall), "f1": float(f1), "support": int(support)}


def _majority(true: Indices, classes: Sequence[str]) -> Baseline:
    counts = np.bincount(true, minlength=len(classes))
    commonest = int(counts.argmax())
    constant = np.full_like(true, commonest)
    return Baseline(
        label=classes[commonest],
        accuracy=float(accuracy_score(true, constant)),
        uar=1.0 / int((counts > 0).sum()),  # one class recalled wholly, the others not at all
        macro_f1=macro_f1(true, constant, len(classes)),
        weighted_f1=_weighted_f1(true, constant, len(classes)),
        macro_auroc=0.5 if (counts > 0).sum() > 1 else None,
        macro_auprc=ranking.prevalence(true[:, None] == np.arange(len(classes))),
    )
