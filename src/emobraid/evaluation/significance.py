"""Whether a difference between two models is more than chance: a paired bootstrap over speakers or dialogues, and Holm.

Utterances of one speaker or dialogue resemble each other, so whole speakers are drawn, not utterances; and both models
are scored on the same draw, so that what makes a draw hard is hard for both.

Shapes: N utterances, C classes, G groups, S models (seeds) on either side, R resamples.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import bootstrap

from emobraid.evaluation.counts import COUNTED, Floats
from emobraid.evaluation.predictions import Predictions

Truth = NDArray[Any]  # (N,) true columns; of multi-label models (N, C) bool
#: (probabilities (N, C), Truth) -> a number, as `metrics.ece`, `metrics.brier` and `metrics.nll` are
Metric = Callable[[Floats, Truth], float]

_Score = Callable[[NDArray[np.intp]], Floats]  # drawn groups (..., G) -> scores (...)

RESAMPLES, SLOW_RESAMPLES = 10_000, 2_000  # for a metric of counts, and for any other function
CELLS = 4_000_000  # numbers held at once while resampling, 32 MB
FEW = 10  # groups; with fewer the interval of a bootstrap is too narrow


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`first` minus `second`, with a percentile interval and a two-sided p from the same resamples."""

    metric: str
    first: float  # the mean over the seeds of either side
    second: float
    difference: float
    low: float
    high: float
    p: float
    utterances: int
    groups: int
    unit: str  # "groups" (speakers or dialogues), or "utterances" where groups are unknown
    resamples: int
    note: str = ""


