"""CPU time of one training step of every fusion, and of `mult` beside a MulT written plainly from its paper.

    python benchmarks/fusion_step.py                 # long and short sequences, depth 2 and 4
    python benchmarks/fusion_step.py --quick         # a second, to see that it runs
    python benchmarks/fusion_step.py --json out.json

A step is: projection of the raw features to width D, fusion, cross-entropy, backward, AdamW. Features are seeded normal
noise in arrays of the field's shapes, zero behind each utterance; lengths spread evenly over 1..longest, in an order
drawn for each modality, so that half of all positions are real. One thread. The contestants take turns in every round,
so that a busy machine slows all of them; the fastest and the median round are shown.

The plain rows differ in how attention is called; dropout on its weights, as in the paper, keeps all of them in memory,
so those rows are timed at the first depth only. Under each table stand two ratios, each against the FASTEST plain row
of its kind: one that computes the same function as `mult`, which is checked first by copying the weights over, and one
whose self-attention is as wide as the paper's.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid import fusion
from emobraid.fusion import FUSIONS, Fused
from emobraid.fusion.mult import MultFusion
from emobraid.stream import Stream
from plain_mult import PlainMult, copy_weights

Shapes = Mapping[str, tuple[int, int]]  # longest, width of the raw features

# the unaligned arrays of the field's published features, as used by Tsai et al. 2019
LONG: Shapes = {"text": (50, 768), "audio": (375, 5), "video": (500, 20)}
# what the compact encoders give for an utterance of three seconds
SHORT: Shapes = {"text": (12, 768), "audio": (38, 5), "video": (12, 20)}
CLASSES, DROPOUT, HEADS = 7, 0.1, 4

# name -> what differs from PlainMult's defaults
SAME: Mapping[str, dict[str, Any]] = {
    "plain": {},
    "plain, need_weights=False": {"call": "module"},
    "plain, undropped attention": {"call": "module", "attention_dropout": 0.0},
    "plain, sdpa by hand": {"call": "sdpa", "attention_dropout": 0.0},
}
PAPER: Mapping[str, dict[str, Any]] = {
    "paper's width": {"wide": True},
    "paper's width, undropped": {"wide": True, "call": "module", "attention_dropout": 0.0},
    "paper's width, sdpa by hand": {"wide": True, "call": "sdpa", "attention_dropout": 0.0},
}


class Size(NamedTuple):
    """What is timed in one table."""

    shapes: Shapes
    batch: int
    width: int
    depth: int


class Projected(nn.Module):
    """Raw features to width D, then a fusion: logits (B, C)."""

    def __init__(self, shapes: Shapes, width: int, body: nn.Module) -> None:
        super().__init__()
        self.projections = nn.ModuleDict({m: nn.Linear(raw, width) for m, (_, raw) in shapes.items()})
        self.body = body

    def forward(self, streams: Mapping[str, Stream]) -> Tensor:
        read = self.body({m: Stream(p(streams[m].values), streams[m].mask) for m, p in self.projections.items()})
        logits: Tensor = read.logits if isinstance(read, Fused) else read
        return logits


class Contestant:
    def __init__(self, size: Size, body: nn.Module) -> None:
        self.model = Projected(size.shapes, size.width, body).train()
        self.optimizer = torch.optim.AdamW(self.model.parameters(), fused=True)
        self.seconds: list[float] = []

    def step(self, streams: Mapping[str, Stream], labels: Tensor) -> None:
        started = time.process_time()
        self.optimizer.zero_grad()
        F.cross_entropy(self.model(streams), labels).backward()
        self.optimizer.step()
        self.seconds.append(time.process_time() - started)


def seeded_batch(shapes: Shapes, batch: int, seed: int) -> tuple[dict[str, Stream], Tensor]:
    """Streams of normal noise with lengths spread evenly over 1..longest in random order, and labels."""
    draw = torch.Generator().manual_seed(seed)
    streams = {}
    for modality, (longest, raw) in shapes.items():
        # evenly, not drawn: one small batch may hold much less padding than the next
        lengths = ((torch.randperm(batch, generator=draw) + 0.5) * longest / batch).ceil()
        mask = torch.arange(longest)[None] < lengths[:, None]
        streams[modality] = Stream(torch.randn(batch, longest, raw, generator=draw) * mask[..., None], mask)
    return streams, torch.randint(CLASSES, (batch,), generator=draw)


def difference(size: Size, seed: int) -> float:
    """Largest difference of logits between `mult` and the plain one with the same weights, dropout off."""
    settings: dict[str, Any] = {"depth": size.depth, "heads": HEADS, "dropout": 0.0}
    ours = MultFusion(tuple(size.shapes), size.width, CLASSES, **settings)
    plain = PlainMult(tuple(size.shapes), size.width, CLASSES, **settings, attention_dropout=0.0)
    copy_weights(ours, plain)
    streams, _ = seeded_batch({m: (longest, size.width) for m, (longest, _) in size.shapes.items()}, size.batch, seed)
    with torch.no_grad():
        return float((ours(streams).logits - plain(streams)).abs().max())


def contestants(size: Size, *, dropped: bool) -> dict[str, Contestant]:
    """All seven fusions and the plain rows; `dropped` takes in those with dropout on attention weights."""
    modalities = tuple(size.shapes)
    settings: dict[str, Any] = {"depth": size.depth, "heads": HEADS, "dropout": DROPOUT}
    bodies: dict[str, nn.Module] = {
        name: fusion.build(name, modalities, size.width, CLASSES, **settings) for name in FUSIONS
    }
    for name, changed in {**SAME, **PAPER}.items():
        if dropped or "attention_dropout" in changed:
            bodies[name] = PlainMult(modalities, size.width, CLASSES, **settings, **changed)
    return {name: Contestant(size, body) for name, body in bodies.items()}


def race(size: Size, rounds: int, seed: int, *, dropped: bool) -> dict[str, list[float]]:
    """Seconds of CPU of every contestant's steps, one a round, after one step to warm up."""
    torch.manual_seed(seed)
    entered = contestants(size, dropped=dropped)
    streams, labels = seeded_batch(size.shapes, size.batch, seed)
    for _ in range(rounds + 1):
        for contestant in entered.values():
            contestant.step(streams, labels)
    return {name: c.seconds[1:] for name, c in entered.items()}


