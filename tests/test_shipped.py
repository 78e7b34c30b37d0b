"""The model that ships works right after installation, by its name, and says what it is and on which terms."""

import json
import re
import shutil
import socket
import subprocess
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import media_fixtures
from emobraid import LabelSpace, Recognizer, checkpoint, cli
from emobraid.app import furniture, launching
from emobraid.config import parse
from emobraid.recipes import load_recipe
from emobraid.weights import named, shipped

NAME = "emobraid/compact"
FOLDER = shipped()[NAME]
CARD = (FOLDER / "README.md").read_text(encoding="utf-8")
MODALITIES = ("text", "audio", "video")


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    """Opened by name, where no folder is called so, and without any way out of this computer."""

    def refused(*_):
        raise AssertionError("the model that ships asked for the network")

    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("elsewhere"))
        patch.setattr(socket.socket, "connect", refused)
        with Recognizer.from_pretrained(NAME) as opened:
            yield opened


@pytest.fixture(scope="module")
def given():
    return {
        "text": "I'm so happy!",
        "audio": media_fixtures.tone(2.0, 16_000, 180.0),
        "video": np.stack([media_fixtures.portrait(256)] * 3),
    }


@pytest.mark.parametrize("kept", [("text",), ("audio",), ("video",), ("audio", "video"), MODALITIES], ids="+".join)
def test_it_reads_each_modality_alone_and_all_together(recognizer, given, kept):
    read = recognizer.predict(**{m: given[m] for m in kept})
    assert set(read.per_modality) == set(kept)
    assert sum(read.probabilities.values()) == pytest.approx(1.0, abs=1e-5)
    assert read.emotion in recognizer.config.model.labels
    assert not recognizer.synthetic


@pytest.mark.parametrize(
    ("words", "emotion"),
    [
        ("I'm so happy!", "happy"),
        ("I am so sad today, I miss her and I can't stop crying.", "sad"),
        ("This makes me so angry, I hate it!", "angry"),
        ("I'm really scared, this is terrifying.", "fear"),
        ("Wow, I did not expect that!", "surprise"),
        ("That is disgusting, it makes me sick.", "disgust"),
        ("The meeting is at three on the second floor.", "neutral"),
    ],
)
def test_plain_words_for_an_emotion_are_read_as_it(recognizer, words, emotion):
    assert recognizer.predict(text=words).emotion == emotion


def test_a_smile_is_read_as_happy(recognizer, given):
    assert recognizer.predict(video=given["video"]).emotion == "happy"


def test_a_face_that_stands_still_is_read_as_the_still(recognizer):
    still = media_fixtures.portrait(256)[None]
    once, held = (recognizer.predict(video=np.repeat(still, n, axis=0)) for n in (1, 12))
    assert held.probabilities == pytest.approx(once.probabilities, abs=0.15)


def test_a_temperature_was_fitted_for_every_subset():
    fitted = json.loads((FOLDER / "calibration.json").read_text())["temperatures"]
    assert len(fitted) == 7


def test_the_recipe_makes_what_ships():
    recipe, made = parse(load_recipe("compact"), "compact"), checkpoint.load_config(FOLDER, checkpoint.read(FOLDER))
    # it was made before voices were brought to one level; when it is made anew, this line is not needed
    assert recipe.model == replace(made.model, audio_levelled=True)
    assert replace(recipe.training, device=made.training.device) == made.training


@pytest.mark.parametrize("corpus", ["GoEmotions", "RAVDESS", "EmoDB", "nEMO", "FER2013"])
def test_the_card_names_every_corpus_with_its_terms(corpus):
    row = next(line for line in CARD.splitlines() if line.startswith(f"| {corpus}"))
    assert re.search(r"Apache-2\.0|CC BY-NC-SA 4\.0|CC0 1\.0|research use", row)


def test_the_terms_of_the_model_are_told_wherever_it_goes(recognizer):
    assert "CC BY-NC-SA 4.0" in recognizer.terms
    assert "not for commercial use" in recognizer.terms
    assert recognizer.terms in CARD
    assert recognizer.terms in furniture.masthead("x", False, recognizer.terms)
    assert "Terms" not in furniture.masthead("x", False)


def test_the_card_says_what_it_is_not_for_and_what_several_modalities_cost():
    assert "does not know what anybody feels" in CARD
    assert "may be surer than it should be" in CARD
    assert "[[" not in CARD


