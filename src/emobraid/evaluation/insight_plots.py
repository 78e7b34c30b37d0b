"""Pictures for looking closer than a figure does: ROC curves, confidence where it is right and wrong, confusions, what
each modality moves, and where utterances lie for the model.

Shapes: N utterances, C classes.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from emobraid.evaluation.plots import BLUE, INK, LOOKS, ORANGE, QUIET, RULE, _figure, _label, _save, _unit_scale

if TYPE_CHECKING:
    pass

Floats = NDArray[np.floating[Any]]
SHOWN = 12  # confusions in the picture


def roc(
    classes: Sequence[str],
    expressed: NDArray[np.bool_],
    probabilities: Floats,
    auroc: Sequence[float | None],
    path: Path | str,
) -> None:
    """Draw each class against all others: `expressed` (N, C), `probabilities` (N, C). A class that all rows have, or
    none, has no curve and says n/a."""
    figure = _figure(6.6, 6.6)
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 4)), label="guessing, 0.50")
    for c, name in enumerate(classes):
        colour, _, line = LOOKS[c % len(LOOKS)]
        if auroc[c] is None:
            axes.plot([], [], color=colour, linestyle=line, label=f"{name}, n/a")
            continue
        false, true, _ = roc_curve(expressed[:, c], probabilities[:, c])
        axes.plot(false, true, color=colour, linestyle=line, linewidth=1.8, label=f"{name}, {auroc[c]:.2f}")
    _unit_scale(axes)
    _label(axes, f"ROC, each class against the others (n = {len(expressed):,})", "false alarms", "found")
    axes.legend(frameon=False, fontsize=9, loc="lower right", title="area under the curve", title_fontsize=9)
    _save(figure, path)


def confidences(confidence: Floats, right: NDArray[np.bool_], path: Path | str, *, several: bool = False) -> None:
    """Draw how often each confidence (N,) was said, of what was `right` (N,) above, of what was wrong below."""
    figure = _figure(7.0, 4.6)
    axes = figure.add_subplot()
    edges = np.linspace(0, 1, 21)
    for name, own, sign, colour in (("right", right, 1, BLUE), ("wrong", ~right, -1, ORANGE)):
        count = np.histogram(confidence[own], edges)[0]
        middle = f", median {np.median(confidence[own]):.2f}" if own.any() else ""
        label = f"{name} ({int(own.sum()):,}{middle})"
        axes.bar(edges[:-1] + 0.025, sign * count, width=0.044, color=colour, label=label)
        if own.any():
            axes.plot([np.median(confidence[own])] * 2, [0, sign * max(count)], color=INK, linewidth=1.2)
    axes.axhline(0, color=QUIET, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.yaxis.set_major_formatter(lambda value, _: f"{abs(value):,.0f}")
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    what = "probability of a class" if several else "confidence of the top label, calibrated"
    _label(axes, "How sure it was, right and wrong", what, "rows")
    figure.legend(loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    _save(figure, path)


def confusions(pairs: Sequence[Mapping[str, Any]], wrong: int, path: Path | str) -> None:
    """Draw the commonest confusions as `errors` tells them: how often, and how sure the model was."""
    shown = list(pairs)[:SHOWN]
    figure = _figure(7.6, 1.9 + 0.42 * max(3, len(shown)))
    axes = figure.add_subplot()
    rows = np.arange(len(shown))
    bars = axes.barh(rows, [p["n"] for p in shown], height=0.66, color="#7FB8DA")
    for bar, pair in zip(bars, shown, strict=True):
        text = f" {pair['n']:,}: {100 * pair['share']:.0f} % of {pair['true']}, said with {pair['confidence']:.2f}"
        axes.text(bar.get_width(), bar.get_y() + bar.get_height() / 2, text, va="center", color=INK, fontsize=9)
    axes.set_yticks(rows, [f"{p['true']}, read as {p['said']}" for p in shown])
    axes.set_ylim(max(3, len(shown)) - 0.5, -0.5)
    axes.set_xlim(0, 1.9 * max([p["n"] for p in shown], default=1))  # room for the words
    axes.xaxis.set_major_locator(_whole())
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    covered = sum(p["n"] for p in shown)
    _label(axes, f"What is taken for what ({covered:,} of {wrong:,} mistakes)", "utterances", "")
    _save(figure, path)


def contributions(found: Mapping[str, Any], path: Path | str) -> None:
    """Draw what `evaluation.contributions` found: a group of bars for each class that is said, all together first."""
    groups = {"all": found["all"], **found["by_class"]}
    modalities = list(found["all"])
    figure = _figure(7.6, 2.0 + 0.28 * len(groups) * max(2, len(modalities)))
    axes = figure.add_subplot()
    height = 0.8 / len(modalities)
    for k, modality in enumerate(modalities):
        places = np.arange(len(groups)) + (k - (len(modalities) - 1) / 2) * height
        values = [own[modality] for own in groups.values()]
        axes.barh(places, values, height=0.9 * height, color=LOOKS[k % len(LOOKS)][0], label=modality)
        for place, value in zip(places, values, strict=True):
            side = "left" if value >= 0 else "right"
            axes.text(value, place, f" {value:+.2f} ", ha=side, va="center_baseline", color=INK, fontsize=8)
    axes.axvline(0, color=QUIET, linewidth=0.8)
    axes.axhline(0.5, color=RULE, linewidth=0.8)
    axes.set_yticks(range(len(groups)), ["all utterances", *(f"said: {name}" for name in found["by_class"])])
    axes.set_ylim(len(groups) - 0.5, -0.5)
    axes.margins(x=0.14)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    _label(axes, "What each modality moves", "mean Shapley value, in probability of the class said", "")
    figure.legend(loc="outside lower center", ncols=len(modalities), frameon=False, fontsize=9)
    _save(figure, path)


def landscape(
    places: Floats, true: NDArray[np.intp], right: NDArray[np.bool_], classes: Sequence[str], path: Path | str
) -> None:
    """Draw utterances where t-SNE put them, `places` (N, 2), by true class; rings are those that were read wrong."""
    figure = _figure(7.4, 6.8)
    axes = figure.add_subplot()
    for c, name in enumerate(classes):
        colour, mark, _ = LOOKS[c % len(LOOKS)]
        own = true == c
        for rows, fill, edge in ((own & right, colour, "white"), (own & ~right, "none", colour)):
            axes.scatter(places[rows, 0], places[rows, 1], s=34, marker=mark, facecolor=fill, edgecolor=edge)
        axes.scatter([], [], s=34, marker=mark, color=colour, label=f"{name} ({int(own.sum()):,})")
    axes.set_xticks([])
    axes.set_yticks([])
    _label(axes, f"Where utterances lie for the model (t-SNE, n = {len(true):,})", "", "")
    axes.spines[:].set_visible(False)
    columns = min(4, len(classes))
    said = "true class; hollow: read wrong. Distances between groups mean little"
    figure.legend(loc="outside lower center", ncols=columns, frameon=False, fontsize=9, title=said, title_fontsize=9)
    _save(figure, path)


def _whole() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(integer=True, nbins=6)
