"""Early fusion: one concatenated vector, then an MLP (feature-level fusion, Snoek et al. 2005, "Early versus late
fusion in semantic video analysis", doi:10.1145/1101149.1101236)."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries
from emobraid.stream import Stream


class EarlyFusion(Fusion):
    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.summaries = Summaries(modalities, dim)
        # what the MLP reads in place of a missing modality: learned, so that absence differs from any value
        self.absent = nn.Parameter(torch.zeros(len(modalities), dim))
        layers: list[nn.Module] = [nn.Dropout(dropout), nn.Linear(len(modalities) * dim, dim)]
        for _ in range(depth - 1):
            layers += [nn.LayerNorm(dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(dim, dim)]
        self.mlp = nn.Sequential(*layers, nn.LayerNorm(dim), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(dim, classes)

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        embeddings, present = self.summaries(streams)
        filled: Tensor = torch.where(present[..., None], embeddings, self.absent)
        features = self.mlp(filled.flatten(1))
        return Fused(self.head(features), features, embeddings, present)
