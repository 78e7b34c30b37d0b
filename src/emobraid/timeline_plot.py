"""The picture of a timeline: probabilities, the valence-arousal course, and which modality was there."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.evaluation.plots import BLUE, GREEN, INK, ORANGE, RULE, _figure, _save
from emobraid.timeline import Window

# Okabe and Ito (2008), told apart with every common colour blindness; line styles say it once more
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#D55E00", "#56B4E9", INK, "#8C8C00")
STYLES = ("-", "--", "-.", ":")


def draw(windows: Sequence[Window], path: Path, *, title: str) -> None:
    """Write a PNG; ImportError when matplotlib is not there."""
    figure = _figure(11, 7)
    chances, plane, there = figure.subplots(3, 1, sharex=True, height_ratios=(5, 3, 1.2))
    times = np.array([(w.start + w.end) / 2 for w in windows])
    readings = [w.reading for w in windows]
    first = next((r for r in readings if r), None)
    for i, name in enumerate(first.probabilities if first else ()):
        values = [r.probabilities[name] if r else np.nan for r in readings]
        chances.plot(times, values, STYLES[i % 4], color=COLOURS[i % 8], label=name, linewidth=1.6)
    for i, axis in enumerate(first.affect if first else ()):
        values = [r.affect[axis] if r else np.nan for r in readings]
        plane.plot(times, values, STYLES[i], color=COLOURS[i], label=axis, linewidth=1.6)
    chances.set(title=f"{title[:60]}: what is expressed, in the model's reading", ylabel="probability", ylim=(0, 1))
    plane.set(ylabel="-1 to 1", ylim=(-1, 1))
    plane.axhline(0, color="#B5B5B5", linewidth=0.8)
    _presence(there, windows)
    for axes in (chances, plane):
        axes.grid(color=RULE, linewidth=0.8)
        if axes.get_legend_handles_labels()[1]:
            axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    _save(figure, path)


def _presence(axes: Any, windows: Sequence[Window]) -> None:
    """A bar for each modality where it was there."""
    modalities = sorted({m for w in windows for m in (*w.missing, *(w.reading.per_modality if w.reading else ()))})
    for row, m in enumerate(modalities):
        spans = [(w.start, w.end - w.start) for w in windows if w.reading and m in w.reading.per_modality]
        axes.broken_barh(spans, (row - 0.35, 0.7), color=COLOURS[row % 8])
    axes.set_yticks(range(len(modalities)), modalities)
    axes.set(xlabel="seconds (bars: the modality was there)", ylim=(-0.6, max(len(modalities), 1) - 0.4))
