"""Attention whose cost follows real lengths: sequences are packed end to end, padding is never computed.

Shapes: N packed positions of the whole batch, G samples in a group, T target and S source length, D width.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.stream import Stream

# What one more attention call costs on a CPU, counted in attention cells (target x source positions); measured with
# benchmarks/fusion_step.py. On a GPU calls are dear and padding is cheap, so one call serves the whole batch.
CALL_COST = 5_000


class Packed(NamedTuple):
    """The real positions of a Stream, sample after sample."""

    tokens: Tensor  # (N, D)
    lengths: tuple[int, ...]  # of the B samples; they add up to N


def pack(stream: Stream) -> Packed:
    return Packed(stream.values[stream.mask], tuple(stream.mask.sum(dim=1).tolist()))


def unpack(packed: Packed, mask: Tensor) -> Stream:
    """Packed positions back at their places (B, T, D), zero elsewhere."""
    tokens = packed.tokens
    values = tokens.new_zeros(*mask.shape, tokens.shape[-1])
    return Stream(values.masked_scatter(mask[..., None], tokens), mask)


class Group(NamedTuple):
    """Samples of like lengths that share one attention call, as positions in the packed tokens."""

    targets: Tensor  # (G, T) positions, padded ones point at a real place and are dropped afterwards
    sources: Tensor  # (G, S)
    source_mask: Tensor | None  # (G, S) bool, or None when nothing is padded
    kept: Tensor | None  # flat positions in (G * T) that are real, or None when all are


class Plan(NamedTuple):
    groups: tuple[Group, ...]
    order: Tensor  # (N,) where each packed target's answer lies after the groups are laid end to end
    unanswered: int  # targets without any source, laid last


def _grid(starts: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
    """Packed positions (G, T) of sequences, and which of them are real."""
    steps = torch.arange(int(lengths.max()))[None]
    mask = steps < lengths[:, None]
    return torch.where(mask, starts[:, None] + steps, starts[:, None]), mask


def _share_calls(samples: Sequence[int], t: Sequence[int], s: Sequence[int], call_cost: float) -> list[list[int]]:
    """Samples sorted by size, cut where one more call is cheaper than the padding it saves."""
    groups: list[list[int]] = []
    for i in sorted(samples, key=lambda i: (t[i] * s[i], t[i])):
        if groups:
            grown = [*groups[-1], i]
            padded = len(grown) * max(t[j] for j in grown) * max(s[j] for j in grown)
            if padded - sum(t[j] * s[j] for j in grown) <= call_cost:
                groups[-1] = grown
                continue
        groups.append([i])
    return groups


def plan(targets: Sequence[int], sources: Sequence[int], device: torch.device) -> Plan:
    """How to let packed targets of these lengths attend over packed sources of those lengths, with little padding."""
    t, s = torch.tensor(targets), torch.tensor(sources)
    t_start, s_start = t.cumsum(0) - t, s.cumsum(0) - s
    answered = [i for i in range(len(targets)) if targets[i] and sources[i]]
    cost = CALL_COST if device.type == "cpu" else float("inf")
    groups, laid = [], []
    for members in _share_calls(answered, targets, sources, cost):
        index = torch.tensor(members)
        t_grid, t_mask = _grid(t_start[index], t[index])
        s_grid, s_mask = _grid(s_start[index], s[index])
        laid.append(t_grid[t_mask])
        groups.append(
            Group(
                t_grid.to(device),
                s_grid.to(device),
                None if s_mask.all() else s_mask.to(device),
                None if t_mask.all() else t_mask.flatten().nonzero().squeeze(1).to(device),
            )
        )
    alone = [torch.arange(int(t_start[i]), int(t_start[i] + t[i])) for i in range(len(targets)) if not sources[i]]
    laid += alone
    order = torch.cat(laid).argsort() if laid else torch.empty(0, dtype=torch.long)
    return Plan(tuple(groups), order.to(device), sum(len(a) for a in alone))


def _take(tokens: Tensor, index: Tensor) -> Tensor:
    """(G, T, D) of packed tokens; a single sample is a slice, which copies nothing."""
    if len(index) == 1:
        start = int(index[0, 0])
        return tokens[None, start : start + index.shape[1]]
    return tokens.index_select(0, index.flatten()).unflatten(0, index.shape)


def ragged_attend(query: Tensor, key: Tensor, value: Tensor, plan: Plan, heads: int) -> Tensor:
    """Multi-head attention of packed targets (N, D) over packed sources; zero where a sample has no source."""

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (G, H, T, D/H)

    parts = []
    for group in plan.groups:
        q, k, v = _take(query, group.targets), _take(key, group.sources), _take(value, group.sources)
        mask = None if group.source_mask is None else group.source_mask[:, None, None]
        out = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        out = out.transpose(1, 2).flatten(2).flatten(0, 1)
        parts.append(out if group.kept is None else out.index_select(0, group.kept))
    parts.append(query.new_zeros(plan.unanswered, query.shape[-1]))
    return torch.cat(parts).index_select(0, plan.order)
