"""The picture of the missing-modality benchmark: curves with a band over draws above, subsets as bars below."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from emobraid.evaluation.missing import ALL
from emobraid.evaluation.missing_scores import Row
from emobraid.evaluation.plots import INK, LOOKS, QUIET, RULE, _figure, _label, _save

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONSTANT = "always the commonest class"
TITLES = {"random": "Modalities missing at random", "frames": "Positions hidden inside", "noise": "Gaussian noise"}
AXES = {"random": "chance that a modality is missing", "frames": "share hidden", "noise": "noise, in spreads"}


def robustness(found: Mapping[str, Any], path: Path | str) -> None:
    """Draw what `benchmark` found. With one model the curves inside streams are its modalities, else all together."""
    rows, models = found["rows"], list(found["models"])
    curves = [p for p in TITLES if any(r["protocol"] == p for r in rows)]
    subsets = list(dict.fromkeys(r["part"] for r in rows if r["protocol"] == "fixed"))
    bars = len(subsets) * (0.28 + 0.2 * len(models))
    figure = _figure(4.4 * max(2, len(curves)), 5.4 + bars)
    figure.set_layout_engine("constrained", h_pad=0.12)
    grid = figure.add_gridspec(2, len(curves), height_ratios=(3.4, 0.6 + bars))
    top = max(r["macro_f1"] + (r["macro_f1_std"] or 0) for r in rows if r["n"])
    for i, protocol in enumerate(curves):
        axes, own = figure.add_subplot(grid[0, i]), [r for r in rows if r["protocol"] == protocol]
        _curves(axes, own, models)
        parts = {r["part"] for r in own}
        alone = f": {own[0]['part']}" if len(parts) == 1 and own[0]["part"] else ""
        _label(axes, TITLES[protocol] + alone, AXES[protocol], "macro-F1")
        axes.set_ylim(0, min(1.02, top + 0.06))
    constant = found["protocol"]["constant"]
    below = figure.add_subplot(grid[1, :])
    _bars(below, [r for r in rows if r["protocol"] == "fixed"], subsets, models, constant["macro_f1"])
    below.set_xlim(0, min(1.06, top + 0.12))
    handles, names = below.get_legend_handles_labels()
    shown = sorted(zip(names, handles, strict=True), key=lambda pair: pair[0] == CONSTANT)
    figure.legend(
        [h for _, h in shown],
        [n for n, _ in shown],
        loc="outside lower center",
        ncols=min(6, len(shown)),
        frameon=False,
    )
    _save(figure, path)


def _curves(axes: "Axes", rows: Sequence[Row], models: Sequence[str]) -> None:
    parts = list(dict.fromkeys(r["part"] for r in rows))
    lines = [(m, m, ALL if ALL in parts else parts[0]) for m in models]
    if len(models) == 1 and len(parts) > 1:
        lines = [("all together" if part == ALL else part, models[0], part) for part in reversed(parts)]
    for (colour, marker, dash), (name, model, part) in zip(_looks(len(lines)), lines, strict=True):
        own = [r for r in rows if (r["model"], r["part"]) == (model, part)]
        if not own:
            continue
        rates, mean, std = (np.array([r[k] or 0.0 for r in own]) for k in ("rate", "macro_f1", "macro_f1_std"))
        axes.fill_between(rates, mean - std, mean + std, color=colour, alpha=0.2, linewidth=0)
        axes.plot(rates, mean, color=colour, marker=marker, linestyle=dash, markersize=5, linewidth=1.6, label=name)
    axes.set_xlim(0, None)
    axes.grid(color=RULE, linewidth=0.8)
    if len(models) == 1 and len(parts) > 1:  # else the figure's legend says it
        axes.legend(frameon=False, fontsize=9, loc="best")


def _bars(axes: "Axes", rows: Sequence[Row], subsets: Sequence[str], models: Sequence[str], constant: float) -> None:
    width = 0.8 / len(models)
    for place, ((colour, _, _), model) in enumerate(zip(_looks(len(models)), models, strict=True)):
        own = {r["part"]: r for r in rows if r["model"] == model}
        at = np.arange(len(subsets)) + (place - (len(models) - 1) / 2) * width
        scores = [own[s]["macro_f1"] for s in subsets]
        axes.barh(at, [s or 0.0 for s in scores], height=0.9 * width, color=colour, label=model)
        for y, subset, score in zip(at, subsets, scores, strict=True):
            guessed = own[subset]["n"] and own[subset]["guessed"] == own[subset]["n"]
            text = "n/a" if score is None else f"({score:.2f})" if guessed else f"{score:.2f}"
            axes.text((score or 0.0) + 0.008, y, text, va="center_baseline", color=INK, fontsize=9)
    axes.axvline(constant, color=QUIET, linewidth=1.2, linestyle=(0, (4, 4)), label=CONSTANT)
    counts = {r["part"]: r["n"] for r in rows}
    axes.set_yticks(range(len(subsets)), [f"{s.replace('+', ' + ')} ({counts[s]:,})" for s in subsets])
    axes.set_ylim(len(subsets) - 0.5, -0.5)
    axes.grid(axis="x", color=RULE, linewidth=0.8)
    _label(axes, "Whole modalities missing everywhere", "macro-F1", "what is left (utterances)")


def _looks(n: int) -> list[tuple[str, str, str]]:
    return [LOOKS[i % len(LOOKS)] for i in range(n)]
