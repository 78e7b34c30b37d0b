"""The course of a training as a picture: losses, scores, learning rate, and the gradient that reaches each part.

Everything is read from metrics.jsonl, so a picture can be drawn again at any time, of a run that goes on as well.
"""

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobraid.evaluation.plots import BLUE, INK, LOOKS, ORANGE, QUIET, RULE, _figure, _label, _save
from emobraid.training.flow import PREFIX

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from emobraid.training.state import Standing

LOG, PICTURE = "metrics.jsonl", "training.png"
PAUSE = 30.0  # seconds between two pictures of a run that goes on
Lines = Sequence[Mapping[str, Any]]


class Curves:
    """Draws the run in `folder` anew after an epoch, when the last picture is older than PAUSE."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.drawn = folder, time.monotonic()

    def step(self, standing: "Standing", values: Mapping[str, float]) -> None:
        """An epoch's end is soon enough."""

    def epoch(self, standing: "Standing", values: Mapping[str, float]) -> None:
        if time.monotonic() - self.drawn > PAUSE:
            draw(self.folder)
            self.drawn = time.monotonic()


def draw(folder: Path) -> Path:
    """Draw the log in `folder` into training.png beside it, whose path is returned. ImportError without matplotlib."""
    written = [json.loads(line) for line in (folder / LOG).read_text(encoding="utf-8").splitlines()]
    epochs, steps = [x for x in written if "train_loss" in x], [x for x in written if "lr" in x]
    figure = _figure(12.0, 7.6)
    figure.set_layout_engine("constrained", h_pad=0.1, w_pad=0.1)
    (losses, scores), (rates, flow) = figure.subplots(2, 2)
    _losses(losses, steps, epochs)
    _scores(scores, epochs)
    rates.plot(_steps(steps), [x["lr"] for x in steps], color=BLUE, linewidth=1.6)
    _label(rates, "Learning rate", "step", "")
    _flow(flow, steps)
    for axes in (losses, scores, rates, flow):
        axes.set_xlim(left=0)
        axes.grid(color=RULE, linewidth=0.8)
        if axes.get_legend_handles_labels()[1]:
            beside = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.0)} if axes is flow else {}
            axes.legend(frameon=False, fontsize=8, **beside)
    aside = folder / f".{PICTURE}.partial"
    _save(figure, aside)
    return aside.replace(folder / PICTURE)


def _losses(axes: "Axes", steps: Lines, epochs: Lines) -> None:
    axes.plot(_steps(steps), [x["loss"] for x in steps], color="#B9D7EA", linewidth=0.8)
    axes.plot(_steps(epochs), [x["train_loss"] for x in epochs], color=BLUE, marker="o", markersize=3, label="training")
    for name, colour, what in (("val_loss", ORANGE, "validation"), ("val_belonging", QUIET, "validation, no labels")):
        if own := [x for x in epochs if name in x]:
            axes.plot(_steps(own), [x[name] for x in own], color=colour, marker="D", markersize=3, label=what)
    _label(axes, "Loss", "step", "all losses of training together; of validation the classes alone")
    axes.yaxis.label.set_fontsize(8)


def _scores(axes: "Axes", epochs: Lines) -> None:
    shown = ("val_macro_f1", "val_accuracy", "val_micro_f1", "val_recall_at_10")
    for k, name in enumerate(n for n in shown if any(n in x for x in epochs)):
        colour, mark, line = LOOKS[k % len(LOOKS)]
        own = [x for x in epochs if name in x]
        label = name.removeprefix("val_").replace("_", " ")
        axes.plot(_steps(own), [x[name] for x in own], color=colour, marker=mark, ls=line, markersize=3, label=label)
    if best := [x for x in epochs if x["best"]]:
        last = best[-1]
        axes.axvline(last["step"], color=QUIET, linewidth=1, linestyle=(0, (4, 4)))
        axes.set_title(f"kept: epoch {last['epoch'] + 1}", loc="right", color=INK, fontsize=9)
    axes.set_ylim(0, 1.02)
    _label(axes, "Validation", "step", "")


def _flow(axes: "Axes", steps: Lines) -> None:
    from matplotlib.ticker import LogLocator

    parts = dict.fromkeys(name for x in steps for name in x if name.startswith(PREFIX))
    for k, part in enumerate(parts):
        colour, line = LOOKS[k % len(LOOKS)][0], ("-", "--", ":")[k // len(LOOKS) % 3]
        own = [x for x in steps if x.get(part)]  # what got no gradient has no logarithm
        axes.plot(_steps(own), [x[part] for x in own], color=colour, ls=line, lw=1, label=part[len(PREFIX) :])
    if parts:
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
    _label(axes, "Gradient that reaches each part", "step", "norm before clipping")


def _steps(lines: Lines) -> list[int]:
    return [x["step"] for x in lines]
