"""What training minimises. An objective holds no parameters: (prediction, batch) -> scalar.

Shapes: B batch, M modalities, F member fusions, C classes, D width, K affect dimensions.
"""

from collections.abc import Mapping
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.emotions import LabelKind
from emobraid.fusion import Fused
from emobraid.stream import Batch

HEAVIEST = 10.0  # what a present rare class may weigh: beyond it a handful of rows would be all that is learnt


class Objective(Protocol):
    def __call__(self, prediction: Fused, batch: Batch) -> Tensor: ...


class Classification:
    """The loss on the classes; unlabelled rows do not count.

    Exclusive classes: cross-entropy against one-hot or soft labels, `weights` (C,) weighing rows by their class.
    Multi-label: binary cross-entropy for each class, `weights` (C,) weighing where the class is present.
    """

    def __init__(self, weights: Tensor, smoothing: float, kind: LabelKind = "exclusive") -> None:
        self.weights, self.smoothing, self.kind = weights, smoothing, kind

    def loss(self, logits: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """Logits (..., C), labels (..., C), `counted` (...) bool, or float: how much each row counts -> the weighted
        mean over counted rows, 0 if none."""
        weigh = cross_entropy if self.kind == "exclusive" else binary_cross_entropy
        return weigh(logits.float(), labels, counted, self.weights.to(labels.device), self.smoothing)

    def __call__(self, prediction: Fused, batch: Batch) -> Tensor:
        return self.loss(prediction.logits, batch.labels, counting(batch))

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
        return self.loss(logits, labels, seen * counting(batch)[:, None])


def cross_entropy(logits: Tensor, labels: Tensor, counted: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Of (soft) labels; a row weighs what its classes weigh."""
    labels = torch.where(counted[..., None] > 0, labels, 1.0 / labels.shape[-1])
    smooth = labels * (1 - smoothing) + smoothing / labels.shape[-1]
    per_row = -(smooth * F.log_softmax(logits, dim=-1)).sum(dim=-1)
    weight = (labels * weights).sum(dim=-1) * counted
    return (per_row * weight).sum() / weight.sum().clamp(min=1e-6)


def binary_cross_entropy(logits: Tensor, labels: Tensor, counted: Tensor, weights: Tensor, smoothing: float) -> Tensor:
    """Of each class alone, the mean over classes; its positive part weighs `weights` (C,)."""
    labels = torch.where(counted[..., None] > 0, labels, 0.5)
    smooth = labels * (1 - smoothing) + smoothing / 2
    each = F.binary_cross_entropy_with_logits(logits, smooth, pos_weight=weights, reduction="none")
    return (each.mean(dim=-1) * counted).sum() / counted.sum().clamp(min=1e-6)


def labelled(labels: Tensor) -> Tensor:
    """(B,) bool: rows with a label."""
    return ~labels.isnan().any(dim=-1)


def counting(batch: Batch) -> Tensor:
    """(B,) which rows count in the losses: the labelled ones, bool; float where the batch says how much."""
    known = labelled(batch.labels)
    return known if batch.share is None else known * batch.share


def class_weights(labels: Tensor, weighting: bool) -> Tensor:
    """(C,) mean 1 over the labelled rows: inverse square root of frequency; 1 for a class without rows."""
    counts = labels[labelled(labels)].sum(dim=0)
    if not weighting:
        return torch.ones_like(counts)
    weights = torch.where(counts > 0, counts.clamp(min=1).rsqrt(), 0.0)
    mean = (weights * counts).sum() / counts.sum().clamp(min=1)
    return torch.where(counts > 0, weights / mean.clamp(min=1e-9), 1.0)


def positive_weights(labels: Tensor, weighting: bool) -> Tensor:
    """(C,) square root of absent to present labelled rows, 1 to 10; 1 for a class without rows."""
    rows = labels[labelled(labels)]
    present = rows.sum(dim=0)
    if not weighting:
        return torch.ones_like(present)
    weights = ((len(rows) - present) / present.clamp(min=1)).clamp(min=0).sqrt().clamp(1.0, HEAVIEST)
    return torch.where(present > 0, weights, 1.0)


def classification_for(kind: LabelKind, labels: Tensor, *, weighting: bool, smoothing: float) -> Classification:
    """The loss on classes of this kind, weighed by their frequencies in TRAINING labels (N, C)."""
    weigh = class_weights if kind == "exclusive" else positive_weights
    return Classification(weigh(labels, weighting), smoothing, kind)


class Affect:
    """1 - CCC over the batch plus smooth L1, the mean over dimensions; absent values do not count.

    `scale` (K,) is each dimension's spread in training, the unit that both are measured in. (Concordance as a loss:
    Trigeorgis et al. 2016, doi:10.1109/ICASSP.2016.7472669.)
    """

    def __init__(self, scale: Tensor) -> None:
        self.scale = scale

    def __call__(self, prediction: Fused, batch: Batch) -> Tensor:
        assert prediction.affect is not None
        assert batch.affect is not None
        scale, known = self.scale.to(batch.affect.device), ~batch.affect.isnan()
        read = prediction.affect.float() / scale
        # an absent value stands where the reading stands: no error, no gradient
        told = torch.where(known, batch.affect / scale, read.detach())
        if batch.share is not None:
            known = known * batch.share[:, None]
        count = known.sum(dim=0)
        distance = (F.smooth_l1_loss(read, told, reduction="none") * known).sum(dim=0) / count.clamp(min=1)
        # the concordance of one row, or of none, says nothing
        apart = torch.where(count > 1, 1 - concordance(read, told, known), 0.0)
        return (distance + apart).sum() / (count > 0).sum().clamp(min=1)


def concordance(read: Tensor, told: Tensor, known: Tensor) -> Tensor:
    """(K,) Lin's concordance correlation coefficient (1989) of two (B, K) over the `known` entries: bool, or float
    where some count more than others."""
    count = known.sum(dim=0).clamp(min=1)

    def mean(values: Tensor) -> Tensor:
        return (values * known).sum(dim=0) / count

    mean_read, mean_told = mean(read), mean(told)
    together = mean((read - mean_read) * (told - mean_told))
    apart = mean((read - mean_read) ** 2) + mean((told - mean_told) ** 2) + (mean_read - mean_told) ** 2
    return 2 * together / apart.clamp(min=1e-8)


def agreement(labels: Tensor) -> Tensor:
    """(B, B) how much two rows' labels have in common: 1 for one class or one set of classes, 0 for none in common
    and for unlabelled rows; between them the shared part of the whole (weighted Jaccard, Ruzicka 1958)."""
    known = labelled(labels)
    ours = labels.nan_to_num()
    common = torch.minimum(ours[:, None], ours[None]).sum(dim=-1)
    whole = torch.maximum(ours[:, None], ours[None]).sum(dim=-1)
    alike = torch.where(whole > 0, common / whole.clamp(min=1e-9), 1.0)  # two rows that express nothing are alike
    return alike * (known[:, None] & known[None])


def alignment(prediction: Fused, batch: Batch, temperature: float = 0.1) -> Tensor:
    """Supervised contrastive loss over all modality embeddings that the model saw: those of one emotion attract,
    whatever modality they come from, and so do those of one utterance; soft and multi-hot labels by their `agreement`.

    (Khosla et al. 2020, arXiv:2004.11362, equation 2.)
    """
    return _drawn_together(prediction.embeddings, prediction.present, agreement(batch.labels), temperature)


def belonging(embeddings: Tensor, present: Tensor, temperature: float = 0.1) -> Tensor:
    """The same without any label: only the modalities (B, M, D) of one utterance, where `present`, attract each other.

    (Contrastive multiview coding, Tian et al. 2020, arXiv:1906.05849.)
    """
    return _drawn_together(embeddings, present, embeddings.new_zeros(len(present), len(present)), temperature)


def _drawn_together(embeddings: Tensor, present: Tensor, alike: Tensor, temperature: float) -> Tensor:
    """`alike` (B, B) says how much two utterances attract each other; one's own modalities always do, wholly."""
    rows, modality = present.nonzero(as_tuple=True)
    points = F.normalize(embeddings[rows, modality].float(), dim=-1)  # (P, D)
    alike = torch.where(rows[:, None] == rows[None], 1.0, alike[rows[:, None], rows[None]])
    itself = torch.eye(len(rows), dtype=torch.bool, device=alike.device)
    partners = alike.masked_fill(itself, 0.0)
    # a finite floor keeps the gradient of a point without others finite
    similarity = (points @ points.T / temperature).masked_fill(itself, torch.finfo(torch.float32).min)
    log_share = similarity.log_softmax(dim=-1).masked_fill(partners == 0, 0.0)
    counted = (partners > 0).any(dim=-1)
    per_point = -(log_share * partners).sum(dim=-1) / torch.where(counted, partners.sum(dim=-1), 1.0)
    return (per_point * counted).sum() / counted.sum().clamp(min=1)


def weighted_losses(
    prediction: Fused,
    batch: Batch,
    classification: Classification,
    weights: Mapping[str, float],
    affect: Affect | None = None,
) -> dict[str, Tensor]:
    """Every loss by name, already weighted; their sum is minimised. A loss the model has no output for is left out."""
    losses = {"classification": classification(prediction, batch)}
    if weights.get("unimodal") and prediction.unimodal is not None:
        losses["unimodal"] = weights["unimodal"] * classification.unimodal(prediction, batch)
    if weights.get("members") and prediction.members is not None:
        losses["members"] = weights["members"] * classification.members(prediction, batch)
    if weights.get("alignment"):
        losses["alignment"] = weights["alignment"] * alignment(prediction, batch)
    if weights.get("affect") and affect and prediction.affect is not None:
        losses["affect"] = weights["affect"] * affect(prediction, batch)
    return losses
