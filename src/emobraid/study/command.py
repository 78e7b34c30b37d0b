"""What `--mode ablation` and `--mode all` do."""

import shutil
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from emobraid.config import Config, FewShotConfig, StudyConfig
from emobraid.data.layouts import open_corpus
from emobraid.study.ablation import ablation
from emobraid.study.jobs import jobs_for
from emobraid.study.suite import LIGHT, SUMMARY, Suite
from emobraid.training.run import TrainingReporter

ABLATION = "ablation"


def refuse_multi_label(config: Config) -> None:
    """ValueError: the tables and tests of a study are of exclusive classes."""
    if config.model.label_kind != "exclusive":
        raise ValueError("studies compare models of exclusive classes; label_kind multi has --mode standard to robust")


def ablate(
    config: Config,
    study: StudyConfig,
    few_shot: FewShotConfig,
    folder: Path,
    again: bool,
    reporter: TrainingReporter,
    given: Collection[str] = (),
) -> str:
    """All fusions, each also with a part switched off; the line that says where the table is."""
    if any(_asked(name, value, given) for name, value in vars(few_shot).items()):
        raise ValueError("settings of few-shot learning need --mode few_shot or --mode all")
    _begin(config, folder, again)
    jobs = jobs_for(config, study.jobs)
    table, _ = ablation(
        config, folder, reporter, fusions=study.fusions, seeds=study.seeds, off=study.switch_off, jobs=jobs
    )
    table.save(folder, ABLATION)
    table.show(Console())
    return f"written: {folder}/{ABLATION}.md, .tex, .csv"


def suite(
    config: Config,
    study: StudyConfig,
    few_shot: FewShotConfig,
    folder: Path,
    again: bool,
    reporter: TrainingReporter,
    given: Collection[str] = (),
) -> str:
    """The complete suite; the line that says where the summary is."""
    if study.fusions != StudyConfig().fusions or study.switch_off is not None:
        raise ValueError("--mode all compares all fusions whole; fusions and switch_off are for --mode ablation")
    _begin(config, folder, again)
    own = {name: value for name, value in vars(few_shot).items() if _asked(name, value, given)}
    shots = replace(LIGHT, **own)
    jobs = jobs_for(config, study.jobs)
    path = Suite(config=config, folder=folder, seeds=study.seeds, few_shot=shots, jobs=jobs).run(reporter)
    return f"written: {path}"


def _asked(name: str, value: object, given: Collection[str]) -> bool:
    """Whether a few-shot setting was asked for; all others are the suite's own."""
    return name in given or value != getattr(FewShotConfig(), name)


def _begin(config: Config, folder: Path, again: bool) -> None:
    refuse_multi_label(config)
    open_corpus(config.data, config.model).split("train")  # nothing is written for data that is not there
    if again:
        clear(folder)


def clear(folder: Path) -> None:
    """Take away an earlier study, and nothing else that lies in the folder."""
    shutil.rmtree(folder / "trials", ignore_errors=True)
    shutil.rmtree(folder / "few_shot", ignore_errors=True)
    (folder / SUMMARY).unlink(missing_ok=True)
