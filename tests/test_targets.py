"""Targets of every kind on their way from a table to a loss, a report and a prediction."""

import csv
import io
import json
import tomllib

import numpy as np
import pytest
import tomli_w
import torch
from rich.console import Console

import corpora
from corpora import LABELS, SMALL, feature_config, run
from emobraid import checkpoint
from emobraid.config import DataConfig, parse
from emobraid.data.corpus import Sample
from emobraid.data.csv import CsvRows, read_rows
from emobraid.data.prepared import PreparedSplit, affect_targets, targets
from emobraid.emotions import LabelSpace
from emobraid.evaluation.page import print_report
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.sealed import evaluate
from emobraid.fusion import Fused
from emobraid.recognizer import Recognizer
from emobraid.stream import Batch, Stream
from emobraid.training import run as running
from emobraid.training.objectives import (
    Affect,
    Classification,
    agreement,
    alignment,
    positive_weights,
    weighted_losses,
)

NAN = float("nan")
COLUMNS = (*corpora.COLUMNS, "valence", "arousal")


def sample(**more):
    return Sample(**({"id": "x", "group": "", "cells": {}, "sound_from_video": False, "label": None} | more))


def fused(logits, **more):
    rows = len(logits)
    there = torch.ones(rows, 1, dtype=torch.bool)
    return Fused(torch.tensor(logits), torch.zeros(rows, 1), torch.zeros(rows, 1, 1), there, **more)


def asked(labels, affect=None):
    return Batch(tuple(map(str, range(len(labels)))), {}, torch.tensor(labels), affect)


# --- from samples to batches ---


def test_a_spread_wins_over_the_label_in_training_and_the_label_in_scoring():
    rows = (sample(label=1, spread=(0.6, 0.4)), sample(label=0), sample(spread=(0.3, 0.7)), sample())
    asked_for = targets(rows, 2)
    split = PreparedSplit(rows, {}, asked_for)
    assert asked_for[:3].tolist() == pytest.approx(np.array([[0.6, 0.4], [1, 0], [0.3, 0.7]]))
    assert asked_for[3].isnan().all()
    assert split.truth()[:3].tolist() == pytest.approx(np.array([[0, 1], [1, 0], [0.3, 0.7]]))
    assert split.truth()[3].isnan().all()


def test_affect_has_a_column_for_each_dimension_asked_and_nan_where_it_is_absent():
    rows = (sample(affect={"valence": 2.0, "dominance": 1.0}), sample())
    found = affect_targets(rows, ("arousal", "valence"))
    assert found[0].isnan().tolist() == [True, False]
    assert found[0, 1] == 2.0
    assert found[1].isnan().all()
    assert affect_targets(rows, ()) is None
    split = PreparedSplit(rows, {"text": (torch.zeros(1, 1),) * 2}, targets(rows, 2), affect=found)
    assert split.batch([1, 0]).affect[1, 1] == 2.0
    assert split.batch([0]).to("meta").affect.device.type == "meta"


# --- tables ---


def read(path, kind="multi", affect=(), labels=LABELS, **options):
    config = parse({"model": {**SMALL, "modalities": ["text"], "labels": list(labels), "label_kind": kind,
                              "affect": list(affect)}}, "test").model  # fmt: skip
    return list(read_rows(path, config, **options))


def test_a_cell_holds_several_labels_one_none_or_nothing(tmp_path):
    path = tmp_path / "train.csv"
    corpora.write_table(path, [["a", "happy | Angry"], ["b", "sad;happy"], ["c", "sad"], ["d", "|"], ["e", ""]],
                        ["text", "emotion"])  # fmt: skip
    assert [s.spread for s in read(path)] == [(1, 0, 1), (1, 1, 0), (0, 1, 0), (0, 0, 0), None]
    assert all(s.label is None for s in read(path))


def test_several_labels_in_a_model_of_exclusive_classes_name_the_setting(tmp_path):
    path = tmp_path / "train.csv"
    corpora.write_table(path, [["a", "happy|sad"]], ["text", "emotion"])
    with pytest.raises(ValueError, match=r"line 2: unknown label 'happy\|sad'; .* --label_kind multi"):
        read(path, "exclusive")
    corpora.write_table(path, [["a", "happy|sadd"]], ["text", "emotion"])
    with pytest.raises(ValueError, match=r"line 2: unknown label 'sadd', did you mean 'sad'"):
        read(path)


