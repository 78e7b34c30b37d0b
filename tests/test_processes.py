"""Training over two processes: the same batches, the same losses as one process, one writer."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from corpora import as_flags, feature_config, feature_corpus, run
from emobraid import checkpoint, cli
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.processes import share
from emobraid.training.sharding import borrowed

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


def trained(count, config, out, *flags):
    """In this process, or by several that share the weights out."""
    if count == 1:
        assert cli.main(["train", *as_flags(config), "--output_dir", str(out), *flags]) == 0
    else:
        together(count, *as_flags(config), "--output_dir", out, "--sharding", "fsdp", *flags)


def log(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def alike(one, other):
    """Two runs whose checkpoints hold the same names and shapes, and the same numbers as a whole.

    Not each for itself: where a gradient is nothing but rounding, as of a bias in front of a softmax, AdamW makes whole
    steps of it.
    """
    for place in ("best_model", next((one / "resume").glob("step-*")).relative_to(one)):
        a, b = (load_file(folder / place / "model.safetensors") for folder in (one, other))
        assert {name: t.shape for name, t in a.items()} == {name: t.shape for name, t in b.items()}
        first, second = (torch.cat([t.float().flatten() for t in held.values()]) for held in (a, b))
        assert (first - second).norm() < 5e-3 * first.norm()


@pytest.fixture
def quiet(tmp_path, monkeypatch):
    """No dropout, here and in the processes that are started."""
    (tmp_path / "quiet").mkdir()
    (tmp_path / "quiet" / "sitecustomize.py").write_text("import torch\ntorch.nn.Dropout.forward = lambda self, x: x\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "quiet"), os.environ.get("PYTHONPATH", "")]))
    without_dropout(monkeypatch)


def without_dropout(monkeypatch):
    """Feature encoders have dropout of their own, whose draws differ between one process and two."""
    monkeypatch.setattr(torch.nn.Dropout, "forward", lambda self, x: x)


def test_shares_hold_every_row_once_and_are_of_one_length():
    shares = [share(7, rank, 2).tolist() for rank in (0, 1)]
    assert shares == [[0, 2, 4, 6], [1, 3, 5, 6]]  # the last one is filled up
    assert share(1, 1, 2).tolist() == [0]


@pytest.mark.timeout(500)
@pytest.mark.parametrize("views", [{}, {"subset_views": "all", "modality_dropout": 0.3}])
@pytest.mark.parametrize("sharding", ["none", "fsdp"])
def test_two_processes_have_the_losses_of_one(tmp_path, corpus, quiet, sharding, views):
    settings = {**QUIET, "alignment_weight": 0.5, "consistency_weight": 0.5, "fusion_type": "hierarchical", **views}
    config = feature_config(corpus, **settings)
    together(2, *as_flags(config), "--output_dir", tmp_path / "two", "--sharding", sharding)
    run(config, tmp_path / "one")
    one, two = log(tmp_path / "one"), log(tmp_path / "two")
    assert len(one) == len(two) == 8  # three steps and a validation an epoch
    for a, b in zip(one, two, strict=True):
        assert a.keys() == b.keys()
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name
    alike(tmp_path / "one", tmp_path / "two")
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


# --- weights shared out ---


def tower_config(hub, root, **changed):
    """A tiny DeBERTa, tuned, beside features; every row has words, some lack the features."""
    told = {"modalities": ["text", "audio"], "text_encoder": "pretrained", "text_model_name": str(hub["deberta-v2"])}
    told |= {"audio_encoder": "features", "encoder_learning_rate": 1e-3, "adapter_size": 4, "lora_rank": 2}
    return feature_config(root, **{**QUIET, "modality_dropout": 0.0, **told, **changed})


@pytest.mark.timeout(500)
@pytest.mark.parametrize(
    "tuned", [{"text_tuning": "full"}, {"text_tuning": "lora"}, {"text_tuning": "full", "accumulate": 2}]
)
def test_a_tuned_encoder_whose_layers_are_shared_out_learns_as_in_one_process(tmp_path, corpus, hub, quiet, tuned):
    config = tower_config(hub, corpus, **tuned)
    together(2, *as_flags(config), "--output_dir", tmp_path / "two", "--sharding", "fsdp")
    run(config, tmp_path / "one")
    for a, b in zip(log(tmp_path / "one"), log(tmp_path / "two"), strict=True):
        for name, value in a.items():
            assert b[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name
    alike(tmp_path / "one", tmp_path / "two")
    trained = checkpoint.load_model(tmp_path / "two" / "best_model")[0]
    assert isinstance(trained, MultimodalEmotionModel)


@pytest.mark.timeout(500)
def test_shared_out_weights_go_on_in_one_process_and_those_of_one_are_shared_out(tmp_path, corpus, hub, quiet):
    config = tower_config(hub, corpus, text_tuning="full", save_every=1)
    trained(1, config, tmp_path / "whole")
    for first, then in ((2, 1), (1, 2)):
        out = tmp_path / f"{first} then {then}"
        trained(first, config, out)
        shutil.rmtree(out / "resume" / "step-00000006")  # as if it had been killed one step before the end
        trained(then, config, out, "--resume")
        for one, two in zip(log(tmp_path / "whole"), log(out), strict=True):
            for name, value in one.items():
                assert two[name] == pytest.approx(value, rel=2e-3, abs=1e-5), name
        alike(tmp_path / "whole", out)


@pytest.mark.timeout(500)
def test_shared_out_weights_are_computed_with_in_bfloat16(tmp_path, corpus, hub):
    config = tower_config(hub, corpus, text_tuning="full", mixed_precision="bf16", num_epochs=1)
    together(2, *as_flags(config), "--output_dir", tmp_path / "two", "--sharding", "fsdp")
    state = load_file(tmp_path / "two" / "best_model" / "model.safetensors")
    assert {t.dtype for t in state.values() if t.is_floating_point()} == {torch.float32}


def test_a_share_without_a_modality_borrows_a_row_that_has_it():
    there, both = torch.tensor([[True], [False], [True], [False]]), torch.ones(4, 1, dtype=torch.bool)
    streams = {"text": Stream(torch.zeros(4, 1, 2), both), "audio": Stream(torch.zeros(4, 1, 2), there)}
    assert borrowed(streams, 2) == [0]  # rows 1 and 3, the second share, have no audio
    assert borrowed({"text": streams["text"]}, 2) == []
    gone = {"audio": Stream(torch.zeros(4, 1, 2), torch.zeros_like(both))}
    assert borrowed(gone, 2) == []  # no process runs that encoder


def test_weights_are_not_shared_out_in_one_process_or_in_a_study(tmp_path, corpus, refused):
    flags = ["train", *as_flags(feature_config(corpus)), "--output_dir", tmp_path, "--sharding", "fsdp"]
    assert "start it with torchrun --nproc_per_node N" in refused(*flags)
    assert "sharding is for one training" in refused(*flags, "--mode", "ablation")
    assert not list(tmp_path.iterdir())


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
