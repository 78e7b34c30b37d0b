"""What was never learnt is never read: streams without a number, modalities and classes without a training row."""

import numpy as np
import pytest

from corpora import LABELS, Onlooker, feature_config, feature_corpus, refusal, run, write_table
from emobraid.checkpoint import load_model
from emobraid.config import DataConfig
from emobraid.data.context import InContext
from emobraid.data.features import FeatureCell
from emobraid.encoders.features import Features
from emobraid.evaluation.calibration import ENOUGH, USELESS, doubts, fit_temperatures
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.report import evaluate_predictions
from emobraid.evaluation.sealed import evaluate
from emobraid.recognizer import Recognizer


def rows_of(split, count, *, text="", audio=True, video=True):
    return [
        [text, f"{split}.npz#audio[{i}]" * audio, f"{split}.npz#video[{i}]" * video, LABELS[i // 2 % 3]]
        for i in range(count)
    ]


@pytest.fixture
def spoilt(tmp_path):
    """In every split every second row's audio is NaN throughout, every third row's video infinite throughout."""
    rng = np.random.default_rng(0)
    for split, count in {"train": 24, "val": 12, "test": 12}.items():
        audio, video = rng.normal(size=(count, 4)), rng.normal(size=(count, 5, 3))
        audio[::2], video[::3] = np.nan, [[[np.inf], [-np.inf], [np.nan], [np.inf], [np.nan]]]
        np.savez(tmp_path / f"{split}.npz", audio=audio, video=video)
        write_table(tmp_path / f"{split}.csv", rows_of(split, count))
    return tmp_path


def test_a_stream_without_one_finite_number_is_missing_and_never_zeros(spoilt, tmp_path):
    run(feature_config(spoilt), tmp_path / "run", reporter=(onlooker := Onlooker()))
    told = "train: 24 utterances; audio missing in 12 (not one finite number 12); "
    assert f"{told}video missing in 8 (not one finite number 8)" in onlooker.said
    best = tmp_path / "run" / "best_model"
    found = evaluate(best, DataConfig(data_root=spoilt, cache=False), tmp_path / "a", Onlooker(), pictures=False)
    assert found["present"] == {"audio": 2, "video": 4, "audio+video": 4, "": 2}
    assert found["all"]["n"] == 10  # two rows have nothing left to read
    empty = [
        [t, "" if i % 2 == 0 else a, "" if i % 3 == 0 else v, e] for i, (t, a, v, e) in enumerate(rows_of("test", 12))
    ]
    write_table(spoilt / "test.csv", empty)
    again = evaluate(best, DataConfig(data_root=spoilt, cache=False), tmp_path / "b", Onlooker(), pictures=False)
    assert again["all"] == found["all"]  # the same as with empty cells


def test_single_values_that_are_no_numbers_stay_zero_and_the_stream_there():
    encoder = Features(3, 8)
    assert encoder.prepare(np.array([np.nan, 2.0, np.inf])).tolist() == [[0.0, 2.0, 0.0]]
    for nothing in ([np.nan] * 3, [[np.inf] * 3, [-np.inf] * 3], np.empty((0, 3))):
        assert encoder.prepare(np.array(nothing)).shape == (0, 3)


def test_what_was_said_before_does_not_stand_in_for_a_stream_without_a_number(tmp_path):
    np.savez(tmp_path / "f.npz", a=np.array([[1.0, 2.0], [np.nan, np.inf], [3.0, 4.0]]))
    cells = [FeatureCell(tmp_path / "f.npz", "a", i) for i in range(3)]
    encoder = Features(3, 8)
    assert not len(encoder.prepare(InContext(cells[1], (cells[0],)).load()))
    assert encoder.prepare(InContext(cells[2], (cells[0], cells[1])).load()).tolist() == [[1, 2, 1], [3, 4, 0]]


def test_an_array_without_a_number_is_no_reading(spoilt, tmp_path):
    run(feature_config(spoilt), tmp_path / "run")
    with Recognizer.from_pretrained(tmp_path / "run" / "best_model") as recognizer:
        read = recognizer.predict(audio=np.ones(4), video=np.full((5, 3), np.nan))
        assert (list(read.per_modality), read.notes) == (["audio"], {"video": "not one finite number"})
        assert "not one finite number" in refusal(lambda: recognizer.predict(audio=np.full(4, np.nan)))


@pytest.mark.parametrize("how", ["empty cells", "no numbers"])
def test_a_modality_without_a_training_row_is_left_out_and_said_so(spoilt, tmp_path, how):
    for split in ("train", "val"):
        count = 24 if split == "train" else 12
        write_table(spoilt / f"{split}.csv", rows_of(split, count, text="  "))
    write_table(spoilt / "test.csv", rows_of("test", 12, text="glad joy fun"))
    modalities = ["text", "video"]
    if how == "no numbers":
        held = dict(np.load(spoilt / "train.npz"))
        np.savez(spoilt / "train.npz", **held | {"audio": np.full((24, 4), np.nan)})
        modalities = ["audio", "video"]
    config = feature_config(spoilt, modalities=modalities)
    run(config, tmp_path / "run", reporter=(onlooker := Onlooker()))
    said = f"no training row has {modalities[0]}: it cannot be learnt, so the model is made without it"
    assert onlooker.said.count(said) == 1
    best = tmp_path / "run" / "best_model"
    assert load_model(best)[1].model.modalities == ("video",)
    with Recognizer.from_pretrained(best) as recognizer:
        given = {"text": "glad joy fun"} if modalities[0] == "text" else {"audio": np.ones(4)}
        assert refusal(lambda: recognizer.predict(**given)) == f"this model reads video, not {modalities[0]}"
    run(config, tmp_path / "run", resume=True)  # what was left out is no change


def test_a_corpus_without_anything_to_read_is_refused(tmp_path):
    for split in ("train", "val"):
        write_table(tmp_path / f"{split}.csv", [["", "", "", label] for label in LABELS])
    said = refusal(lambda: run(feature_config(tmp_path), tmp_path / "run"))
    assert said == "no training row has audio or video: there is nothing to learn from; fill some cells"
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("labels", "remedy"),
    [
        (["happy", "sad"] * 6, "--labels happy sad makes a model without"),
        (["happy"] * 12, "a model needs two classes"),
    ],
)
def test_a_class_without_a_training_row_is_an_error_that_names_it(tmp_path, labels, remedy):
    data = feature_corpus(tmp_path / "data")
    write_table(data / "train.csv", [["", f"arrays.npz#audio[{i}]", "", label] for i, label in enumerate(labels)])
    said = refusal(lambda: run(feature_config(data), tmp_path / "run"))
    absent = ", ".join(name for name in LABELS if name not in labels)
    told = f"no row is {absent}, and a class without a row cannot be learnt; add rows, or {remedy}"
    assert said == f"{data / 'train.csv'}: {told}"
    assert not (tmp_path / "run").exists()


def test_a_class_whose_only_rows_have_nothing_to_read_is_not_taught_either(tmp_path):
    data = feature_corpus(tmp_path / "data")
    rows = [["", f"arrays.npz#audio[{i}]", "", LABELS[i % 2]] for i in range(12)]
    write_table(data / "train.csv", [*rows, ["", "", "", "angry"]])
    assert "no row is angry" in refusal(lambda: run(feature_config(data), tmp_path / "run"))


def test_a_shared_label_teaches_its_parts(tmp_path):
    data = feature_corpus(tmp_path / "data")
    rows = [["", f"arrays.npz#audio[{i}]", "", "happy|angry" if i % 2 else "sad"] for i in range(12)]
    write_table(data / "train.csv", rows)
    run(feature_config(data, label_kind="multi"), tmp_path / "run")


def test_training_without_labels_asks_for_no_class(tmp_path):
    data = feature_corpus(tmp_path / "data")
    rows = [["", f"arrays.npz#audio[{i}]", f"arrays.npz#video[{i}]", ""] for i in range(12)]
    write_table(data / "train.csv", rows)
    run(feature_config(data, pretrain_epochs=3), tmp_path / "run")


def test_an_epoch_that_one_row_chose_is_said_to_say_little(tmp_path):
    data = feature_corpus(tmp_path / "data", rows={"train": 24, "val": 1, "test": 3})
    run(feature_config(data), tmp_path / "run", reporter=(onlooker := Onlooker()))
    told = "val: 1 labelled rows; no row is sad, angry: which epoch is best is chosen on these rows, and says little"
    assert told in onlooker.said
    assert any("1 validation rows are too few for a temperature (30 are enough)" in line for line in onlooker.said)


def validation(rows, *, useless=False, half=0):
    """Logits four times too sure of what is mostly right, or sure of what has nothing to do with it."""
    rng = np.random.default_rng(0)
    true = rng.integers(0, 3, size=rows)
    said = np.where(rng.random(rows) < 0.7, true, (true + 1) % 3) if not useless else (true + 1) % 3
    logits = 12.0 * np.eye(3)[said] + rng.normal(size=(rows, 3))
    present = np.ones((rows, 2), dtype=bool)
    present[half:, 0] = not half
    read = {"text": logits, "audio": logits, "text+audio": logits}
    ids = tuple(str(i) for i in range(rows))
    return Predictions(
        ids=ids, classes=LABELS, modalities=("text", "audio"), labels=np.eye(3)[true], logits=read, present=present
    )


def test_too_few_rows_draw_a_temperature_towards_one_and_it_is_said():
    few, many = validation(10), validation(300)
    assert 1.0 < fit_temperatures(few)["text+audio"] < fit_temperatures(many)["text+audio"] ** (2 / 3)
    assert doubts(few)[0].startswith(f"10 validation rows are too few for a temperature ({ENOUGH} are enough)")
    assert doubts(many) == []


def test_a_subset_with_too_few_rows_shares_the_temperature_of_the_whole_and_it_is_said():
    read = validation(60, half=12)
    fitted = fit_temperatures(read)
    assert fitted["text"] == fitted["text+audio"]
    assert doubts(read) == [
        "too few validation rows for a temperature of their own: text 12; they share that of text+audio"
    ]


def test_a_useless_model_is_called_useless():
    read = validation(60, useless=True)
    assert USELESS in doubts(read)
    assert USELESS in evaluate_predictions(read, fit_temperatures(read))["notes"]
