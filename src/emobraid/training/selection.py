"""What an epoch is judged by: the classes of the validation split, all modalities kept.

Exclusive classes: macro-F1 of the largest. Multi-label: macro-F1 with every probability cut at 0.5; thresholds are
fitted once, at the end. A model that also reads affect is chosen by its classes; its CCC is logged beside them.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from emobraid.data.prepared import PreparedSplit
from emobraid.evaluation.affect import ccc
from emobraid.evaluation.metrics import macro_f1
from emobraid.evaluation.multilabel import micro_macro_f1
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.retrieval import embed, retrieval
from emobraid.model import MultimodalEmotionModel
from emobraid.training.objectives import Classification, belonging


def validation_scores(read: Predictions, classification: Classification) -> dict[str, float]:
    """Loss, macro-F1 and what else an epoch's line in the log shows; 0 where no row is labelled."""
    logits = torch.from_numpy(read.logits[read.full])
    labels = torch.from_numpy(read.labels).to(logits.dtype)
    scored = read.labelled
    scores = {"val_loss": classification.loss(logits, labels, torch.from_numpy(scored)).item()}
    scores["val_macro_f1"] = class_score(read, read.full, scored)
    if read.kind == "multi":
        said = read.probabilities(read.full)[scored] >= 0.5
        scores["val_micro_f1"] = micro_macro_f1(read.labels[scored] > 0.5, said)[0]
    else:
        truth, guessed = read.true[scored], read.logits[read.full][scored].argmax(axis=1)
        scores["val_accuracy"] = float(np.mean(truth == guessed)) if len(truth) else 0.0
    for k, dimension in enumerate(read.dimensions):
        told = read.affect_true[:, k]
        agree = ccc(told[known], read.affect[read.full][known, k]) if (known := ~np.isnan(told)).any() else None
        scores[f"val_ccc_{dimension}"] = 0.0 if agree is None else agree
    return scores


def class_score(read: Predictions, subset: str, rows: NDArray[np.bool_] | None = None) -> float:
    """Macro-F1 of a subset of modalities, by default over the rows that can be scored for it; NaN when none can."""
    rows = read.rows(subset) if rows is None else rows
    if not rows.any():
        return float("nan")
    if read.kind == "multi":
        return float(micro_macro_f1(read.labels[rows] > 0.5, read.probabilities(subset)[rows] >= 0.5)[1])
    return float(macro_f1(read.true[rows], read.logits[subset][rows].argmax(axis=1), len(read.classes)))


def pretraining_scores(
    model: MultimodalEmotionModel, val: PreparedSplit, device: torch.device, *, size: int = 64
) -> dict[str, float]:
    """How well the modalities of an utterance find each other, `size` utterances at a time; no label is looked at."""
    embeddings, present = embed(model, val, device=device)
    apart = [belonging(e, p) for e, p in zip(embeddings.split(size), present.split(size), strict=True)]
    recalled = [pair.recall[10] for pair in retrieval(embeddings, present, model.config.modalities)]
    return {
        "val_belonging": float(torch.stack(apart).mean()),
        "val_recall_at_10": float(np.mean(recalled)) if recalled else 0.0,
    }
