"""Data and checkpoints that cannot be used are one line, and nothing is written."""

import pytest
import torch

import command_fixtures
import corpora
from corpora import SMALL, as_flags, write_table
from emobraid.config import Config, ModelConfig

clips, model = command_fixtures.clips, command_fixtures.model


def broken_table(root):
    write_table(root / "train.csv", [["hello", "happy"]], columns=("text", "emotion"))


def table_without_labels(root):
    write_table(root / "train.csv", [["hello", "", ""]], columns=("text", "audio_path", "video_path"))


def one_row(*cells):
    def write(root):
        write_table(root / "train.csv", [["fine", "", "", "happy"], cells])

    return write


def empty_sound(root):
    (root / "empty.wav").touch()
    one_row("", "empty.wav", "", "sad")(root)


def text_as_sound(root):
    (root / "text.wav").write_text("this is no sound at all")
    one_row("", "text.wav", "", "sad")(root)


def empty_film(root):
    (root / "empty.mp4").touch()
    one_row("", "", "empty.mp4", "sad")(root)


def latin1(root):
    (root / "train.csv").write_bytes("text,audio_path,video_path,emotion\nÄrger,,,angry\n".encode("latin-1"))


def link_out(root):
    (root.parent / "elsewhere.wav").touch()
    (root / "link.wav").symlink_to(root.parent / "elsewhere.wav")
    one_row("", "link.wav", "", "sad")(root)


BAD_DATA = {
    "missing columns": (broken_table, "train.csv: found columns text, emotion; missing video_path"),
    "no emotion column": (
        table_without_labels,
        "train.csv: found columns text, audio_path, video_path; missing emotion",
    ),
    "unknown label": (one_row("", "", "", "hapy"), "train.csv line 3: unknown label 'hapy', did you mean 'happy'?"),
    "label of nothing near": (
        one_row("", "", "", "zzz"),
        "train.csv line 3: unknown label 'zzz', known: happy, sad, ang",
    ),
    "empty sound": (empty_sound, "train.csv line 3: {root}/empty.wav: empty file (0 bytes)"),
    "empty film": (empty_film, "train.csv line 3: {root}/empty.mp4: empty file (0 bytes)"),
    "text named .wav": (text_as_sound, "train.csv line 3: {root}/text.wav: looks like plain text"),
    "file that is not there": (one_row("", "gone.wav", "", "sad"), "train.csv line 3: {root}/gone.wav: no such file"),
    "path outside": (one_row("", "../x.wav", "", "sad"), "train.csv line 3: path '../x.wav' leads outside {root}; use"),
    "absolute path": (
        one_row("", "/etc/passwd", "", "sad"),
        "train.csv line 3: path '/etc/passwd' leads outside {root}",
    ),
    "link to the outside": (link_out, "train.csv line 3: path 'link.wav' leads outside {root}"),
    "no rows": (lambda root: write_table(root / "train.csv", []), "train.csv: there are no rows in it"),
    "another encoding": (latin1, "train.csv: not UTF-8 at byte 35; save the table as UTF-8"),
    "no table": (lambda root: None, "train.csv: no such file; data_root must hold train.csv, val.csv, test.csv"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_nothing_is_written(command, tmp_path, case):
    spoil, said = BAD_DATA[case]
    root = tmp_path / "data"
    root.mkdir()
    write_table(root / "val.csv", [["fine", "", "", "happy"]])
    spoil(root)
    labels = corpora.LABELS[:2] if "{root}" in said else corpora.LABELS  # a file is opened once every class has a row
    flags = as_flags(Config(model=ModelConfig(**SMALL, labels=labels)), "model")
    code, out, err = command("train", *flags, "--data_root", root, "--workers", "1", "--output_dir", tmp_path / "run")
    *told, line = err.splitlines()
    assert (code, out) == (2, "")
    summary = [note for note in told if f"(emobraid doctor {root} tells where)" in note]
    assert len(summary) == 1  # what doctor would say, once, before the refusal
    assert all("is made without it" in note for note in told if note not in summary)
    assert said.format(root=root) in line
    assert not (tmp_path / "run").exists()


def test_a_data_folder_that_is_not_there_is_named(refused, tmp_path):
    told = refused("train", "--data_root", tmp_path / "nowhere", "--output_dir", tmp_path / "run")
    assert told.startswith(f"{tmp_path}/nowhere/train.csv: no such file; data_root must hold")
    assert list(tmp_path.iterdir()) == []


def test_evaluating_without_a_test_table_writes_nothing(refused, tmp_path, model):
    (tmp_path / "data").mkdir()
    told = refused(
        "evaluate", "--model_path", model, "--data_root", tmp_path / "data", "--output_dir", tmp_path / "out"
    )
    assert "test.csv: no such file" in told
    assert not (tmp_path / "out").exists()
    assert not (model.parent / "ledger.jsonl").exists()


def test_a_training_that_diverges_ends_with_exit_code_1_and_one_last_line(command, tmp_path):
    data = corpora.feature_corpus(tmp_path / "data")
    flags = as_flags(corpora.feature_config(data, learning_rate=1e30))
    code, out, err = command("train", *flags, "--output_dir", tmp_path / "run")
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith("emobraid: loss nan, gradient norm nan at step 1 (learning rate 1.00e+30), batch: train-")
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "best_model").exists()


@pytest.mark.parametrize("name", ["predict", "evaluate"])
@pytest.mark.parametrize("damage", ["truncated", "pickle", "folder without manifest"])
def test_a_checkpoint_that_cannot_be_trusted_is_one_line(refused, tmp_path, model, clips, name, damage):
    path = tmp_path / "best_model"
    if damage == "pickle":
        path = tmp_path / "best_model.pth"
        torch.save({"weights": torch.zeros(3)}, path)
        said = f"{path} is a pickle, which can run code; not loaded."
    elif damage == "truncated":
        path.mkdir()
        for file in model.iterdir():
            content = file.read_bytes()
            (path / file.name).write_bytes(content[:-1] if file.name == "model.safetensors" else content)
        said = f"{path}: the checkpoint is damaged (model.safetensors does not match its checksum)"
    else:
        path.mkdir()
        said = f"{path}: no checkpoint here (no readable manifest.json)"
    more = ["--text", "hi"] if name == "predict" else ["--data_root", clips, "--output_dir", tmp_path / "out"]
    assert refused(name, "--model_path", path, *more).startswith(said)
    assert not (tmp_path / "out").exists()
