"""Robust training against plain training, modality dropout alone, and models of one modality, on the same gaps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from emobraid.config import Config
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import targets
from emobraid.evaluation.missing import Plan
from emobraid.evaluation.missing_benchmark import benchmark
from emobraid.evaluation.missing_scores import contender
from emobraid.evaluation.sealed import enter, open_test
from emobraid.recipes import load_recipe
from emobraid.study.tables import Table, percent
from emobraid.study.trial import Result, Trial, run_trial, seeded
from emobraid.training.run import TrainingReporter

STANDARD, PLAIN, DROPOUT, ROBUST = "standard", "without modality dropout", "modality dropout only", "robust"
ONLY = " alone"


def robust(config: Config) -> Config:
    """The settings with the recipe of `--mode robust` laid over them."""
    return replace(config, training=replace(config.training, **load_recipe("robust")["training"]))


def contenders(config: Config, *, baselines: bool) -> dict[str, Config]:
    """Settings by name: as they are, hiding modalities as the robust ones do and no more, and robust; with `baselines`
    also hiding nothing, and each modality alone."""
    recipe = robust(config).training
    plain = replace(config.training, modality_dropout=0.0)
    hiding = replace(
        plain,
        modality_dropout=recipe.modality_dropout,
        modality_dropout_schedule=recipe.modality_dropout_schedule,
    )
    found = {STANDARD: config, DROPOUT: replace(config, training=hiding), ROBUST: robust(config)}
    if baselines:
        found[PLAIN] = replace(config, training=plain)
        for modality in config.model.modalities:
            alone = replace(config.model, modalities=(modality,))
            found[modality + ONLY] = replace(config, model=alone, training=plain)
    return found


def trials(config: Config, folder: Path, seeds: Sequence[int], *, baselines: bool) -> Iterator[Trial]:
    """The standard one shares its folder with the ablation's whole fusion, which it is."""
    for seed in seeds:
        for name, own in contenders(config, baselines=baselines).items():
            place = (
                folder / "trials" / f"{config.model.fusion_type if name == STANDARD else name.replace(' ', '-')}-{seed}"
            )
            yield Trial(name=name, config=seeded(own, seed), folder=place)


def robustness(
    config: Config,
    folder: Path,
    reporter: TrainingReporter,
    *,
    seeds: Sequence[int] = (0,),
    plan: Plan | None = None,
    baselines: bool = True,
) -> tuple[Table, dict[str, list[dict[str, Any]]]]:
    """Train what has not been trained yet, and put all through the missing-modality benchmark, seed by seed.

    The table, and each model's summary by name, one a seed. Masks are the same for every model and seed.
    """
    plan = plan or Plan()
    every = list(trials(config, folder, seeds, baselines=baselines))
    results = {(t.name, t.seed): run_trial(t, reporter) for t in every}
    sums: dict[str, list[dict[str, Any]]] = {}
    protocol: dict[str, Any] = {}
    for seed in seeds:
        own = [t for t in every if t.seed == seed]
        found = _through_gaps(own, results, plan, reporter)
        protocol = found["protocol"]
        for name, summary in found["models"].items():
            sums.setdefault(name, []).append(summary)
    return table(sums, protocol, seeds), sums


def _through_gaps(
    trials: Sequence[Trial], results: Mapping[tuple[str, int], Result], plan: Plan, reporter: TrainingReporter
) -> dict[str, Any]:
    model = trials[0].config.model
    labels = targets(open_corpus(trials[0].config.data, model).split("train"), len(model.labels))
    read = []
    for trial in trials:
        opened = open_test(trial.best, trial.config.data, reporter)
        enter(trial.best, opened, results[trial.name, trial.seed].figures)
        read.append(contender(trial.name, opened.trained.model, opened.split, opened.predictions, labels))
    return benchmark(read, plan, tell=reporter.progress)


def table(sums: Mapping[str, Sequence[Mapping[str, Any]]], protocol: Mapping[str, Any], seeds: Sequence[int]) -> Table:
    """Whole, mean of the incomplete subsets, worst subset, area under the random-rate curve; macro-F1 in all."""
    rows = []
    for name, own in sums.items():
        cells = [percent([float(s[key]) for s in own]) for key in ("whole", "incomplete", "worst") if own[0][key]]
        rows.append((name, *cells, *[""] * (3 - len(cells)), percent([float(s["random_area"]["mean"]) for s in own])))
    return Table(
        title="Missing modalities",
        columns=("", "all there", "mean of incomplete", "worst subset", "area, random rate"),
        rows=tuple(rows),
        notes=(
            f"macro-F1 on the test split; seeds {', '.join(map(str, seeds))}; masks {protocol['masks']['random'][:12]}",
            "a model that is left nothing to read answers the commonest class",
            f"random rate 0 to 0.7, {protocol['draws']} draws, one present modality always stays; area normalised",
        ),
    )