def table(size: Size, seconds: Mapping[str, Sequence[float]]) -> str:
    """Milliseconds a step, and how many times the step of `mult` that is."""
    shapes = ", ".join(f"{m} {longest}x{raw}" for m, (longest, raw) in size.shapes.items())
    lines = [
        f"{shapes}; batch {size.batch}, width {size.width}, depth {size.depth}, {HEADS} heads",
        f"  {'ms CPU a step':28s} {'fastest':>9s} {'median':>9s} {'/ mult':>7s}",
    ]
    mult = min(seconds["mult"])
    for name, own in seconds.items():
        lines.append(f"  {name:28s} {min(own) * 1e3:9.1f} {median(own) * 1e3:9.1f} {min(own) / mult:7.2f}")
    for kind, rows in (("the same function", SAME), ("the paper's widths", PAPER)):
        best = min((name for name in rows if name in seconds), key=lambda name: min(seconds[name]))
        medians = median(seconds[best]) / median(seconds["mult"])
        lines.append(
            f"  mult is {min(seconds[best]) / mult:.2f} times as fast ({medians:.2f} by medians) as {kind}: {best}"
        )
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--depth", type=int, nargs="+", default=[2, 4])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--quick", action="store_true", help="one round, width 16, depth 1, short sequences, batch 4")
    parser.add_argument("--json", type=Path, help="write every round's seconds there")
    args = parser.parse_args()
    torch.set_num_threads(1)
    cases = [(LONG, 8), (LONG, 32), (SHORT, 16), (SHORT, 32)]
    sizes = [Size(shapes, batch, args.width, depth) for depth in args.depth for shapes, batch in cases]
    if args.quick:
        sizes, args.rounds = [Size(SHORT, 4, 16, 1)], 1
    rows = []
    for size in sizes:
        apart = difference(size, args.seed)
        if apart > 1e-4:
            parser.exit(1, f"mult and the plain MulT with the same weights differ by {apart:.1e}\n")
        seconds = race(size, args.rounds, args.seed, dropped=size.depth == sizes[0].depth)
        print(table(size, seconds), flush=True)
        rows.append({**size._asdict(), "difference": apart, "seconds": seconds})
    if args.json:
        args.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
