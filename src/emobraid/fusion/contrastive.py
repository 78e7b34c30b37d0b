"""Contrastive fusion: all modalities are drawn into one space, where utterances of one emotion lie together whatever
modality they come from (supervised contrastive learning, Khosla et al. 2020, arXiv:2004.11362; across modalities as in
CLIP, Radford et al. 2021, arXiv:2103.00020). The head reads the centre of what is there."""

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import FeedForward
from emobraid.stream import Stream


class ContrastiveFusion(Fusion):
    objectives: ClassVar[Mapping[str, float]] = {"alignment": 1.0}

    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.summaries = Summaries(modalities, dim)
        self.into_space = nn.ModuleList(
            # linear, as in CLIP: with a feed-forward here, speakers unseen in training were read worse
            nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, dim))
            for _ in modalities
        )
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), FeedForward(dim, dropout)) for _ in range(depth - 1)
        )
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, classes))

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        summaries, present = self.summaries(streams)
        placed = torch.stack([into(summaries[:, i]) for i, into in enumerate(self.into_space)], dim=1)
        # unit vectors (B, M, D): the space that the alignment objective shapes
        embeddings = F.normalize(placed, dim=-1).masked_fill(~present[..., None], 0.0)
        # the sum, not the mean: agreeing modalities make it longer, and so surer
        features = embeddings.sum(dim=1) * embeddings.shape[-1] ** 0.5
        for block in self.blocks:
            features = features + block(features)
        weights = present / present.sum(dim=1, keepdim=True).clamp(min=1)
        return Fused(self.head(features), features, embeddings, present, weights=weights)
