"""One table into three, by speakers; and the table of all bad rows."""

import csv
import io
import json
import random
import re

import numpy as np
import pytest
from rich.console import Console

import corpora
from emobraid import cli
from emobraid.config import Config, DataConfig, parse
from emobraid.data.audit import audit
from emobraid.data.audit.bad_rows import BadRow, bad_rows, show_bad_rows
from emobraid.data.splitting import split_table


def speakers_table(path, rows=210, speakers=21):
    rng = random.Random(0)
    corpora.write_table(
        path,
        [[f"t{i}", "clips/a.wav", rng.choice(["happy", "sad", "sad"]), f"s{i % speakers}"] for i in range(rows)],
        ["text", "audio_path", "emotion", "speaker"],
    )
    return path


def rows_of(folder):
    found = {}
    for split in ("train", "val", "test"):
        with (folder / f"{split}.csv").open(encoding="utf-8") as file:
            found[split] = list(csv.DictReader(file))
    return found


def test_no_speaker_is_in_two_tables_and_every_row_is_in_one(tmp_path):
    parts = split_table(speakers_table(tmp_path / "all.csv"), tmp_path, seed=3)
    found = rows_of(tmp_path)
    speakers = {split: {r["speaker"] for r in rows} for split, rows in found.items()}
    assert sum(map(len, speakers.values())) == 21 == len(set.union(*speakers.values()))
    assert sorted(r["text"] for rows in found.values() for r in rows) == sorted(f"t{i}" for i in range(210))
    assert [p.rows for p in parts] == [150, 30, 30]  # three of 21 speakers are a seventh
    assert {r["audio_path"] for r in found["test"]} == {"clips/a.wav"}  # the same folder: paths stay
    shares = [sum(r["emotion"] == "sad" for r in rows) / len(rows) for rows in found.values()]
    assert max(shares) - min(shares) < 0.1


def test_the_same_seed_gives_the_same_bytes_and_another_folder_absolute_paths(tmp_path):
    table = speakers_table(tmp_path / "all.csv")
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        split_table(table, tmp_path / name, seed=seed)
    first, again, other = ((tmp_path / n / "test.csv").read_bytes() for n in "abc")
    assert first == again != other
    assert {r["audio_path"] for r in rows_of(tmp_path / "a")["val"]} == {str(tmp_path / "clips" / "a.wav")}


def test_without_speakers_it_is_refused_with_a_way_on(tmp_path):
    table = tmp_path / "all.csv"
    corpora.write_table(table, [["a", "sad"]] * 9, ["text", "emotion"])
    with pytest.raises(ValueError, match="there is no column speaker; add it, or accept with --by row"):
        split_table(table, tmp_path / "out")
    assert [p.rows for p in split_table(table, tmp_path / "out", by="row")] == [6, 1, 2]
    with pytest.raises(ValueError, match=r"holds train\.csv, val\.csv, test\.csv already; --overwrite"):
        split_table(table, tmp_path / "out", by="row")


def test_too_few_speakers_and_empty_cells_are_named(tmp_path):
    table = speakers_table(tmp_path / "all.csv", rows=8, speakers=2)
    with pytest.raises(ValueError, match="2 speakers are too few for three tables"):
        split_table(table, tmp_path / "out")
    corpora.write_table(table, [["a", "sad", "x"], ["b", "sad", ""]], ["text", "emotion", "speaker"])
    with pytest.raises(ValueError, match="line 3: no speaker"):
        split_table(table, tmp_path / "out")


def test_three_speakers_and_labels_rarer_than_the_tables_are_enough(tmp_path):
    table = tmp_path / "all.csv"
    corpora.write_table(table, [[str(i), e, f"s{i}"] for i, e in enumerate(("sad", "happy", "fear"))],
                        ["text", "emotion", "speaker"])  # fmt: skip
    assert [p.groups for p in split_table(table, tmp_path / "out")] == [1, 1, 1]


def test_the_command_prints_the_three_and_warns_of_rows_at_random(tmp_path, capsys):
    table = speakers_table(tmp_path / "all.csv")
    assert cli.main(["split", str(table), "--output_dir", str(tmp_path / "out"), "--by", "row"]) == 0
    told = capsys.readouterr().out
    assert "train: 150 rows; happy" in told
    assert "train and test may share people" in told


@pytest.fixture
def spoilt(tmp_path):
    """One table for all splits with five bad rows, one of them bad in two ways."""
    columns = ["text", "emotion", "split", "valence", "start", "end"]
    rows = [
        ["fine", "sad|happy", "train", "1", "", ""],
        ["a", "sadd", "train", "high", "", ""],
        ["b", "sad", "holdout", "1", "", ""],
        ["", "sad", "val", "1", "", ""],
        ["c", "|", "val", "", "3", "2"],
        ["d", "sad;angry", "test", "nan", "", ""],
    ]
    corpora.write_table(tmp_path / "data.csv", rows, columns)
    return tmp_path


