"""MulT: directional cross-modal attention over unaligned sequences (Tsai et al. 2019, arXiv:1906.00295).

Every modality is re-read by every other: for a target with N real positions, its M-1 sources are M-1 lanes of
one batched computation, each lane with its own weights. Keys and values come from the sources' first level, as
in the paper, so those of all targets and layers are one matrix product a source. Sequences are packed, so the
cost follows real lengths. Unlike the paper, the lanes' concatenation is projected back to width D before the
self-attention, heads are wide, and no dropout falls on attention weights.

Shapes: N packed positions of one modality over the batch, L lanes, D width.
"""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import positions
from emobraid.ragged import Packed, Plan, pack, plan, ragged_attend, unpack
from emobraid.stream import Stream


class LaneLinear(nn.Module):
    """L linear maps side by side: (L, N, in) -> (L, N, out) in one call."""

    def __init__(self, lanes: int, width: int, out: int) -> None:
        super().__init__()
        bound = width**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(lanes, width, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(lanes, 1, out).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        return torch.baddbmm(self.bias, x, self.weight)


class LaneNorm(nn.Module):
    """Layer normalisation with a gain and a shift for each lane."""

    def __init__(self, lanes: int, dim: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(lanes, 1, dim))
        self.shift = nn.Parameter(torch.zeros(lanes, 1, dim))

    def forward(self, x: Tensor) -> Tensor:
        return torch.addcmul(self.shift, F.layer_norm(x, x.shape[-1:]), self.gain)


class LaneBlock(nn.Module):
    """One transformer layer over L lanes; lane i attends with its own weights over its own keys and values."""

    def __init__(self, lanes: int, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm_in, self.norm_out = LaneNorm(lanes, dim), LaneNorm(lanes, dim)
        self.query, self.out = LaneLinear(lanes, dim, dim), LaneLinear(lanes, dim, dim)
        self.widen, self.narrow = LaneLinear(lanes, dim, 4 * dim), LaneLinear(lanes, 4 * dim, dim)

    def drop(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout, self.training)

    def forward(self, x: Tensor, sources: list[tuple[Tensor, Tensor]], plans: list[Plan]) -> Tensor:
        query = self.query(self.norm_in(x))
        lanes = zip(query, sources, plans, strict=True)
        seen = torch.stack([ragged_attend(q, k, v, plan, self.heads) for q, (k, v), plan in lanes])
        x = x + self.drop(self.out(seen))
        return x + self.drop(self.narrow(F.gelu(self.widen(self.norm_out(x)))))


class SelfBlock(nn.Module):
    """The same layer over a modality's own positions."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm, self.key_value = LaneNorm(1, dim), LaneLinear(1, dim, 2 * dim)
        self.block = LaneBlock(1, dim, heads, dropout)

    def forward(self, x: Tensor, own: Plan) -> Tensor:
        key, value = self.key_value(self.norm(x))[0].chunk(2, dim=-1)
        return self.block(x, [(key, value)], [own])


class Target(nn.Module):
    """One modality re-read by its sources, then by itself."""

    def __init__(self, sources: int, dim: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.sources = sources
        self.cross = nn.ModuleList(LaneBlock(sources, dim, heads, dropout) for _ in range(depth if sources else 0))
        self.join = nn.Linear(max(sources, 1) * dim, dim)
        self.own = nn.ModuleList(SelfBlock(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, key_values: list[list[tuple[Tensor, Tensor]]], plans: list[Plan]) -> Tensor:
        """`key_values[layer][lane]`; `plans` holds one for each lane and, last, the one for the modality itself."""
        lanes = tokens.expand(max(self.sources, 1), *tokens.shape)
        for block, sources in zip(self.cross, key_values, strict=True):
            lanes = block(lanes, sources, plans[:-1])
        joined = self.join(lanes.transpose(0, 1).flatten(1))[None]
        for block in self.own:
            joined = block(joined, plans[-1])
        return self.norm(joined[0])


class MultFusion(Fusion):
    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.modalities, self.depth = modalities, depth
        others = len(modalities) - 1
        self.targets = nn.ModuleDict({m: Target(others, dim, depth, heads, dropout) for m in modalities})
        # no gain or shift before it: this product absorbs both
        self.key_values = nn.ModuleDict(
            {m: nn.Linear(dim, others * depth * 2 * dim) for m in modalities if others}  # a lone one has no readers
        )
        self.summaries = Summaries(modalities, dim)
        self.mix = nn.Sequential(nn.Linear(len(modalities) * dim, dim), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(dim, classes)

    def _as_sources(self, packed: Mapping[str, Packed]) -> dict[str, list[list[tuple[Tensor, Tensor]]]]:
        """For every target, its keys and values by layer and lane."""
        layers = self.depth if self.key_values else 0
        ready: dict[str, list[list[tuple[Tensor, Tensor]]]] = {m: [[] for _ in range(layers)] for m in packed}
        for source, project in self.key_values.items():
            tokens = packed[source].tokens
            products = project(F.layer_norm(tokens, tokens.shape[-1:]))
            parts = iter(products.chunk((len(packed) - 1) * self.depth * 2, dim=-1))
            for target in packed:
                if target != source:
                    for layer in ready[target]:
                        layer.append((next(parts), next(parts)))
        return ready

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        streams = {m: streams[m] for m in self.modalities}
        packed = {
            m: pack(Stream(s.values + positions(s.values.shape[1], s.values.shape[2], like=s.values), s.mask))
            for m, s in streams.items()
        }
        sources = self._as_sources(packed)
        reread = {}
        for m, (tokens, lengths) in packed.items():
            others = [p.lengths for o, p in packed.items() if o != m]
            plans = [plan(lengths, other, tokens.device) for other in (*others, lengths)]
            answers = self.targets[m](tokens, sources[m], plans)
            reread[m] = unpack(Packed(answers, lengths), streams[m].mask)
        embeddings, present = self.summaries(reread)
        features = self.mix(embeddings.flatten(1))
        return Fused(self.head(features), features, embeddings, present)
