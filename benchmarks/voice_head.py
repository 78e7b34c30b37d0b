"""What learns on top of `whisper_stem` in `strangers_voice.py`: one linear map for corpora that disagree.

Shapes: N clips, W figures of a clip, C classes.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

Array = np.ndarray
FORBIDDEN = -1e4  # a logit of what cannot be


def evenly(labels: Array, corpora: Array) -> Tensor:
    """(N,) weights with which each class counts the same within its corpus, and each corpus the same."""
    weights = np.zeros(len(labels))
    for corpus in set(corpora):
        for label in set(labels[corpora == corpus]):
            cell = (corpora == corpus) & (labels == label)
            weights[cell] = 1 / cell.sum() / len(set(labels[corpora == corpus]))
    return torch.as_tensor(weights / weights.mean(), dtype=torch.float32)


def unknown(labels: Array, corpora: Array, classes: int) -> Tensor:
    """(N, C), FORBIDDEN where the clip's corpus has no such class: it says nothing against it."""
    barred = torch.zeros(len(labels), classes)
    for corpus in set(corpora):
        own = torch.as_tensor(corpora == corpus)
        for lacking in set(range(classes)) - set(labels[corpora == corpus]):
            barred[own, lacking] = FORBIDDEN
    return barred


class VoiceHead:
    """Multinomial logistic regression on standardised figures. `decay` is the ridge; `plain` is the usual kind, in
    which a class that a corpus lacks counts as not that class, and large corpora outvote small ones."""

    def __init__(self, *, classes: int = 7, decay: float = 1.0, plain: bool = False, steps: int = 60) -> None:
        self.classes, self.decay, self.plain, self.steps = classes, decay, plain, steps

    def fit(self, figures: Array, labels: Array, corpora: Array) -> "VoiceHead":
        self.mean, self.scale = figures.mean(axis=0), figures.std(axis=0) + 1e-3
        x = torch.as_tensor((figures - self.mean) / self.scale, dtype=torch.float32)
        y = torch.as_tensor(labels)
        if self.plain:
            count = np.bincount(labels, minlength=self.classes)
            weights = torch.as_tensor(len(labels) / count[labels] / (count > 0).sum(), dtype=torch.float32)
            barred = torch.zeros(len(labels), self.classes)
        else:
            weights, barred = evenly(labels, corpora), unknown(labels, corpora, self.classes)
        self.weight = torch.zeros(x.shape[1], self.classes, requires_grad=True)
        self.bias = torch.zeros(self.classes, requires_grad=True)
        descent = torch.optim.LBFGS(
            [self.weight, self.bias], max_iter=self.steps, history_size=10, line_search_fn="strong_wolfe"
        )

        def loss() -> Tensor:
            descent.zero_grad()
            each = torch.nn.functional.cross_entropy(x @ self.weight + self.bias + barred, y, reduction="none")
            total = (weights * each).mean() + self.decay * self.weight.square().sum() / 2
            total.backward()
            return total

        descent.step(loss)
        return self

    @torch.no_grad()
    def __call__(self, figures: Array) -> Array:
        """(N, W) -> logits (N, C)."""
        x = torch.as_tensor((figures - self.mean) / self.scale, dtype=torch.float32)
        return (x @ self.weight + self.bias).numpy()


def macro_f1(truth: Array, read: Array, classes: Sequence[int]) -> float:
    """Over the classes of one corpus; a reading of any other class is a miss."""
    scores = []
    for c in classes:
        both = ((truth == c) & (read == c)).sum()
        scores.append(2 * both / max(1, (truth == c).sum() + (read == c).sum()))
    return float(np.mean(scores))


def probabilities(logits: Array, temperature: float) -> Array:
    return torch.softmax(torch.as_tensor(logits / temperature), dim=1).numpy()


def calibration_error(read: Array, truth: Array, bins: int = 15) -> float:
    """Expected calibration error of probabilities (N, C), as the house counts it: equal widths."""
    sure, right = read.max(axis=1), read.argmax(axis=1) == truth
    places = np.minimum((sure * bins).astype(int), bins - 1)
    gaps = [abs(sure[places == b].mean() - right[places == b].mean()) * (places == b).mean() for b in set(places)]
    return float(sum(gaps))


def temperature(logits: Array, truth: Array, weights: Array | None = None) -> float:
    """What makes the readings as sure as they are right: least cross-entropy over a grid."""
    grid = np.exp(np.linspace(np.log(0.3), np.log(8), 80))
    rows = np.arange(len(truth))
    weights = np.ones(len(truth)) if weights is None else weights
    costs = [-(weights * np.log(probabilities(logits, t)[rows, truth] + 1e-9)).sum() for t in grid]
    return float(grid[int(np.argmin(costs))])
