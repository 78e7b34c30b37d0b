"""Evaluation proper: opens the test split, scores it once, and writes into the run's ledger that it did."""

import hashlib
import json
import platform
import shutil
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from emobraid import checkpoint
from emobraid.config import Config, DataConfig, fingerprint
from emobraid.data.corpus import Corpus
from emobraid.data.layouts import open_corpus
from emobraid.data.preparer import Reporter, read_split
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.report import write_report


def evaluate(
    model_path: Path, data: DataConfig, output: Path, reporter: Reporter, *, pictures: bool = True
) -> dict[str, Any]:
    """Score the model on the test split of `data`, write the report into `output`, and return its figures.

    Temperatures come from the checkpoint, where training fitted them on validation; nothing is fitted here.
    """
    model, trained, temperatures = checkpoint.load_model(model_path)
    config = Config(model=trained.model, training=trained.training, data=data)
    corpus = open_corpus(data, config.model)
    split = read_split(model.by_modality(), corpus.open_test(), config, "test", reporter)
    labels = corpus.rows.labels("test")
    if not temperatures:
        reporter.say("this model carries no calibration: its training did not end; confidences are raw")
    protocol = {
        "dataset": data.dataset,
        "split": "test",
        "seed": config.training.seed,
        "fusion_type": config.model.fusion_type,
        "bins": 15,
        "rows_without_label": int((split.labels.isnan().any(dim=1)).sum()),
        "labels": {own.name: own._asdict() for own in labels},
        "rows_left_out": sum(own.rows for own in labels if own.read_as is None),
    }
    metrics: dict[str, Any] = write_report(
        output,
        predict_split(model, split),
        temperatures,
        extra={"protocol": protocol},
        notes=corpus.rows.notes("test"),
        pictures=pictures,
    )
    _enter(checkpoint.resolve(model_path).parent / "ledger.jsonl", config, metrics, corpus)
    return metrics


def _enter(ledger: Path, config: Config, metrics: dict[str, Any], corpus: Corpus) -> None:
    """One line for each opening of the test split, so that a reader can count them."""
    entry = {
        "opened": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "config": fingerprint(config),
        "git": _git_hash(),
        "seed": config.training.seed,
        "split": hashlib.sha256(corpus.rows.table("test").read_bytes()).hexdigest()[:12],
        "environment": {
            "python": platform.python_version(),
            "torch": version("torch"),
            "emobraid": version("emobraid"),
            "machine": platform.machine(),
        },
        "macro_f1": metrics["all"]["macro_f1"],
        "accuracy": metrics["all"]["accuracy"],
    }
    with ledger.open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _git_hash() -> str:
    """The commit of the working folder, or an empty string outside a repository."""
    if not (git := shutil.which("git")):
        return ""
    asked = subprocess.run([git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return asked.stdout.strip()
