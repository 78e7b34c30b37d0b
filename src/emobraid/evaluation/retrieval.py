"""Whether modalities that belong together lie together: from one modality of an utterance, find its other one.

Shapes: N utterances, M modalities, D width.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.data.prepared import PreparedSplit
from emobraid.model import MultimodalEmotionModel

TOP = (1, 5, 10)
CONVENTION = (
    "among utterances that have both modalities, labelled or not; by cosine between embeddings, none of which has seen "
    "another modality; ties against the model; median rank 1 is best"
)


@dataclass(frozen=True)
class Retrieval:
    """How well `target` is found from `query` among the `n` utterances that have both."""

    query: str
    target: str
    n: int
    recall: Mapping[int, float]  # share of queries whose own partner is among the first k
    median_rank: float  # 1 is best

    @property
    def chance(self) -> dict[int, float]:
        """What guessing would recall."""
        return {k: min(1.0, k / self.n) for k in self.recall}

    def figures(self) -> dict[str, Any]:
        """The same for JSON: `recall@1` ..., `median_rank`, and under `chance` what guessing reaches."""
        return {
            **{"query": self.query, "target": self.target, "n": self.n},
            **{f"recall@{k}": share for k, share in self.recall.items()},
            "median_rank": self.median_rank,
            "chance": {f"recall@{k}": c for k, c in self.chance.items()} | {"median_rank": (self.n + 1) / 2},
        }


def retrieval(embeddings: Tensor, present: Tensor, modalities: Sequence[str]) -> list[Retrieval]:
    """By cosine between embeddings (N, M, D), for each ordered pair of modalities that some rows share; `present` is
    (N, M) bool. Ties count against the model: the partner comes last among equals."""
    found = []
    for (i, query), (j, target) in permutations(enumerate(modalities), 2):
        both = present[:, i] & present[:, j]
        if not both.any():
            continue
        points = F.normalize(embeddings[both].float(), dim=-1)
        likeness = points[:, i] @ points[:, j].T  # (n, n)
        ranks = (likeness >= likeness.diagonal()[:, None]).sum(dim=1)
        recall = {k: float((ranks <= k).float().mean()) for k in TOP}
        found.append(Retrieval(query, target, int(both.sum()), recall, float(ranks.float().quantile(0.5))))
    return found


@torch.no_grad()
def embed(
    model: MultimodalEmotionModel, split: PreparedSplit, *, device: torch.device | str = "cpu", batch_size: int = 64
) -> tuple[Tensor, Tensor]:
    """Embeddings (N, M, D) and presence (N, M) of a split, in its own order."""
    model.eval()
    read = [model(batch.to(device).streams) for batch in split.batches(batch_size)]
    return torch.cat([r.embeddings.cpu() for r in read]), torch.cat([r.present.cpu() for r in read])


def retrieval_figures(model: MultimodalEmotionModel, split: PreparedSplit) -> dict[str, Any]:
    """What `evaluate --retrieval` adds to the report: every ordered pair of modalities, and how it was counted."""
    pairs = retrieval(*embed(model, split), model.config.modalities)
    return {"convention": CONVENTION, "pairs": [pair.figures() for pair in pairs]}


def refuse_single(modalities: Sequence[str]) -> None:
    """ValueError for a model of one modality."""
    if len(modalities) < 2:
        raise ValueError(f"this model reads {modalities[0]} alone; retrieval finds one modality from another")
