"""What a report says, and what it leaves on disk."""

import io
import json
import math
import sys

import numpy as np
import pytest
from rich.console import Console

from emobraid.evaluation import Predictions, evaluate_predictions, plots, print_report, write_report

NAN = float("nan")
PICTURES = ("confusion", "errors", "per_class", "roc", "reliability", "confidence", "subsets")
FILES = {"metrics.json", "predictions.csv", *(f"{name}.png" for name in PICTURES)}
FULL = "text+audio"
LN9 = math.log(9)  # the logit of 90 %


def predictions(**changes):
    """Six rows of which four are scored: true a a b b; said a b b b with 90 % each. Class c never truly occurs.

    Text is there in the first two only, and alone it is right. The fifth row has no label, the sixth nothing to read.
    """
    far = -1e3  # class c is never said
    a, b = [LN9, 0, far], [0, LN9, far]
    eye = np.eye(3)
    fields = {
        "ids": ("=a", "b", "c", "d", "e", "f"),
        "classes": ("a", "b", "c"),
        "labels": np.array([eye[0], [0.7, 0.3, 0], eye[1], eye[1], [NAN] * 3, eye[0]]),
        "logits": {FULL: np.array([a, b, b, b, a, a]), "text": np.array([a] * 6), "audio": np.array([b] * 6)},
        "present": np.array([[1, 1], [1, 1], [0, 1], [0, 1], [0, 1], [0, 0]], dtype=bool),
        "modalities": ("text", "audio"),
    }
    return Predictions(**(fields | changes))


def test_the_headline_is_what_counting_by_hand_gives():
    full = evaluate_predictions(predictions(), {FULL: 2.0})["all"]
    assert (full["subset"], full["n"], full["accuracy"]) == (FULL, 4, 0.75)
    row = {"precision": 1.0, "recall": 0.5, "f1": 2 / 3, "support": 2}
    # 75 % of a row that is a, 25 % of three of which one is; b likewise
    row |= {"auroc": 3 / 4, "auprc": 1 / 2 * 1 + 1 / 2 * 2 / 4, "ece": 1 / 4 * 1 / 4 + 3 / 4 * (1 / 3 - 1 / 4)}
    assert full["per_class"]["a"] == pytest.approx(row)
    assert full["macro_auprc"] == pytest.approx((3 / 4 + 2 / 3) / 2)
    assert full["majority"]["macro_auprc"] == 0.5
    assert full["macro_f1"] == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert full["confusion"] == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert full["majority"]["label"] == "a"
    assert full["majority"]["accuracy"] == 0.5


def test_calibration_is_told_before_and_after_the_temperature():
    full = evaluate_predictions(predictions(), {FULL: 2.0})["all"]
    assert full["temperature"] == 2.0
    assert full["ece_before"] == pytest.approx(0.9 - 0.75)
    assert full["ece_after"] == full["adaptive_ece"] == pytest.approx(0.0, abs=1e-9)  # ln 9 / 2 = ln 3: 75 %
    assert full["classwise_ece_after"] == pytest.approx((1 / 8 + 1 / 8 + 0) / 3)
    # 90 % once where it is so, 10 % three times where one is; and once where it is not, three times where two are
    before = [1 / 4 * 0.1 + 3 / 4 * (1 / 3 - 0.1), 1 / 4 * 0.1 + 3 / 4 * (0.9 - 2 / 3), 0]
    assert full["classwise_ece_before"] == pytest.approx(sum(before) / 3)
    assert full["nll"] == pytest.approx(-(3 * math.log(0.75) + math.log(0.25)) / 4)
    assert full["brier"] == pytest.approx((3 * 2 * 0.25**2 + 2 * 0.75**2) / 4)


def test_each_subset_is_scored_on_the_rows_that_have_something_of_it():
    subsets = evaluate_predictions(predictions(), {"audio": 3.0, FULL: 2.0})["subsets"]
    assert list(subsets) == ["text", "audio", FULL]
    assert [s["n"] for s in subsets.values()] == [2, 4, 4]
    assert [s["accuracy"] for s in subsets.values()] == [1.0, 0.5, 0.75]
    # text has no temperature of its own and takes that of all
    assert [s["temperature"] for s in subsets.values()] == [2.0, 3.0, 2.0]


