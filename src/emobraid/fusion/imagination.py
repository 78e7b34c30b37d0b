"""Imagining a missing modality from those that are there, so that a fusion has something to read in its place.

(As MMIN does among summaries, Zhao et al. 2021, doi:10.18653/v1/2021.acl-long.203; one step here, no cascade.)

Shapes: B batch, T time, D width, M modalities.
"""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from emobraid.fusion.base import Fused, Imagined
from emobraid.fusion.summary import means
from emobraid.layers import FeedForward
from emobraid.stream import Stream, present


class Imagination(nn.Module):
    """Puts one imagined position in front of each stream, real only where the modality is missing."""

    def __init__(self, modalities: tuple[str, ...], dim: int, dropout: float) -> None:
        super().__init__()
        self.read = nn.ModuleList(nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim)) for _ in modalities)
        self.write = nn.ModuleList(
            nn.Sequential(nn.GELU(), FeedForward(dim, dropout), nn.LayerNorm(dim)) for _ in modalities
        )

    def forward(self, streams: Mapping[str, Stream]) -> tuple[dict[str, Stream], Imagined]:
        actual, there = means(streams), present(streams)
        said = torch.stack([read(actual[:, i]) for i, read in enumerate(self.read)], dim=1)
        said = said.masked_fill(~there[..., None], 0.0)
        others = there.sum(dim=1, keepdim=True) - there.long()  # (B, M) how many besides each one
        mean = (said.sum(dim=1, keepdim=True) - said) / others.clamp(min=1)[..., None]
        guessed = torch.stack([write(mean[:, i]) for i, write in enumerate(self.write)], dim=1)
        imagined = Imagined(guessed, actual, others > 0)
        wanted = imagined.told & ~there
        filled = {
            m: Stream(
                torch.cat([guessed[:, i : i + 1].to(s.values.dtype), s.values], dim=1),
                torch.cat([wanted[:, i : i + 1], s.mask], dim=1),
            )
            for i, (m, s) in enumerate(streams.items())
        }
        return filled, imagined


def honest(read: Fused, imagined: Imagined, there: Tensor) -> Fused:
    """A reading made with imagined modalities, as it is told: those missing, by `there` (B, M) bool, neither spoke nor
    counted."""
    weights = read.weights
    if weights is not None:
        kept = weights.masked_fill(~there, 0.0)
        weights = kept / kept.sum(dim=1, keepdim=True).clamp(min=1e-9)
    unimodal = None if read.unimodal is None else read.unimodal.masked_fill(~there[..., None], 0.0)
    embeddings = read.embeddings.masked_fill(~there[..., None], 0.0)
    return read._replace(present=there, weights=weights, unimodal=unimodal, embeddings=embeddings, imagined=imagined)
