"""The test split is opened by evaluation alone, each time with a line in the ledger, and nothing is fitted on it."""

import csv
import hashlib
import json
import platform
import shutil
from importlib.metadata import version
from pathlib import Path

import pytest

from corpora import Onlooker, feature_config, feature_corpus, results, run
from emobraid import checkpoint
from emobraid.config import DataConfig, fingerprint
from emobraid.data.corpus import Corpus, SealedSplit
from emobraid.data.csv import CsvRows
from emobraid.evaluation import report
from emobraid.evaluation.sealed import evaluate

ROWS = {"train": 24, "val": 60, "test": 12}  # enough in validation for a temperature of each subset's own


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data", rows=ROWS)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("trained") / "run"
    run(feature_config(corpus, seed=3), folder)
    return folder


@pytest.fixture
def model(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "run")
    return tmp_path / "run" / "best_model"


@pytest.fixture(autouse=True)
def _no_pictures(monkeypatch):
    """They take seconds and have tests of their own."""
    monkeypatch.setattr(report, "pictures_of", lambda *_: ())


def opened(model, data, output, **settings):
    return evaluate(model, DataConfig(data_root=data, cache=False, workers=1, **settings), output, Onlooker())


def ledger(model):
    return [json.loads(line) for line in (model.parent / "ledger.jsonl").read_text().splitlines()]


def relabelled(corpus, folder, split):
    """The corpus with the labels of one split moved on by one row."""
    shutil.copytree(corpus, folder)
    with (folder / f"{split}.csv").open(newline="") as file:
        header, *rows = csv.reader(file)
    labels = [row[-1] for row in rows]
    with (folder / f"{split}.csv").open("w", newline="") as file:
        moved = labels[1:] + labels[:1]
        csv.writer(file).writerows([header, *([*row[:-1], m] for row, m in zip(rows, moved, strict=True))])
    return folder


def test_the_training_side_gets_no_test_rows(corpus):
    config = feature_config(corpus).model
    with pytest.raises(SealedSplit, match="the test split is sealed: only evaluation opens it"):
        Corpus(CsvRows(root=corpus, config=config)).split("test")
    assert len(Corpus(CsvRows(root=corpus, config=config)).split("val")) == 60
    assert len(Corpus(CsvRows(root=corpus, config=config)).open_test()) == 12


def test_every_opening_is_a_line_in_the_runs_ledger(model, corpus, tmp_path):
    first = opened(model, corpus, tmp_path / "a")
    opened(model.with_suffix(".pth"), corpus, tmp_path / "b")
    entries = ledger(model)
    assert len(entries) == 2
    entry = entries[0]
    assert set(entry) == {
        *("opened", "config", "git", "seed", "split", "utterances", "environment", "macro_f1", "accuracy"),
    }
    assert entry["config"] == fingerprint(checkpoint.load_model(model)[1])
    assert entry["seed"] == 3
    assert entry["split"] == hashlib.sha256((corpus / "test.csv").read_bytes()).hexdigest()[:12]
    with (corpus / "test.csv").open(newline="") as file:
        ids = sorted(f"test-{i}" for i, _ in enumerate(csv.DictReader(file), 2))
    assert entry["utterances"] == hashlib.sha256("\0".join(ids).encode()).hexdigest()[:12]
    assert entry["environment"] == {
        "python": platform.python_version(),
        "torch": version("torch"),
        "emobraid": version("emobraid"),
        "machine": platform.machine(),
    }
    assert (entry["macro_f1"], entry["accuracy"]) == (first["all"]["macro_f1"], first["all"]["accuracy"])
    assert {k: v for k, v in entries[1].items() if k != "opened"} == {k: v for k, v in entry.items() if k != "opened"}


def test_another_test_table_is_another_split_hash(model, corpus, tmp_path):
    opened(model, corpus, tmp_path / "a")
    opened(model, relabelled(corpus, tmp_path / "other", "test"), tmp_path / "b")
    first, second = ledger(model)
    assert first["split"] != second["split"]
    assert first["config"] == second["config"]


def test_other_settings_are_another_config_hash_and_other_folders_are_not(corpus, tmp_path):
    config = feature_config(corpus)
    assert fingerprint(config) == fingerprint(feature_config(Path("elsewhere"), workers=2))
    for changed in ({"seed": 1}, {"encoder_dim": 16}, {"learning_rate": 0.5}):
        assert fingerprint(config) != fingerprint(feature_config(corpus, **changed))


def test_an_evaluation_that_fails_writes_neither_results_nor_a_line(model, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"test\.csv: no such file"):
        opened(model, tmp_path / "empty", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not (model.parent / "ledger.jsonl").exists()


def test_evaluation_changes_nothing_in_the_model(model, corpus, tmp_path):
    before = {p.name: p.read_bytes() for p in model.iterdir()}
    opened(model, corpus, tmp_path / "out")
    assert {p.name: p.read_bytes() for p in model.iterdir()} == before


def test_temperatures_are_those_that_training_fitted(model, corpus, tmp_path):
    temperatures = json.loads((model / "calibration.json").read_text())["temperatures"]
    assert set(temperatures) == {"audio", "video", "audio+video"}
    assert len(set(temperatures.values())) == 3
    assert all(t not in (1.0, 0.05, 20.0) for t in temperatures.values())
    metrics = opened(model, corpus, tmp_path / "out")
    assert {s: row["temperature"] for s, row in metrics["subsets"].items()} == temperatures


def test_no_label_of_the_test_split_reaches_weights_log_or_temperatures(trained, corpus, tmp_path):
    other = relabelled(corpus, tmp_path / "other", "test")
    run(feature_config(other, seed=3), tmp_path / "run")
    assert results(tmp_path / "run") == results(trained)


def test_labels_of_the_validation_split_do_reach_the_temperatures(corpus, tmp_path):
    """The control of the test above: after one epoch there is nothing to choose, so the weights are the same."""
    other = relabelled(corpus, tmp_path / "other", "val")
    for name, data in (("ours", corpus), ("theirs", other)):
        run(feature_config(data, seed=3, num_epochs=1), tmp_path / name)
    ours, theirs = results(tmp_path / "ours"), results(tmp_path / "theirs")
    assert ours["best_model/model.safetensors"] == theirs["best_model/model.safetensors"]
    assert ours["best_model/calibration.json"] != theirs["best_model/calibration.json"]


def test_a_model_whose_training_did_not_end_is_scored_with_raw_confidences_and_says_so(model, corpus, tmp_path):
    files = checkpoint.read(model)
    checkpoint.publish(model, {**files, "calibration.json": b'{"temperatures": {}}'})
    told = Onlooker()
    data = DataConfig(data_root=corpus, cache=False, workers=1)
    metrics = evaluate(model, data, tmp_path / "out", told)
    assert any("carries no calibration" in line for line in told.said)
    assert metrics["all"]["temperature"] == 1.0
    assert metrics["all"]["ece_before"] == metrics["all"]["ece_after"]


def test_the_report_says_what_was_scored_and_how(model, corpus, tmp_path):
    opened(model, corpus, tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["run"]["protocol"] == {
        "dataset": "csv",
        "split": "test",
        "seed": 3,
        "fusion_type": "late",
        "label_kind": "exclusive",
        "affect": [],
        "bins": 15,
        "rows_without_label": 0,
        "labels": {},
        "rows_left_out": 0,
    }
    assert (tmp_path / "out" / "predictions.csv").read_text().count("\n") == 13
