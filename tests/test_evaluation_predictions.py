"""The table of predictions: which rows count, and what comes back from its CSV."""

import csv
import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emobraid.evaluation import Predictions, ece, subsets

NAN = float("nan")


def table(**changes):
    """Four rows: all there; only audio; text but no label; nothing but a label."""
    fields = {
        "ids": ("a", "b", "c", "d"),
        "classes": ("happy", "sad"),
        "labels": np.array([[1.0, 0.0], [0.2, 0.8], [NAN, NAN], [1.0, 0.0]]),
        "logits": {
            "text+audio": np.array([[2.0, 0.0], [0.0, 1.0], [1.0, 0.0], [NAN, NAN]]),
            "text": np.array([[1.0, 0.0], [NAN, NAN], [3.0, 0.0], [NAN, NAN]]),
        },
        "present": np.array([[True, True], [False, True], [True, False], [False, False]]),
        "modalities": ("text", "audio"),
    }
    return Predictions(**(fields | changes))


def test_subsets_are_all_sets_single_ones_first_and_the_full_one_last():
    assert subsets(("t", "a", "v")) == [
        ("t",), ("a",), ("v",), ("t", "a"), ("t", "v"), ("a", "v"), ("t", "a", "v"),
    ]  # fmt: skip
    assert [len(subsets("abcd"[:m])) for m in range(5)] == [0, 1, 3, 7, 15]


def test_keys_of_the_table_come_in_the_order_of_the_subsets():
    assert table().subsets == ("text", "text+audio")
    assert table().full == "text+audio"


def test_rows_without_a_label_or_without_any_modality_of_the_subset_are_not_scored():
    assert table().rows("text+audio").tolist() == [True, True, False, False]
    assert table().rows("text").tolist() == [True, False, False, False]
    assert table().rows("audio").tolist() == [True, True, False, False]


def test_a_modality_whose_name_is_part_of_another_is_not_taken_for_it():
    predictions = table(
        modalities=("motion", "emotion"), logits={"motion+emotion": np.zeros((4, 2))}
    )  # fmt: skip
    assert predictions.readable("emotion").tolist() == [True, True, False, False]
    assert predictions.readable("motion").tolist() == [True, False, True, False]


@pytest.mark.parametrize("subset", ["", "sound", "text+sound", "text audio"])
def test_a_misspelt_subset_is_refused_and_not_an_empty_answer(subset):
    with pytest.raises(ValueError, match=r"unknown modality in subset .*, known: text, audio"):
        table().rows(subset)


def test_a_soft_label_counts_as_its_largest_class_and_none_as_minus_one():
    assert table().true.tolist() == [0, 1, -1, 0]


def test_probabilities_are_the_softmax_of_the_cooled_logits():
    at_one, at_two = table().probabilities("text+audio"), table().probabilities("text+audio", 2.0)
    assert at_one[0, 0] == pytest.approx(1 / (1 + np.exp(-2)))
    assert at_two[0, 0] == pytest.approx(1 / (1 + np.exp(-1)))
    assert at_one[:3].sum(axis=1) == pytest.approx([1, 1, 1])


def test_huge_half_precision_logits_neither_overflow_nor_lose_their_sum():
    logits = {"text+audio": np.array([[60000.0, -60000.0]] * 4, dtype=np.float16)}
    assert table(logits=logits).probabilities("text+audio", 0.05).tolist() == [[1.0, 0.0]] * 4


@pytest.mark.parametrize(("subset", "temperature", "said"), [
    ("audio", 1.0, "no predictions from 'audio', there are: text, text\\+audio"),
    ("text", 0.0, "above zero"),
    ("text", NAN, "above zero"),
])  # fmt: skip
def test_probabilities_that_cannot_be_had_are_refused(subset, temperature, said):
    with pytest.raises(ValueError, match=said):
        table().probabilities(subset, temperature)


@pytest.mark.parametrize(("changes", "said"), [
    ({"ids": ("a", "b")}, r"labels must have shape \(2, 2\), got \(4, 2\)"),
    ({"present": np.ones((4, 3), dtype=bool)}, r"present must have shape \(4, 2\)"),
    ({"present": np.ones((4, 2))}, "present must be bool, got float64"),
    ({"groups": ("one speaker",)}, "1 groups for 4 utterances"),
    ({"classes": ("happy", "happy")}, "classes must be named and differ"),
    ({"classes": ("happy", "")}, "classes must be named and differ"),
    ({"modalities": ("text", "text")}, "modalities must be named and differ"),
    ({"modalities": ("text+audio", "video")}, "without '\\+'"),
    ({"modalities": ()}, "modalities need names"),
    ({"logits": {"audio+text": np.zeros((4, 2))}}, "unknown modality subset 'audio\\+text', known: text, audio, text"),
    ({"logits": {"text": np.zeros((4, 2))}}, "full subset 'text\\+audio' are needed"),
    ({"logits": {"text+audio": np.zeros((4, 3))}}, r"logits of 'text\+audio' must have shape \(4, 2\)"),
    ({"logits": {"text+audio": np.array([[0, 0], [0, np.inf], [0, 0], [0, 0]])}}, "logits of 'b' .* not finite"),
    ({"labels": np.array([[1, 0], [0, 0], [1, 0], [1, 0]])}, r"label of 'b' is \[0, 0\]"),
    ({"labels": np.array([[1, 0], [1, NAN], [1, 0], [1, 0]])}, "label of 'b'"),
    ({"labels": np.array([[1, 0], [1, 0], [1, -1], [1, 0]])}, "label of 'c'"),
    ({"labels": np.array([[1, 0], [1, 0], [1, np.inf], [1, 0]])}, "label of 'c'"),
])  # fmt: skip
def test_a_table_that_does_not_fit_together_is_refused(changes, said):
    with pytest.raises(ValueError, match=said):
        table(**changes)