def test_what_cannot_be_told_is_null_and_never_nan():
    nothing = predictions(present=np.array([[0, 1]] * 6, dtype=bool))
    metrics = evaluate_predictions(nothing, {})
    text = metrics["subsets"]["text"]
    assert text["n"] == 0
    assert text["temperature"] == 1.0
    assert {v for k, v in text.items() if k not in ("n", "temperature")} == {None}
    assert set(text) == set(metrics["subsets"]["audio"])
    assert metrics["all"]["per_class"]["c"] == {
        **dict.fromkeys(("precision", "recall", "f1", "auroc", "auprc")),
        "ece": 0.0,
        "support": 0,
    }
    json.dumps(metrics, allow_nan=False)


def test_notes_say_which_rows_and_classes_do_not_count():
    metrics = evaluate_predictions(predictions(), {})
    assert metrics["notes"] == [
        "1 of 6 rows have no label and are not scored",
        "1 of 6 rows have no modality and are not scored",
        "no scored row is c: n/a, and left out of the macro means",
    ]
    assert metrics["present"] == {"audio": 3, "text+audio": 2, "": 1}


def test_one_true_class_is_called_by_its_name():
    only = predictions(labels=np.tile(np.eye(3)[1], (6, 1)))
    assert (
        "every scored row is 'b': the scores say nothing about telling classes"
        in (evaluate_predictions(only, {})["notes"])
    )


def test_nothing_to_score_is_refused():
    with pytest.raises(ValueError, match="none of the 6 rows has both a label and a modality"):
        evaluate_predictions(predictions(labels=np.full((6, 3), NAN)), {})


def test_a_report_leaves_its_files_and_nothing_else(tmp_path):
    pytest.importorskip("matplotlib")
    extra = {"split": "test", "score": NAN, "folder": tmp_path, "shape": (np.int64(3), np.float32(0.5))}
    metrics = write_report(tmp_path / "new" / "results", predictions(), {FULL: 2.0}, extra=extra)
    folder = tmp_path / "new" / "results"
    assert {p.name for p in folder.iterdir()} == FILES
    assert json.loads((folder / "metrics.json").read_text(encoding="utf-8")) == metrics
    assert metrics["run"] == {"split": "test", "score": None, "folder": str(tmp_path), "shape": [3, 0.5]}


def test_the_calibrated_confidences_of_the_csv_are_those_of_the_metrics(tmp_path):
    metrics = write_report(tmp_path, predictions(), {FULL: 2.0}, extra={})
    loaded = Predictions.load_csv(tmp_path / "predictions.csv")
    assert loaded.ids[0] == "=a"
    again = evaluate_predictions(loaded, {})["all"]
    for score in ("n", "accuracy", "macro_f1", "weighted_f1", "nll", "brier"):
        assert again[score] == pytest.approx(metrics["all"][score])
    assert again["ece_before"] == pytest.approx(metrics["all"]["ece_after"], abs=1e-9)


