"""One trial of a study: train, open the test split once, keep what was read and what it cost.

A trial that is done is never repeated; one that was interrupted, by Ctrl-C or by a kill, goes on where it was.
"""

import json
import os
import shutil
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from emobraid.config import Config, fingerprint
from emobraid.data.contents import corpus_contents
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.report import evaluate_predictions
from emobraid.evaluation.sealed import Opened, enter, open_test
from emobraid.stream import pad
from emobraid.study.jobs import Task
from emobraid.training.run import TrainingReporter, train
from emobraid.training.run_folder import BEST

RESULT, READINGS = "result.json", "readings.npz"
TIMED = 30  # utterances, each read alone, of which the median latency is told


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Settings under a name; the seed is in the settings."""

    name: str
    config: Config
    folder: Path

    @property
    def seed(self) -> int:
        return self.config.training.seed

    @property
    def best(self) -> Path:
        return self.folder / BEST


@dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a trial on the test split."""

    name: str
    seed: int
    figures: Mapping[str, Any]  # as in metrics.json
    parameters: int
    training_seconds: float  # mean step time, times the steps: an interruption does not count
    latency_ms: float  # median of one utterance at a time, encoders included, decoding not
    predictions: Predictions

    def score(self, name: str = "macro_f1") -> float:
        return float(self.figures["all"][name])


def seeded(config: Config, seed: int) -> Config:
    return replace(config, training=replace(config.training, seed=seed))


def task_of(trial: Trial, *, after: tuple[str, ...] = (), long: bool = False) -> Task:
    """The trial as a task, named after its folder."""
    return Task(
        name=trial.folder.name, work=partial(run_trial, trial), after=after, long=long, kept=trial.folder / RESULT
    )


def run_trial(trial: Trial, reporter: TrainingReporter) -> Result:
    """The trial's result, from its folder when it is there; Interrupted after a requested stop."""
    data = corpus_contents(trial.config)
    if kept := _kept(trial, data):
        return kept
    reporter.say(f"{trial.name}, seed {trial.seed}")
    outcome = train(trial.config, trial.folder, resume=True, overwrite=False, reporter=reporter)
    opened = open_test(trial.best, trial.config.data, reporter)
    figures = evaluate_predictions(opened.predictions, opened.trained.temperatures)
    enter(trial.best, opened, figures)
    facts = {
        "config": fingerprint(trial.config),
        "data": data,
        "parameters": sum(p.numel() for p in opened.trained.model.parameters()),
        "training_seconds": outcome.step_seconds * outcome.steps,
        "latency_ms": latency(opened),
        "figures": figures,
        "kind": opened.predictions.kind,
    }
    _keep(trial, facts, opened.predictions)
    for name in ("resume", "tensorboard"):  # nothing will go on from here
        shutil.rmtree(trial.folder / name, ignore_errors=True)
    kept = _kept(trial, data)
    assert kept
    return kept


@torch.no_grad()
def latency(opened: Opened) -> float:
    """Median milliseconds of reading one prepared utterance."""
    model, split, spent = opened.trained.model, opened.split, []
    for i in range(min(TIMED, len(split))):
        streams = {m: pad([tensors[i]]) for m, tensors in split.tensors.items()}
        started = time.perf_counter()
        model(streams)
        spent.append(1000 * (time.perf_counter() - started))
    return statistics.median(spent)


def _kept(trial: Trial, data: str) -> Result | None:
    path = trial.folder / RESULT
    if not path.is_file():
        return None
    facts = json.loads(path.read_text(encoding="utf-8"))
    if facts["config"] != fingerprint(trial.config):
        raise ValueError(
            f"{trial.folder} holds a trial with other settings; give another --output_dir, or --overwrite to start anew"
        )
    if facts.get("data", data) != data:  # those of earlier versions do not tell
        raise ValueError(
            f"{trial.folder} holds a trial on other data (rows, labels, files or numbers); put them back, give another "
            "--output_dir, or --overwrite to start anew"
        )
    with np.load(trial.folder / READINGS, allow_pickle=False) as arrays:
        logits = {k.removeprefix("logits "): arrays[k] for k in arrays.files if k.startswith("logits ")}
        predictions = Predictions(
            ids=tuple(arrays["ids"].tolist()),
            classes=tuple(arrays["classes"].tolist()),
            labels=arrays["labels"],
            logits=logits,
            present=arrays["present"],
            modalities=tuple(arrays["modalities"].tolist()),
            groups=tuple(arrays["groups"].tolist()),
            kind=facts["kind"],
        )
    return Result(
        name=trial.name,
        seed=trial.seed,
        predictions=predictions,
        **{k: facts[k] for k in ("figures", "parameters", "training_seconds", "latency_ms")},
    )


def _keep(trial: Trial, facts: Mapping[str, Any], read: Predictions) -> None:
    """Readings first: where the result is, they are."""
    arrays: dict[str, Any] = {k: np.array(getattr(read, k)) for k in ("ids", "classes", "modalities", "groups")}
    arrays |= {"labels": read.labels, "present": read.present}
    arrays |= {f"logits {subset}": logits for subset, logits in read.logits.items()}
    aside = trial.folder / f"{READINGS}.writing"
    with aside.open("wb") as file:
        np.savez(file, **arrays)
    os.replace(aside, trial.folder / READINGS)
    aside = trial.folder / f"{RESULT}.writing"
    aside.write_text(json.dumps(facts, indent=1), encoding="utf-8")
    os.replace(aside, trial.folder / RESULT)
