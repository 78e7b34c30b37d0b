"""The front door: what a prediction says, what it rests on, and what it says of what is missing."""

import wave

import av
import numpy as np
import pytest
import torch

import corpora
from emobraid import Recognizer, checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.data.preparer import Input
from emobraid.media import MediaError
from emobraid.model import MultimodalEmotionModel
from emobraid.recognizer import NothingToRead, shapley
from emobraid.stream import pad

MODALITIES = ("text", "audio", "video")
TEMPERATURES = {"text": 2.0, "audio": 0.5, "video": 3.0, "text+audio": 1.7, "text+video": 1.3, "text+audio+video": 0.8}
WORDS = "I am so glad"


@pytest.fixture(scope="module")
def settings():
    torch.manual_seed(0)
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 4}
    return Config(model=ModelConfig(**small, fusion_type="adaptive"))


@pytest.fixture(scope="module")
def recognizer(settings, tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "best_model"
    torch.manual_seed(0)
    model = MultimodalEmotionModel(settings.model)
    files = checkpoint.model_files(model, settings, calibration=TEMPERATURES, card="")
    checkpoint.publish(folder, files)
    with Recognizer.from_pretrained(folder) as opened:
        yield opened


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {
        "face": corpora.talking_face(folder),
        "tone": corpora.tone(folder / "tone.wav"),
        "silent": corpora.silence(folder / "silent.wav"),
        "faceless": corpora.faceless_video(folder / "faceless.mp4"),
    }


def logits(recognizer, **prepared):
    """(C,) of the model itself, given prepared tensors by modality."""
    encoders = recognizer.model.by_modality()
    streams = {m: pad([prepared.get(m, encoders[m].absent())]) for m in MODALITIES}
    with torch.no_grad():
        return recognizer.model(streams).logits[0]


def of(prediction):
    return torch.tensor(list(prediction.probabilities.values()))


# --- Shapley values, by hand ---


def test_two_players_share_what_they_win_together():
    value = {frozenset(): 0.2, frozenset("a"): 0.5, frozenset("b"): 0.4, frozenset("ab"): 0.9}
    # a brings 0.3 when first and 0.5 when second, b 0.2 and 0.4
    assert shapley(value, ("a", "b")) == pytest.approx({"a": 0.4, "b": 0.3})


def test_three_players_with_one_left_glove_and_two_right_ones():
    """The textbook glove game: a has the left glove, b and c a right one each; a pair is worth 1."""
    wins = [frozenset("ab"), frozenset("ac"), frozenset("abc")]
    value = {frozenset(s): float(frozenset(s) in wins) for s in ("", "a", "b", "c", "ab", "ac", "bc", "abc")}
    assert shapley(value, ("a", "b", "c")) == pytest.approx({"a": 2 / 3, "b": 1 / 6, "c": 1 / 6})


# --- a prediction ---


def test_all_modalities_give_a_reading_of_every_part(recognizer, clips):
    prediction = recognizer.predict(text=WORDS, audio=clips["tone"], video=clips["face"])
    assert list(prediction.per_modality) == list(prediction.contributions) == list(MODALITIES)
    assert list(prediction.probabilities) == list(recognizer.labels.names)
    assert sum(prediction.probabilities.values()) == pytest.approx(1)
    assert prediction.emotion == max(prediction.probabilities, key=prediction.probabilities.get)
    assert prediction.confidence == prediction.probabilities[prediction.emotion]
    assert set(prediction.affect) == {"valence", "arousal"}
    for alone in prediction.per_modality.values():
        assert alone.confidence == max(alone.probabilities.values()) == alone.probabilities[alone.emotion]


def test_contributions_add_up_to_what_was_read_less_what_is_said_of_nothing(recognizer, clips):
    prediction = recognizer.predict(text=WORDS, audio=clips["tone"], video=clips["face"])
    of_nothing = torch.softmax(logits(recognizer), dim=-1)[recognizer.labels.index(prediction.emotion)].item()
    moved = prediction.confidence - of_nothing
    assert abs(moved) > 0.01
    assert sum(prediction.contributions.values()) == pytest.approx(moved, abs=1e-5)


def test_the_temperature_is_that_of_the_modalities_that_are_there(recognizer):
    samples = np.random.default_rng(0).normal(size=16_000) * 0.1
    encoders = recognizer.model.by_modality()
    text, audio = encoders["text"].prepare(WORDS), encoders["audio"].prepare(samples)
    both = recognizer.predict(text=WORDS, audio=samples)
    for reading, given, temperature in (
        (both, {"text": text, "audio": audio}, 1.7),
        (both.per_modality["text"], {"text": text}, 2.0),
        (both.per_modality["audio"], {"audio": audio}, 0.5),
        (recognizer.predict(text=WORDS), {"text": text}, 2.0),
    ):
        expected = torch.softmax(logits(recognizer, **given) / temperature, dim=-1)
        assert of(reading).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_a_subset_without_a_temperature_is_read_as_it_is(recognizer):
    encoders = recognizer.model.by_modality()
    samples = np.random.default_rng(0).normal(size=8_000) * 0.1
    crops = np.random.default_rng(1).integers(0, 255, (4, 96, 96, 3), np.uint8)
    prepared = {"audio": encoders["audio"].prepare(samples), "video": encoders["video"].prepare(crops)}
    inputs = {m: Input(prepared.get(m, encoders[m].absent())) for m in MODALITIES}
    expected = torch.softmax(logits(recognizer, **prepared), dim=-1)  # "audio+video" is not in TEMPERATURES
    assert of(recognizer.read(inputs)).numpy() == pytest.approx(expected.numpy(), abs=1e-5)


def test_json_has_exactly_the_promised_keys(recognizer):
    told = recognizer.predict(text=WORDS).to_json()
    assert sorted(told) == sorted(
        ["emotion", "confidence", "probabilities", "contributions", "per_modality", "affect", "affect_note", "notes"]
    )
    assert set(told["per_modality"]["text"]) == {"emotion", "confidence", "probabilities"}


def test_reading_twice_gives_the_same_numbers(recognizer):
    assert recognizer.predict(text=WORDS) == recognizer.predict(text=WORDS)


# --- what is missing ---


def test_a_videos_own_sound_is_its_audio_unless_refused_or_replaced(recognizer, clips):
    own = recognizer.predict(video=clips["face"])
    assert list(own.per_modality) == ["audio", "video"]
    deaf = recognizer.predict(video=clips["face"], sound=False)
    assert list(deaf.per_modality) == ["video"]
    assert deaf.per_modality["video"] == own.per_modality["video"]
    other = recognizer.predict(video=clips["face"], audio=clips["tone"])
    assert other.per_modality["audio"] == recognizer.predict(audio=clips["tone"]).per_modality["audio"]
    assert other.per_modality["audio"] != own.per_modality["audio"]


@pytest.mark.parametrize(
    ("modality", "clip", "reason"), [("audio", "silent", "silent"), ("video", "faceless", "no face in 4 frames")]
)
def test_what_says_nothing_is_missing_with_its_reason_and_changes_nothing(recognizer, clips, modality, clip, reason):
    given = {modality: clips[clip]}
    prediction = recognizer.predict(text=WORDS, **given)
    assert prediction.notes[modality].startswith(reason)
    assert list(prediction.per_modality) == ["text"]
    assert prediction.probabilities == recognizer.predict(text=WORDS).probabilities
    with pytest.raises(NothingToRead, match=f"nothing to read: text: not given; .*{modality}: {reason}"):
        recognizer.predict(**given)


def test_a_video_without_a_sound_track_says_so(recognizer, clips):
    notes = recognizer.predict(text=WORDS, video=clips["faceless"]).notes
    assert notes["audio"] == "no audio track"
    assert notes["video"].startswith("no face in 4 frames")


def test_text_without_words_is_missing(recognizer):
    with pytest.raises(NothingToRead, match="text: no words; audio: not given; video: not given"):
        recognizer.predict(text="  ")


def test_nothing_at_all_is_refused(recognizer):
    with pytest.raises(NothingToRead, match="text: not given; audio: not given; video: not given"):
        recognizer.predict()


def test_a_file_that_cannot_be_read_is_an_error_not_a_missing_modality(recognizer, tmp_path):
    (tmp_path / "text.wav").write_text("this is not sound")
    with pytest.raises(MediaError, match=r"text\.wav: looks like plain text"):
        recognizer.predict(text=WORDS, audio=tmp_path / "text.wav")
    with pytest.raises(MediaError, match=r"gone\.wav: no such file"):
        recognizer.predict(audio=tmp_path / "gone.wav")


def test_a_modality_that_the_model_does_not_have_is_refused(settings, clips):
    alone = ModelConfig(**{**vars_of(settings.model), "modalities": ("audio",)})
    with Recognizer(MultimodalEmotionModel(alone), Config(model=alone), {}) as deaf_to_words:
        with pytest.raises(ValueError, match="this model reads audio, not text"):
            deaf_to_words.predict(text=WORDS, audio=clips["tone"])
        assert list(deaf_to_words.predict(audio=clips["tone"]).contributions) == ["audio"]


def vars_of(config):
    return {name: getattr(config, name) for name in config.__dataclass_fields__}


# --- arrays ---


def test_samples_in_memory_are_read_as_those_of_the_file(recognizer, clips):
    with wave.open(str(clips["tone"])) as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2").astype(np.float32) / 32768
    expected = of(recognizer.predict(audio=clips["tone"]))
    assert of(recognizer.predict(audio=samples)).numpy() == pytest.approx(expected.numpy(), abs=1e-4)


def test_frames_in_memory_are_searched_for_a_face_and_have_no_sound(recognizer, clips):
    with av.open(str(clips["face"])) as container:
        frames = np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])
    prediction = recognizer.predict(video=frames)
    assert list(prediction.per_modality) == ["video"]
    expected = recognizer.predict(video=clips["face"], sound=False)
    assert of(prediction).numpy() == pytest.approx(of(expected).numpy(), abs=0.02)
    with pytest.raises(NothingToRead, match="video: no face in 4 frames"):
        recognizer.predict(video=np.full_like(frames, 128))