def compare(
    first: Predictions | Sequence[Predictions],
    second: Predictions | Sequence[Predictions],
    metric: str | Metric = "macro_f1",
    *,
    subset: str | None = None,
    resamples: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare two models, or the same two with several seeds each, on the same utterances.

    `metric` is one of COUNTED or a function. With several seeds it is the mean over them that is compared; seeds are
    not resampled, so what is told is about these models. Rows that either side cannot read are left out. ValueError
    when the two did not read the same utterances.
    """
    ours, theirs = ([p] if isinstance(p, Predictions) else list(p) for p in (first, second))
    if not ours or not theirs:
        raise ValueError("nothing to compare: each side needs at least one model's predictions")
    one = ours[0]
    for other in (*ours[1:], *theirs):
        if other.ids != one.ids or other.classes != one.classes or not np.array_equal(other.true, one.true):
            raise ValueError("the models to compare did not read the same utterances with the same classes and labels")
    rows = np.logical_and.reduce([p.rows(subset or p.full) for p in (*ours, *theirs)])
    left, right = (np.stack([p.probabilities(subset or p.full)[rows] for p in side]) for side in (ours, theirs))
    groups = np.array(one.groups)[rows].tolist() if any(one.groups) else None
    true = one.labels[rows] > 0.5 if one.kind == "multi" else one.true[rows]
    return compare_arrays(
        true, left, right, metric, groups=groups, resamples=resamples, confidence=confidence, seed=seed
    )


def compare_arrays(
    true: Truth,
    first: Floats,
    second: Floats,
    metric: str | Metric = "macro_f1",
    *,
    groups: Sequence[str] | None = None,
    resamples: int | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """The same for plain arrays: `true` (N,), `first` and `second` (S, N, C) probabilities, S may differ.

    `groups` (N,) are speakers or dialogues; a row without one ("") is a group of its own. The p is the one at which the
    interval would just touch zero, with one added to count and total (Davison and Hinkley 1997, section 4.2), so it is
    never below 2 / (R + 1). 10,000 resamples by default for a metric of counts, 2,000 for a function.
    """
    if not len(true) or first.shape[1:] != second.shape[1:] or first.shape[1] != len(true):
        raise ValueError(f"{len(true)} labels with probabilities of shapes {first.shape} and {second.shape}")
    names = np.array([g or f"\0{i}" for i, g in enumerate(groups)] if groups else np.arange(len(true)).astype(str))
    place = np.unique(names, return_inverse=True)[1]  # (N,) the group of each row
    n_groups = int(place.max()) + 1
    if n_groups < 2:
        raise ValueError("all rows are of one speaker or dialogue: there is nothing to resample")
    score = _counted(true, place, metric) if isinstance(metric, str) else _any(true, place, metric)
    ours, theirs = score(first), score(second)
    found = bootstrap(
        (np.arange(n_groups),),
        lambda index, axis=-1: ours(index) - theirs(index),
        n_resamples=resamples or (RESAMPLES if isinstance(metric, str) else SLOW_RESAMPLES),
        batch=max(1, CELLS // (n_groups + (len(first) + len(second)) * first.shape[2] ** 2)),
        vectorized=True,
        confidence_level=confidence,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    everyone = np.arange(n_groups)
    means = [float(side(everyone)) for side in (ours, theirs)]
    return Comparison(
        metric=metric if isinstance(metric, str) else getattr(metric, "__name__", "metric"),
        first=means[0],
        second=means[1],
        difference=means[0] - means[1],
        low=float(found.confidence_interval.low),
        high=float(found.confidence_interval.high),
        p=two_sided(found.bootstrap_distribution),
        utterances=len(true),
        groups=n_groups,
        unit="groups" if groups else "utterances",
        resamples=len(found.bootstrap_distribution),
        note=_note(n_groups, known=bool(groups)),
    )


def two_sided(differences: Floats) -> float:
    """The p of "no difference" from bootstrapped differences (R,): twice the smaller tail beyond zero, at most 1."""
    tail = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (tail + 1) / (len(differences) + 1))


def holm(p: Sequence[float]) -> list[float]:
    """p of k comparisons, each adjusted so that the chance of any false find stays below alpha (Holm 1979)."""
    order = np.argsort(p, kind="stable")
    grown = np.maximum.accumulate(np.asarray(p, dtype=np.float64)[order] * (len(p) - np.arange(len(p))))
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(grown, 1.0)
    return [float(x) for x in adjusted]


def mark(p: float) -> str:
    """How a table says it: `**` below 0.01, `*` below 0.05, else `n.s.`"""
    return "**" if p < 0.01 else "*" if p < 0.05 else "n.s."


def mean_and_std(values: ArrayLike) -> tuple[float, float | None]:
    """The mean over seeds or draws and their sample standard deviation, None for a single one; ValueError for none."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        raise ValueError("no values to take a mean of")
    return float(numbers.mean()), float(numbers.std(ddof=1)) if numbers.size > 1 else None


def _note(groups: int, *, known: bool) -> str:
    if not known:
        return "speakers and dialogues are unknown, so utterances were resampled: p is too small where they are related"
    return f"{groups} groups are few: the interval is too narrow" if groups < FEW else ""


def _counted(true: Truth, place: NDArray[np.intp], metric: str) -> Callable[[Floats], _Score]:
    """A score of resampled groups from what each group adds to the confusion matrix."""
    if metric not in COUNTED:
        raise ValueError(f"unknown metric {metric!r}, known: {', '.join(COUNTED)}, or give a function")
    if true.ndim != 1:
        raise ValueError(f"{metric} counts exclusive classes; for multi-label ones give a function")

    def of(side: Floats) -> _Score:
        seeds, _, classes = side.shape
        by_group = np.zeros((place.max() + 1, seeds, classes, classes))
        for own, predicted in zip(by_group.swapaxes(0, 1), side.argmax(axis=2), strict=True):
            np.add.at(own, (place, true, predicted), 1)

        def score(index: NDArray[np.intp]) -> Floats:
            drawn = index.reshape(-1, len(by_group))  # (R, G)
            flat = (drawn + len(by_group) * np.arange(len(drawn))[:, None]).ravel()
            times = np.bincount(flat, minlength=drawn.size).reshape(drawn.shape)
            counts = times.astype(np.float64) @ by_group.reshape(len(by_group), -1)
            scores = COUNTED[metric](counts.reshape(-1, seeds, classes, classes)).mean(axis=1)
            return np.asarray(scores.reshape(index.shape[:-1]))

        return score

    return of


def _any(true: Truth, place: NDArray[np.intp], metric: Metric) -> Callable[[Floats], _Score]:
    """A score of resampled groups by calling the function on all their rows."""
    members = [np.flatnonzero(place == g) for g in range(place.max() + 1)]

    def of(side: Floats) -> _Score:
        def score(index: NDArray[np.intp]) -> Floats:
            found = []
            for drawn in index.reshape(-1, len(members)):
                rows = np.concatenate([members[g] for g in drawn])
                found.append(np.mean([metric(seed[rows], true[rows]) for seed in side]))
            return np.asarray(found).reshape(index.shape[:-1])

        return score

    return of
