"""Modality dropout without its draw: every utterance is read with every subset of its modalities, and each reading
counts as often as dropout would have drawn that subset.

The loss is the expectation of the one that drawing gives (ModDrop, Neverova et al. 2016, arXiv:1501.00102), so it has
no noise of the draw; encoders run once for all subsets.

Shapes: B batch, V views (subsets), M modalities, C classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from emobraid.fusion import Fused
from emobraid.fusion.base import every_tensor
from emobraid.stream import Batch, subsets
from emobraid.training.guidance import towards_logits
from emobraid.training.objectives import Affect, Classification, alignment, weighted_losses


def every_view(modalities: Sequence[str]) -> Tensor:
    """(V, M) bool: every non-empty subset, all modalities last."""
    return torch.tensor([[m in subset for m in modalities] for subset in subsets(modalities)])


def chances(present: Tensor, views: Tensor, rate: float) -> Tensor:
    """(B, V) how likely modality dropout at `rate` leaves of each utterance, which has `present` (B, M), what each of
    `views` (V, M) leaves of it. Rows sum to 1, or to 0 where nothing is there.

    One modality always stays: where all would go, one of them is spared, each as likely. Views that leave the same
    share its chance evenly.
    """
    left = present[:, None] & views  # (B, V, M)
    there, stay = present.sum(dim=1, keepdim=True), left.sum(dim=2)  # (B, 1), (B, V)
    drawn = (1 - rate) ** stay * rate ** (there - stay)
    spared = torch.where(stay == 1, rate**there / there.clamp(min=1), 0.0)
    alike = 2.0 ** (present.shape[1] - there)
    return torch.where(stay > 0, (drawn + spared) / alike, 0.0)


def view_losses(
    read: Fused,
    batch: Batch,
    share: Tensor,
    classification: Classification,
    weights: Mapping[str, float],
    affect: Affect | None,
    *,
    consistency: float,
    exclusive: bool,
) -> dict[str, Tensor]:
    """Every loss of readings with every view, tensors (B, V, ...), by name, already weighted; `share` (B, V) is what
    each view of each utterance counts. `consistency` weighs how far readings are from that of all that is there.

    The contrastive loss sees each utterance once, whole: its views have the same embeddings.
    """
    count = share.shape[1]
    one_by_one: Fused = every_tensor(read, lambda x: x.flatten(0, 1))
    asked = batch._replace(
        labels=batch.labels.repeat_interleave(count, dim=0),
        affect=None if batch.affect is None else batch.affect.repeat_interleave(count, dim=0),
        share=share.flatten(),
    )
    losses = weighted_losses(one_by_one, asked, classification, {**weights, "alignment": 0.0}, affect)
    if weights.get("alignment"):
        losses["alignment"] = weights["alignment"] * alignment(whole(read), batch)
    if consistency:
        led = read.logits[:, -1:].detach().expand_as(read.logits)
        apart = towards_logits(read.logits, led, exclusive=exclusive, share=share)
        losses["consistency"] = consistency * apart
    return losses


def whole(read: Fused) -> Fused:
    """The reading with the last view, which keeps all modalities."""
    last: Fused = every_tensor(read, lambda x: x[:, -1])
    return last
