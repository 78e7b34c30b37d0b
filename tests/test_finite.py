"""NaN is never an answer: not of weights, not of a temperature, not of features; and metadata that lies is named."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

import server_fixtures
from emobraid import Recognizer, checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.data.features import LARGEST_VALUE
from emobraid.model import MultimodalEmotionModel
from emobraid.prediction import NoNumber, Prediction, Reading
from emobraid.training.state import Standing, newest

SMALL = server_fixtures.SMALL


def model_of(**changed):
    torch.manual_seed(0)
    model = ModelConfig(**{**SMALL, "fusion_type": "adaptive", **changed})
    return MultimodalEmotionModel(model), Config(model=model)


def published(folder, **changed):
    """A checkpoint whose manifest fits, with some of its files replaced."""
    model, config = model_of()
    files = checkpoint.model_files(model, config, calibration={"text": 1.5}, card="")
    checkpoint.publish(folder, {**files, **changed})
    return folder


def refusal(folder):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        checkpoint.load_trained(folder)
    assert type(caught.value) is ValueError
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_weights_that_are_not_finite_are_named(tmp_path, value):
    files = checkpoint.read(published(tmp_path / "model"))
    weights = load(files["model.safetensors"])
    name = next(k for k, w in weights.items() if w.is_floating_point() and w.numel() > 3)
    weights[name].view(-1)[3] = value
    said = refusal(published(tmp_path / "model", **{"model.safetensors": save(weights)}))
    assert said == f"{tmp_path / 'model'}: model.safetensors holds NaN or infinity in {name}; use another checkpoint"


@pytest.mark.parametrize(
    "value", ["0", "-1", "-0.0", "NaN", "Infinity", "1e999", '"warm"', "null", "[1]", "true", "1" + "0" * 400]
)
def test_a_temperature_is_above_zero_and_finite(tmp_path, value):
    said = refusal(
        published(tmp_path / "m", **{"calibration.json": b'{"temperatures": {"text": %s}}' % value.encode()})
    )
    assert said.startswith(f"{tmp_path / 'm'}: calibration.json: the temperature of text is ")


LIES = {
    "calibration.json": [
        b"[]", b"3", b"null", b"{}", b"", b"\xff", b"[" * 10_000, b'{"temperatures": []}', b'{"temperatures": null}',
        b'{"temperatures": {}, "thresholds": []}', b'{"temperatures": {}, "thresholds": {"text": [1]}}',
        b'{"temperatures": {}, "thresholds": {"text": {"joy": "much"}}}',
        b'{"temperatures": {}, "thresholds": {"text": {"joy": NaN}}}',
    ],
    "origin.json": [b"[]", b"3", b"null", b"", b"\xff", b'"yes"'],
    "config.toml": [b"\xff", b"[model", b"model = 3", b"training = [1]", b'[model]\nlabels = "x"', b"[[model]]\na = 1"],
}  # fmt: skip


@pytest.mark.parametrize(("name", "content"), [(n, c) for n, contents in LIES.items() for c in contents])
def test_metadata_that_does_not_say_what_it_should_is_named(tmp_path, name, content):
    said = refusal(published(tmp_path / "m", **{name: content}))
    assert said.startswith(f"{tmp_path / 'm'}")
    assert name in said


@pytest.mark.parametrize("content", [b"[]", b"{}", b'{"step": "one"}', b'{"steps": 1}', b'{"stopped": 1}', b"\xff"])
def test_a_state_that_does_not_say_where_the_run_stands_is_passed_over(tmp_path, content):
    model, config = model_of()
    files = checkpoint.model_files(model, config, calibration={}, card="")
    files["optimizer.safetensors"] = save({})
    checkpoint.publish(
        tmp_path / "step-00000001", {**files, "standing.json": json.dumps(vars(Standing(step=1))).encode()}
    )
    checkpoint.publish(tmp_path / "step-00000002", {**files, "standing.json": content})
    saved, damaged = newest(tmp_path)
    assert saved is not None
    assert saved.standing == Standing(step=1)
    assert "standing.json" in damaged[0]


def test_a_prediction_holds_finite_numbers_only():
    fine = {"emotion": "sad", "confidence": 0.5, "probabilities": {"sad": 0.5}}
    alone = Reading(**fine)
    whole = {**fine, "contributions": {"text": 0.1}, "per_modality": {"text": alone}, "affect": {"v": 0.0}, "notes": {}}
    assert json.dumps(Prediction(**whole).to_json(), allow_nan=False)
    for wrong in (float("nan"), float("inf")):
        for changed in (
            {"confidence": wrong},
            {"probabilities": {"sad": wrong}},
            {"contributions": {"text": wrong}},
            {"affect": {"v": wrong}},
            {"per_modality": {"text": Reading(**{**fine, "confidence": wrong})}},
        ):
            with pytest.raises(NoNumber, match="not a number"):
                Prediction(**{**whole, **changed})


def features_model(folder):
    torch.manual_seed(0)
    model = ModelConfig(**{**SMALL, "fusion_type": "adaptive", "modalities": ("text", "audio")}, **FEATURES)
    torch_model, config = MultimodalEmotionModel(model), Config(model=model)
    checkpoint.publish(folder, checkpoint.model_files(torch_model, config, calibration={}, card=""))
    return folder


FEATURES = {"audio_encoder": "features", "audio_width": 3}


@pytest.mark.parametrize("large", [3e38, -3e38, 1e13, 1e200])
def test_features_beyond_all_bounds_are_an_error_that_names_the_file(tmp_path, command, large):
    model = features_model(tmp_path / "model")
    np.save(tmp_path / "a.npy", np.array([0, large, 0]))
    (tmp_path / "t.csv").write_text("text,audio_path\nhello,a.npy\n")
    code, out, err = command("predict", "--model_path", model, "--csv", tmp_path / "t.csv", "--json")
    assert code == 1
    assert "a.npy: a holds" in err
    assert f"must be below {LARGEST_VALUE:g}" in err
    assert json.loads(out, parse_constant=pytest.fail)["error"]


def test_an_array_beyond_all_bounds_is_no_prediction_either(tmp_path):
    with Recognizer.from_pretrained(features_model(tmp_path / "model")) as recognizer:
        with pytest.raises(NoNumber):
            recognizer.predict(audio=np.array([3e38, 3e38, -3e38], np.float32))
        assert recognizer.predict(audio=np.array([1, 2, 3], np.float32)).confidence > 0


def test_features_without_a_number_are_missing_and_the_reason_is_told(tmp_path, command):
    model = features_model(tmp_path / "model")
    np.save(tmp_path / "a.npy", np.full(3, np.nan))
    np.save(tmp_path / "b.npy", np.array([np.inf, -np.inf, np.nan]))
    np.save(tmp_path / "c.npy", np.array([np.inf, 1, np.nan]))
    (tmp_path / "t.csv").write_text("text,audio_path\nhello,a.npy\nhello,b.npy\nhello,c.npy\n,a.npy\n")
    code, out, _ = command("predict", "--model_path", model, "--csv", tmp_path / "t.csv", "--json")
    told = [json.loads(line) for line in out.splitlines()]
    assert [one.get("notes") for one in told[:3]] == [{"audio": "not one finite number"}] * 2 + [{}]
    assert "audio: not one finite number" in told[3]["error"]
    assert code == 1
