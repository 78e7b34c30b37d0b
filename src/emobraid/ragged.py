"""Attention whose cost follows real lengths: sequences are packed end to end, and only samples of like lengths are
padded to each other.

Shapes: N packed positions of the whole batch, P places (positions laid out for attention), G samples in a group,
T target and S source places of a sample in its group, H heads, D width.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid.stream import Stream

# What a CPU pays for one more group, and for one more target place besides its attention, both counted in attention
# cells (target x source places); found with benchmarks/fusion_step.py. On a GPU calls are dear and padding is cheap,
# so the whole batch is one group.
GROUP_COST, ROW_COST = 10_000, 1_000
# Sources are padded to a multiple of a CPU's vector: attention over a masked tail is faster than over a ragged one.
VECTOR = 16


class Packed(NamedTuple):
    """The real positions of a Stream, sample after sample."""

    tokens: Tensor  # (N, D)
    lengths: tuple[int, ...]  # of the B samples; they add up to N


def pack(stream: Stream) -> Packed:
    return Packed(stream.values[stream.mask], tuple(stream.mask.sum(dim=1).tolist()))


def unpack(packed: Packed, mask: Tensor) -> Stream:
    """Packed positions back where they were (B, T, D), zero elsewhere."""
    tokens = packed.tokens
    values = tokens.new_zeros(*mask.shape, tokens.shape[-1])
    return Stream(values.masked_scatter(mask[..., None], tokens), mask)


class Layout(NamedTuple):
    """Where packed positions go: group after group, each sample padded to the longest; then those in no group."""

    source: Tensor  # (P,) the packed position at each place; a padded place holds some real one
    back: Tensor  # (N,) the place of each packed position
    shapes: tuple[tuple[int, int], ...]  # (G, T) of every group
    masks: tuple[Tensor | None, ...]  # (G, 1, 1, T) bool of every group, True where real; None where all are

    def lay(self, packed: Tensor) -> Tensor:
        """(N, D) -> (P, D)."""
        laid: Tensor = _Lay.apply(packed, self.source, self.back)  # type: ignore[no-untyped-call]
        return laid

    def pick_up(self, laid: Tensor) -> Tensor:
        """(P, D) -> (N, D)."""
        return laid.index_select(0, self.back)


class Plan(NamedTuple):
    """One grouping of the samples for a target and all of its sources. Samples without the target are in no group."""

    groups: tuple[tuple[int, ...], ...]
    target: Layout
    sources: tuple[Layout, ...]


class _Lay(torch.autograd.Function):
    """A padded place passes no gradient on: its key is masked, its answer is never picked up."""

    @staticmethod
    def forward(ctx: Any, packed: Tensor, index: Tensor, back: Tensor) -> Tensor:
        ctx.save_for_backward(back)
        return packed.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (back,) = ctx.saved_tensors
        return gradient.index_select(0, back), None, None


def _share_calls(sizes: Mapping[int, tuple[int, ...]], group_cost: float) -> list[list[int]]:
    """Samples in the order of their cost, cut where another group is cheaper than the padding it saves.

    `sizes` holds the lengths of every sample's target and sources.
    """

    def cost(count: int, size: tuple[int, ...]) -> float:
        return count * size[0] * (sum(size) + ROW_COST) + group_cost

    groups: list[list[int]] = []
    longest: tuple[int, ...] = ()
    spent = 0.0  # on the last group
    for alone, i in sorted((cost(1, size), i) for i, size in sizes.items()):
        merged = tuple(map(max, longest, sizes[i]))
        together = cost(len(groups[-1]) + 1, merged) if groups else float("inf")
        if groups and together <= spent + alone:
            groups[-1].append(i)
            longest, spent = merged, together
        else:
            groups.append([i])
            longest, spent = sizes[i], alone
    return groups


def _lay_out(lengths: Sequence[int], groups: list[list[int]], multiple: int, device: torch.device) -> Layout:
    """Every sample's places, by group; `multiple` divides the places of a sample."""
    grouped = [i for group in groups for i in group]
    order = np.array([*grouped, *sorted(set(range(len(lengths))) - set(grouped))], dtype=np.int64)
    shapes = [(len(g), -(-max(lengths[i] for i in g) // multiple) * multiple) for g in groups]
    every = np.array(lengths, dtype=np.int64)
    places = every[order]
    places[: len(grouped)] = [t for g, t in shapes for _ in range(g)]
    owner = np.repeat(order, places)  # (P,) the sample at each place
    step = np.arange(len(owner)) - np.repeat(places.cumsum() - places, places)
    real = step < every[owner]
    index = (every.cumsum() - every)[owner] + step * real
    back = np.empty(every.sum(), dtype=np.int64)
    back[index[real]] = np.flatnonzero(real)
    index = index.clip(max=max(len(back) - 1, 0))  # a sample without any position borrows one
    there, masks, end = torch.from_numpy(real).to(device), [], 0
    for g, t in shapes:
        start, end = end, end + g * t
        masks.append(None if real[start:end].all() else there[start:end].view(g, 1, 1, t))
    return Layout(torch.from_numpy(index).to(device), torch.from_numpy(back).to(device), tuple(shapes), tuple(masks))


def plan(target: Sequence[int], sources: Sequence[Sequence[int]], device: torch.device) -> Plan:
    """How a packed target of these lengths (B) attends over packed sources of those lengths with little padding."""
    cpu = device.type == "cpu"
    sizes = {i: (t, *(s[i] for s in sources)) for i, t in enumerate(target) if t}
    groups = _share_calls(sizes, GROUP_COST if cpu else float("inf"))
    over = [_lay_out(lengths, groups, VECTOR if cpu else 1, device) for lengths in sources]
    return Plan(tuple(map(tuple, groups)), _lay_out(target, groups, 1, device), tuple(over))


def by_group(laid: Tensor, shapes: Sequence[tuple[int, int]]) -> list[Tensor]:
    """(P, ...) -> (G, T, ...) of every group."""
    sizes = [g * t for g, t in shapes]
    parts = laid.split([*sizes, len(laid) - sum(sizes)])
    return [part.unflatten(0, shape) for part, shape in zip(parts, shapes, strict=False)]


def ragged_attend(
    queries: Sequence[Tensor], keys: Sequence[Tensor], values: Sequence[Tensor], masks: Sequence[Tensor | None]
) -> list[Tensor]:
    """Every group's (G, H, T, D/H) over its (G, H, S, D/H) -> (G * T, D), zero where a sample has no source."""
    answers = []
    for query, key, value, mask in zip(queries, keys, values, masks, strict=True):
        if key.shape[2]:
            seen = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        else:
            seen = torch.zeros_like(query)
        answers.append(seen.transpose(1, 2).flatten(2).flatten(0, 1))
    return answers
