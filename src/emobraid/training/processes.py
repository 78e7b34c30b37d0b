"""One batch over several processes: each reads its share, and all hold the whole reading against the whole batch.

Every process computes the same losses of the gathered reading. Going back, the gather gives each share its gradient
from all processes, and DistributedDataParallel (or what shares the weights out) takes the mean over them: together
exactly the gradient that one process would have had, contrastive losses included.

Shapes: B batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from accelerate import PartialState
from torch import Tensor

from emobraid.fusion import Fused
from emobraid.fusion.base import every_tensor
from emobraid.stream import Stream


def launched(*, cpu: bool) -> PartialState:
    """The processes that `torchrun` started together, or this one alone."""
    return PartialState(cpu=cpu)


Before = Callable[[Mapping[str, Stream]], Sequence[int]]


def no_rows(streams: Mapping[str, Stream]) -> Sequence[int]:
    return ()


@dataclass(frozen=True)
class Shares:
    """The wrapped model, called as if it were the model: `streams` hold the whole batch in every process."""

    model: Any
    rank: int
    processes: int
    before: Before = no_rows  # rows to read besides one's own

    def __call__(self, streams: Mapping[str, Stream], views: Tensor | None = None) -> Fused:
        rows = len(next(iter(streams.values())).mask)
        own = torch.cat([share(rows, self.rank, self.processes), torch.tensor(self.before(streams), dtype=torch.long)])
        torch.manual_seed(torch.initial_seed() + self.rank)  # dropout of its own in every share
        read = self.model({m: Stream(s.values[own], s.mask[own]) for m, s in streams.items()}, views)
        gathered: Fused = gather(read, rows, self.processes)
        return gathered


def share(rows: int, rank: int, processes: int) -> Tensor:
    """The places that a process reads: every `processes`-th one, filled up so that all shares are of one length."""
    each = -(-rows // processes)
    return (torch.arange(each) * processes + rank).clamp(max=rows - 1)


def gather(read: Any, rows: int, processes: int) -> Any:
    """The shares' readings as the whole batch's, in its order; what filled a share up is dropped."""

    def whole(part: Tensor) -> Tensor:
        bits = part.to(torch.uint8) if part.dtype == torch.bool else part
        own = bits[: -(-rows // processes)]  # what was read besides is dropped
        parts = _AllGather.apply(own.contiguous())  # type: ignore[no-untyped-call]
        return torch.stack([p.to(part.dtype) for p in parts], dim=1).flatten(0, 1)[:rows]

    return every_tensor(read, whole)


class _AllGather(torch.autograd.Function):
    """The same tensor of every process; a process's own gets the gradient that all of them have for it."""

    @staticmethod
    def forward(ctx: Any, own: Tensor) -> tuple[Tensor, ...]:
        parts = [torch.empty_like(own) for _ in range(dist.get_world_size())]
        dist.all_gather(parts, own)
        return tuple(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        every = torch.stack(gradients)
        dist.all_reduce(every)
        return every[dist.get_rank()]


def touched(read: Fused) -> Tensor:
    """Nothing, but a function of every output: a parameter whose output no loss reads would be waited for for ever."""
    outputs = (
        *(read.logits, read.features, read.embeddings, read.unimodal, read.weights, read.members, read.affect),
        *(read.imagined or ()),
    )
    return sum((0.0 * t.float().sum() for t in outputs if t is not None and t.requires_grad), torch.zeros(()))


def as_the_first(told: dict[str, float], state: PartialState) -> dict[str, float]:
    """What the first process found, so that all take the same decisions of it, however they round."""
    held = [told]
    if state.num_processes > 1:
        dist.broadcast_object_list(held, 0)
    return held[0]


def agreed(number: int | None, state: PartialState) -> int | None:
    """The stop signal that any of the processes got."""
    if state.num_processes == 1:
        return number
    loudest = torch.tensor(number or 0, device=state.device)
    dist.all_reduce(loudest, dist.ReduceOp.MAX)
    return int(loudest) or None
