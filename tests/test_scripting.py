"""Training from Python in three lines, the mission's names, and its commands beside each other."""

import importlib
import json
import os
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

import emobraid
from command_fixtures import REPOSITORY
from corpora import Onlooker, as_flags, feature_config, feature_corpus, refusal, run
from emobraid.checkpoint import load_model
from emobraid.cli.flags import read_flags
from emobraid.cli.telling import command as written
from emobraid.cli.training import Train
from emobraid.config import Config, DataConfig, FewShotConfig, ModelConfig
from emobraid.evaluation.remembered import as_trained
from emobraid.study import command as study_command
from emobraid.study.suite import LIGHT
from emobraid.training.distillation import KnowledgeDistillationModel
from emobraid.training.few_shot import FewShotModel

SMALL = {"modalities": ("audio", "video"), "labels": ("happy", "sad", "angry"), "fusion_type": "late", "num_epochs": 2}
SMALL |= {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "cache": False, "workers": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("scripting") / "data")


def test_training_from_python_is_three_lines_and_silent(data, tmp_path, capfd):
    outcome = emobraid.train("features", data_root=data, output_dir=tmp_path / "run", **SMALL)
    metrics = emobraid.evaluate(outcome.best_model, output_dir=tmp_path / "results", pictures=False)
    assert outcome.best_model == tmp_path / "run" / "best_model"
    assert metrics["all"]["n"] == 12  # of the corpus that the model remembers
    assert json.loads((tmp_path / "results" / "metrics.json").read_text())["all"] == metrics["all"]
    assert capfd.readouterr() == ("", "")


def test_a_models_settings_alone_say_how_it_is_trained(data, tmp_path):
    shape = {k: v for k, v in SMALL.items() if k not in ("cache", "workers", "num_epochs")}
    own = ModelConfig(**shape, audio_encoder="features", video_encoder="features", num_epochs=1, batch_size=8)
    outcome = emobraid.train(own, data_root=data, cache=False, output_dir=tmp_path / "run", reporter=Onlooker())
    assert outcome.steps == 3  # one epoch of 24 rows


def test_settings_that_there_are_not_are_one_line(data):
    assert refusal(lambda: emobraid.train(num_epoch=3)).startswith("num_epoch is not a setting, did you mean 'num_epo")
    assert refusal(lambda: emobraid.evaluate("emobraid/compact", dataroot=data)).startswith("dataroot is not a setting")


def test_a_model_is_scored_on_the_data_that_it_was_trained_on_unless_told_otherwise(data, tmp_path):
    run(feature_config(data), tmp_path / "run")
    best = tmp_path / "run" / "best_model"
    assert as_trained(best, DataConfig(), ()).data_root == data
    assert as_trained(best, DataConfig(data_root=tmp_path), {"data_root"}).data_root == tmp_path
    assert as_trained(best, DataConfig(dataset="meld"), {"dataset"}) == DataConfig(dataset="meld")
    assert as_trained(best, DataConfig(dataset="csv"), {"dataset"}).data_root == data
    assert as_trained(best, DataConfig(workers=3), {"workers"}).workers == 3


def test_a_corpus_that_has_moved_is_looked_for_in_data(data, tmp_path):
    shutil.copytree(data, tmp_path / "gone")
    run(feature_config(tmp_path / "gone"), tmp_path / "run")
    shutil.rmtree(tmp_path / "gone")
    assert as_trained(tmp_path / "run" / "best_model", DataConfig(), ()) == DataConfig()


def test_few_shot_learning_and_distillation_leave_the_model_usable(data, tmp_path):
    run(feature_config(data), tmp_path / "run")
    base, config, _ = load_model(tmp_path / "run" / "best_model")
    base.train()
    inside = FewShotModel(base, config.model).base
    taught = KnowledgeDistillationModel(base, config.model)
    assert base.training
    assert all(p.requires_grad for p in base.parameters())
    for twin in (inside, taught.teacher):
        assert not twin.training
        assert not any(p.requires_grad for p in twin.parameters())
        assert next(twin.parameters()).data_ptr() == next(base.parameters()).data_ptr()  # no second copy in memory
    optimizer = torch.optim.SGD(base.parameters(), lr=0.1)
    base.affect = None
    sum(p.sum() for p in base.parameters()).backward()
    optimizer.step()


