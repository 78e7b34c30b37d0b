"""Losses that lead one reading towards another: a student's towards its teacher's, that of a spoilt utterance towards
that of the whole one. They hold no parameters, so widths may differ.

Shapes: B batch, C classes, D and D' widths, M modalities.
"""

from collections.abc import Mapping
from typing import NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.fusion import Fused
from emobraid.fusion.base import Imagined


class Guide(NamedTuple):
    """What a reading is led towards; no gradient goes there."""

    logits: Tensor  # (B, C)
    features: Tensor  # (B, D')
    weights: Tensor | None = None  # (B, M) how much each of the student's modalities counted

    @classmethod
    def of(cls, read: Fused) -> Self:
        return cls(
            read.logits.detach(), read.features.detach(), None if read.weights is None else read.weights.detach()
        )

    def rows(self, index: Tensor) -> "Guide":
        weights = None if self.weights is None else self.weights[index]
        return Guide(self.logits[index], self.features[index], weights)

    def to(self, device: torch.device | str) -> "Guide":
        weights = None if self.weights is None else self.weights.to(device)
        return Guide(self.logits.to(device), self.features.to(device), weights)


def towards_logits(
    logits: Tensor, guide: Tensor, *, temperature: float = 1.0, exclusive: bool = True, share: Tensor | None = None
) -> Tensor:
    """Divergence of softened probabilities, times the temperature squared so that its gradient keeps its size.

    (Hinton et al. 2015, arXiv:1503.02531.) Classes that do not exclude each other are compared one by one. The mean
    over rows, logits (..., C); with `share` (...) each row counts so much, by default all alike.
    """
    student, teacher = logits.float() / temperature, guide.float() / temperature
    if exclusive:
        gap = F.kl_div(student.log_softmax(-1), teacher.log_softmax(-1), reduction="none", log_target=True).sum(-1)
    else:
        sure = teacher.sigmoid()
        # less the teacher's own entropy, so that agreement is zero
        told, known = (F.binary_cross_entropy_with_logits(x, sure, reduction="none") for x in (student, teacher))
        gap = (told - known).mean(-1)
    mean = gap.mean() if share is None else (gap * share).sum() / share.sum().clamp(min=1e-6)
    return mean * temperature**2


def towards_likeness(features: Tensor, guide: Tensor) -> Tensor:
    """How alike a batch's utterances are to each other, as the guide sees it (Tung and Mori 2019, arXiv:1907.09682)."""

    def likeness(x: Tensor) -> Tensor:
        return F.normalize(x.float() @ x.float().T, dim=1)  # (B, B)

    return (likeness(features) - likeness(guide)).square().sum() / max(1, len(features)) ** 2


def towards_distances(features: Tensor, guide: Tensor) -> Tensor:
    """Distances between a batch's utterances, each set by its own mean (Park et al. 2019, arXiv:1904.05068, eq. 4)."""
    if len(features) < 2:
        return features.sum() * 0.0

    def distances(x: Tensor) -> Tensor:
        apart = F.pdist(x.float())
        return apart / apart.mean().clamp(min=1e-6)

    return F.smooth_l1_loss(distances(features), distances(guide))


def towards_weights(weights: Tensor, guide: Tensor) -> Tensor:
    """How much each modality counts: divergence from the guide's weights over those that the student saw."""
    seen = weights > 0
    wanted = guide.masked_fill(~seen, 0.0)
    wanted = wanted / wanted.sum(dim=1, keepdim=True).clamp(min=1e-9)
    gap = wanted * (wanted.clamp(min=1e-9).log() - weights.clamp(min=1e-9).log())
    return gap.sum() / max(1, len(weights))


def guided_losses(
    read: Fused, guide: Guide, weights: Mapping[str, float], *, temperature: float, exclusive: bool
) -> dict[str, Tensor]:
    """Every loss towards a teacher by name, already weighted."""
    losses = {}
    if weights.get("logit"):
        gap = towards_logits(read.logits, guide.logits, temperature=temperature, exclusive=exclusive)
        losses["logit"] = weights["logit"] * gap
    if weights.get("feature"):
        losses["feature"] = weights["feature"] * towards_likeness(read.features, guide.features)
    if weights.get("relation"):
        losses["relation"] = weights["relation"] * towards_distances(read.features, guide.features)
    if weights.get("attention") and read.weights is not None and guide.weights is not None:
        losses["attention"] = weights["attention"] * towards_weights(read.weights, guide.weights)
    return losses


def reconstruction(imagined: Imagined, there: Tensor) -> Tensor:
    """One minus the cosine between each modality that was there (B, M) and what the others tell of it."""
    counted = imagined.told & there
    likeness = F.cosine_similarity(imagined.guessed.float(), imagined.actual.detach().float(), dim=-1)  # (B, M)
    return ((1 - likeness) * counted).sum() / counted.sum().clamp(min=1)
