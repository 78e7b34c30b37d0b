"""A search for settings: trials of one recipe, each a whole training, judged on the validation split alone.

What is tried next follows from what came of earlier trials (tree-structured Parzen estimator, Bergstra et al. 2011),
and a trial that is behind the median of the earlier ones at the same epoch ends there (Golovin et al. 2017). The test
split stays closed: the winner is scored on it once, by whoever asks `emobraid evaluate`.
"""

import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
import tomli_w
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from emobraid.config import ELSEWHERE, Config, fingerprint, to_tree
from emobraid.data.contents import corpus_contents
from emobraid.data.preparer import Progress
from emobraid.study.found import INSTEAD, draw, finished, shown, table, winner
from emobraid.study.space import Axis, placed
from emobraid.study.tables import Table, write_whole
from emobraid.training.run import TrainingReporter, train
from emobraid.training.run_folder import BEST, only_trainer
from emobraid.training.state import Standing, Watcher

JOURNAL, RECIPE, TABLE, PICTURE = "search.journal", "best.toml", "search", "search.png"
DRAWN = 5  # trials at random, before what is known leads
PLACE = "place"  # of a trial that goes on for an interrupted one: its folder


@dataclass(frozen=True, kw_only=True)
class Search:
    """Up to `trials` trainings of `config` with values from `axes`, and none begun after `minutes`.

    Everything lies in `folder`; a search that was stopped or killed goes on there. With `early`, trials that fall
    behind end early.
    """

    config: Config
    axes: Sequence[Axis]
    folder: Path
    trials: int = 20
    minutes: float | None = None
    early: bool = True

    def run(self, reporter: TrainingReporter) -> Table:
        """The trials that are not there yet, then every trial in a table; ValueError when none could be trained."""
        started = time.monotonic()
        self.folder.mkdir(parents=True, exist_ok=True)
        with only_trainer(self.folder):
            study = self._study()
            self._take_up(study)
            progress = reporter.progress("trials")
            while (done := len(finished(study))) < self.trials:
                progress(done, self.trials)
                if self.minutes is not None and time.monotonic() - started > 60 * self.minutes:
                    reporter.say(f"{self.minutes:g} minutes are over after {done} trials; the same command goes on")
                    break
                self._trial(study, reporter)
            progress(self.trials, self.trials)
            return self._written(study, reporter)

    def _study(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(
            study_name="search",
            storage=JournalStorage(JournalFileBackend(str(self.folder / JOURNAL))),
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=DRAWN, n_warmup_steps=self._warm_up)
            if self.early
            else optuna.pruners.NopPruner(),
        )
        asked: dict[str, Any] = {"settings": fingerprint(self.config), "space": [str(a) for a in self.axes]}
        asked["data"] = corpus_contents(self.config)
        was = asked | study.user_attrs.get("asked", {})  # an earlier version did not tell the data
        if was != asked:
            other = "on other data" if was | {"data": asked["data"]} == asked else "with other settings"
            raise ValueError(
                f"{self.folder} holds a search {other}; another --output_dir, or --overwrite to start anew"
            )
        study.set_user_attr("asked", asked)
        return study

    @property
    def _warm_up(self) -> int:
        """Epochs that every trial gets."""
        return max(1, self.config.training.num_epochs // 5)

    def _take_up(self, study: optuna.Study) -> None:
        """What was interrupted comes first, with the same values in the same folder."""
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            if set(trial.params) == {a.name for a in self.axes}:
                place = trial.user_attrs.get(PLACE, trial.number)
                study.enqueue_trial(trial.params, user_attrs={PLACE: place, INSTEAD: trial.number})

    def _trial(self, study: optuna.Study, reporter: TrainingReporter) -> None:
        # seeded by its number: a search that goes on proposes what it would have proposed
        seed = self.config.training.seed + len(finished(study))
        study.sampler = optuna.samplers.TPESampler(seed=seed, n_startup_trials=DRAWN)
        trial = study.ask()
        values = {a: suggested(trial, a) for a in self.axes}
        told = ", ".join(f"{a.name} {shown(value)}" for a, value in values.items())
        reporter.say(f"trial {trial.number}: {told}")
        try:
            config = placed(self.config, values, told)
        except ValueError as error:  # values that do not go together, such as a width and a number of heads
            reporter.say(f"passed over: {error}")
            study.tell(trial, state=TrialState.FAIL)
            return
        place = self._place(trial)
        try:
            outcome = train(config, place, resume=place.exists(), overwrite=False, reporter=Watched(reporter, trial))
        except optuna.TrialPruned:
            study.tell(trial, state=TrialState.PRUNED)
        except ArithmeticError as error:  # these settings diverged, others need not
            reporter.say(f"passed over: {error}")
            study.tell(trial, state=TrialState.FAIL)
        else:
            study.tell(trial, outcome.best_macro_f1)
        self._tidy(study)

    def _tidy(self, study: optuna.Study) -> None:
        """Of all trials the log stays, of the best one the model as well."""
        best = winner(study)
        for trial in finished(study):
            folder = self._place(trial)
            for name in ("resume", "tensorboard", *(() if best and trial.number == best.number else (BEST,))):
                shutil.rmtree(folder / name, ignore_errors=True)

    def _place(self, trial: FrozenTrial | optuna.Trial) -> Path:
        return self.folder / "trials" / f"{trial.user_attrs.get(PLACE, trial.number):03d}"

    def _written(self, study: optuna.Study, reporter: TrainingReporter) -> Table:
        best = winner(study)
        if best is None:
            raise ValueError(f"no trial was trained to its end in {self.folder}; allow more trials or another --space")
        config = placed(self.config, {a: best.params[a.name] for a in self.axes}, RECIPE)
        tree = to_tree(config)
        tree["data"] = {name: value for name, value in tree["data"].items() if name not in ELSEWHERE}
        write_whole(self.folder / RECIPE, f"# trial {best.number} of {self.folder.name}\n{tomli_w.dumps(tree)}")
        made = table(study, self.axes)
        made.save(self.folder, TABLE)
        draw(study, self.axes, self.folder / PICTURE, reporter)
        reporter.say(f"best model: {self._place(best) / BEST}")
        return made


def search_anew(folder: Path) -> None:
    """Take away an earlier search, and nothing else that lies in the folder."""
    shutil.rmtree(folder / "trials", ignore_errors=True)
    for name in (JOURNAL, RECIPE, PICTURE, *(f"{TABLE}{suffix}" for suffix in (".md", ".tex", ".csv"))):
        (folder / name).unlink(missing_ok=True)


class Watched:
    """A reporter that hands every epoch's score to the search as well."""

    def __init__(self, inner: TrainingReporter, trial: optuna.Trial) -> None:
        self.inner, self.trial = inner, trial

    def say(self, line: str) -> None:
        self.inner.say(line)

    def progress(self, task: str) -> Progress:
        return self.inner.progress(task)

    @contextmanager
    def named(self, name: str) -> Iterator["Watched"]:
        with self.inner.named(name) as own:
            yield Watched(own, self.trial)

    def watchers(self, config: Config, folder: Path, first_step: int, total_steps: int) -> Sequence[Watcher]:
        return [*self.inner.watchers(config, folder, first_step, total_steps), Judge(self.trial)]


class Judge:
    """Ends a trial that has fallen behind."""

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial

    def step(self, standing: Standing, values: Mapping[str, float]) -> None: ...

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None:
        if (score := values.get("val_macro_f1")) is None:  # a stage without labels
            return
        self.trial.report(score, standing.epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned


def suggested(trial: optuna.Trial, at: Axis) -> Any:
    if at.choices:
        return trial.suggest_categorical(at.name, at.choices)
    if at.whole:
        return trial.suggest_int(at.name, int(at.low), int(at.high), log=at.log)
    return trial.suggest_float(at.name, at.low, at.high, log=at.log)
