"""The complete suite: standard training, all fusions, few shots, a student, robust training; one summary at the end.

Every stage is made of trials that are kept once done, so a suite that was stopped or killed goes on where it was and
ends with the same summary.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from emobraid.config import Config, FewShotConfig
from emobraid.evaluation.missing import Plan
from emobraid.evaluation.sealed import score_episodes
from emobraid.fusion import FUSIONS
from emobraid.study.ablation import ablation
from emobraid.study.ablation import trials as ablation_trials
from emobraid.study.jobs import Task, run_tasks, threads
from emobraid.study.robustness import ROBUST, robustness
from emobraid.study.robustness import trials as robustness_trials
from emobraid.study.tables import Table, write_whole
from emobraid.study.teaching import shipped_lessons, teaching
from emobraid.study.teaching import trials as teaching_trials
from emobraid.study.trial import Trial, run_trial, task_of
from emobraid.training.few_shot_report import summarise, write_few_shot
from emobraid.training.few_shot_run import prepare, without_labels
from emobraid.training.run import TrainingReporter

SUMMARY = "summary.md"
STAGES = ("Standard training", "All fusions", "Few-shot learning", "Distillation", "Robustness")
SIZES = ("tiny",)  # of students
#: what the suite's few-shot stage measures unless told otherwise: the full comparison has a mode of its own
LIGHT = FewShotConfig(
    shots=(1, 5),
    queries=4,
    episodes=30,
    dev_episodes=5,
    methods=("prompt_adapter", "probe", "class_mean"),
    every_subset=False,
)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """What the suite is run with; `run` does all stages, `jobs` trials or stages at a time."""

    config: Config
    folder: Path
    seeds: Sequence[int] = (0,)
    plan: Plan = field(default_factory=Plan)
    few_shot: FewShotConfig = LIGHT
    jobs: int = 1

    def run(self, reporter: TrainingReporter) -> Path:
        """Every stage that is not done yet, then the summary, whose path is returned."""
        progress = reporter.progress("stages of the suite")
        progress(0, len(STAGES))
        told: dict[str, str] = {}
        for task, made in run_tasks(self.tasks(), reporter, jobs=self.jobs, threads=threads(self.config)):
            if task.name in STAGES:
                told[task.name] = self._kept(task.name, made)
                progress(len(told), len(STAGES))
                reporter.say(f"{task.name}: done, {len(told)} of {len(STAGES)} stages")
        path = self.folder / SUMMARY
        write_whole(path, self._head() + "\n".join(told[title] for title in STAGES))
        return path

    def tasks(self) -> list[Task]:
        """Stage by stage: its trials, unless an earlier one has them, then what is made of them."""
        stages: list[tuple[Callable[[TrainingReporter], Table | Path | str], list[Task]]] = [
            (self.standard, [task_of(t, long=True) for t in self._fusions(self.config.model.fusion_type)]),
            (self.fusions, [task_of(t) for t in self._fusions(*FUSIONS)]),
            (self.few_shots, []),
            (self.student, [task_of(t, after=(self._teacher.folder.name,)) for t in self._students()]),
            (self.gaps, [task_of(t, long=t.name == ROBUST) for t in self._contenders()]),
        ]
        found: dict[str, Task] = {}
        for title, (made, trials) in zip(STAGES, stages, strict=True):
            for trial in trials:
                found.setdefault(trial.name, trial)
            # few-shot learning has no trials of its own, but a base to train and hundreds of episodes
            found[title] = Task(name=title, work=made, after=tuple(t.name for t in trials), long=not trials)
        return list(found.values())

    @property
    def _teacher(self) -> Trial:
        return next(self._fusions(self.config.model.fusion_type))

    def _fusions(self, *fusions: str) -> Iterator[Trial]:
        return ablation_trials(self.config, self.folder, fusions=fusions, seeds=self.seeds, off=())

    def _students(self) -> Iterator[Trial]:
        teacher = self._teacher.best
        return teaching_trials(self.config, teacher, shipped_lessons(), self.folder, SIZES, self.seeds)

    def _contenders(self) -> Iterator[Trial]:
        return robustness_trials(self.config, self.folder, self.seeds, baselines=False)

    def standard(self, reporter: TrainingReporter) -> Table:
        """The settings' own fusion; its model teaches the student, and is what robust training is compared with."""
        fusions = [self.config.model.fusion_type]
        return ablation(self.config, self.folder, reporter, fusions=fusions, seeds=self.seeds, off=())[0]

    def fusions(self, reporter: TrainingReporter) -> Table:
        """All fusions, whole; the trial of the settings' own is there already."""
        return ablation(self.config, self.folder, reporter, fusions=tuple(FUSIONS), seeds=self.seeds, off=())[0]

    def few_shots(self, reporter: TrainingReporter) -> Path | str:
        """A base that never saw a label, adapted to episodes of a few labelled utterances; or why that cannot be."""
        try:
            return self._few_shots(reporter)
        except ValueError as error:  # one modality alone, or too few utterances of a class: the other stages stand
            reporter.say(f"passed over: {error}")
            return f"Not run: {error}"

    def _few_shots(self, reporter: TrainingReporter) -> Path:
        config = without_labels(replace(self.config, few_shot=self.few_shot))
        study = prepare(config, self.folder / "few_shot", resume=True, overwrite=False, reporter=reporter)
        write_few_shot(study.folder, summarise(score_episodes(study.base_path, study.config, study.score, reporter)))
        return study.folder / "few_shot.md"

    def student(self, reporter: TrainingReporter) -> Table:
        """The smallest student of the standard model of the first seed, with the teacher and alone."""
        teacher, lessons = self._teacher, shipped_lessons()
        read = run_trial(teacher, reporter)
        return teaching(
            self.config, read, teacher.best, self.folder, reporter, lessons=lessons, sizes=SIZES, seeds=self.seeds
        )[0]

    def gaps(self, reporter: TrainingReporter) -> Table:
        """Robust training against plain training and modality dropout alone, on the missing-modality benchmark."""
        return robustness(self.config, self.folder, reporter, seeds=self.seeds, plan=self.plan, baselines=False)[0]

    def _kept(self, title: str, made: Table | Path | str) -> str:
        """A stage's part of the summary, its table saved beside."""
        stem = title.lower().replace(" ", "_").replace("-", "_")
        if isinstance(made, str):
            return f"## {title}\n\n{made}\n"
        if isinstance(made, Path):
            return f"## {title}\n\nFull report: [{made.name}]({made.relative_to(self.folder)})\n"
        made.save(self.folder, stem)
        drawn = [".png"] * (self.folder / f"{stem}.png").is_file()
        files = ", ".join(f"[{stem}{suffix}]({stem}{suffix})" for suffix in (".md", ".tex", ".csv", *drawn))
        return f"## {title}\n\n{made.markdown()}\nAlso as {files}\n"

    def _head(self) -> str:
        data, training = self.config.data, self.config.training
        return (
            f"# Suite on `{data.data_root.name}` ({data.dataset})\n\n"
            f"- modalities {', '.join(self.config.model.modalities)}; at most {training.num_epochs} epochs; seeds "
            f"{', '.join(map(str, self.seeds))}\n"
            "- everything was chosen on validation; the test split was opened to score finished models only\n\n"
        )
