"""The pictures of a report as PNG files, from plain arrays. Light, labelled, safe for colour-blind readers.

matplotlib is optional (`pip install 'emobraid[report]'`) and is imported only when a picture is drawn, without pyplot:
no window system and no global state, so it works on servers and in threads.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation.metrics import BINS, bin_means

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MISSING = "pictures need matplotlib: pip install 'emobraid[report]'"

# from the palette of Okabe and Ito (2008), told apart with every common colour blindness
BLUE, ORANGE, GREEN = "#0072B2", "#E69F00", "#009E73"
INK, QUIET, RULE = "#222222", "#6B6B6B", "#E3E3E3"
#: told apart by colour (Okabe and Ito 2008), by mark and by line
LOOKS = (
    (BLUE, "o", "-"),
    (ORANGE, "D", "--"),
    (GREEN, "s", "-."),
    ("#CC79A7", "^", ":"),
    ("#56B4E9", "v", "-"),
    ("#D55E00", "P", "--"),
    ("#7A7A7A", "X", "-."),
)


def confusion_matrix(confusion: NDArray[np.integer[Any]], classes: Sequence[str], path: Path | str) -> None:
    """Draw (C, C) counts, rows true: a cell shows its share of the row (also its colour) and its count."""
    support = confusion.sum(axis=1, keepdims=True)
    share = confusion / np.maximum(support, 1)  # (C, C), an absent class stays white
    size = max(4.8, 0.88 * len(classes) + 1.8)
    figure = _figure(size, size)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    for (true, predicted), count in np.ndenumerate(confusion):
        ink = "white" if share[true, predicted] > 0.55 else INK if count else "#B5B5B5"
        text = f"{100 * share[true, predicted]:.0f}%" if support[true, 0] else "n/a"
        axes.text(predicted, true - 0.12, text, ha="center", va="center", color=ink, fontsize=11)
        axes.text(predicted, true + 0.22, f"{count:,}", ha="center", va="center", color=ink, fontsize=8)
    rows = [f"{name}\n({n:,})" for name, n in zip(classes, support[:, 0], strict=True)]
    axes.set_xticks(range(len(classes)), list(classes), rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(classes)), rows)
    axes.set_xticks(np.arange(0.5, len(classes) - 1), minor=True)
    axes.set_yticks(np.arange(0.5, len(classes) - 1), minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    _label(axes, "Confusion matrix", "predicted (colour and %: share of the true class)", "true (utterances)")
    axes.spines[:].set_visible(False)
    _save(figure, path)


def per_class(
    classes: Sequence[str],
    precision: Sequence[float | None],
    recall: Sequence[float | None],
    f1: Sequence[float | None],
    support: Sequence[int],
    path: Path | str,
) -> None:
    """Draw F1 as a bar for each class, with precision and recall as marks on it; None is written "n/a"."""
    figure = _figure(7.6, 1.7 + 0.46 * max(3, len(classes)))
    axes = figure.add_subplot()
    rows = np.arange(len(classes))
    bars = axes.barh(rows, _numbers(f1), height=0.62, color=BLUE, label="F1")
    marks = [
        axes.scatter(_numbers(x), rows, marker=m, s=s, color=c, edgecolor=INK, zorder=3, label=name, clip_on=False)
        for name, x, m, s, c in (("precision", precision, "o", 84, ORANGE), ("recall", recall, "D", 26, GREEN))
    ]
    _write_beside(axes, "F1", f1)
    axes.set_yticks(rows, [f"{c} ({n:,})" for c, n in zip(classes, support, strict=True)])
    _unit_scale(axes, rows=len(rows))
    _label(axes, "Per class", "", "class (utterances)")
    figure.legend(handles=[bars, *marks], loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    _save(figure, path)


def reliability(
    before: NDArray[np.floating[Any]],
    after: NDArray[np.floating[Any]],
    right: NDArray[np.bool_],
    path: Path | str,
    *,
    ece: tuple[float, float],
    several: bool = False,
    bins: int = BINS,
) -> None:
    """Draw accuracy against confidence (N,) before and after calibration, and below it how often each was said.

    `right` (N,) tells which top labels are true, `ece` is printed as (before, after). Empty bins are left out. With
    `several`, N counts each class of each utterance, and `right` tells whether it is expressed.
    """
    figure = _figure(6.2, 6.8)
    axes, below = figure.subplots(2, 1, sharex=True, height_ratios=(3.4, 1))
    axes.plot([0, 1], [0, 1], color=QUIET, linewidth=1, linestyle=(0, (4, 4)), label="perfectly calibrated")
    edges = np.linspace(0, 1, bins + 1)
    looks = (("before", before, ORANGE, "D", -1, ece[0]), ("after", after, BLUE, "o", 0, ece[1]))
    for name, confidence, colour, marker, shift, error in looks:
        count, mean, accuracy = bin_means(confidence, right, edges[1:-1])
        filled = count > 0
        area = 18 + 110 * count[filled] / count.max()
        label = f"{name} calibration, ECE {error:.3f}"
        axes.plot(mean[filled], accuracy[filled], color=colour, linewidth=1.6, marker=marker, markersize=5, label=label)
        dots = axes.scatter(mean[filled], accuracy[filled], s=area, marker=marker, color=colour, edgecolor="white")
        dots.set(zorder=3, clip_on=False)
        width = 0.42 / bins
        below.bar(edges[:-1] + 0.5 / bins + (shift + 0.5) * width, 100 * count / len(right), width=width, color=colour)
    _unit_scale(axes)
    _label(axes, f"Reliability (n = {len(right):,}, {bins} equal-width bins)", "", "share" if several else "accuracy")
    axes.legend(frameon=False, fontsize=9, loc="upper left")
    what = "probability of a class" if several else "confidence of the top label"
    _label(below, "", f"{what} (larger mark: more {'of them' if several else 'utterances'})", "% of rows")
    below.grid(axis="y", color=RULE, linewidth=0.8)
    _save(figure, path)


def subset_bars(
    subsets: Sequence[str],
    macro_f1: Sequence[float | None],
    counts: Sequence[int],
    baseline: float,
    path: Path | str,
    *,
    constant: str = "the commonest class",
) -> None:
    """Draw macro-F1 for each modality subset (the full one, given last, stands out) beside the constant answer."""
    figure = _figure(7.6, 1.7 + 0.46 * max(3, len(subsets)))
    axes = figure.add_subplot()
    colours = ["#7FB8DA"] * (len(subsets) - 1) + [BLUE]
    axes.barh(range(len(subsets)), _numbers(macro_f1), height=0.62, color=colours)
    axes.axvline(baseline, color=ORANGE, linewidth=2, label=f"always {constant} ({baseline:.2f})")
    _write_beside(axes, "", macro_f1)
    names = [f"{s.replace('+', ' + ')} ({n:,})" for s, n in zip(subsets, counts, strict=True)]
    axes.set_yticks(range(len(subsets)), names)
    _unit_scale(axes, rows=len(subsets))
    _label(axes, "What each set of modalities is worth", "macro-F1", "modalities (utterances)")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", frameon=False, fontsize=9)
    _save(figure, path)


def agreement(
    name: str, true: NDArray[np.floating[Any]], read: NDArray[np.floating[Any]], ccc: float | None, path: Path | str
) -> None:
    """Draw what was read (N,) against what is true (N,) on one affect dimension, with the line where both agree."""
    figure = _figure(6.0, 6.0)
    axes = figure.add_subplot()
    ends = [float(min(true.min(), read.min())), float(max(true.max(), read.max()))]
    axes.plot(ends, ends, color=QUIET, linewidth=1, linestyle=(0, (4, 4)))
    axes.scatter(true, read, s=14, color=BLUE, alpha=max(0.08, min(0.7, 60 / len(true))), edgecolor="none")
    told = "n/a" if ccc is None else f"{ccc:.3f}"
    _label(axes, f"{name} (n = {len(true):,}, CCC {told})", "true", "read")
    axes.grid(color=RULE, linewidth=0.8)
    _save(figure, path)


def _figure(width: float, height: float) -> "Figure":
    try:
        import matplotlib  # noqa: F401  # first by itself, so that a missing one is told from a broken one
    except ModuleNotFoundError as error:
        if error.name != "matplotlib":
            raise
        raise ImportError(MISSING) from None
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=150, facecolor="white")
    figure.set_layout_engine("constrained")
    return figure


def _save(figure: "Figure", path: Path | str) -> None:
    from matplotlib.text import Text

    for text in figure.findobj(Text):
        text.set_parse_math(False)  # a class named "$" is no formula
    figure.savefig(path, format="png", bbox_inches="tight", pad_inches=0.15)  # tight: long names are never cut


def _label(axes: "Axes", title: str, x: str, y: str) -> None:
    axes.set_title(title, loc="left", color=INK, fontsize=13, fontweight="bold", pad=12)
    axes.set_xlabel(x, color=QUIET, fontsize=10)
    axes.set_ylabel(y, color=QUIET, fontsize=10, labelpad=8)
    axes.tick_params(which="both", length=0, labelcolor=INK, labelsize=10)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#BBBBBB")
    axes.set_axisbelow(True)


def _unit_scale(axes: "Axes", *, rows: int = 0) -> None:
    """Set x to 0..1 with quiet rules, and y too, or with `rows` to that many rows of bars read from the top."""
    axes.set_xlim(0, 1.02)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(axis="x" if rows else "both", color=RULE, linewidth=0.8)
    if rows:
        axes.set_ylim(rows - 0.5, -0.5)
    else:
        axes.set_ylim(0, 1.02)
        axes.set_yticks(np.linspace(0, 1, 6))


def _write_beside(axes: "Axes", heading: str, values: Sequence[float | None]) -> None:
    # in a column of their own: at the bar's end they would lie under the marks
    axes.text(1.03, 1.02, heading, transform=axes.transAxes, color=QUIET, fontsize=10)
    for row, value in enumerate(values):
        text = "n/a" if value is None else f"{value:.2f}"
        axes.text(1.03, row, text, transform=axes.get_yaxis_transform(), va="center_baseline", color=INK, fontsize=10)


def _numbers(values: Sequence[float | None]) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
