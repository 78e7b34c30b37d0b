"""The missing-modality benchmark: models that read the same utterances through the same gaps."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from emobraid.evaluation.missing import DRAWS, Frozen, Plan, freeze, normalised_area
from emobraid.evaluation.missing_passes import NOTHING, noisy_modalities
from emobraid.evaluation.missing_scores import Contender, Row, Scorer, Tell, lengths
from emobraid.evaluation.significance import mean_and_std


def benchmark(
    contenders: Sequence[Contender], plan: Plan, *, tell: Tell | None = None, device: torch.device | str = "cpu"
) -> dict[str, Any]:
    """`rows` (one for each model, protocol, part and rate), `models` (what sums them up) and `protocol`, for JSON.

    The first contender's modalities and utterances are the benchmark's; the others may have fewer modalities. All are
    scored on the same rows of each scenario, with their `guess` where nothing is left for them to read. ValueError when
    the contenders did not read the same utterances, or none of them can be scored.
    """
    main = contenders[0]
    _check(contenders, plan)
    frozen = freeze(main.read.ids, main.read.present, lengths(main), main.modalities, plan)
    rows = [row for c in contenders for row in Scorer(c, main, frozen, plan, tell, device).rows()]
    return {
        "protocol": {**_protocol(contenders, frozen, plan), "constant": _constant(main, frozen, plan)},
        "models": {c.name: summary(c, [r for r in rows if r["model"] == c.name]) for c in contenders},
        "rows": rows,
    }


def _check(contenders: Sequence[Contender], plan: Plan) -> None:
    main = contenders[0]
    if len({c.name for c in contenders}) < len(contenders):
        raise ValueError(f"the models need different names, got {', '.join(c.name for c in contenders)}")
    for c in contenders[1:]:
        if more := set(c.modalities) - set(main.modalities):
            raise ValueError(f"{c.name} reads {', '.join(sorted(more))}, {main.name} does not; give it as --model_path")
        if c.read.classes != main.read.classes:
            raise ValueError(f"{c.name} has other classes than {main.name}: {', '.join(c.read.classes)}")
        if c.read.ids != main.read.ids or not np.array_equal(c.read.true, main.read.true):
            raise ValueError(f"{c.name} and {main.name} did not read the same utterances")
    if not main.read.rows(main.read.full).any():
        raise ValueError(f"none of the {len(main.split)} rows has both a label and a modality: nothing to score")
    if plan.noise and not noisy_modalities(main.model, main.split):
        raise ValueError(f"noise: {main.name} reads neither pictures nor features")


def _constant(main: Contender, frozen: Frozen, plan: Plan) -> dict[str, Any]:
    """What always answering the commonest class of training scores."""
    nothing = np.full((1, len(main.read.ids)), NOTHING)
    scores = Scorer(main, main, frozen, plan, None, "cpu").scores(nothing, main.read.rows(main.read.full))
    return {"label": main.read.classes[main.guess], **{name: found for name, (found,) in scores.items()}}


def _protocol(contenders: Sequence[Contender], frozen: Frozen, plan: Plan) -> dict[str, Any]:
    """What a reader must know to compare the figures, and what to be told."""
    main = contenders[0]
    notes = []
    if plan.draws < DRAWS:
        notes.append(f"{plan.draws} draws of the random protocol; {DRAWS} are the custom")
    if len(main.modalities) == 1:
        notes.append(f"{main.name} reads {main.modalities[0]} alone: no modality of it can go missing")
    own = lengths(main)
    for c in contenders[1:]:
        if others := [m for m, some in lengths(c).items() if some != own[m]]:
            notes.append(
                f"{c.name} prepares {', '.join(others)} in another way than {main.name}: gaps inside them have the "
                "same rates, not the same places"
            )
    return {
        "modalities": list(main.modalities),
        "utterances": int(main.read.rows(main.read.full).sum()),
        "seed": plan.seed,
        "draws": plan.draws,
        "frame_draws": plan.frame_draws,
        "masks": dict(frozen.sha256),
        "nothing_left": "a row that leaves a model nothing to read counts as the commonest class of the training split",
        "notes": notes,
    }


def summary(contender: Contender, rows: Sequence[Row]) -> dict[str, Any]:
    """What is told of a model in one line: macro-F1 of the whole, of its gaps, and the areas under the curves."""
    fixed = [r for r in rows if r["protocol"] == "fixed" and r["n"]]
    incomplete = [r["macro_f1"] for r in fixed[:-1]]
    worst = min(fixed, key=lambda r: r["macro_f1"])
    areas: dict[str, dict[str, Any]] = {"random": {}, "frames": {}, "noise": {}}
    for protocol, part in dict.fromkeys((r["protocol"], r["part"]) for r in rows if r["protocol"] in areas):
        areas[protocol][part] = area([r for r in rows if (r["protocol"], r["part"]) == (protocol, part)])
    return {
        "modalities": list(contender.modalities),
        "guess": contender.read.classes[contender.guess],
        "whole": fixed[-1]["macro_f1"],
        "incomplete": float(np.mean(incomplete)) if incomplete else None,
        "worst": worst["macro_f1"],
        "worst_subset": worst["part"],
        "random_area": areas["random"][""],
        "frames_area": areas["frames"],
        "noise_area": areas["noise"],
    }


def area(rows: Sequence[Row]) -> dict[str, float | None]:
    """Mean and standard deviation over draws of the normalised area under one curve of macro-F1."""
    draws = zip(*(r["each_macro_f1"] for r in rows), strict=True)
    mean, std = mean_and_std([normalised_area([r["rate"] for r in rows], each) for each in draws])
    return {"mean": mean, "std": std}
