"""Students of several sizes, each with the teacher and alone: size, speed, scores and calibration beside each other."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from emobraid.config import Config, DistillationConfig
from emobraid.evaluation.plots import MISSING
from emobraid.evaluation.significance import compare, holm
from emobraid.recipes import layered, load_recipe
from emobraid.study.ablation import marked
from emobraid.study.tables import Table, percent
from emobraid.study.teaching_plot import Kind, Point, pareto
from emobraid.study.trial import Result, Trial, run_trial, seeded
from emobraid.training.distillation import SIZES, sized
from emobraid.training.run import TrainingReporter

ALONE = " alone"
PICTURE = "distillation.png"


def taught_by(teacher: Path, lessons: DistillationConfig) -> DistillationConfig:
    return replace(lessons, teacher_model=teacher, student_size=None)


def trials(
    config: Config, teacher: Path, lessons: DistillationConfig, folder: Path, sizes: Sequence[str], seeds: Sequence[int]
) -> Iterator[Trial]:
    """Every size with the teacher and alone, from the same seeds."""
    for size in sizes:
        small = replace(config, model=sized(config.model, size), distillation=DistillationConfig())
        for name, own in ((size, replace(small, distillation=taught_by(teacher, lessons))), (size + ALONE, small)):
            for seed in seeds:
                place = folder / "trials" / f"{name.replace(' ', '-')}-{seed}"
                yield Trial(name=name, config=seeded(own, seed), folder=place)


def shipped_lessons() -> DistillationConfig:
    """What the recipe of `--mode distillation` asks."""
    return DistillationConfig(**layered([load_recipe("distillation")])["distillation"])


def teaching(
    config: Config,
    teacher: Result,
    teacher_path: Path,
    folder: Path,
    reporter: TrainingReporter,
    *,
    lessons: DistillationConfig,
    sizes: Sequence[str] = tuple(SIZES),
    seeds: Sequence[int] = (0,),
) -> tuple[Table, dict[str, list[Result]]]:
    """Run what has not been run yet; the table, and the results by name. FOLDER/distillation.png shows what size and
    latency buy; without matplotlib a line says that there is no picture."""
    results: dict[str, list[Result]] = {}
    for trial in trials(config, teacher_path, lessons, folder, sizes, seeds):
        results.setdefault(trial.name, []).append(run_trial(trial, reporter))
    _draw(points(teacher, results), folder / PICTURE, reporter)
    return table(teacher, results), results


def table(teacher: Result, results: Mapping[str, Sequence[Result]]) -> Table:
    """Size, latency, macro-F1, calibration error and the worst subset of each student, the teacher first."""
    taught = [n for n in results if not n.endswith(ALONE)]
    compared = {
        name: compare([r.predictions for r in results[name]], [r.predictions for r in results[name + ALONE]])
        for name in taught
    }
    adjusted = dict(zip(taught, holm([compared[n].p for n in taught]), strict=True))
    rows = [_row("teacher", [teacher], teacher, "", "")]
    for name, own in results.items():
        gain = f"{100 * compared[name].difference:+.1f}" if name in compared else ""
        rows.append(_row(name, own, teacher, gain, marked(adjusted[name]) if name in adjusted else ""))
    seeds = ", ".join(str(r.seed) for r in next(iter(results.values())))
    return Table(
        title=f"Students of {teacher.name}",
        columns=("", "parameters", "of teacher", "ms", "macro-F1", "of teacher", "ECE", "worst subset", "gain", "p"),
        rows=tuple(rows),
        notes=(
            f"test split, {teacher.figures['all']['n']} utterances; students' seeds {seeds}; mean ± standard deviation",
            "gain: macro-F1 against the same student without the teacher, p by paired bootstrap, after Holm",
            "ECE: 15 bins, after the temperature that validation gave; worst subset: its macro-F1 among all subsets",
        ),
    )


def points(teacher: Result, results: Mapping[str, Sequence[Result]]) -> list[Point]:
    """The teacher and each student as the picture shows them. Students of one size are one architecture: they stand at
    the mean of all their latencies, so that the noise of a clock puts none of them before the other."""
    found = [_point("teacher", "teacher", [teacher], [teacher])]
    for name, own in results.items():
        size = name.removesuffix(ALONE)
        alike = [r for n, some in results.items() if n.removesuffix(ALONE) == size for r in some]
        found.append(_point(name, "taught" if name == size else "alone", own, alike))
    return found


def _point(name: str, kind: Kind, own: Sequence[Result], alike: Sequence[Result]) -> Point:
    return Point(
        name=name,
        kind=kind,
        parameters=own[0].parameters,
        latency_ms=mean(r.latency_ms for r in alike),
        scores=tuple(r.score() for r in own),
    )


def _draw(shown: Sequence[Point], path: Path, reporter: TrainingReporter) -> None:
    aside = path.with_name(f".{path.name}.writing")
    try:
        pareto(shown, aside)
        os.replace(aside, path)
    except ImportError as error:
        if str(error) != MISSING:
            raise
        reporter.say(f"no {path.name}: {MISSING}")


def worst(result: Result) -> float:
    return min(float(s["macro_f1"]) for s in result.figures["subsets"].values() if s["n"])


def _row(name: str, own: Sequence[Result], teacher: Result, gain: str, p: str) -> tuple[str, ...]:
    score = mean(r.score() for r in own)
    return (
        name,
        f"{own[0].parameters:,}",
        f"{100 * own[0].parameters / teacher.parameters:.1f} %",
        f"{mean(r.latency_ms for r in own):.1f}",
        percent([r.score() for r in own]),
        f"{100 * score / teacher.score():.1f} %",
        f"{mean(r.figures['all']['ece_after'] for r in own):.3f}",
        percent([worst(r) for r in own]),
        gain,
        p,
    )
