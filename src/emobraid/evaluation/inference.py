"""Predict once into a table; every figure is a function of it."""

import numpy as np
import torch

from emobraid.data.prepared import PreparedSplit
from emobraid.evaluation.predictions import Predictions
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import subsets


@torch.no_grad()
def predict_split(
    model: MultimodalEmotionModel,
    split: PreparedSplit,
    *,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    whole_only: bool = False,
) -> Predictions:
    """Logits of every utterance for every modality subset (or only for all modalities), in the split's own order."""
    names, full = model.config.modalities, "+".join(model.config.modalities)
    wanted = [tuple(names)] if whole_only else subsets(names)
    read: dict[str, list[np.ndarray]] = {"+".join(s): [] for s in wanted}
    affect: dict[str, list[np.ndarray]] = {s: [] for s in read if model.config.affect}
    features: list[np.ndarray] = []
    nothing: np.ndarray | None = None
    model.eval()
    for batch in split.batches(batch_size):
        none = [()] if nothing is None and not whole_only else []  # which is read alike of every utterance
        for subset, said in model.fuse_subsets(batch.to(device).streams, [*wanted, *none]).items():
            if not subset:
                nothing = said.logits[0].float().cpu().numpy()
                continue
            read[subset].append(said.logits.float().cpu().numpy())
            if subset == full:
                features.append(said.features.float().cpu().numpy())
            if said.affect is not None:
                affect[subset].append(said.affect.cpu().numpy())
    there = [[len(t) > 0 for t in split.tensors[m]] for m in names]
    return Predictions(
        ids=tuple(s.id for s in split.samples),
        classes=tuple(model.config.labels),
        labels=split.truth().numpy(),
        logits={subset: np.concatenate(parts) for subset, parts in read.items()},
        present=np.array(there).T,
        modalities=tuple(names),
        groups=tuple(s.group for s in split.samples),
        kind=model.config.label_kind,
        dimensions=tuple(model.config.affect),
        affect={subset: np.concatenate(parts) for subset, parts in affect.items()},
        nothing=nothing,
        features=np.concatenate(features),
        affect_true=(split.affect if split.affect is not None else torch.empty(0, 0)).numpy(),
    )