def test_the_missions_import_paths_are_the_real_classes(monkeypatch):
    monkeypatch.syspath_prepend(str(REPOSITORY))
    for name in ("data", "models", "training", "config"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    wanted = {
        "models.multimodal_model": ("MultimodalEmotionModel", "FewShotModel", "KnowledgeDistillationModel"),
        "models.encoders": ("Encoder", "PretrainedText", "PretrainedAudio", "PretrainedVideo", "CompactText"),
        "models.fusion_layers": ("EarlyFusion", "LateFusion", "MultFusion", "GraphFusion", "HierarchicalFusion"),
        "training.advanced_trainer": ("Trainer", "train", "evaluate"),
        "data.dataset_loaders": ("FewShotDataset", "Corpus"),
        "config": ("ModelConfig",),
    }
    for module, names in wanted.items():
        found = importlib.import_module(module)
        assert set(names) <= set(found.__all__)
        for name in names:
            assert getattr(found, name).__module__.startswith("emobraid.")
    fields = ModelConfig.__dataclass_fields__
    eleven = "text_model_name text_max_length audio_model_name audio_sample_rate video_model_name video_max_frames"
    eleven += " fusion_type fusion_hidden_size batch_size learning_rate num_epochs"
    assert set(eleven.split()) <= set(fields)


def test_a_clone_works_with_nothing_but_its_requirements(tmp_path):
    """Without the package: no site folder that knows emobraid, only those of what it needs."""
    clone = tmp_path / "clone"
    for name in ("src", "models", "training", "demo"):
        shutil.copytree(REPOSITORY / name, clone / name, ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("_source.py", "config.py", "train_advanced.py", "evaluate_model.py", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, clone)
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    hide = "import sys, runpy; from pathlib import Path; sys.argv = sys.argv[1:]; "
    hide += "sys.meta_path[:] = [f for f in sys.meta_path if 'editable' not in getattr(f, '__name__', '').lower()]; "
    hide += "sys.path = [str(Path(sys.argv[0]).parent), *(p for p in sys.path if not p.endswith('/src'))]; "
    hide += "runpy.run_path(sys.argv[0], run_name='__main__')"
    for script in ("train_advanced.py", "evaluate_model.py", "demo/gradio_demo.py"):
        started = subprocess.run(
            [sys.executable, "-c", hide, str(clone / script), "--model_path", "gone.pth"],
            cwd=tmp_path,
            env=kept,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "ModuleNotFoundError" not in started.stderr
        assert started.stderr.startswith("emobraid: "), started.stderr
    code = "import emobraid, config; print(emobraid.__file__, emobraid.__version__)"
    told = subprocess.run(
        [sys.executable, "-c", code], cwd=clone, env=kept, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stderr


def test_a_printed_command_can_be_pasted(data, tmp_path, command):
    place = tmp_path / "pa th Ünï" / "r ü's"
    shutil.copytree(data, tmp_path / "da ta")
    flags = as_flags(feature_config(tmp_path / "da ta"))
    code, out, _ = command("train", *flags, "--output_dir", place)
    assert code == 0
    words = shlex.split(out.partition("score it with: ")[2])
    assert words[:2] == ["emobraid", "evaluate"]
    assert read_flags(importlib.import_module("emobraid.cli.scoring").Evaluate, words[2:], "").model_path == (
        place / "best_model"
    )
    code, out, _ = command(*words[1:], "--output_dir", tmp_path / "results", "--no_pictures", "--no_cache")
    assert code == 0


def test_a_script_names_its_sister_script(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["/a b/train_advanced.py"])
    assert written("evaluate", "--model_path", "x y") == "python '/a b/evaluate_model.py' --model_path 'x y'"
    monkeypatch.setattr(sys, "argv", ["/bin/emobraid"])
    assert written("evaluate", "--model_path", "x y") == "emobraid evaluate --model_path 'x y'"


@pytest.mark.parametrize(
    "flag", [("--learning_rate", "1e-4"), ("--batch-size", "16"), ("--no_augment",), ("--seed=1",)]
)
def test_resuming_refuses_every_changed_flag_even_one_that_names_the_usual_value(
    data, tmp_path, command, refused, flag
):
    flags = as_flags(feature_config(data))  # learning rate 1e-2, batches of 8
    assert command("train", *flags, "--output_dir", tmp_path / "run")[0] == 0
    name = flag[0].lstrip("-").partition("=")[0].replace("-", "_").removeprefix("no_")
    told = refused("train", "--output_dir", tmp_path / "run", "--data_root", data, "--resume", *flag)
    assert told.startswith(f"training.{name} was ")
    assert told.endswith("leave it out to resume, or start anew in another folder")
    resumed = command("train", "--output_dir", tmp_path / "run", "--data_root", data, "--no_cache", "--resume")
    assert resumed[0] == 0  # what is left out is what it was


def test_each_mode_writes_beside_the_others_unless_told_where(monkeypatch, tmp_path):
    for mode in ("contrastive", "robust", "distillation", "few_shot", "ablation", "all"):
        asked = read_flags(Train, ["--mode", mode, "--teacher_model", "x", "--print_config"], "")
        place = {}
        monkeypatch.setattr("emobraid.cli.training._study", lambda a, p=place: p.update(at=a.output_dir) or 0)
        monkeypatch.setattr("emobraid.cli.training._few_shot", lambda a, p=place: p.update(at=a.output_dir) or 0)
        assert importlib.import_module("emobraid.cli.training").train(asked) == 0
        assert place.get("at", asked.output_dir).as_posix() == f"checkpoints/{mode}"
    own = read_flags(Train, ["--mode", "robust", "--output_dir", "checkpoints", "--print_config"], "")
    importlib.import_module("emobraid.cli.training").train(own)
    assert own.output_dir.as_posix() == "checkpoints"


def test_a_few_shot_flag_inside_all_changes_that_alone(monkeypatch, tmp_path, data):
    made = []

    class Told:
        def __init__(self, **settings):
            made.append(settings["few_shot"])

        def run(self, reporter):
            return tmp_path

    monkeypatch.setattr(study_command, "Suite", Told)
    for given, asked, wanted in (
        ((), FewShotConfig(), LIGHT),
        ({"episodes"}, FewShotConfig(episodes=7), replace(LIGHT, episodes=7)),
        ({"queries"}, FewShotConfig(), replace(LIGHT, queries=FewShotConfig().queries)),  # the usual value, asked for
    ):
        study = importlib.import_module("emobraid.config").StudyConfig()
        study_command.suite(feature_config(data), study, asked, tmp_path, False, Onlooker(), given)
        assert made[-1] == wanted


def test_reading_takes_the_model_that_was_trained_here_else_the_one_that_ships(monkeypatch, tmp_path, data, command):
    monkeypatch.chdir(tmp_path)
    code, _, told = command("predict", "--text", "I am so happy!")
    assert (code, told.splitlines()[0]) == (0, "model: emobraid/compact")
    run(feature_config(data), tmp_path / "checkpoints")
    code, _, told = command("predict", "--text", "I am so happy!")
    assert (code, told.splitlines()) == (
        2,
        ["model: checkpoints/best_model", "emobraid: this model reads audio, video, not text"],
    )


def test_config_keeps_no_reference_to_what_it_was_given():
    assert Config(model=(own := ModelConfig())).model is not own
