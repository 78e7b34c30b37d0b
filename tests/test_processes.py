"""Training over two processes: the same batches, the same losses as one process, one writer."""

import json
import os
import subprocess
import sys

import pytest
import torch

from corpora import as_flags, feature_config, feature_corpus, run
from emobraid.training.processes import share

QUIET = {"modality_dropout": 0.3, "augment": False, "fusion_dropout": 0.0, "num_epochs": 2}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    # 23 rows: the last batch of an epoch has seven, which two processes cannot share evenly
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data", rows={"train": 23, "val": 12, "test": 12})


def together(count, *flags, check=True):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", str(count)]
    torchrun += ["--rdzv_backend", "c10d", "--rdzv_endpoint", "localhost:0"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
    return subprocess.run(
        [*torchrun, "-m", "emobraid", "train", *map(str, flags)],
        capture_output=True,
        text=True,
        env=environment,
        check=check,
        timeout=240,
    )


def log(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def without_dropout(monkeypatch):
    """Feature encoders have dropout of their own, whose draws differ between one process and two."""
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)


def test_shares_hold_every_row_once_and_are_of_one_length():
    shares = [share(7, rank, 2).tolist() for rank in (0, 1)]
    assert shares == [[0, 2, 4, 6], [1, 3, 5, 6]]  # the last one is filled up
    assert share(1, 1, 2).tolist() == [0]


@pytest.mark.timeout(500)
def test_two_processes_have_the_losses_of_one(tmp_path, corpus, monkeypatch):
    settings = {**QUIET, "alignment_weight": 0.5, "consistency_weight": 0.5, "fusion_type": "hierarchical"}
    config = feature_config(corpus, **settings)
    script = tmp_path / "sitecustomize.py"
    script.write_text("import torch\ntorch.nn.Dropout.forward = lambda self, x: x\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    together(2, *as_flags(config), "--output_dir", tmp_path / "two")
    without_dropout(monkeypatch)
    run(config, tmp_path / "one")
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    assert len(one) == len(two) == 8  # three steps and a validation an epoch
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name
    # negative control: other batches have other losses
    assert abs(one[0]["loss"] - one[1]["loss"]) > 1e-3


@pytest.mark.timeout(500)
def test_a_run_of_one_process_is_resumed_by_two_and_says_what_changes(tmp_path, corpus):
    config = feature_config(corpus, **QUIET)
    out = tmp_path / "out"
    run(config, out)
    standing = next((out / "resume").glob("step-*"))
    assert standing.is_dir()
    told = together(2, *as_flags(config), "--output_dir", out, "--resume")
    assert "1 processes trained so far, 2 go on" in told.stderr
    assert told.stderr.count("resuming from step") == 1  # one of them speaks
    assert told.stdout.count("validation macro-F1") == 1


def test_accumulating_over_pieces_has_the_gradient_of_the_whole_batch(tmp_path, corpus, monkeypatch):
    without_dropout(monkeypatch)
    settings = {**QUIET, "modality_dropout": 0.0, "class_weighting": False, "label_smoothing": 0.0, "num_epochs": 1}
    for pieces in (1, 2):
        config = feature_config(corpus, **settings, accumulate=pieces, fusion_type="early")
        run(config, tmp_path / str(pieces))
    whole, parts = log(tmp_path / "1"), log(tmp_path / "2")
    for a, b in zip(whole, parts, strict=True):
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name
