"""Evaluation proper: opens the test split, scores it once, and writes into the run's ledger that it did."""

import json
import platform
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from emobraid import checkpoint, release
from emobraid.checkpoint import Trained
from emobraid.config import Config, DataConfig, fingerprint
from emobraid.data.corpus import Corpus
from emobraid.data.hashes import key_of
from emobraid.data.layouts import open_corpus, refuse_other_fold, table_hash
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Reporter, read_split
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.report import write_report
from emobraid.evaluation.retrieval import refuse_single, retrieval_figures
from emobraid.weights import shipped


class Opened(NamedTuple):
    """A test split that has been opened, and what a model reads in it."""

    trained: Trained
    config: Config  # the model's own settings, with the data that was opened
    corpus: Corpus
    split: PreparedSplit
    predictions: Predictions


def open_test(model_path: Path, data: DataConfig, reporter: Reporter) -> Opened:
    """Read the test split of `data` with the model; whoever scores it calls `enter` with what came out."""
    trained = checkpoint.load_trained(model_path)
    refuse_other_fold(trained.config.data, data)
    config = Config(model=trained.config.model, training=trained.config.training, data=data)
    corpus = open_corpus(data, config.model)
    split = read_split(trained.model.by_modality(), corpus.open_test(), config, "test", reporter)
    return Opened(trained, config, corpus, split, predict_split(trained.model, split))


def evaluate(
    model_path: Path,
    data: DataConfig,
    output: Path,
    reporter: Reporter,
    *,
    pictures: bool = True,
    retrieval: bool = False,
) -> dict[str, Any]:
    """Score the model on the test split of `data`, write the report into `output`, and return its figures.

    With `retrieval` also how well the modalities of an utterance find each other; ValueError, before the split is
    opened, for a model of one modality.

    Temperatures and thresholds come from the checkpoint, where training fitted them on validation; nothing is fitted
    here.
    """
    if retrieval:
        folder = checkpoint.resolve(model_path)
        refuse_single(checkpoint.load_config(folder, checkpoint.read(folder)).model.modalities)
    opened = open_test(model_path, data, reporter)
    trained, config, corpus, split, predictions = opened
    labels = corpus.rows.labels("test")
    if not trained.temperatures:
        reporter.say("this model carries no calibration: its training did not end; confidences are raw")
    protocol = {
        "dataset": data.dataset,
        "split": "test",
        "seed": config.training.seed,
        "fusion_type": config.model.fusion_type,
        "label_kind": config.model.label_kind,
        "affect": list(config.model.affect),
        "bins": 15,
        "rows_without_label": int((split.labels.isnan().any(dim=1)).sum()),
        "labels": {own.name: own._asdict() for own in labels},
        "rows_left_out": sum(own.rows for own in labels if own.read_as is None),
    }
    metrics: dict[str, Any] = write_report(
        output,
        predictions,
        trained.temperatures,
        thresholds=trained.thresholds,
        extra={"protocol": protocol},
        notes=corpus.rows.notes("test"),
        retrieval=retrieval_figures(trained.model, split) if retrieval else None,
        pictures=pictures,
    )
    enter(model_path, opened, metrics)
    return metrics


def score_episodes(
    model_path: Path, config: Config, score: Callable[[PreparedSplit], dict[str, Any]], reporter: Reporter
) -> dict[str, Any]:
    """Open the test split of `config` for few-shot episodes and return what `score`, in which all is chosen, finds."""
    trained = checkpoint.load_trained(model_path)
    refuse_other_fold(trained.config.data, config.data)
    model, corpus = trained.model, open_corpus(config.data, config.model)
    split = read_split(model.by_modality(), corpus.open_test(), config, "test", reporter)
    found = score(split)
    means = {
        f"{row['method']} {row['subset']} {row['shots']}": sum(row["macro_f1"]) / len(row["macro_f1"])
        for row in found["rows"]
    }
    _write(model_path, config, corpus, split, study="few-shot episodes", macro_f1=means)
    return found


def enter(model_path: Path, opened: Opened, metrics: Mapping[str, Any], **more: str) -> None:
    """One line in the run's ledger for each opening of the test split, so that a reader can count them."""
    scores = {k: metrics["all"][k] for k in ("macro_f1", "accuracy", "exact_match") if k in metrics["all"]}
    _write(model_path, opened.config, opened.corpus, opened.split, **scores, **more)


def ledger_of(model_path: Path) -> Path:
    """Where it is written down that the test split was opened for a model."""
    folder = checkpoint.resolve(model_path)
    # a model that ships lies in the installed package, where nobody's ledger belongs
    return (Path() if folder in shipped().values() else folder.parent) / "ledger.jsonl"


def _write(model_path: Path, config: Config, corpus: Corpus, split: PreparedSplit, **found: Any) -> None:
    ledger = ledger_of(model_path)
    entry = {
        "opened": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": fingerprint(config),
        "git": _git_hash(),
        "seed": config.training.seed,
        "split": table_hash(corpus.rows.table("test"))[:12],
        # where one table holds all splits, only this tells which fold was opened
        "utterances": key_of(*sorted(s.id for s in split.samples))[:12],
        "environment": {
            "python": platform.python_version(),
            "torch": version("torch"),
            "emobraid": release.version(),
            "machine": platform.machine(),
        },
        **found,
    }
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _git_hash() -> str:
    """The commit of the working folder, or an empty string outside a repository."""
    if not (git := shutil.which("git")):
        return ""
    asked = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