def test_the_folder_is_small_and_whole():
    checkpoint.read(FOLDER)  # against the manifest
    assert sum(f.stat().st_size for f in FOLDER.iterdir()) <= 8_000_000


def test_nothing_in_it_tells_where_it_was_made():
    told = [f.read_text(encoding="utf-8") for f in FOLDER.iterdir() if f.suffix != ".safetensors"]
    assert not [path for text in told for path in re.findall(r"[\"'`\s](?:/|[A-Z]:\\)\w+/[\w/.-]*", text)]
    data = checkpoint.load_config(FOLDER, checkpoint.read(FOLDER)).data
    assert (data.data_root, data.cache_dir, data.allow_outside) == (Path("compact"), None, None)


def test_a_wrong_name_is_one_line_with_those_that_ship(capsys):
    assert cli.main(["predict", "--model_path", "emobraid/compcat", "--text", "hello"]) != 0
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert NAME in told[0]


def test_where_no_model_is_the_one_that_ships_is_named(tmp_path):
    with pytest.raises(ValueError, match=NAME):
        checkpoint.resolve(tmp_path / "best_model")


def test_a_folder_of_ones_own_comes_before_the_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own = Path(NAME)
    own.mkdir(parents=True)
    assert named(own) == own


def test_the_demo_shows_it_unless_told_otherwise(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert launching.find_model(None) == (FOLDER, None)
    assert launching.find_model(Path(NAME)) == (FOLDER, None)


def test_scoring_it_writes_its_ledger_where_one_works_and_not_into_the_package(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("test.csv").write_text("text,audio_path,video_path,emotion\nI am so glad,,,happy\nGo away,,,angry\n")
    before = sorted(FOLDER.parent.rglob("*"))
    asked = ["--model_path", NAME, "--data_root", ".", "--output_dir", "results", "--no_pictures"]
    assert cli.main(["evaluate", *asked]) == 0
    assert Path("ledger.jsonl").read_text().count("\n") == 1
    assert sorted(FOLDER.parent.rglob("*")) == before


def test_a_model_that_grows_out_of_it_keeps_its_terms(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    head, known = "text,audio_path,video_path", [f"words of it,,,{label}" for label in LabelSpace().names]
    for table in ("train.csv", "val.csv"):
        Path(table).write_text("\n".join([f"{head},emotion", *known, *known]) + "\n")
    Path("pride.csv").write_text(f"{head}\n" + "".join(f"I am proud of it {i},,\n" for i in range(6)))
    asked = ["--model_path", NAME, "--examples", "pride.csv", "--data_root", ".", "--output_dir", "grown"]
    assert cli.main(["add-emotion", "pride", *asked]) == 0
    assert checkpoint.load_trained(Path("grown/best_model")).terms == checkpoint.load_trained(Path(NAME)).terms


def test_a_student_keeps_the_terms_of_whom_it_learns_from(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [f"words of it,,,{label}" for label in LabelSpace().names]
    for table in ("train.csv", "val.csv"):
        Path(table).write_text("\n".join(["text,audio_path,video_path,emotion", *rows]) + "\n")
    asked = ["--mode", "distillation", "--teacher_model", NAME, "--student_size", "tiny", "--modalities", "text"]
    few = ["--num_epochs", "1", "--data_root", ".", "--no_cache", "--output_dir", "student", "--device", "cpu"]
    assert cli.main(["train", *asked, *few]) == 0
    assert checkpoint.load_trained(Path("student/best_model")).terms == checkpoint.load_trained(Path(NAME)).terms


def test_a_wheel_holds_it(tmp_path):
    pytest.importorskip("setuptools", minversion="77")
    code = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    tree = tmp_path / "tree"
    copy_of_repository(tree)
    built = subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=tree, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    inside = set(zipfile.ZipFile(wheel).namelist())
    assert {f"emobraid/weights/compact/{f.name}" for f in FOLDER.iterdir()} <= inside
    assert "emobraid/weights/TERMS.md" in inside


def copy_of_repository(tree):
    repository = Path(__file__).parents[1]
    shutil.copytree(repository / "src", tree / "src", ignore=shutil.ignore_patterns("*.egg-info", "__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repository / name, tree)
