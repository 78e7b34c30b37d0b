"""`emobraid add-emotion`: from tables to a model folder that is like any other; its mistakes in one line."""

import csv
import json
import shutil

import pytest
import torch

from corpora import COLUMNS, feature_config, feature_corpus, run, write_table
from emobraid import checkpoint
from emobraid.data.corpus import Corpus
from emobraid.training.new_emotion_run import new_figures


def without(table, emotion):
    """Takes the rows of one emotion out of a table and returns them."""
    with table.open() as file:
        rows = [tuple(row[c] for c in COLUMNS) for row in csv.DictReader(file)]
    write_table(table, [row for row in rows if row[3] != emotion])
    return [row for row in rows if row[3] == emotion]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A base that has never met `angry`, its corpus, and tables of angry utterances; the test table knows all three."""
    root = tmp_path_factory.mktemp("new_emotion")
    corpus = feature_corpus(root / "data", rows={"train": 60, "val": 30, "test": 30})
    angry = without(corpus / "train.csv", "angry")
    others = without(corpus / "val.csv", "angry")
    write_table(corpus / "angry.csv", [row[:3] for row in angry[:6]], COLUMNS[:3])
    write_table(corpus / "one.csv", angry[:1])
    write_table(corpus / "others.csv", others)
    write_table(corpus / "mixed.csv", [*angry[:2], ("I am sad", "", "", "sad")])
    write_table(corpus / "nothing.csv", [("unread here", "", "", "angry")] * 2)
    write_table(corpus / "outside.csv", [("", "../elsewhere.npz#audio[0]", "", "angry")])
    run(feature_config(corpus, labels=["happy", "sad"], num_epochs=6, patience=6), root / "run")
    return root


def asked(world, out, *more, name="angry", examples="angry.csv"):
    base = ("--model_path", world / "run" / "best_model", "--output_dir", out)
    return ("add-emotion", name, "--examples", world / "data" / examples, *base, *more)


@pytest.fixture(scope="module")
def added(world, tmp_path_factory):
    from emobraid import cli

    out = tmp_path_factory.mktemp("added") / "angry"
    with pytest.MonkeyPatch.context() as patch:
        # the test split stays sealed
        patch.setattr(Corpus, "open_test", lambda self: pytest.fail("the test split was opened"))
        assert cli.main([str(a) for a in asked(world, out)]) == 0
    return out


def test_the_folder_holds_a_model_whose_old_weights_are_the_old_bytes(world, added):
    before, after = (checkpoint.load_trained(f / "best_model") for f in (world / "run", added))
    assert after.config.model.labels == ("happy", "sad", "angry")
    assert after.temperatures == before.temperatures
    old, new = before.model.state_dict(), after.model.state_dict()
    assert all(torch.equal(new[k], v) for k, v in old.items())
    assert set(new) - set(old) == {"added.rows.0.weight", "added.rows.0.bias"}
    assert after.config.data.data_root == world / "data"


def test_the_card_says_where_the_model_comes_from(world, added):
    card = (added / "best_model" / "README.md").read_text()
    assert card.startswith("# An emobraid model with an added class: angry")
    assert f"`{world / 'run' / 'best_model'}`" in card
    assert "from 6 examples and 39 rehearsed utterances" in card
    assert "Art. 5(1)(f)" in card


def test_the_figures_are_those_of_the_saved_model(world, added):
    found = json.loads((added / "new_emotion.json").read_text())
    assert found["classes"] == ["happy", "sad", "angry"]
    assert (found["examples"], found["rehearsed"], found["learned_numbers"]) == (6, 39, 25)  # of 40 one has no modality
    old, new = found["old"], found["new"]
    assert old["n"] == 19  # the same in validation
    assert sum(c["taken"] for c in old["by_class"].values()) == old["taken"]
    assert old["after"]["accuracy"] >= old["before"]["accuracy"] - old["taken"] / 19 - 1e-9
    assert new["read_on"] == "the examples, held out in 5 parts, no speaker on both sides"
    assert new["n"] == 6
    assert new["precision"] == pytest.approx(new["recall"] * 6 / max(1, new["recall"] * 6 + old["taken"]))


def test_it_is_evaluated_and_predicts_like_any_other(world, added, command, tmp_path):
    model = ("--model_path", added / "best_model")
    data = ("--data_root", world / "data", "--no_cache", "--no_pictures")
    code, _, told = command("evaluate", *model, *data, "--output_dir", tmp_path / "results")
    assert code == 0, told
    found = json.loads((tmp_path / "results" / "metrics.json").read_text())
    assert found["all"]["per_class"]["angry"]["support"] == 10
    assert found["all"]["per_class"]["angry"]["recall"] > 0.3
    code, out, told = command("predict", *model, "--csv", world / "data" / "others.csv", "--json")
    assert code == 0, told
    lines = [json.loads(line) for line in out.splitlines()]
    assert len(lines) == 10
    assert all(set(line["probabilities"]) == {"happy", "sad", "angry"} for line in lines)
    assert sum(line["emotion"] == "angry" for line in lines) >= 4


def test_further_utterances_judge_it_where_they_are_given(world, command, tmp_path):
    code, out, _ = command(*asked(world, tmp_path / "out", "--held_out", world / "data" / "others.csv"))
    assert code == 0
    assert "angry, recall" in out
    found = json.loads((tmp_path / "out" / "new_emotion.json").read_text())
    assert found["new"]["n"] == 10
    assert found["new"]["read_on"].endswith("others.csv")


def test_a_single_example_is_added_and_nothing_is_claimed_of_it(world, command, tmp_path):
    code, out, _ = command(*asked(world, tmp_path / "out", examples="one.csv"))
    assert code == 0
    assert "n/a" in out
    found = json.loads((tmp_path / "out" / "new_emotion.json").read_text())
    assert found["new"]["recall"] is None
    assert "a single example cannot be held out" in found["new"]["read_on"]


def test_one_emotion_after_the_other(world, added, capsys, tmp_path):
    """The second is rehearsed against the first, which is in no training split."""
    before = ("--model_path", added / "best_model", "--examples", world / "data" / "angry.csv")
    shame = ("add-emotion", "shame", *before, "--output_dir", tmp_path / "two")
    told = refused_last(capsys, shame)
    assert "no training utterance of angry to rehearse; --rehearse names a table of some" in told
    from emobraid import cli

    assert cli.main([str(a) for a in (*shame, "--rehearse", world / "data" / "others.csv")]) == 0
    found = checkpoint.load_trained(tmp_path / "two" / "best_model")
    assert found.config.model.labels == ("happy", "sad", "angry", "shame")
    assert found.config.model.added_labels == 2
    old = checkpoint.load_trained(added / "best_model").model.state_dict()
    assert all(torch.equal(found.model.state_dict()[k], v) for k, v in old.items())


@pytest.mark.parametrize(
    ("changed", "more", "message"),
    [
        ({"name": "SAD"}, (), "the model knows 'SAD' already; it reads happy, sad"),
        ({"name": "a|b"}, (), "emotion name 'a|b': give letters, digits, inner spaces, - and _, at most 40 in all"),
        ({"examples": "mixed.csv"}, (), "mixed.csv line 4: emotion 'sad' is not 'angry'; leave the row out"),
        ({"examples": "nothing.csv"}, (), "nothing.csv: nothing can be read in any of its rows; 2 utterances; audio"),
        ({"examples": "outside.csv"}, (), "outside.csv line 2: path '../elsewhere.npz' leads outside"),
        ({"examples": "none.csv"}, (), "none.csv: cannot be read as a CSV table"),
        ({}, ("--data_root", "gone"), "gone/train.csv: no such file"),
        ({}, ("--data_root", "gone"), "old classes are rehearsed from the model's own corpus: --data_root says where"),
        ({}, ("--held_out", "{data}/mixed.csv"), "mixed.csv line 4: emotion 'sad' is not 'angry'"),
        ({}, ("--rehearsal", "0"), "rehearsal must be at least 1"),
        ({}, ("--rehersal", "5"), "unknown option '--rehersal', did you mean '--rehearsal'?"),
    ],
)
def test_a_mistake_is_one_line_and_nothing_is_written(world, capsys, tmp_path, changed, more, message):
    more = [str(m).format(data=world / "data") for m in more]
    code_line = refused_last(capsys, asked(world, tmp_path / "out", *more, **changed))
    assert message in code_line
    assert not (tmp_path / "out").exists()


def refused_last(capsys, args):
    """The error of a command, which may have said what it read before."""
    from emobraid import cli

    assert cli.main([str(a) for a in args]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    lines = told.err.splitlines()
    assert sum(line.startswith("emobraid: ") for line in lines) == 1
    assert lines[-1].startswith("emobraid: ")
    assert "Traceback" not in told.err
    return lines[-1]


def test_what_lies_in_the_output_folder_is_not_taken_away(world, added, capsys, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert "holds something else, notes.txt" in refused_last(capsys, asked(world, tmp_path / "full"))
    (tmp_path / "file").write_text("")
    assert "is a file; give a folder" in refused_last(capsys, asked(world, tmp_path / "file"))
    again = tmp_path / "again"
    shutil.copytree(added, again)
    assert "holds a model already; --overwrite takes it away" in refused_last(capsys, asked(world, again))
    own = ("add-emotion", "shame", "--examples", world / "data" / "angry.csv", "--output_dir", again, "--overwrite")
    own = (*own, "--model_path", again / "best_model")
    assert "holds the model that the emotion is added to" in refused_last(capsys, own)


def test_overwriting_keeps_the_ledger(world, added, command, tmp_path):
    again = tmp_path / "again"
    shutil.copytree(added, again)
    (again / "ledger.jsonl").write_text("{}\n")
    assert command(*asked(world, again, "--overwrite", "--seed", "1"))[0] == 0
    assert (again / "ledger.jsonl").read_text() == "{}\n"
    assert json.loads((again / "new_emotion.json").read_text())["seed"] == 1


def test_recall_precision_and_f1_are_counted_by_hand():
    # 3 of 4 found, 2 old ones taken: precision 3/5, F1 2 * 3 / (4 + 5)
    assert new_figures([True, True, False, True], 2) == {
        "n": 4,
        "recall": 0.75,
        "precision": 0.6,
        "f1": pytest.approx(2 / 3),
    }
    assert new_figures([False], 0) == {"n": 1, "recall": 0.0, "precision": 0.0, "f1": 0.0}
