"""Adaptive fusion: a gate that looks at all modalities decides, sample by sample and feature by feature, how much of
each to let through (Gated Multimodal Units, Arevalo et al. 2017, arXiv:1702.01992)."""

from collections.abc import Mapping

import torch
from torch import nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import FeedForward, masked_softmax
from emobraid.stream import Stream


class AdaptiveFusion(Fusion):
    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        count = len(modalities)
        self.summaries = Summaries(modalities, dim)
        self.absent = nn.Parameter(torch.zeros(count, dim))
        self.voices = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, dim), nn.Tanh()) for _ in modalities
        )
        # linear, as in the paper; it begins by letting everything through alike
        gate = nn.Linear(count * dim, count * dim)
        nn.init.zeros_(gate.weight)
        nn.init.zeros_(gate.bias)
        self.gate = nn.Sequential(nn.Dropout(dropout), gate)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), FeedForward(dim, dropout)) for _ in range(depth - 1)
        )
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, classes))

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        embeddings, present = self.summaries(streams)
        filled = torch.where(present[..., None], embeddings, self.absent)
        scores = self.gate(filled.flatten(1)).unflatten(1, (len(self.voices), -1))  # (B, M, D)
        # softmax over the modalities that are there, for each feature alone
        gates = masked_softmax(scores.transpose(1, 2), present[:, None].expand(-1, scores.shape[2], -1))
        voices = torch.stack([voice(embeddings[:, i]) for i, voice in enumerate(self.voices)], dim=1)
        # as many voices as speak: a second witness adds evidence, it does not dilute the first
        loudness = present.sum(dim=1, keepdim=True).to(voices.dtype)
        features = torch.einsum("bdm,bmd->bd", gates, voices) * loudness
        for block in self.blocks:
            features = features + block(features)
        return Fused(self.head(features), features, embeddings, present, weights=gates.mean(dim=1))
