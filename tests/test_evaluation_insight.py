"""What a report tells beyond scores: what is taken for what, what each modality moves, who lies near whom."""

import math

import numpy as np
import pytest
import torch

from emobraid import Recognizer, checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.data.corpus import Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Input
from emobraid.evaluation import Predictions, evaluate_predictions
from emobraid.evaluation.contributions import by_utterance, contributions
from emobraid.evaluation.errors import errors
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.neighbours import MOST, chosen, plane
from emobraid.model import MultimodalEmotionModel

CLASSES = ("joy", "fear", "calm")
TEMPERATURES = {"text": 2.0, "text+audio": 1.7}  # audio alone is read as it is


def table(true, said, confidence, **more):
    """Rows said with a confidence each, the rest shared evenly by the other classes."""
    logits = np.full((len(true), 3), [[math.log((1 - c) / 2)] for c in confidence])
    logits[np.arange(len(true)), said] = np.log(confidence)
    fields = {
        "ids": tuple("abcdefgh"[: len(true)]),
        "classes": CLASSES,
        "labels": np.eye(3)[true],
        "logits": {"text": logits},
        "present": np.ones((len(true), 1), dtype=bool),
        "modalities": ("text",),
    }
    return Predictions(**(fields | more))


def test_confusions_are_counted_and_the_surest_mistakes_come_first():
    read = table([0, 0, 0, 1, 2], [1, 1, 0, 2, 2], [0.5, 0.7, 0.9, 0.8, 0.6], groups=("x", "x", "y", "y", "y"))
    found = errors(read, 1.0)
    assert (found["n"], found["share"]) == (3, 0.6)
    assert found["pairs"] == [
        {"true": "joy", "said": "fear", "n": 2, "share": pytest.approx(2 / 3), "confidence": pytest.approx(0.6)},
        {"true": "fear", "said": "calm", "n": 1, "share": 1.0, "confidence": pytest.approx(0.8)},
    ]
    assert [(e["id"], e["true"], e["said"]) for e in found["surest"]] == [
        ("d", "fear", "calm"),
        ("b", "joy", "fear"),
        ("a", "joy", "fear"),
    ]
    assert found["groups"] == {
        "x": {"n": 2, "wrong": 2, "share": 1.0},
        "y": {"n": 3, "wrong": 1, "share": pytest.approx(1 / 3)},
    }
    assert found["present"] == {"text": {"n": 5, "wrong": 3, "share": 0.6}}


def test_mistakes_are_said_with_calibrated_confidence():
    read = table([0], [1], [0.8])
    assert errors(read, 1.0)["surest"][0]["confidence"] == pytest.approx(0.8)
    assert errors(read, 2.0)["surest"][0]["confidence"] == pytest.approx(1 / (1 + 2 / 8**0.5))


def test_a_model_that_errs_nowhere_has_no_confusions():
    found = evaluate_predictions(table([0, 1], [0, 1], [0.9, 0.9]), {})["errors"]
    assert (found["n"], found["pairs"], found["surest"]) == (0, [], [])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A model of text and audio, and a split of it in which some utterances lack one of them or both."""
    torch.manual_seed(0)
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1}
    config = Config(model=ModelConfig(**small, modalities=("text", "audio"), fusion_type="adaptive"))
    model = MultimodalEmotionModel(config.model).eval()
    encoders = model.by_modality()
    text = [encoders["text"].prepare(w) for w in ("so glad", "no", "what a day", "well")]
    draw = np.random.default_rng(0)
    audio = [encoders["audio"].prepare(draw.normal(size=8_000) * 0.1) for _ in range(4)]
    text[1], audio[2] = encoders["text"].absent(), encoders["audio"].absent()
    text[3], audio[3] = encoders["text"].absent(), encoders["audio"].absent()
    samples = tuple(Sample(id=str(i), group="", cells={}, sound_from_video=False, label=i) for i in range(4))
    split = PreparedSplit(samples, {"text": tuple(text), "audio": tuple(audio)}, torch.eye(7)[:4])
    path = tmp_path_factory.mktemp("model") / "best_model"
    checkpoint.publish(path, checkpoint.model_files(model, config, calibration=TEMPERATURES, card=""))
    return path, split, predict_split(model, split)


def test_a_splits_contributions_are_those_of_its_single_predictions(trained):
    path, split, read = trained
    shares, said = by_utterance(read, TEMPERATURES)
    with Recognizer.from_pretrained(path) as recognizer:
        for i in range(3):
            alone = recognizer.read({m: Input(split.tensors[m][i]) for m in split.tensors})
            expected = [alone.contributions.get(m, 0.0) for m in ("text", "audio")]
            assert shares[i].tolist() == pytest.approx(expected, abs=1e-5)
            assert read.classes[said[i]] == alone.emotion
    assert abs(shares[:3]).max() > 1e-3
    assert (shares[3].tolist(), said[3]) == ([0.0, 0.0], -1)  # nothing to read


def test_means_of_contributions_are_over_the_utterances_that_say_something(trained):
    *_, read = trained
    shares, said = by_utterance(read, TEMPERATURES)
    found = contributions(read, TEMPERATURES)
    assert list(found["all"].values()) == pytest.approx(shares[:3].mean(axis=0).tolist())
    assert set(found["by_class"]) == {read.classes[c] for c in said[:3]}


def test_without_what_is_said_of_nothing_there_are_no_contributions():
    assert contributions(table([0, 1], [0, 1], [0.9, 0.9]), {}) is None
    assert "contributions" not in evaluate_predictions(table([0, 1], [0, 1], [0.9, 0.9]), {})


def test_features_are_what_the_logits_were_read_from(trained):
    path, split, read = trained
    model = checkpoint.load_trained(path).model
    with torch.no_grad():
        fused = model(split.batch(range(4)).streams)
    assert read.features == pytest.approx(fused.features.numpy(), abs=1e-5)


def test_utterances_alike_lie_together_and_the_plane_is_the_same_every_time():
    draw = np.random.default_rng(0)
    group = np.repeat([0, 1], 30)
    features = draw.normal(size=(60, 20)) + 12 * group[:, None]
    places = plane(features)
    centres = np.stack([places[group == g].mean(axis=0) for g in (0, 1)])
    nearest = ((places[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == group).all()
    assert (plane(features) == places).all()


def test_a_plane_of_many_shows_some_of_them_always_the_same():
    rows = np.ones(3 * MOST, dtype=bool)
    rows[:10] = False
    places = chosen(rows)
    assert len(set(places.tolist())) == MOST
    assert places.min() >= 10
    assert (places == chosen(rows)).all()
    assert chosen(np.array([True, False, True])).tolist() == [0, 2]