def test_without_matplotlib_the_numbers_are_written_and_a_note_tells_why_no_pictures(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    metrics = write_report(tmp_path, predictions(), {}, extra={})
    assert {p.name for p in tmp_path.iterdir()} == {"metrics.json", "predictions.csv"}
    assert metrics["notes"][-1] == "pictures need matplotlib: pip install 'emobraid[report]'"
    assert json.loads((tmp_path / "metrics.json").read_text())["notes"] == metrics["notes"]


def test_a_write_that_fails_leaves_the_old_file_and_no_half_one(tmp_path, monkeypatch):
    (tmp_path / "confusion.png").write_text("old")

    def breaks_off(confusion, classes, path):
        path.write_text("half a pict")
        raise OSError("disk full")

    monkeypatch.setattr(plots, "confusion_matrix", breaks_off)
    with pytest.raises(OSError, match="disk full"):
        write_report(tmp_path, predictions(), {}, extra={})
    assert (tmp_path / "confusion.png").read_text() == "old"
    assert {p.name for p in tmp_path.iterdir()} == {"predictions.csv", "confusion.png"}


def printed(metrics):
    console = Console(file=io.StringIO(), width=120)
    print_report(metrics, console)
    return console.file.getvalue().splitlines()


def cells(lines, start):
    line = next(x for x in lines if x.strip("│ ").startswith(start) and "│" in x)
    return [cell.strip() for cell in line.strip("│").split("│")]


def test_the_page_sets_the_model_beside_a_constant_answer():
    lines = printed(evaluate_predictions(predictions(), {FULL: 2.0}))
    assert "4 utterances, text + audio" in lines[0]
    assert cells(lines, "model") == ["model", "0.750", "0.733", "0.733", "0.750", "0.150 -> 0.000"]
    assert cells(lines, "always a") == ["always a", "0.500", "0.333", "0.333", "0.500", ""]
    assert cells(lines, "c ") == ["c", *["n/a"] * 5, "0.000", "0"]
    means = ["0.833", "0.750", "0.733", "0.750", "0.708", "0.083"]
    assert cells(lines, "mean") == ["mean", *means, "4"]
    assert any(line.startswith("auprc: average precision") for line in lines)
    assert cells(lines, "text  ") == ["text", "2", "1.000", "1.000", "0.100 -> 0.250"]
    assert any("15 equal-width bins (lower, upper]" in line and "top-label" in line for line in lines)
    assert any("note: 1 of 6 rows have no label" in line for line in lines)


def test_a_subset_nobody_has_is_printed_as_not_available():
    lines = printed(evaluate_predictions(predictions(present=np.array([[0, 1]] * 6, dtype=bool)), {}))
    assert cells(lines, "text  ") == ["text", "0", "n/a", "n/a", "n/a"]


def test_concordance_of_each_speaker_goes_into_the_figures_and_their_mean_onto_the_page():
    true = np.tile([[-1.0], [0.0], [2.0]], (8, 1))
    read = np.concatenate([true[:12], -true[12:]])
    metrics = evaluate_predictions(
        Predictions(
            ids=tuple(map(str, range(24))),
            classes=("a", "b"),
            labels=np.tile(np.eye(2), (12, 1)),
            logits={FULL: np.zeros((24, 2))},
            present=np.array([[1, 1]] * 23 + [[0, 0]], dtype=bool),  # the last row cannot be read
            modalities=("text", "audio"),
            groups=tuple("ab"[i // 12] for i in range(24)),
            dimensions=("sentiment",),
            affect={FULL: read},
            affect_true=true,
        ),
        {},
    )
    found = metrics["all"]["affect"]["sentiment"]
    assert found["by_group"]["a"] == pytest.approx({"n": 12, "ccc": 1.0})
    assert found["by_group"]["b"]["n"] == 11
    lines = printed(metrics)
    assert cells(lines, "ccc groups") == ["ccc groups", f"{found['ccc_groups']:.3f}", "0.000"]
    assert cells(lines, "acc5 rounded")[1] == "0.696"  # 12 of a and the 4 zeros of b, of 23
    assert any(line.startswith("acc5 rounded: five classes") for line in lines)


def test_names_cannot_command_the_terminal():
    lines = printed(evaluate_predictions(predictions(classes=("[red]a[/red]", "b\x1b[2J", "[/]")), {}))
    assert cells(lines, "[red]a[/red]")[-1] == "2"
    assert cells(lines, "[/]")[-1] == "0"
    assert "\x1b" not in "".join(lines)


@pytest.mark.parametrize(
    ("dataset", "headings"),
    [
        ("meld", ["weighted F1", "accuracy", "macro-F1", "UAR"]),
        ("iemocap", ["WA", "UA", "weighted F1", "macro-F1"]),
        ("csv", ["accuracy", "macro-F1", "weighted F1", "UAR"]),
    ],
)
def test_figures_are_called_and_ordered_as_the_corpus_literature_does(tmp_path, dataset, headings):
    extra = {"protocol": {"dataset": dataset}}
    metrics = write_report(tmp_path, predictions(), {}, extra=extra, pictures=False)
    lines = printed(metrics)
    (head,) = (x for x in lines if "ECE before" in x and "UA" in x)
    assert [h for h in headings if h in head] == headings
    assert [head.index(f" {h} ") for h in headings] == sorted(head.index(f" {h} ") for h in headings)
    by_name = dict(zip(headings, cells(lines, "model")[1:], strict=False))
    assert by_name[{"iemocap": "WA"}.get(dataset, "accuracy")] == "0.750"
    assert by_name[{"iemocap": "weighted F1"}.get(dataset, "macro-F1")] == "0.733"
    assert any(line.startswith("weighted f1: mean F1 weighted by true rows") for line in lines)
