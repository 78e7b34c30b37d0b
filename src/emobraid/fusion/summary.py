"""One summary vector per modality, which most fusions begin with."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emobraid.layers import AttentionPool
from emobraid.stream import Stream, present


class Summaries(nn.Module):
    """Attention pooling of every stream: embeddings (B, M, D), zero where missing, and presence (B, M)."""

    def __init__(self, modalities: tuple[str, ...], dim: int) -> None:
        super().__init__()
        self.pools = nn.ModuleDict({m: AttentionPool(dim) for m in modalities})

    def forward(self, streams: Mapping[str, Stream]) -> tuple[Tensor, Tensor]:
        streams = {m: streams[m] for m in self.pools}
        pooled = [self.pools[m](stream)[0] for m, stream in streams.items()]
        return torch.stack(pooled, dim=1), present(streams)


def means(streams: Mapping[str, Stream]) -> Tensor:
    """Plain means over time (B, M, D), zero where missing: each modality as it came, with nothing learned on top."""
    totals = torch.stack([s.blanked().values.sum(dim=1) for s in streams.values()], dim=1)
    lengths = torch.stack([s.mask.sum(dim=1) for s in streams.values()], dim=1)
    return totals / lengths.clamp(min=1)[..., None]


class Heads(nn.Module):
    """One small classifier per modality: (B, M, D) -> (B, M, C), zero where missing."""

    def __init__(self, modalities: tuple[str, ...], dim: int, classes: int, dropout: float, *, depth: int) -> None:
        super().__init__()

        def head() -> nn.Sequential:
            hidden = [nn.Linear(dim, dim), nn.GELU(), nn.LayerNorm(dim), nn.Dropout(dropout)] * (depth > 1)
            return nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), *hidden, nn.Linear(dim, classes))

        self.heads = nn.ModuleDict({m: head() for m in modalities})

    def forward(self, embeddings: Tensor, there: Tensor) -> Tensor:
        logits = torch.stack([head(embeddings[:, i]) for i, head in enumerate(self.heads.values())], dim=1)
        return logits.masked_fill(~there[..., None], 0.0)
