"""All fusions at equal budget and seeds, each also with a part switched off."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean

from emobraid.config import Config
from emobraid.evaluation.significance import Comparison, compare, holm, mark
from emobraid.fusion import FUSIONS
from emobraid.study.jobs import run_tasks, threads
from emobraid.study.tables import Table, percent
from emobraid.study.trial import Result, Trial, seeded, task_of
from emobraid.training.run import TrainingReporter

WHOLE = ""  # nothing switched off


def parts(config: Config) -> tuple[str, ...]:
    """What can be switched off in these settings."""
    modalities = config.model.modalities if len(config.model.modalities) > 1 else ()
    dropout = ("modality_dropout",) if modalities and config.training.modality_dropout else ()
    return (*modalities, *dropout, *(("augment",) if config.training.augment else ()))


def without(config: Config, part: str) -> Config:
    """The same settings with a part switched off; ValueError when there is no such part."""
    if part == WHOLE:
        return config
    if part not in parts(config):
        raise ValueError(f"cannot switch off {part!r}; these settings have {', '.join(parts(config)) or 'nothing'}")
    if part == "modality_dropout":
        return replace(config, training=replace(config.training, modality_dropout=0.0))
    if part == "augment":
        return replace(config, training=replace(config.training, augment=False))
    kept = tuple(m for m in config.model.modalities if m != part)
    return replace(config, model=replace(config.model, modalities=kept))


def name_of(fusion: str, part: str) -> str:
    return f"{fusion} without {part.replace('_', ' ')}" if part else fusion


def trials(
    config: Config, folder: Path, *, fusions: Sequence[str], seeds: Sequence[int], off: Sequence[str]
) -> Iterator[Trial]:
    """Whole fusions first, so that a study cut short has its main rows."""
    for part in (WHOLE, *off):
        for fusion in fusions:
            own = replace(config, model=replace(config.model, fusion_type=fusion))  # type: ignore[arg-type]
            name = name_of(fusion, part)
            for seed in seeds:
                place = folder / "trials" / f"{name.replace(' ', '-')}-{seed}"
                yield Trial(name=name, config=seeded(without(own, part), seed), folder=place)


def ablation(
    config: Config,
    folder: Path,
    reporter: TrainingReporter,
    *,
    fusions: Sequence[str] = tuple(FUSIONS),
    seeds: Sequence[int] = (0,),
    off: Sequence[str] | None = None,
    jobs: int = 1,
) -> tuple[Table, dict[str, list[Result]]]:
    """Run what has not been run yet, `jobs` at a time; the table, and the results by name. `off` are the parts, by
    default all."""
    every = list(trials(config, folder, fusions=fusions, seeds=seeds, off=parts(config) if off is None else off))
    progress = reporter.progress("trials")
    progress(0, len(every))
    found: dict[str, Result] = {}
    for task, result in run_tasks(list(map(task_of, every)), reporter, jobs=jobs, threads=threads(config)):
        found[task.name] = result
        progress(len(found), len(every))
    results: dict[str, list[Result]] = {}
    for trial in every:
        results.setdefault(trial.name, []).append(found[trial.folder.name])
    return table(config, results), results


def table(config: Config, results: Mapping[str, Sequence[Result]]) -> Table:
    """A line a trial: scores over seeds, the difference from its reference with Holm's mark, and what it cost.

    A fusion is compared with the one named first, which is the simplest by default; with a part switched off it is
    compared with itself whole.
    """
    pairs = dict(references(results))
    compared = {name: _against(name, results, other) for name, other in pairs.items()}
    adjusted = dict(zip(compared, holm([c.p for c in compared.values()]), strict=True))
    gains = {name: f"{100 * c.difference:+.1f} ({pairs[name]})" for name, c in compared.items()}
    chances = {name: marked(p) for name, p in adjusted.items()}
    rows = tuple(_row(name, own, gains.get(name, ""), chances.get(name, "")) for name, own in results.items())
    first = next(iter(results.values()))
    units = {c.unit for c in compared.values()}
    unit = "utterances, as speakers are unknown" if "utterances" in units else "speakers or dialogues"
    return Table(
        title="Fusions at equal budget",
        columns=("", "macro-F1", "weighted F1", "accuracy", "difference", "p", "parameters", "training s", "ms"),
        rows=rows,
        notes=(
            f"test split, {first[0].figures['all']['n']} utterances; seeds {', '.join(str(r.seed) for r in first)}; "
            f"at most {config.training.num_epochs} epochs, best by validation; mean ± standard deviation over seeds",
            f"difference: macro-F1 against the line named in brackets; p by paired bootstrap over {unit}, after Holm",
            "training s: on this machine; ms: median of one utterance read alone, encoders included; both with other "
            "trials beside them, unless --jobs 1",
        ),
    )


def marked(p: float) -> str:
    """`0.012 *`"""
    return f"{p:.3f} {mark(p)}"


def references(results: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(line, the line it is compared with): the first fusion, or for a part switched off the fusion whole."""
    names = list(results)
    whole = [n for n in names if " without " not in n]
    for name in names:
        reference = name.partition(" without ")[0] if " without " in name else whole[0]
        if reference != name and reference in names:
            yield name, reference


def _against(name: str, results: Mapping[str, Sequence[Result]], reference: str) -> Comparison:
    return compare([r.predictions for r in results[name]], [r.predictions for r in results[reference]])


def _row(name: str, own: Sequence[Result], difference: str, p: str) -> tuple[str, ...]:
    return (
        name,
        *(percent([r.score(k) for r in own]) for k in ("macro_f1", "weighted_f1", "accuracy")),
        difference,
        p,
        f"{own[0].parameters:,}",
        f"{mean(r.training_seconds for r in own):.0f}",
        f"{mean(r.latency_ms for r in own):.1f}",
    )