def flags():
    return ["--modalities", "text", "--label_kind", "multi", "--affect", "valence"]


def test_every_bad_row_is_listed_once_with_all_that_is_wrong(spoilt):
    tree = {"model": {"modalities": ["text"], "label_kind": "multi", "affect": ["valence"]}}
    found = audit(DataConfig(data_root=spoilt), parse(tree, "test").model)
    rows = bad_rows(found)
    assert [r.line for r in rows] == [3, 4, 5, 6, 7]
    assert rows[0] == BadRow(
        "data.csv",
        3,
        (
            "unknown label 'sadd', did you mean 'sad'? known: happy, sad, angry, fear, surprise, disgust, neutral",
            "valence 'high' is not a number",
        ),
    )
    assert rows[1].reasons[0].startswith("split 'holdout' is none of train, val")
    assert rows[2].reasons == ("empty rows",)
    assert rows[3].reasons == ("start 3 and end 2 are no stretch of time",)
    assert rows[4].reasons == ("valence 'nan' is not a number",)
    assert found.finding("labels").numbers["train sad"] == 1
    assert found.finding("labels").numbers["test angry"] == 1


def test_the_doctor_lists_them_up_to_a_limit(spoilt, capsys):
    assert cli.main(["doctor", str(spoilt), "--rows", "2", *flags()]) == 1
    told = capsys.readouterr().out
    assert "5 bad rows" in told
    assert "and 3 more; --rows 5 lists all" in told
    assert cli.main(["doctor", str(spoilt), "--json", *flags()]) == 1
    assert "bad rows" in {f["check"] for f in json.loads(capsys.readouterr().out)["findings"]}


def test_cells_cannot_command_the_terminal():
    console = Console(file=io.StringIO(), width=80)
    show_bad_rows([BadRow("train.csv", 2, ("unknown label '[red]x\x1b[2J'",))], console, limit=5)
    assert "[red]x" in console.file.getvalue()
    assert "\x1b" not in console.file.getvalue()


def test_a_good_table_has_no_such_list(tmp_path):
    root = corpora.feature_corpus(tmp_path / "data")
    config = corpora.feature_config(root)
    assert bad_rows(audit(DataConfig(data_root=root), config.model)) == []
    assert Config().data.dataset == "csv"


def talk(tmp_path, sizes):
    """A table of speakers with so many rows each."""
    table = tmp_path / "all.csv"
    rows = [f"{'happy' if i % 2 else 'sad'},s{s},text {i}" for s, n in enumerate(sizes) for i in range(n)]
    table.write_text("emotion,speaker,text\n" + "\n".join(rows) + "\n")
    return table


@pytest.mark.parametrize(
    ("sizes", "seed", "train", "held"),
    [
        ((300, 60, 60), 1, {300}, {60}),
        ((40, 40, 300), 1, {300}, {40}),
        ((200, 200, *[10] * 6), 0, set(range(240, 441)), {10, 20}),
        ((1, 1, 1), 0, {1}, {1}),
        ((5, 50, 50), 3, {50}, {5, 50}),
    ],
    ids=["podcast", "guests", "two hosts", "three rows", "two of one size"],
)
def test_train_is_the_largest_part_whatever_the_speakers_sizes(tmp_path, sizes, seed, train, held):
    parts = {p.split: p.rows for p in split_table(talk(tmp_path, sizes), tmp_path / "out", seed=seed)}
    assert parts["train"] in train
    assert {parts["val"], parts["test"]} <= held


def test_train_is_the_largest_part_of_random_small_tables(tmp_path):
    draw = np.random.default_rng(0)
    for number in range(40):
        sizes = draw.integers(1, 60, size=draw.integers(3, 9)).tolist()
        parts = {p.split: p.rows for p in split_table(talk(tmp_path, sizes), tmp_path / str(number), seed=number)}
        assert min(parts.values()) > 0
        assert parts["train"] == max(parts.values()), sizes


def test_what_whole_speakers_could_not_keep_is_said(tmp_path, command):
    code, out, _ = command("split", talk(tmp_path, (300, 60, 60)), "--output_dir", tmp_path / "out")
    assert code == 0
    assert not re.search("note:", out)  # 14 % each is a seventh
    code, out, _ = command("split", talk(tmp_path, (50, 50, 50)), "--output_dir", tmp_path / "three")
    told = "train 33 %, val 33 %, test 33 %"
    assert f"note: speakers stay whole, so the parts are not five, one and one seventh of the rows: {told}" in out
