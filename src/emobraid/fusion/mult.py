"""MulT: directional cross-modal attention over unaligned sequences (Tsai et al. 2019, arXiv:1906.00295).

Every modality is re-read by every other: for a target, its M-1 sources are M-1 lanes of one batched computation, each
lane with its own weights. Keys and values come from the sources' first level, as in the paper. Only real positions are
computed, and a little padding among samples of like lengths. Unlike the paper, the lanes' concatenation is projected
back to width D before the self-attention, heads are wide, and no dropout falls on attention weights.

Shapes: B batch, N packed positions of one modality over the batch, P places they are laid out in for attention,
L lanes, H heads, D width.
"""

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.summary import Summaries, means
from emobraid.layers import AttentionPool, masked_softmax, positions
from emobraid.ragged import Layout, Packed, Plan, by_group, pack, plan, ragged_attend, unpack
from emobraid.stream import Stream, present


def norm(x: Tensor) -> Tensor:
    """Layer normalisation for a linear map that has no bias, since it can take over the gain and the shift.

    Normed features sum to zero, so a shift common to all of them meets one direction of the weights that nothing else
    meets: what comes out of it is the map's bias.
    """
    width = x.shape[-1]
    return F.layer_norm(x, (width,), bias=x.new_full((width,), width**-0.5))


class DropAdd(nn.Module):
    """`x + dropout(y)`, overwriting y. On a CPU eight random bits decide over a value, so the rate is rounded to a
    multiple of 1/256: a whole random number for each would cost more than the linear layer before it."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate, self.cut = rate, round(rate * 256)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        if not self.training or self.cut == 0:
            return x + y
        if y.device.type != "cpu":
            return x + F.dropout(y, self.rate)
        eights = torch.empty(-(-y.numel() // 8), dtype=torch.int64).random_(-(2**63), None)
        bits = eights.view(torch.uint8)[: y.numel()].view(y.shape)
        kept = torch.ge(bits, self.cut, out=torch.empty_like(y, requires_grad=False))
        return y.mul_(kept.mul_(256 / (256 - self.cut))).add_(x)


class LaneLinear(nn.Module):
    """L linear maps side by side: (L, N, in) -> (L, N, out) in one call."""

    def __init__(self, lanes: int, width: int, out: int, *, bias: bool = True) -> None:
        super().__init__()
        bound = width**-0.5  # as nn.Linear begins
        self.weight = nn.Parameter(torch.empty(lanes, width, out).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(lanes, 1, out).uniform_(-bound, bound)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return torch.bmm(x, self.weight) if self.bias is None else torch.baddbmm(self.bias, x, self.weight)


class AfterAttention(nn.Module):
    """What follows attention in a transformer layer: residuals and attention's answers (L, P, D) -> (L, P, D)."""

    def __init__(self, lanes: int, dim: int, dropout: float) -> None:
        super().__init__()
        self.out = LaneLinear(lanes, dim, dim)
        self.widen, self.narrow = LaneLinear(lanes, dim, 4 * dim, bias=False), LaneLinear(lanes, 4 * dim, dim)
        self.add = DropAdd(dropout)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        x = self.add(x, self.out(seen))
        return self.add(x, self.narrow(self.widen(norm(x)).relu_()))


def heads_by_group(laid: Tensor, layout: Layout, count: int, heads: int) -> list[list[Tensor]]:
    """Laid (P, count * D) -> `count` lists of every group's (G, H, T, D/H)."""
    groups = by_group(laid.unflatten(-1, (count, heads, -1)), layout.shapes)
    split = [group.permute(2, 0, 3, 1, 4).unbind(0) for group in groups]
    return [[group[i] for group in split] for i in range(count)]