def test_affect_columns_are_numbers_or_empty(tmp_path):
    path = tmp_path / "train.csv"
    corpora.write_table(path, [["a", "sad", "-0.5", ""], ["b", "sad", "", "high"]],
                        ["text", "emotion", "valence", "arousal"])  # fmt: skip
    assert [dict(s.affect) for s in read(path, affect=["valence"])] == [{"valence": -0.5}, {}]
    assert dict(read(path, labelled=False, affect=["valence"])[0].affect) == {}
    with pytest.raises(ValueError, match="line 3: arousal 'high' is not a number"):
        read(path, affect=["arousal"])
    with pytest.raises(ValueError, match="missing dominance"):
        read(path, affect=["dominance"])


def test_one_table_with_a_split_column_is_three(tmp_path):
    corpora.write_table(
        tmp_path / "data.csv",
        [["a", "sad", "train"], ["b", "no label of ours", "test"], ["c", "happy", "Dev"], ["d", "", "train"]],
        ["text", "emotion", "split"],
    )
    config = parse({"model": {**SMALL, "modalities": ["text"], "labels": list(LABELS)}}, "test").model
    rows = CsvRows(root=tmp_path, config=config)
    # what the test rows are labelled is not even looked at
    assert [s.cells["text"] for s in rows.read("train", labelled=True)] == ["a", "d"]
    assert [s.cells["text"] for s in rows.read("val", labelled=True)] == ["c"]
    assert [s.cells["text"] for s in rows.read("test", labelled=False)] == ["b"]
    with pytest.raises(ValueError, match="line 3: unknown label"):
        rows.read("test", labelled=True)
    corpora.write_table(tmp_path / "data.csv", [["a", "sad", "tset"]], ["text", "emotion", "split"])
    with pytest.raises(ValueError, match="line 2: split 'tset' is none of train"):
        rows.read("train", labelled=True)


def test_start_and_end_cut_media_and_nothing_else(tmp_path):
    path = tmp_path / "train.csv"
    columns = ["text", "audio_path", "video_path", "emotion", "start", "end"]
    corpora.write_table(
        path, [["hi", "a.wav", "v.mp4", "sad", "1.5", "3"], ["hi", "a.wav", "", "sad", "", ""]], columns
    )
    config = parse({"model": {**SMALL, "labels": list(LABELS)}}, "test").model
    cut, whole = read_rows(path, config)
    assert (cut.cells["audio"].start, cut.cells["audio"].end, cut.cells["text"]) == (1.5, 3.0, "hi")
    assert cut.cells["video"].path == whole.cells["audio"].with_name("v.mp4")
    assert whole.cells["video"] is None
    corpora.write_table(path, [["hi", "a.wav", "v.mp4", "sad", "3", "1"]], columns)
    with pytest.raises(ValueError, match="line 2: start 3 and end 1 are no stretch"):
        list(read_rows(path, config))


def test_the_place_on_the_plane_is_a_mean_whatever_the_probabilities_add_up_to():
    space = LabelSpace(("happy", "sad"), "multi")
    assert space.affect([0.8, 0.8]) == pytest.approx({"valence": 0.05, "arousal": 0.05})
    assert space.affect([0.0, 0.0]) == {"valence": 0.0, "arousal": 0.0}


# --- losses ---


def test_multi_label_loss_is_torchs_with_positive_weights_over_labelled_rows():
    logits, weights = torch.tensor([[0.5, -1.0], [2.0, 0.3], [9.0, 9.0]]), torch.tensor([3.0, 1.0])
    labels = [[1.0, 0.0], [0.0, 1.0], [NAN, NAN]]
    found = Classification(weights, 0.0, "multi")(fused(logits.tolist()), asked(labels))
    wanted = torch.nn.functional.binary_cross_entropy_with_logits(
        logits[:2], torch.tensor(labels[:2]), pos_weight=weights
    )
    assert found.item() == pytest.approx(wanted.item())
    nothing = Classification(weights, 0.0, "multi")(fused([[1.0, 1.0]]), asked([[NAN, NAN]]))
    assert nothing.item() == 0.0


