"""Nothing is answered from another corpus's leavings: what is kept is kept under what the rows hold."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from corpora import SHORT, Onlooker, feature_config, feature_corpus, refusal, run, tone
from emobraid.config import DistillationConfig
from emobraid.data.contents import contents, corpus_contents
from emobraid.data.corpus import Clip, Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.study.trial import Trial, run_trial
from emobraid.training.distillation import KEPT


def other_values(data):
    """The same tables; every number of the arrays is another one."""
    held = dict(np.load(data / "arrays.npz"))
    np.savez(data / "arrays.npz", **{name: 2 * values for name, values in held.items()})


def shuffled(table):
    """The same rows in another order: a row's name is its line, so the names stay."""
    head, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, *reversed(rows)]) + "\n")


def corrected(table):
    head, first, *rows = table.read_text().splitlines()
    table.write_text("\n".join([head, first.replace("happy", "sad"), *rows]) + "\n")


@pytest.fixture
def data(tmp_path):
    return feature_corpus(tmp_path / "data")


def test_contents_change_with_every_byte_and_not_with_the_place(tmp_path):
    def sample(cell, **more):
        return Sample(id="a", group="", cells={"audio": cell}, sound_from_video=False, label=0, **more)

    one = contents([sample(tone(tmp_path / "a.wav"))], ["audio"])
    (tmp_path / "moved").mkdir()
    assert contents([sample(tone(tmp_path / "moved" / "b.wav"))], ["audio"]) == one
    others = [
        sample(tone(tmp_path / "a.wav", pitch=221.0)),
        sample(Clip(tone(tmp_path / "d.wav"), 0.1, 0.4)),
        sample(None),
        sample(tmp_path / "gone.wav"),
        sample("words"),
        sample(tone(tmp_path / "c.wav"), spread=(0.5, 0.5)),
    ]
    assert len({one, *(contents([s], ["audio"]) for s in others)}) == 7
    assert contents([sample(None)], []) != contents([replace(sample(None), group="b")], [])


def test_a_splits_fingerprint_tells_values_apart_that_no_cell_names():
    samples = (Sample(id="a", group="", cells={}, sound_from_video=False, label=0),)
    ones, twos = (PreparedSplit(samples, {"audio": (k * torch.ones(2, 3),)}, torch.eye(2)[:1]) for k in (1, 2))
    assert ones.fingerprint() != twos.fingerprint()


@pytest.mark.parametrize("change", [lambda d: shuffled(d / "train.csv"), other_values], ids=["order", "values"])
def test_a_teacher_reads_rows_anew_that_are_not_the_ones_it_read(data, tmp_path, change):
    config = feature_config(data)
    run(config, tmp_path / "teacher")
    taught = replace(config, distillation=DistillationConfig(teacher_model=tmp_path / "teacher" / "best_model"))
    run(taught, tmp_path / "student")
    change(data)
    run(taught, tmp_path / "student", overwrite=True, reporter=(onlooker := Onlooker()))
    assert any(line.startswith("train for the teacher: 24 utterances") for line in onlooker.said)
    run(taught, tmp_path / "new")
    assert (tmp_path / "student" / KEPT).read_bytes() == (tmp_path / "new" / KEPT).read_bytes()


def test_another_teacher_is_no_continuation(data, tmp_path):
    config = feature_config(data)
    run(config, tmp_path / "teacher")
    taught = replace(config, distillation=DistillationConfig(teacher_model=tmp_path / "teacher" / "best_model"))
    run(taught, tmp_path / "student")
    run(feature_config(data, seed=1), tmp_path / "teacher", overwrite=True)
    said = refusal(lambda: run(taught, tmp_path / "student", resume=True))
    assert said.startswith("the teacher or what it reads is not what it was when the run in")


@pytest.mark.parametrize("name", ["train", "val"])
def test_a_resumed_run_refuses_other_numbers_under_the_same_names(data, tmp_path, name):
    config = feature_config(data)
    run(config, tmp_path / "run")
    other_values(data) if name == "train" else corrected(data / "val.csv")
    whole = {"train": "training", "val": "validation"}[name]
    assert f"the {whole} split is not what it was" in refusal(lambda: run(config, tmp_path / "run", resume=True))


def test_the_very_same_training_is_not_repeated_and_another_is_refused(data, tmp_path):
    config = feature_config(data)
    first = run(config, tmp_path / "run")
    log = (tmp_path / "run" / "metrics.jsonl").read_bytes()
    again = run(config, tmp_path / "run", reporter=(onlooker := Onlooker()))
    assert (again.best_macro_f1, again.steps) == (first.best_macro_f1, first.steps)
    assert "nothing is trained again (--overwrite starts anew)" in onlooker.said[0]
    assert (tmp_path / "run" / "metrics.jsonl").read_bytes() == log
    for changed in ({"seed": 1}, {"learning_rate": 1e-4}, {"num_epochs": 4}):
        said = refusal(lambda c=changed: run(feature_config(data, **c), tmp_path / "run"))
        assert said.endswith("holds a run already: --resume continues it, --overwrite starts anew")
    other_values(data)
    assert "the training split is not what it was" in refusal(lambda: run(config, tmp_path / "run"))


@pytest.mark.parametrize(
    "change",
    [other_values, lambda d: corrected(d / "val.csv"), lambda d: corrected(d / "test.csv")],
    ids=["values", "val", "test"],
)
def test_a_studys_trial_is_not_taken_for_one_on_other_data(data, tmp_path, change):
    trial = Trial(name="late", config=feature_config(data), folder=tmp_path / "trials" / "late-0")
    score = run_trial(trial, Onlooker()).score()
    shutil.copytree(data, tmp_path / "moved")
    moved = replace(trial, config=feature_config(tmp_path / "moved"))
    assert run_trial(moved, Onlooker()).score() == score  # a corpus may move
    change(data)
    assert "holds a trial on other data" in refusal(lambda: run_trial(trial, Onlooker()))


def test_a_search_does_not_rank_trials_on_other_data_beside_its_own(data, tmp_path, refused, command):
    pytest.importorskip("optuna")
    asked = ["search", "--config", "features", "--modalities", "audio", "video", "--labels", "happy", "sad", "angry"]
    small = ["--encoder_dim", "8", "--fusion_hidden_size", "8", "--fusion_heads", "2", "--fusion_type", "late"]
    place = ["--num_epochs", "1", "--data_root", str(data), "--output_dir", str(tmp_path / "s"), "--no_cache"]
    asked += [*small, *place, "--space", "learning_rate=1e-4..1e-1", "--batch_size", str(SHORT["batch_size"])]
    code, _, told = command(*asked, "--trials", "1")
    assert code == 0, told
    corrected(data / "val.csv")
    assert "holds a search on other data; another --output_dir, or --overwrite to start anew" in refused(
        *asked, "--trials", "2"
    )


def test_few_shot_cells_are_those_of_the_rows_that_were_read(data):
    before = corpus_contents(feature_config(data))
    other_values(data)
    assert corpus_contents(feature_config(data)) != before
