"""Scores of labels that do not exclude each other: each class is expressed or not.

Shapes: N utterances, C classes. A class that every scored row has, or none, has no rates: its row says None, and it is
left out of the means over classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import f1_score, precision_recall_fscore_support

from emobraid.evaluation import ranking
from emobraid.evaluation.metrics import BINS, bin_means, class_eces

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]

CONVENTIONS: Mapping[str, str] = {
    "wacc": "(TP N/P + TN) / 2N, P rows with the class, N without: the mean of the recalls of presence and absence",
    "f1": "of presence, by the class's own threshold",
    **ranking.CONVENTIONS,
    "mean_wacc": "mean over the classes that some scored rows have and some have not",
    "macro_f1": "mean of F1 over the classes that occur",
    "micro_f1": "F1 over all decisions together",
    "exact_match": "rows whose set of classes is exactly right",
    "constant": "always every class: the constant with the largest F1",
    "thresholds": "largest F1 of each class on validation, for each subset of modalities",
    "ece": f"of all classes' probabilities together, {BINS} equal-width bins; one temperature per modality subset",
    "classwise_ece": f"mean over all classes of each one's own, {BINS} equal-width bins",
    "brier": "mean squared error of a class's probability, 0 to 1",
    "nll": "mean binary cross-entropy of a class, nats",
}


@dataclass(frozen=True)
class Constant:
    """What always answering with every class would score."""

    mean_wacc: float | None
    macro_f1: float
    micro_f1: float
    macro_auroc: float | None
    macro_auprc: float | None
    exact_match: float


@dataclass(frozen=True, eq=False)
class MultiLabelScores:
    """How well N sets of classes agree with the truth."""

    n: int
    macro_f1: float
    micro_f1: float
    mean_wacc: float | None
    macro_auroc: float | None
    macro_auprc: float | None
    exact_match: float
    #: threshold, wacc, precision, recall, f1, auroc, auprc (None: cannot be told), ece, support; constant_f1: always
    #: present
    per_class: dict[str, dict[str, float | int | None]]
    constant: Constant


def multilabel(true: ArrayLike, probabilities: Floats, thresholds: Floats, classes: Sequence[str]) -> MultiLabelScores:
    """Score `probabilities` (N, C) cut at `thresholds` (C,), from it on, against `true` (N, C) bool.

    ValueError without rows, or when the shapes disagree.
    """
    told = np.asarray(true, dtype=np.bool_)
    if not len(told):
        raise ValueError("no labelled utterance to score")
    if told.shape != probabilities.shape or told.shape[1] != len(classes):
        raise ValueError(f"labels {told.shape} and probabilities {probabilities.shape} for {len(classes)} classes")
    said = probabilities >= thresholds
    rows = {c: _row(told[:, k], said[:, k], probabilities[:, k], float(thresholds[k])) for k, c in enumerate(classes)}
    micro, macro = micro_macro_f1(told, said)
    every = np.ones_like(told)
    constant_micro, constant_macro = micro_macro_f1(told, every)
    mean_wacc = ranking.mean_told(r["wacc"] for r in rows.values())
    return MultiLabelScores(
        n=len(told),
        macro_f1=macro,
        micro_f1=micro,
        mean_wacc=mean_wacc,
        macro_auroc=ranking.mean_told(r["auroc"] for r in rows.values()),
        macro_auprc=ranking.mean_told(r["auprc"] for r in rows.values()),
        exact_match=float((told == said).all(axis=1).mean()),
        per_class=rows,
        constant=Constant(
            mean_wacc=None if mean_wacc is None else 0.5,
            macro_f1=constant_macro,
            micro_f1=constant_micro,
            macro_auroc=None if mean_wacc is None else 0.5,
            macro_auprc=ranking.prevalence(told),
            exact_match=float(told.all(axis=1).mean()),
        ),
    )


def weighted_accuracy(true: Bools, said: Bools) -> float | None:
    """(TP N/P + TN) / 2N of one class (N,), the WAcc of CMU-MOSEI; None when all rows have the class, or none.

    It is the balanced accuracy: always saying one thing scores 1/2.
    """
    positives, negatives = int(true.sum()), int((~true).sum())
    if not positives or not negatives:
        return None
    hits, rejections = int((true & said).sum()), int((~true & ~said).sum())
    return (hits * negatives / positives + rejections) / (2 * negatives)


def micro_macro_f1(true: Bools, said: Bools) -> tuple[float, float]:
    """F1 over all decisions of (N, C), and the mean of F1 over the classes that occur in `true`; 0 where none does."""
    occurring = np.flatnonzero(true.any(axis=0))
    if not len(occurring):
        return 0.0, 0.0
    return (
        float(f1_score(true, said, average="micro", zero_division=0)),
        float(np.mean([f1_score(true[:, k], said[:, k], zero_division=0) for k in occurring])),
    )


def best_threshold(true: Bools, probabilities: Floats) -> float:
    """Where to cut the `probabilities` (N,) of one class for the largest F1; 0.5 when no row or every row has it.

    Cuts lie half way between neighbouring probabilities; of equally good ones the nearest to 0.5 is taken. Fit it on
    validation alone.
    """
    if true.all() or not true.any():
        return 0.5
    order = np.argsort(-probabilities, kind="stable")
    falling, hits = probabilities[order], np.cumsum(true[order])
    ends = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))  # equal ones are all in or all out
    f1 = 2 * hits[ends] / (ends + 1 + true.sum())
    below = np.append(falling, 0.0)[ends + 1]
    cuts = (falling[ends] + below) / 2
    best = np.flatnonzero(f1 >= f1.max() - 1e-12)
    return float(cuts[best[np.abs(cuts[best] - 0.5).argmin()]])


def decision_ece(true: Bools, probabilities: Floats, bins: int = BINS) -> float:
    """Expected calibration error over all N x C decisions: |share present - mean probability| of equal-width bins."""
    count, mean, share = bin_means(probabilities.ravel(), true.ravel(), np.linspace(0, 1, bins + 1)[1:-1])
    filled = count > 0
    return float((count[filled] * np.abs(share - mean)[filled]).sum() / count.sum())


def decision_nll(true: Bools, probabilities: Floats) -> float:
    """Mean binary cross-entropy in nats; finite, as a probability of 0 counts as the smallest float."""
    truth = np.where(true, probabilities, 1 - probabilities).astype(np.float64)
    return float(-np.log(np.maximum(truth, np.finfo(np.float64).tiny)).mean())


def _row(true: Bools, said: Bools, probabilities: Floats, threshold: float) -> dict[str, float | int | None]:
    support = int(true.sum())
    precision, recall, f1, _ = precision_recall_fscore_support(true, said, average="binary", zero_division=0)
    return {
        "threshold": threshold,
        "wacc": weighted_accuracy(true, said),
        "precision": float(precision) if support else None,
        "recall": float(recall) if support else None,
        "f1": float(f1) if support else None,
        "auroc": ranking.auroc(true, probabilities),
        "auprc": ranking.auprc(true, probabilities),
        "ece": float(class_eces(true[:, None], probabilities[:, None])[0]),
        "support": support,
        "constant_f1": 2 * support / (support + len(true)) if support else None,
    }
