"""Late fusion: every modality decides alone, and the decisions are weighed (Kittler et al. 1998, "On combining
classifiers", doi:10.1109/34.667881: the product rule, here with a learned trust in each modality)."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Heads, Summaries
from emobraid.stream import Stream


class LateFusion(Fusion):
    # each decision must stand alone, also when the others are missing
    objectives: ClassVar[Mapping[str, float]] = {"unimodal": 0.5}

    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.summaries = Summaries(modalities, dim)
        self.heads = Heads(modalities, dim, classes, dropout, depth=depth)
        self.trust = nn.Parameter(torch.zeros(len(modalities)))  # softplus of it weighs a modality's log-odds
        self.prior = nn.Parameter(torch.zeros(classes))  # what is said with everything missing

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        embeddings, present = self.summaries(streams)
        unimodal = self.heads(embeddings, present)
        trust = F.softplus(self.trust) * present  # (B, M)
        weights = trust / trust.sum(dim=1, keepdim=True).clamp(min=1e-6)
        logits = self.prior + torch.einsum("bm,bmc->bc", trust, unimodal)
        features = torch.einsum("bm,bmd->bd", weights, embeddings)
        return Fused(logits, features, embeddings, present, unimodal=unimodal, weights=weights)