def test_the_csv_holds_one_readable_row_per_utterance(tmp_path):
    table().save_csv(tmp_path / "p.csv", {"text+audio": 2.0})
    with open(tmp_path / "p.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "true", "predicted", "confidence", "p_happy", "p_sad", "modalities"]
    assert [r["id"] for r in rows] == ["a", "b", "c", "d"]
    assert [r["true"] for r in rows] == ["happy", "sad", "", "happy"]
    assert [r["predicted"] for r in rows] == ["happy", "sad", "happy", ""]
    assert [r["modalities"] for r in rows] == ["text+audio", "audio", "text", ""]
    assert float(rows[0]["confidence"]) == float(rows[0]["p_happy"]) == pytest.approx(1 / (1 + np.exp(-1)))
    assert rows[3]["confidence"] == rows[3]["p_sad"] == ""  # nothing was there to read


def test_what_is_loaded_scores_like_what_was_saved(tmp_path):
    saved = table()
    saved.save_csv(tmp_path / "p.csv", {"text+audio": 2.0})
    loaded = Predictions.load_csv(tmp_path / "p.csv")
    assert (loaded.ids, loaded.classes, loaded.modalities) == (saved.ids, saved.classes, saved.modalities)
    assert (loaded.present == saved.present).all()
    assert (loaded.true == saved.true).all()
    rows = saved.rows("text+audio")
    before, after = saved.probabilities("text+audio", 2.0)[rows], loaded.probabilities("text+audio")[rows]
    assert after == pytest.approx(before, abs=1e-12)
    assert ece(after, loaded.true[rows]) == pytest.approx(ece(before, saved.true[rows]))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text(), min_size=4, max_size=4), st.lists(st.text(min_size=1), min_size=2, max_size=2, unique=True))
def test_any_text_comes_back_from_the_csv_exactly(tmp_path_factory, ids, classes):
    path = tmp_path_factory.mktemp("csv") / "p.csv"
    table(ids=tuple(ids), classes=tuple(classes)).save_csv(path, {})
    loaded = Predictions.load_csv(path)
    assert loaded.ids == tuple(ids)
    assert loaded.classes == tuple(classes)


def test_formulas_and_line_breaks_come_back_from_the_csv_exactly(tmp_path):
    ids = ("=1+1", "@SUM\r(A1)", '-2,"x"\r\ny\rz', "+\ufeff\x00")
    table(ids=ids).save_csv(tmp_path / "p.csv", {})
    assert Predictions.load_csv(tmp_path / "p.csv").ids == ids


def test_modalities_keep_their_order_even_if_the_first_row_lacks_some(tmp_path):
    present = np.array([[False, True], [True, False], [True, True], [False, False]])
    table(present=present, logits={"text+audio": np.zeros((4, 2))}).save_csv(tmp_path / "p.csv", {})
    assert Predictions.load_csv(tmp_path / "p.csv").modalities == ("text", "audio")
    assert Predictions.load_csv(tmp_path / "p.csv", ("video", "audio", "text")).present[0].tolist() == [
        False, True, False,
    ]  # fmt: skip
    with pytest.raises(ValueError, match="modalities \\['audio'\\] beside the given"):
        Predictions.load_csv(tmp_path / "p.csv", ("text",))


HEADER = "id,true,predicted,confidence,p_happy,p_sad,modalities\n"


@pytest.mark.parametrize(("text", "said"), [
    ("", "has columns \\[\\]"),
    ("id,true\n", "has columns \\['id', 'true'\\], need id, true, predicted"),
    ("id,true,predicted,confidence,modalities\n", "need id, true"),
    (HEADER + "a,happy,happy,0.9,0.9,0.1\n", "row 1: 6 cells, need 7"),
    (HEADER + "a,glad,happy,0.9,0.9,0.1,text\n", "row 1: unknown class 'glad', known: happy, sad"),
    (HEADER + "a,sad,sad,.9,.1,.9,text\nb,happy,happy,0.9,much,0.1,text\n", "row 2: .* are not probabilities"),
    (HEADER + "a,happy,happy,0.9,nan,0.1,text\n", "row 1: .* are not probabilities"),
])  # fmt: skip
def test_a_csv_that_cannot_be_read_is_refused_by_name_and_row(tmp_path, text, said):
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(ValueError, match=said) as refusal:
        Predictions.load_csv(tmp_path / "p.csv")
    assert "p.csv" in str(refusal.value)


def test_a_byte_order_mark_from_a_spreadsheet_is_no_part_of_the_first_column(tmp_path):
    (tmp_path / "p.csv").write_text(HEADER + "a,happy,happy,0.9,0.9,0.1,text\n", encoding="utf-8-sig")
    assert Predictions.load_csv(tmp_path / "p.csv").ids == ("a",)


def test_a_table_is_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        table().ids = ()
