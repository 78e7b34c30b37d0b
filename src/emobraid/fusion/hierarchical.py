"""Hierarchical fusion: a meta-fusion over the other six (stacked generalisation, Wolpert 1992,
doi:10.1016/S0893-6080(05)80023-1, with a gate that chooses by sample as in mixtures of experts, Jacobs et al. 1991,
doi:10.1162/neco.1991.3.1.79).

Shapes: B batch, F member fusions, M modalities, D width, C classes.
"""

from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor, nn

from emobraid.fusion.adaptive import AdaptiveFusion
from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.contrastive import ContrastiveFusion
from emobraid.fusion.early import EarlyFusion
from emobraid.fusion.graph import GraphFusion
from emobraid.fusion.late import LateFusion
from emobraid.fusion.mult import MultFusion
from emobraid.layers import TransformerLayer
from emobraid.stream import Stream

MEMBERS: Mapping[str, type[Fusion]] = {
    "early": EarlyFusion,
    "late": LateFusion,
    "mult": MultFusion,
    "graph": GraphFusion,
    "contrastive": ContrastiveFusion,
    "adaptive": AdaptiveFusion,
}


class HierarchicalFusion(Fusion):
    # every member learns to decide alone, so that the gate chooses among real opinions
    objectives: ClassVar[Mapping[str, float]] = {"members": 1.0, "unimodal": 0.25, "alignment": 0.1}

    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.members = nn.ModuleDict(
            {
                name: member(modalities, dim, classes, depth=depth, heads=heads, dropout=dropout)
                for name, member in MEMBERS.items()
            }
        )
        self.norms = nn.ModuleDict({name: nn.LayerNorm(dim) for name in MEMBERS})
        self.opinion = nn.Linear(classes, dim)  # a member's decision joins its features
        self.kind = nn.Parameter(torch.randn(len(MEMBERS), dim) * 0.02)
        self.seen = nn.Linear(len(modalities), dim)  # which modalities were there: members differ in what they bear
        self.meta = TransformerLayer(dim, heads, dropout)
        self.gate = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 1))
        self.correct = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, classes))

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        read: dict[str, Fused] = {name: member(streams) for name, member in self.members.items()}
        present = read["late"].present
        opinions = torch.stack([r.logits for r in read.values()], dim=1)  # (B, F, C)
        tokens = torch.stack([self.norms[name](r.features) for name, r in read.items()], dim=1)
        tokens = tokens + self.opinion(opinions.log_softmax(-1)) + self.kind + self.seen(present.float())[:, None]
        everyone = torch.ones(tokens.shape[:2], dtype=torch.bool, device=tokens.device)
        tokens = self.meta(Stream(tokens, everyone)).values
        late, adaptive = read["late"], read["adaptive"]
        assert late.weights is not None
        assert adaptive.weights is not None
        gate = torch.softmax(self.gate(tokens).squeeze(-1), dim=1)  # (B, F)
        features: Tensor = torch.einsum("bf,bfd->bd", gate, tokens)
        logits = torch.einsum("bf,bfc->bc", gate, opinions) + self.correct(features)
        return Fused(
            logits,
            features,
            read["contrastive"].embeddings,
            present,
            unimodal=late.unimodal,
            weights=(late.weights + adaptive.weights) / 2,
            members=opinions,
        )