def test_positive_weights_are_roots_of_absent_to_present_within_bounds():
    labels = torch.zeros(400, 4)
    labels[:80, 0] = labels[:360, 1] = labels[:1, 2] = 1
    labels = torch.cat([labels, torch.full((5, 4), NAN)])
    assert positive_weights(labels, True).tolist() == [2.0, 1.0, 10.0, 1.0]
    assert positive_weights(labels, False).tolist() == [1.0] * 4


def test_affect_loss_as_worked_by_hand_ignores_absent_values():
    said = torch.tensor([[2.0, 7.0], [4.0, 7.0], [50.0, 7.0]], requires_grad=True)
    told = torch.tensor([[4.0, NAN], [8.0, NAN], [NAN, NAN]])
    found = Affect(torch.tensor([2.0, 1.0]))(fused([[0.0]] * 3, affect=said), asked([[1.0]] * 3, told))
    # in units of 2 it says 1, 2 of 2, 4: smooth L1 (0.5 + 1.5) / 2; concordance 2 * 0.5 / (0.25 + 1 + 2.25)
    assert found.item() == pytest.approx(1.0 + 1 - 2 / 7)
    found.backward()
    assert said.grad[:2, 0].abs().min() > 0
    assert (said.grad[2] == 0).all()
    assert (said.grad[:, 1] == 0).all()


def test_one_known_value_has_a_distance_and_no_concordance_and_none_has_no_loss():
    judge = Affect(torch.ones(1))
    said = torch.tensor([[1.0], [5.0]], requires_grad=True)
    assert judge(fused([[0.0]] * 2, affect=said), asked([[1.0]] * 2, torch.tensor([[3.0], [NAN]]))).item() == 1.5
    nothing = judge(fused([[0.0]] * 2, affect=said), asked([[1.0]] * 2, torch.full((2, 1), NAN)))
    assert nothing.item() == 0.0
    nothing.backward()
    assert said.grad.isfinite().all()


def test_losses_are_logged_by_name_and_an_affect_loss_needs_an_affect_reading():
    judge, words = Classification(torch.ones(2), 0.0, "multi"), asked([[1.0, 1.0]], torch.tensor([[1.0]]))
    reading = fused([[0.0, 0.0]], affect=torch.tensor([[2.0]]))
    losses = weighted_losses(reading, words, judge, {"affect": 2.0}, Affect(torch.ones(1)))
    assert losses["affect"].item() == pytest.approx(2 * 0.5)
    assert set(weighted_losses(reading._replace(affect=None), words, judge, {"affect": 2.0})) == {"classification"}


def test_rows_agree_by_the_share_of_labels_that_they_have_in_common():
    labels = torch.tensor([[1.0, 1, 0], [1, 0, 0], [0, 0, 0], [0, 0, 0], [NAN] * 3, [0.5, 0.5, 0]])
    found = agreement(labels)
    assert found[0].tolist() == [1.0, 0.5, 0.0, 0.0, 0.0, 0.5]
    assert found[2, 3] == 1.0
    assert found[4].tolist() == [0.0] * 6
    assert found[1, 5].item() == pytest.approx(0.5 / 1.5)


def test_alignment_of_several_labels_draws_more_where_more_is_shared():
    angles = torch.tensor([0.0, 0.4, 0.8])
    points = torch.stack([angles.cos(), angles.sin()], dim=1)[:, None].clone().requires_grad_()
    reading = Fused(torch.zeros(3, 3), torch.zeros(3, 1), points, torch.ones(3, 1, dtype=torch.bool))
    labels = torch.tensor([[1.0, 1, 0], [1, 0, 0], [1, 1, 0]])
    # by hand: row 0 shares 1/2 with row 1 and all with row 2
    similarity = (points[:, 0] @ points[:, 0].T / 0.1).detach().masked_fill(torch.eye(3) > 0, -1e30).log_softmax(-1)
    shares = torch.tensor([[0, 0.5, 1], [0.5, 0, 0.5], [1, 0.5, 0]])
    wanted = (-(similarity * shares).sum(1) / shares.sum(1)).mean()
    found = alignment(reading, asked(labels.tolist()))
    assert found.item() == pytest.approx(wanted.item(), rel=1e-5)
    found.backward()
    assert points.grad.isfinite().all()


