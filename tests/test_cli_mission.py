"""The mission's commands, word for word, in an empty folder with data/."""

import importlib.util
import json
import tomllib

import pytest

from command_fixtures import REPOSITORY, python
from corpora import as_flags, clip_config, clip_corpus


@pytest.fixture(scope="module")
def mission(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mission")
    data = clip_corpus(folder / "data")
    small = as_flags(clip_config(data, fusion_type="early"), "model", "training")  # the default fusion is asked for
    at = small.index("--fusion_type")
    del small[at : at + 2]
    asked = ["--mode", "standard", "--fusion_type", "hierarchical"]
    trained = python(REPOSITORY / "train_advanced.py", *asked, *small, "--workers", "1", cwd=folder)
    asked = ["--model_path", "checkpoints/best_model.pth", "--output_dir", "results/"]
    return folder, trained, python(REPOSITORY / "evaluate_model.py", *asked, cwd=folder)


def test_the_missions_training_command_works_on_data_and_writes_checkpoints(mission):
    folder, trained, _ = mission
    assert trained.returncode == 0, trained.stderr
    assert "checkpoints/best_model: validation macro-F1 " in trained.stdout
    assert "epoch   1  loss " in trained.stderr
    made = {p.name for p in (folder / "checkpoints").iterdir()}
    assert {"best_model", "resume", "metrics.jsonl", "training.png", "tensorboard"} <= made
    kept = tomllib.loads((folder / "checkpoints" / "best_model" / "config.toml").read_text())
    assert kept["model"]["fusion_type"] == "hierarchical"
    card = (folder / "checkpoints" / "best_model" / "README.md").read_text()
    assert "hierarchical fusion of text, audio, video" in card
    assert "AI Act" in card


def test_the_missions_evaluation_command_works_and_writes_results(mission):
    folder, _, evaluated = mission
    assert evaluated.returncode == 0, evaluated.stderr
    assert "written: results/metrics.json" in evaluated.stdout
    made = {p.name for p in (folder / "results").iterdir()}
    assert {"metrics.json", "predictions.csv", "confusion.png", "per_class.png"} <= made
    metrics = json.loads((folder / "results" / "metrics.json").read_text())
    assert len(metrics["subsets"]) == 7
    assert (folder / "checkpoints" / "ledger.jsonl").read_text().count("\n") == 1


def test_the_missions_demo_says_in_one_line_that_there_is_no_model(tmp_path):
    asked = ["--model_path", "checkpoints/best_model.pth", "--port", "7860"]
    shown = python(REPOSITORY / "demo" / "gradio_demo.py", *asked, cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("emobraid: checkpoints/best_model")
    assert shown.stderr.count("\n") == 1


def test_the_missions_config_module_has_its_fields_and_defaults():
    spec = importlib.util.spec_from_file_location("missions_config", REPOSITORY / "config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built, trained = module.ModelConfig(), module.TrainingConfig()
    assert (built.text_model_name, built.text_max_length) == ("microsoft/deberta-v3-base", 512)
    assert (built.audio_model_name, built.audio_sample_rate) == ("facebook/wav2vec2-base-960h", 16000)
    assert (built.video_model_name, built.video_max_frames) == ("google/vit-base-patch16-224", 30)
    assert (built.fusion_type, built.fusion_hidden_size) == ("hierarchical", 512)
    assert (trained.batch_size, trained.learning_rate, trained.num_epochs) == (16, 1e-4, 100)