class CrossLayer(nn.Module):
    """One transformer layer over L lanes; each lane attends with its own weights over its own keys and values."""

    def __init__(self, lanes: int, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.lanes, self.heads = lanes, heads
        self.query = LaneLinear(lanes, dim, dim, bias=False)
        self.after = AfterAttention(lanes, dim, dropout)

    def forward(self, x: Tensor, keys: Sequence[Tensor], values: Sequence[Tensor], plan: Plan) -> Tensor:
        """`x` (L, P, D), or (1, P, D) when still the same in all lanes; keys and values by lane, then by group."""
        query = self.query(norm(x).expand(self.lanes, -1, -1)).flatten(0, 1).unflatten(-1, (self.heads, -1))
        queries = [q.transpose(1, 2) for q in by_group(query, plan.target.shapes * self.lanes)]
        seen = ragged_attend(queries, keys, values, [mask for source in plan.sources for mask in source.masks])
        return self.after(x, torch.cat([x[0, :0], *seen]).unflatten(0, (self.lanes, -1)))


class SelfLayer(nn.Module):
    """One transformer layer over a modality's own positions (1, P, D)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = LaneLinear(1, dim, 3 * dim, bias=False)
        self.after = AfterAttention(1, dim, dropout)

    def forward(self, x: Tensor, own: Layout) -> Tensor:
        queries, keys, values = heads_by_group(self.query_key_value(norm(x))[0], own, 3, self.heads)
        seen = ragged_attend(queries, keys, values, own.masks)
        return self.after(x, torch.cat([x[0, :0], *seen])[None])


class Target(nn.Module):
    """One modality re-read by its sources, then by itself."""

    def __init__(self, sources: int, dim: int, depth: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.depth, self.heads = depth, heads
        # for each source, the keys and values of all layers in one product
        self.key_values = nn.ModuleList(nn.Linear(dim, depth * 2 * dim, bias=False) for _ in range(sources))
        self.cross = nn.ModuleList(CrossLayer(sources, dim, heads, dropout) for _ in range(depth if sources else 0))
        self.join = nn.Linear(max(sources, 1) * dim, dim)
        self.own = nn.ModuleList(SelfLayer(dim, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(dim)

    def forward(self, tokens: Tensor, sources: Sequence[Tensor], plan: Plan) -> Tensor:
        """Packed positions (N, D) of the target, and those of its sources, normed -> the target's, re-read."""
        lanes = [
            heads_by_group(key_value(layout.lay(source)), layout, 2 * self.depth, self.heads)
            for key_value, layout, source in zip(self.key_values, plan.sources, sources, strict=True)
        ]
        x = plan.target.lay(tokens)[None]
        for i, layer in enumerate(self.cross):
            keys, values = ([group for lane in lanes for group in lane[n]] for n in (2 * i, 2 * i + 1))
            x = layer(x, keys, values, plan)
        x = self.join(x.transpose(0, 1).flatten(1))[None]
        for layer in self.own:
            x = layer(x, plan.target)
        return self.norm(plan.target.pick_up(x[0]))


def summarise(pool: AttentionPool, packed: Packed, mask: Tensor) -> Tensor:
    """(B, D): what `pool` gives for the unpacked stream, with no padding computed."""
    tokens, lengths = packed
    scores = unpack(Packed(pool.score(tokens), lengths), mask).values.squeeze(-1)  # (B, T)
    weighted = tokens * masked_softmax(scores, mask)[mask][:, None]
    sample = torch.arange(len(mask), device=mask.device).repeat_interleave(mask.sum(dim=1))
    return tokens.new_zeros(len(mask), tokens.shape[1]).index_add(0, sample, weighted)


class MultFusion(Fusion):
    def __init__(
        self, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
    ) -> None:
        super().__init__()
        self.modalities = modalities
        self.targets = nn.ModuleDict({m: Target(len(modalities) - 1, dim, depth, heads, dropout) for m in modalities})
        self.summaries = Summaries(modalities, dim)
        self.mix = nn.Sequential(nn.Linear(len(modalities) * dim, dim), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(dim, classes)

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        streams = {m: streams[m] for m in self.modalities}
        packed = {
            m: pack(Stream(values + positions(values.shape[1], values.shape[2], like=values), mask))
            for m, (values, mask) in streams.items()
        }
        normed = {m: norm(tokens) for m, (tokens, _) in packed.items()}
        summaries = []
        for m, (tokens, lengths) in packed.items():
            others = [o for o in packed if o != m]
            made = plan(lengths, [packed[o].lengths for o in others], tokens.device)
            reread = self.targets[m](tokens, [normed[o] for o in others], made)
            summaries.append(summarise(self.summaries.pools[m], Packed(reread, lengths), streams[m].mask))  # type: ignore[arg-type]
        features = self.mix(torch.cat(summaries, dim=1))
        # each modality before it heard the others: aligned afterwards, it could pass on what it heard
        return Fused(self.head(features), features, means(streams), present(streams))
