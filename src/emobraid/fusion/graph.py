"""Graph fusion: modalities and their stretches of time are nodes, and messages pass along learned edges (GATv2,
Brody et al. 2022, arXiv:2105.14491; multimodal emotion graphs as in MMGCN, Hu et al. 2021, arXiv:2107.06779, which
also concatenates the modalities' nodes at the end).

Shapes: B batch, M modalities, S stretches, N = M * (S + 1) nodes, R relations, H heads, D width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import masked_softmax
from emobraid.stream import Stream

STRETCHES = 4  # nodes of time a modality: onset, two of the middle, offset


def stretches(stream: Stream, count: int) -> tuple[Tensor, Tensor]:
    """Means (B, S, D) over `count` equal stretches of the real positions, and which of them hold any (B, S)."""
    values, mask = stream
    length = mask.sum(dim=1, keepdim=True).clamp(min=1)
    which = (mask.cumsum(dim=1) - 1).clamp(min=0) * count // length  # (B, T)
    member = (which[..., None] == torch.arange(count, device=mask.device)) & mask[..., None]  # (B, T, S)
    total = torch.einsum("bts,btd->bsd", member.to(values.dtype), values.masked_fill(~mask[..., None], 0.0))
    size = member.sum(dim=1)  # (B, S)
    return total / size[..., None].clamp(min=1), size > 0


class GraphAttention(nn.Module):
    """GATv2 over a full graph of present nodes; an edge's score also depends on its learned relation."""

    def __init__(self, dim: int, heads: int, relations: int) -> None:
        super().__init__()
        self.heads = heads
        self.source, self.target = nn.Linear(dim, dim), nn.Linear(dim, dim)
        self.relation = nn.Embedding(relations, dim)
        self.score = nn.Parameter(torch.randn(heads, dim // heads) * (dim // heads) ** -0.5)
        self.out = nn.Linear(dim, dim)

    def forward(self, nodes: Tensor, there: Tensor, relations: Tensor) -> Tensor:
        """Nodes (B, N, D), `there` (B, N) bool, `relations` (N, N) int from target to source -> messages (B, N, D)."""
        source = self.source(nodes)
        edges = source[:, None] + self.target(nodes)[:, :, None] + self.relation(relations)  # (B, N, N, D)
        edges = F.leaky_relu(edges, 0.2).unflatten(-1, (self.heads, -1))
        scores = torch.einsum("bijhd,hd->bhij", edges, self.score)
        weights = masked_softmax(scores, there[:, None, None].expand_as(scores))
        return self.out(torch.einsum("bhij,bjhd->bihd", weights, source.unflatten(-1, (self.heads, -1))).flatten(2))


def relation_table(modalities: int, count: int) -> Tensor:
    """(N, N) int: one relation for each pair of modalities and each order in time (whole, before, same, after)."""
    modality = torch.arange(modalities).repeat_interleave(count + 1)
    time = torch.arange(-1, count).repeat(modalities)  # -1: the modality's whole
    order = torch.sign(time[None] - time[:, None]) + 2  # 1 before, 2 same, 3 after
    order[(time[None] < 0) | (time[:, None] < 0)] = 0
    return (modality[:, None] * modalities + modality[None]) * 4 + order


class GraphFusion(Fusion):
    relations: Tensor

    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.modalities = modalities
        self.summaries = Summaries(modalities, dim)
        self.kind = nn.Parameter(torch.randn(len(modalities), STRETCHES + 1, dim) * 0.02)
        self.register_buffer("relations", relation_table(len(modalities), STRETCHES), persistent=False)
        relations = 4 * len(modalities) ** 2
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(depth))
        self.layers = nn.ModuleList(GraphAttention(dim, heads, relations) for _ in range(depth))
        self.readout = nn.Linear(len(modalities) * dim, dim)
        self.drop = nn.Dropout(dropout)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, classes))

    def _nodes(self, streams: Mapping[str, Stream]) -> tuple[Tensor, Tensor, Tensor]:
        """Nodes (B, M, S+1, D) with the modality's whole first, which are there, and the wholes' presence (B, M)."""
        wholes, present = self.summaries(streams)
        parts, filled = zip(*(stretches(streams[m], STRETCHES) for m in self.modalities), strict=True)
        nodes = torch.cat([wholes[:, :, None], torch.stack(parts, dim=1)], dim=2) + self.kind
        # a stream of one position has no course in time: its whole says everything
        timed = torch.stack([streams[m].mask.sum(dim=1) > 1 for m in self.modalities], dim=1)
        there = torch.cat([present[..., None], torch.stack(filled, dim=1) & timed[..., None]], dim=2)
        return nodes, there, present

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        grid, there, present = self._nodes(streams)
        # each modality before it hears the others: aligned afterwards, it could pass on what it heard
        embeddings = grid[:, :, 0].masked_fill(~present[..., None], 0.0)
        nodes, there = self.drop(grid.flatten(1, 2)), there.flatten(1)
        for norm, layer in zip(self.norms, self.layers, strict=True):
            nodes = nodes + self.drop(layer(norm(nodes), there, self.relations))
        wholes = nodes.unflatten(1, (len(self.modalities), -1))[:, :, 0].masked_fill(~present[..., None], 0.0)
        features = self.readout(wholes.flatten(1))
        return Fused(self.head(features), features, embeddings, present)
