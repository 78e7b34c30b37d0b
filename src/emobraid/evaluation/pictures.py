"""The pictures of a report: which ones fit what was read, each under its name and ready to be drawn."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from emobraid.evaluation import insight_plots, metrics, neighbours, plots
from emobraid.evaluation.predictions import Predictions

Floats = NDArray[np.floating[Any]]
Draw = Callable[[Path], None]


def pictures_of(predictions: Predictions, scores: Mapping[str, Any]) -> Iterator[tuple[str, Draw]]:
    """(name, what draws it into a path) of every picture; `scores` is what `evaluate_predictions` returned."""
    full, classes, several = scores["all"], scores["classes"], predictions.kind == "multi"
    precision, recall, f1, support, auroc = (
        [full["per_class"][c][k] for c in classes] for k in ("precision", "recall", "f1", "support", "auroc")
    )
    if not several:
        yield "confusion", partial(plots.confusion_matrix, np.array(full["confusion"]), classes)
        yield "errors", partial(insight_plots.confusions, scores["errors"]["pairs"], scores["errors"]["n"])
    yield "per_class", partial(plots.per_class, classes, precision, recall, f1, support)
    yield "roc", partial(insight_plots.roc, classes, *_expressed(predictions, full["temperature"]), auroc)
    before, after, right = _confidences(predictions, full["temperature"])
    ece = (full["ece_before"], full["ece_after"])
    yield "reliability", partial(plots.reliability, before, after, right, ece=ece, several=several)
    yield "confidence", partial(insight_plots.confidences, after, right, several=several)
    yield "subsets", _subsets(scores, several)
    if moved := scores.get("contributions"):
        yield "contributions", partial(insight_plots.contributions, moved)
    yield from _landscape(predictions)
    yield from _agreements(predictions, full)


def _subsets(scores: Mapping[str, Any], several: bool) -> Draw:
    of_each = list(scores["subsets"].values())
    return partial(
        plots.subset_bars,
        list(scores["subsets"]),
        [s["macro_f1"] for s in of_each],
        [s["n"] for s in of_each],
        scores["all"]["constant" if several else "majority"]["macro_f1"],
        constant="every class" if several else "the commonest class",
    )


def _landscape(predictions: Predictions) -> Iterator[tuple[str, Draw]]:
    """Of exclusive classes: with several at once a point would need several colours."""
    if predictions.features is None or predictions.kind == "multi":
        return
    places = neighbours.chosen(predictions.rows(predictions.full))
    if len(places) < neighbours.FEWEST:
        return
    true, said = predictions.true[places], predictions.logits[predictions.full][places].argmax(axis=1)
    features = predictions.features[places]

    def draw(path: Path) -> None:
        insight_plots.landscape(neighbours.plane(features), true, said == true, predictions.classes, path)

    yield "tsne", draw


def _agreements(predictions: Predictions, full: Mapping[str, Any]) -> Iterator[tuple[str, Draw]]:
    for k, name in enumerate(predictions.dimensions):
        true = predictions.affect_true[:, k]
        rows = predictions.readable(predictions.full) & ~np.isnan(true)
        if rows.any():
            read = predictions.affect[predictions.full][rows, k]
            yield name, partial(plots.agreement, name, true[rows], read, full["affect"][name]["ccc"])


def _expressed(predictions: Predictions, temperature: float) -> tuple[NDArray[np.bool_], Floats]:
    """Which class is true of which scored row (N, C), and what was said of it."""
    rows = predictions.rows(predictions.full)
    if predictions.kind == "multi":
        expressed = predictions.labels[rows] > 0.5
    else:
        expressed = predictions.true[rows, None] == np.arange(len(predictions.classes))
    return expressed, predictions.probabilities(predictions.full, temperature)[rows]


def _confidences(predictions: Predictions, temperature: float) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Before and after the temperature, and what came true: of the top label, or of every class of every row."""
    rows, full = predictions.rows(predictions.full), predictions.full
    before, after = (predictions.probabilities(full, t)[rows] for t in (1.0, temperature))
    if predictions.kind == "multi":
        return before.ravel(), after.ravel(), predictions.labels[rows].ravel() > 0.5
    confidence, right = metrics.top_label(before, predictions.true[rows])
    return confidence, metrics.top_label(after, predictions.true[rows])[0], right