# --- a whole run ---


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """The feature corpus with a second label on every fourth row, none on every ninth, and valence of some rows."""
    root = corpora.feature_corpus(
        tmp_path_factory.mktemp("several") / "data", rows={"train": 48, "val": 24, "test": 24}
    )
    for split in ("train", "val", "test"):
        with (root / f"{split}.csv").open() as file:
            rows = list(csv.reader(file))[1:]
        for i, row in enumerate(rows):
            valence = {"happy": 4.5, "sad": 2.0, "angry": 1.5}[row[3]] + 0.1 * (i % 3)
            row[3] = "|" if i % 9 == 8 else f"{row[3]}|happy" if i % 4 == 1 else row[3]
            row += ["" if i % 5 == 0 else str(valence), str(3 + i % 2)]
        corpora.write_table(root / f"{split}.csv", rows, COLUMNS)
    return root


@pytest.fixture(scope="module")
def trained(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "run"
    settings = {"label_kind": "multi", "affect": ["valence", "arousal"], "num_epochs": 8, "alignment_weight": 0.1}
    return run(feature_config(corpus, **settings), folder), folder


def test_training_logs_every_loss_and_chooses_by_macro_f1_at_one_half(trained):
    outcome, folder = trained
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    steps, epochs = [x for x in lines if "lr" in x], [x for x in lines if "val_loss" in x]
    assert all({"classification", "alignment", "affect"} <= set(x) for x in steps)
    assert {"val_macro_f1", "val_micro_f1", "val_ccc_valence", "val_ccc_arousal"} <= set(epochs[0])
    assert outcome.best_macro_f1 == max(x["val_macro_f1"] for x in epochs) > 0.4
    assert epochs[-1]["val_ccc_valence"] > epochs[0]["val_ccc_valence"]


def test_thresholds_lie_beside_temperatures_in_the_checkpoint(trained):
    found = checkpoint.load_trained(trained[1] / "best_model")
    assert set(found.thresholds) == {"audio", "video", "audio+video"} == set(found.temperatures)
    assert set(found.thresholds["audio"]) == set(LABELS)
    assert all(0 <= t <= 1 for by in found.thresholds.values() for t in by.values())
    assert json.loads((trained[1] / "best_model" / "labels.json").read_text())["exclusive"] is False


@pytest.fixture(scope="module")
def report(trained, corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    data = DataConfig(data_root=corpus, cache=False, workers=1)
    return evaluate(trained[1] / "best_model", data, folder, corpora.Onlooker()), folder


def test_the_report_fits_the_model(report, trained):
    pytest.importorskip("matplotlib")
    metrics, folder = report
    pictures = ("per_class", "roc", "reliability", "confidence", "subsets", "contributions", "valence", "arousal")
    assert {p.name for p in folder.iterdir()} == {"metrics.json", "predictions.csv", *(f"{p}.png" for p in pictures)}
    cuts = checkpoint.load_trained(trained[1] / "best_model").thresholds
    assert {c: r["threshold"] for c, r in metrics["all"]["per_class"].items()} == cuts["audio+video"]
    assert metrics["all"]["affect"]["valence"]["n"] < metrics["all"]["affect"]["arousal"]["n"]
    assert metrics["subsets"]["audio"]["affect"]["valence"]["ccc"] is not None
    console = Console(file=io.StringIO(), width=140)
    print_report(metrics, console)
    page = console.file.getvalue()
    told = ("mean WAcc", "always every class", "threshold", "valence", "always the mean")
    told += ("Lin's concordance over all scored rows", "(TP N/P + TN) / 2N", "largest F1 of each class on validation")
    assert [x for x in told if x not in page] == []


def test_what_is_printed_is_what_the_saved_table_says(report):
    metrics, folder = report
    again = Predictions.load_csv(folder / "predictions.csv", kind="multi")
    assert again.dimensions == ("valence", "arousal")
    cut = again.probabilities(again.full)[again.rows(again.full)]
    thresholds = np.array([r["threshold"] for r in metrics["all"]["per_class"].values()])
    true = again.labels[again.rows(again.full)] > 0.5
    hits = [2 * (t & s).sum() / (t.sum() + s.sum()) for t, s in zip(true.T, (cut >= thresholds).T, strict=True)]
    assert metrics["all"]["macro_f1"] == pytest.approx(np.mean(hits))
    with (folder / "predictions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert any("|" in r["true"] and r["true"] != "|" for r in rows)
    assert any(r["true"] == "|" for r in rows)


def test_a_prediction_says_what_is_expressed_and_where_the_affect_is_from(trained):
    with Recognizer.from_pretrained(trained[1] / "best_model") as recognizer:
        found = recognizer.predict(audio=np.array([3.0, 0, 0, 0]))
    assert found.probabilities != pytest.approx({k: v / sum(found.probabilities.values())
                                                 for k, v in found.probabilities.items()})  # fmt: skip
    cuts = recognizer.thresholds["audio"]
    assert found.expressed == tuple(c for c in LABELS if found.probabilities[c] >= cuts[c])
    assert set(found.affect) == {"valence", "arousal"}
    assert "read by the model" in found.affect_note
    assert found.to_json()["expressed"] == found.expressed
    assert 1 < found.affect["valence"] < 5.5  # in the units of the corpus


def test_exclusive_classes_with_affect(corpus, tmp_path):
    plain = corpora.feature_corpus(tmp_path / "data")
    for split in ("train", "val", "test"):
        with (plain / f"{split}.csv").open() as file:
            rows = [[*row, "1.0" if row[3] == "happy" else "-1.0", ""] for row in list(csv.reader(file))[1:]]
        corpora.write_table(plain / f"{split}.csv", rows, COLUMNS)
    run(feature_config(plain, affect=["valence"]), tmp_path / "run")
    with Recognizer.from_pretrained(tmp_path / "run" / "best_model") as recognizer:
        found = recognizer.predict(audio=np.array([3.0, 0, 0, 0]))
    assert found.expressed is None
    assert "expressed" not in found.to_json()
    assert set(found.affect) == {"valence"}


def test_a_checkpoint_of_before_loads(tmp_path):
    data = corpora.feature_corpus(tmp_path / "data")
    run(feature_config(data, num_epochs=1), tmp_path / "run")
    files = dict(checkpoint.read(tmp_path / "run" / "best_model"))
    tree = tomllib.loads(files["config.toml"].decode())
    del tree["model"]["label_kind"], tree["model"]["affect"]
    files["config.toml"] = tomli_w.dumps(tree).encode()
    checkpoint.publish(tmp_path / "old", files)
    found = checkpoint.load_trained(tmp_path / "old")
    assert (found.config.model.label_kind, found.config.model.affect, found.thresholds) == ("exclusive", (), {})


def test_settings_that_do_nothing_are_refused(corpus):
    with pytest.raises(ValueError, match="affect_weight: the model reads no affect"):
        running.objective_weights(feature_config(corpus, affect_weight=0.5))
    assert running.objective_weights(feature_config(corpus, affect=["valence"]))["affect"] == 1.0
    assert running.objective_weights(feature_config(corpus, affect=["valence"], affect_weight=0.0))["affect"] == 0.0
    with pytest.raises(ValueError, match="affect must name each dimension once"):
        feature_config(corpus, affect=["valence", "valence"])
    with pytest.raises(ValueError, match=r"model\.affect"):
        feature_config(corpus, affect=["anger"])


def test_the_reading_of_affect_ignores_what_a_masked_position_holds(trained):
    model = checkpoint.load_trained(trained[1] / "best_model").model
    mask = torch.tensor([[True], [False]])
    streams = {"audio": Stream(torch.randn(2, 1, 4), mask), "video": Stream(torch.randn(2, 2, 3), mask.repeat(1, 2))}
    spoilt = {m: Stream(s.values.masked_fill(~s.mask[..., None], NAN), s.mask) for m, s in streams.items()}
    with torch.no_grad():
        assert model(streams).affect.equal(model(spoilt).affect)