@pytest.mark.parametrize(
    ("samples", "reason"),
    [(np.zeros(16_000), "silent"), (np.ones(16_000), "silent"), (np.ones(160), r"too short \(10 ms\)")],
)
def test_samples_that_say_nothing_are_missing_as_in_a_file(recognizer, samples, reason):
    with pytest.raises(NothingToRead, match=f"audio: {reason}"):
        recognizer.predict(audio=samples)


@pytest.mark.parametrize(
    "samples", [np.zeros((2, 16_000)), np.zeros(16_000, np.int16), np.full(16_000, np.nan), np.full(16_000, np.inf)]
)
def test_samples_that_are_no_mono_floats_are_refused(recognizer, samples):
    with pytest.raises(ValueError, match=r"audio must be finite float samples \(N,\) in -1..1, got"):
        recognizer.predict(audio=samples)


def test_a_feature_model_reads_vectors_in_memory(tmp_path):
    model = ModelConfig(
        **{**corpora.SMALL, **corpora.FEATURES, "labels": corpora.LABELS, "audio_width": 4, "video_width": 3}
    )
    with Recognizer(MultimodalEmotionModel(model), Config(model=model), {}) as recognizer:
        prediction = recognizer.predict(audio=np.zeros(4), video=np.zeros((5, 3)))
        assert list(prediction.per_modality) == ["audio", "video"]
        with pytest.raises(ValueError, match=r"features have shape \(5,\), this model reads vectors of width 4"):
            recognizer.predict(audio=np.zeros(5))


# --- the subsets ---


def test_reading_all_subsets_side_by_side_is_reading_each_on_its_own(recognizer):
    encoders = recognizer.model.by_modality()
    samples = np.random.default_rng(0).normal(size=8_000) * 0.1
    prepared = {"text": encoders["text"].prepare(WORDS), "audio": encoders["audio"].prepare(samples)}
    inputs = {m: Input(prepared.get(m, encoders[m].absent())) for m in MODALITIES}
    encoded = {m: recognizer.encode(m, x.tensor) for m, x in inputs.items()}
    [(by_subset, _)] = recognizer._by_subset(encoded)
    assert set(by_subset) == {frozenset(), *map(frozenset, (["text"], ["audio"], ["text", "audio"]))}
    for subset, found in by_subset.items():
        temperature = TEMPERATURES.get("+".join(m for m in MODALITIES if m in subset), 1.0)
        expected = torch.softmax(logits(recognizer, **{m: prepared[m] for m in subset}) / temperature, dim=-1)
        assert found.numpy() == pytest.approx(expected.numpy(), abs=1e-5)
