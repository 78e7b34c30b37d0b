"""What training minimises. An objective holds no parameters: (prediction, batch) -> scalar.

Shapes: B batch, M modalities, F member fusions, C classes, D width.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.fusion import Fused
from emobraid.stream import Batch


class Objective(Protocol):
    def __call__(self, prediction: Fused, batch: Batch) -> Tensor: ...


class Classification:
    """Cross-entropy against (soft) labels, with class weights and label smoothing; unlabelled rows do not count."""

    def __init__(self, class_weights: Tensor, smoothing: float) -> None:
        self.class_weights, self.smoothing = class_weights, smoothing

    def loss(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """Logits (..., C), labels (..., C), `counted` (...) bool -> the weighted mean over counted rows, 0 if none."""
        labels = torch.where(counted[..., None], labels, 1.0 / labels.shape[-1])
        smooth = labels * (1 - self.smoothing) + self.smoothing / labels.shape[-1]
        per_row = -(smooth * F.log_softmax(logits.float(), dim=-1)).sum(dim=-1)
        weight = (labels * self.class_weights.to(labels.device)).sum(dim=-1) * counted
        return (per_row * weight).sum() / weight.sum().clamp(min=1e-6)

    def __call__(self, prediction: Fused, batch: Batch) -> Tensor:
        return self.loss(prediction.logits, batch.labels, labelled(batch.labels))

    def unimodal(self, prediction: Fused, batch: Batch) -> Tensor:
        """The same for each modality's own decision, where the modality was seen."""
        assert prediction.unimodal is not None
        return self._each(prediction.unimodal, batch, prediction.present)

    def members(self, prediction: Fused, batch: Batch) -> Tensor:
        """The same for each member of a meta-fusion."""
        assert prediction.members is not None
        everyone = torch.ones(prediction.members.shape[:2], dtype=torch.bool, device=batch.labels.device)
        return self._each(prediction.members, batch, everyone)

    def _each(self, logits: Tensor, batch: Batch, seen: Tensor) -> Tensor:
        labels = batch.labels[:, None].expand_as(logits)
        return self.loss(logits, labels, seen & labelled(batch.labels)[:, None])


def labelled(labels: Tensor) -> Tensor:
    """(B,) bool: rows with a label."""
    return ~labels.isnan().any(dim=-1)


def alignment(prediction: Fused, batch: Batch, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss over all modality embeddings that the model saw: those of one emotion attract,
    whatever modality they come from, and so do those of one utterance.

    (Khosla et al. 2020, arXiv:2004.11362, equation 2.)
    """
    rows, modality = prediction.present.nonzero(as_tuple=True)
    points = F.normalize(prediction.embeddings[rows, modality].float(), dim=-1)  # (P, D)
    known = labelled(batch.labels)
    emotion = torch.where(known, batch.labels.nan_to_num().argmax(dim=-1), -1)[rows]
    same = (emotion[:, None] == emotion[None]) & (emotion >= 0)[:, None] | (rows[:, None] == rows[None])
    itself = torch.eye(len(rows), dtype=torch.bool, device=same.device)
    partners = same & ~itself
    # a finite floor keeps the gradient of a point without others finite
    similarity = (points @ points.T / temperature).masked_fill(itself, torch.finfo(torch.float32).min)
    log_share = similarity.log_softmax(dim=-1)
    per_point = -(log_share.masked_fill(~partners, 0.0)).sum(dim=-1) / partners.sum(dim=-1).clamp(min=1)
    counted = partners.any(dim=-1)
    return (per_point * counted).sum() / counted.sum().clamp(min=1)


def weighted_losses(
    prediction: Fused, batch: Batch, classification: Classification, weights: Mapping[str, float]
) -> dict[str, Tensor]:
    """Every loss by name, already weighted; their sum is minimised. A loss the fusion has no output for is left out."""
    losses = {"classification": classification(prediction, batch)}
    if weights.get("unimodal") and prediction.unimodal is not None:
        losses["unimodal"] = weights["unimodal"] * classification.unimodal(prediction, batch)
    if weights.get("members") and prediction.members is not None:
        losses["members"] = weights["members"] * classification.members(prediction, batch)
    if weights.get("alignment"):
        losses["alignment"] = weights["alignment"] * alignment(prediction, batch)
    return losses
