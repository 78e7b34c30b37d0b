"""What would be found late is told early: a place that cannot be written to, a corpus that teaches nothing."""

import csv

from emobraid.cli.places import refuse_unwritable
from emobraid.data.audit import Audit, Finding
from emobraid.data.audit.page import in_one_line

SMALL = ("--text_encoder", "compact", "--encoder_dim", 8, "--fusion_hidden_size", 8, "--fusion_heads", 2)


def test_a_place_that_cannot_be_written_to_is_refused_before_the_work(tmp_path, refused, monkeypatch):
    (tmp_path / "file").write_text("x")
    under = tmp_path / "file" / "results"
    said = f"{under}: cannot be written to, {tmp_path / 'file'} is not a folder; choose another place"
    assert refused("evaluate", "--model_path", "emobraid/compact", "--output_dir", under) == said
    assert refused("evaluate", "--model_path", "emobraid/compact", "--robustness", "--output_dir", under) == said
    assert refused("train", "--data_root", tmp_path, "--output_dir", under) == said
    monkeypatch.setattr("os.access", lambda path, *_: path != tmp_path)  # root may write anywhere
    said = f"{tmp_path / 'new'}: cannot be written to, {tmp_path} is read-only; choose another place"
    assert refused("evaluate", "--model_path", "emobraid/compact", "--output_dir", tmp_path / "new") == said
    assert not (tmp_path / "new").exists()


def test_a_place_that_is_not_there_yet_is_fine(tmp_path):
    refuse_unwritable(tmp_path / "a" / "b")
    assert not (tmp_path / "a").exists()


def table(path, rows):
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([("text", "emotion"), *rows])


def test_training_tells_what_doctor_would(tmp_path, command):
    rows = [(f"so it goes {i}", "joy" if i % 2 else "sadness") for i in range(8)]
    table(tmp_path / "train.csv", rows)
    table(tmp_path / "val.csv", rows[:4])
    flags = ("--labels", "joy", "sadness", "--modalities", "text", "--num_epochs", 1, "--batch_size", 4)
    start = ("train", "--data_root", tmp_path, "--output_dir", tmp_path / "run", *SMALL, *flags)
    code, out, err = command(*start, "--labels", "joy", "sadness", "fear")
    assert code == 2
    assert "fear 0/0/0" in err  # doctor's line stands beside the refusal
    assert err.splitlines()[-1].startswith(f"emobraid: {tmp_path}/train.csv: no row is fear")
    code, out, err = command(*start)
    assert code == 0, err
    [line] = [one for one in (out + err).splitlines() if one.startswith("broken: ")]
    assert "duplicates: " in line
    assert "labels: " in line
    assert f"emobraid doctor {tmp_path}" in " ".join((out + err).split())


def test_the_line_is_short_and_names_what_is_broken_first():
    fine = Finding(check="a", state="fine", found="x")
    known = Finding(check="b", state="know", found="some\x1b[2J")
    broken = Finding(check="c", state="broken", found="much " * 500)
    assert in_one_line(Audit(dataset="csv", root="r", findings=(fine,))) == ""
    line = in_one_line(Audit(dataset="csv", root="r", findings=(known, fine)))
    assert line == "to know: b: some\N{REPLACEMENT CHARACTER}[2J (emobraid doctor r tells where)"
    line = in_one_line(Audit(dataset="csv", root="r", findings=(known, broken)))
    assert line.startswith("broken: c: much")
    assert len(line) < 500
