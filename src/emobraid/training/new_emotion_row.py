"""Learning the row of one new class; nothing else of the model moves.

With the old logits fixed, cross-entropy over C + 1 classes is a logistic regression of the new class against all others
together: its probability is sigmoid(row - logsumexp(old)). That is convex: no learning rate, no epochs, no chance. With
strong decay the row points from the mean of what is old to that of the examples (imprinted weights, Qi et al. 2018,
arXiv:1712.07136); with less it bends away from the utterances nearby. A few examples always lie on the right side of a
row that was learned from them, so the bias is settled on rows learned without (stacked generalisation, Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1).

Shapes: N utterances, V views (subsets of the modalities, the whole last), W reading, C old classes.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import brentq, minimize
from scipy.special import expit
from torch import Tensor

Floats = NDArray[np.floating[Any]]

# the best of 1 to 1e-5 on validation actors of RAVDESS, at 1, 5 and 20 examples; to choose among three by held-out
# examples was no better
DECAY = 1e-3
FOLDS = 5
SINGLE_SHARE = 0.02  # of rehearsed utterances, what the row of a single example takes: it cannot be held out
FAR = 1e4  # no bias lies beyond it


class Evidence(NamedTuple):
    """What a model makes of utterances, whole and with modalities left out."""

    readings: Tensor  # (N, V, W) float64
    against: Tensor  # (N, V) logsumexp of the old logits over the view's temperature
    margin: Tensor  # (N, V) the largest old logit
    heat: Tensor  # (V,) one over each view's temperature
    share: Tensor  # (N, V) how much of its utterance a view counts; 0 where nothing can be read
    groups: tuple[str, ...]  # N speakers; where one is unknown, something that no other has

    def rows(self, chosen: Tensor) -> "Evidence":
        """The utterances where `chosen` (N,) is True."""
        groups = tuple(g for g, keep in zip(self.groups, chosen.tolist(), strict=True) if keep)
        readings, against, margin, share = (t[chosen] for t in (self.readings, self.against, self.margin, self.share))
        return Evidence(readings, against, margin, self.heat, share, groups)

    def odds(self, scores: Tensor) -> Tensor:
        """Log odds (N, V) of the new class against the old ones together, where the row gives `scores` (N, V)."""
        return scores * self.heat - self.against


class Row(NamedTuple):
    """The new logit is `weight` times the reading, plus `bias`."""

    weight: Tensor  # (W,)
    bias: float

    def takes(self, seen: Evidence) -> Tensor:
        """(N,) bool: which utterances, seen whole, are read as the new class."""
        return seen.readings[:, -1] @ self.weight + self.bias > seen.margin[:, -1]


def learn_row(examples: Evidence, rehearsed: Evidence, balance: Tensor, *, seed: int = 0) -> Row:
    """The row for `examples`, against `rehearsed` utterances of the old classes, each counting `balance` (N,).

    `balance` sums to C, so that the new class weighs what an old one does. `seed` says who is held out with whom.
    """
    weight = fitted(examples, rehearsed, balance)
    if len(examples.groups) == 1:
        apart = rehearsed.margin[:, -1] - rehearsed.readings[:, -1] @ weight
        return Row(weight, float(apart.quantile(SINGLE_SHARE)))
    new, old = torch.zeros_like(examples.against), torch.zeros_like(rehearsed.against)
    for ours, others in folds(examples.groups, rehearsed.groups, seed):
        without = fitted(examples.rows(~ours), rehearsed.rows(~others), balance[~others])
        new[ours], old[others] = examples.readings[ours] @ without, rehearsed.readings[others] @ without
    return Row(weight, settled(examples, new, rehearsed, old, balance))


def held_out(examples: Evidence, rehearsed: Evidence, balance: Tensor, *, seed: int = 0) -> Tensor | None:
    """(N,) bool: which examples are read as the new class by a row, bias included, that was learned without them and
    without the others of their speaker. None of a single example."""
    if len(examples.groups) == 1:
        return None
    taken = torch.zeros(len(examples.groups), dtype=torch.bool)
    for ours, _ in folds(examples.groups, (), seed):
        taken[ours] = learn_row(examples.rows(~ours), rehearsed, balance, seed=seed).takes(examples.rows(ours))
    return taken


def folds(examples: Sequence[str], rehearsed: Sequence[str], seed: int) -> list[tuple[Tensor, Tensor]]:
    """Which examples and which rehearsed utterances (N,) are held out together, from the speakers of both.

    Each fold holds some examples out and leaves some in. No speaker is on both sides, unless all examples are of one:
    then they are held out as if each were its own speaker.
    """
    ours = list(examples) if speakers_apart(examples) else [f"example {i}" for i in range(len(examples))]
    names = sorted(set(ours))
    count = min(FOLDS, len(names))
    order = torch.randperm(len(names), generator=torch.Generator().manual_seed(seed)).tolist()
    place = {names[n]: i % count for i, n in enumerate(order)}
    place |= {name: i % count for i, name in enumerate(sorted(set(rehearsed) - place.keys()))}
    first, second = (torch.tensor([place[g] for g in groups]) for groups in (ours, rehearsed))
    return [(first == number, second == number) for number in range(count)]


def speakers_apart(groups: Sequence[str]) -> bool:
    """Whether examples of these speakers can be held out by speaker."""
    return len(set(groups)) > 1


def fitted(examples: Evidence, rehearsed: Evidence, balance: Tensor) -> Tensor:
    """The weight (W,) with the least loss on all of it together with its own bias, by L-BFGS from zero."""
    ours = torch.full((len(examples.groups),), 1.0 / len(examples.groups), dtype=torch.float64)
    counts = torch.cat([examples.share * ours[:, None], rehearsed.share * balance[:, None]]).numpy()
    there = counts > 0
    readings, against = (torch.cat(both).numpy()[there] for both in zip(examples[:2], rehearsed[:2], strict=True))
    new = np.repeat([1.0, 0.0], [len(ours), len(balance)])[:, None]
    new, heat = (np.broadcast_to(x, counts.shape)[there] for x in (new, examples.heat.numpy()))
    counts = counts[there] / counts.sum()
    # from the mean of what is old, so that no decay is spent on what all utterances share
    centre = np.average(readings[new == 0], axis=0, weights=counts[new == 0])
    seen = Rows(np.column_stack([readings - centre, np.ones(len(readings))]), against, heat, counts, new)
    start = np.zeros(seen.readings.shape[1])
    found = minimize(loss, start, (seen,), "L-BFGS-B", jac=True, options={"maxiter": 500, "gtol": 1e-6})
    return torch.from_numpy(found.x[:-1])


class Rows(NamedTuple):
    """Every view of every utterance, one after the other; R of them."""

    readings: Floats  # (R, W + 1), the last column one
    against: Floats  # (R,)
    heat: Floats  # (R,)
    counts: Floats  # (R,) sum to 1
    new: Floats  # (R,) 1 where it is an example, 0 where it is rehearsed


def loss(row: Floats, seen: Rows) -> tuple[float, Floats]:
    """Mean cross-entropy of new against old plus the decay, and its gradient, for a weight with its bias (W + 1,)."""
    odds = seen.heat * (seen.readings @ row) - seen.against
    each = np.logaddexp(0.0, np.where(seen.new > 0, -odds, odds))
    pull = seen.readings.T @ (seen.counts * seen.heat * (expit(odds) - seen.new))
    decayed = np.append(row[:-1], 0.0)  # not the bias
    return float(seen.counts @ each + DECAY * decayed @ decayed), pull + 2 * DECAY * decayed


def settled(examples: Evidence, new: Tensor, rehearsed: Evidence, old: Tensor, balance: Tensor) -> float:
    """The bias with the least loss for scores (N, V) that are given: where its slope, which only rises, is zero."""

    def slope(bias: float) -> float:
        missed = torch.sigmoid(-examples.odds(new + bias)) * examples.share * examples.heat
        taken = torch.sigmoid(rehearsed.odds(old + bias)) * rehearsed.share * rehearsed.heat * balance[:, None]
        return float(taken.sum() - missed.sum() / len(new))

    return float(brentq(slope, -FAR, FAR))
