"""The picture of a students' table: what a millisecond and a parameter buy, and who is beaten by nobody."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import TYPE_CHECKING, Literal

from emobraid.evaluation.plots import BLUE, GREEN, INK, ORANGE, QUIET, RULE, _figure, _label, _save

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.text import Annotation

Kind = Literal["teacher", "taught", "alone"]
#: colour, mark, size: told apart without colour too
LOOKS: dict[Kind, tuple[str, str, int]] = {
    "teacher": (GREEN, "*", 260),
    "taught": (BLUE, "o", 80),
    "alone": (ORANGE, "D", 60),
}
NAMES: dict[Kind, str] = {"teacher": "teacher", "taught": "student, taught", "alone": "student, alone"}
#: where a label may stand, in points from its mark: the first place that is free
PLACES = ((9, 6), (9, -16), (-9, 6), (-9, -16), (9, 18), (9, -28), (-9, 18), (-9, -28), (9, 30), (9, -40))
ROOM = 2.4  # to the right of the dearest model, where its name stands


@dataclass(frozen=True, kw_only=True)
class Point:
    """A model in the picture; `scores` are macro-F1 by seed."""

    name: str
    kind: Kind
    parameters: int
    latency_ms: float
    scores: tuple[float, ...]

    @property
    def height(self) -> float:
        return 100 * mean(self.scores)

    @property
    def spread(self) -> float:
        return 100 * stdev(self.scores) if len(self.scores) > 1 else 0.0


def front(costs: Sequence[float], scores: Sequence[float]) -> list[int]:
    """Places of the Pareto front, cheapest first: each scores higher than everything that costs no more."""
    found: list[int] = []
    for i in sorted(range(len(costs)), key=lambda i: (costs[i], -scores[i])):
        if not found or scores[i] > scores[found[-1]]:
            found.append(i)
    return found


def pareto(points: Sequence[Point], path: Path | str) -> None:
    """Draw macro-F1 against latency and against parameters, both on a logarithmic scale, with the front of each."""
    figure = _figure(11.0, 5.0)
    left, right = figure.subplots(1, 2, sharey=True)
    _panel(left, points, [p.latency_ms for p in points])
    _panel(right, points, [p.parameters for p in points])
    seeds = ", bars: deviation over seeds" * any(len(p.scores) > 1 for p in points)
    _label(left, "Macro-F1 against latency", "ms for one utterance, encoders included", f"macro-F1 on test{seeds}")
    _label(right, "Macro-F1 against size", "parameters", "")
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False, fontsize=9)
    figure.draw_without_rendering()  # labels are set beside marks that stand where they will stay
    for axes, costs in ((left, [p.latency_ms for p in points]), (right, [float(p.parameters) for p in points])):
        _write_names(axes, points, costs)
    _save(figure, path)


def _panel(axes: "Axes", points: Sequence[Point], costs: Sequence[float]) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    heights = [p.height for p in points]
    best = front(costs, heights)
    xs, ys = [costs[i] for i in best], [heights[i] for i in best]
    axes.set_xscale("log")
    axes.set_xlim(min(costs) / 1.6, max(costs) * ROOM)
    axes.plot(
        [*xs, ROOM * max(costs)],
        [*ys, ys[-1]],
        drawstyle="steps-post",
        color=QUIET,
        linewidth=1.4,
        linestyle=(0, (4, 3)),
        label="front: nothing cheaper scores as high",
    )
    for kind, (colour, marker, size) in LOOKS.items():
        own = [i for i, p in enumerate(points) if p.kind == kind]
        at, high = [costs[i] for i in own], [heights[i] for i in own]
        spread = [points[i].spread for i in own]
        axes.errorbar(at, high, yerr=spread, fmt="none", ecolor=colour, elinewidth=1.2, capsize=3)
        axes.scatter(at, high, s=size, marker=marker, color=colour, edgecolor=INK, zorder=3, label=NAMES[kind])
    axes.margins(y=0.18)
    axes.grid(color=RULE, linewidth=0.8)
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: _short(x)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _write_names(axes: "Axes", points: Sequence[Point], costs: Sequence[float]) -> None:
    """Each name beside its mark, at the first place where it meets no other name and no mark, inside the panel."""
    figure = axes.get_figure()
    assert figure is not None
    pad = 7 * figure.dpi / 72
    taken = [tuple(axes.get_window_extent().extents)]  # the panel, then marks, bars and names
    for point, cost in zip(points, costs, strict=True):
        low, middle, high = (point.height + side * point.spread for side in (-1, 0, 1))
        (x, bottom), (_, y), (_, top) = axes.transData.transform([(cost, low), (cost, middle), (cost, high)])
        taken += [(x - pad, y - pad, x + pad, y + pad), (x - 2, bottom, x + 2, top)]
    for point, cost in zip(points, costs, strict=True):
        label: Annotation | None = None
        for dx, dy in PLACES:
            if label is not None:
                label.remove()
            label = axes.annotate(
                point.name,
                (cost, point.height),
                xytext=(dx, dy),
                textcoords="offset points",
                ha="left" if dx > 0 else "right",
                fontsize=9,
                color=INK,
                bbox={"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
            )
            box = tuple(label.get_window_extent().extents)
            if _inside(box, taken[0]) and not any(_meet(box, other) for other in taken[1:]):
                break
        taken.append(box)


def _inside(one: Sequence[float], other: Sequence[float]) -> bool:
    return other[0] <= one[0] and one[2] <= other[2] and other[1] <= one[1] and one[3] <= other[3]


def _meet(one: Sequence[float], other: Sequence[float]) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _short(value: float) -> str:
    """`0.5`, `20`, `5 k`, `1.2 M`."""
    for size, unit in ((1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:g}{unit}"
    return f"{value:g}"
