"""Readings over time, and a camera and microphone as one rolling utterance."""

import base64
import math
import threading

import numpy as np
import pytest
import torch

import corpora
from emobraid import Recognizer
from emobraid.app import visits
from emobraid.app.live import FACE_SECONDS, GONE, VOICE_SECONDS, WORDS_SECONDS, Live, RunningSound
from emobraid.app.smoothing import Smoother, entropy, is_sure
from emobraid.app.visits import Beat, Visit, Visits
from emobraid.config import Config, ModelConfig
from emobraid.dialogue import Conversation
from emobraid.media import MediaReader
from emobraid.model import MultimodalEmotionModel

RATE = 48_000


def two(happy):
    return {"happy": happy, "sad": 1 - happy}


# --- smoothing ---


def test_after_the_time_constant_63_percent_of_a_new_state_have_arrived():
    smoother = Smoother(memory=2.0)
    smoother.add(two(0.0), 0.0)
    assert smoother.add(two(1.0), 2.0).probabilities["happy"] == pytest.approx(1 - math.exp(-1))


def test_the_pace_of_readings_makes_no_difference():
    slow, fast = Smoother(), Smoother()
    for smoother in (slow, fast):
        smoother.add(two(0.9), 0.0)
    at_once = slow.add(two(0.1), 1.0)
    for step in range(1, 11):
        by_and_by = fast.add(two(0.1), step / 10)
    assert by_and_by.probabilities == pytest.approx(at_once.probabilities)


def test_smoothed_probabilities_add_up_to_one():
    smoother = Smoother()
    for step, p in enumerate((0.2, 0.9, 0.4, 0.7)):
        assert sum(smoother.add(two(p), step * 0.2).probabilities.values()) == pytest.approx(1.0)


def test_a_label_stays_until_another_has_been_ahead_for_the_hold_time():
    smoother = Smoother(memory=1e-3, margin=0.1, hold=0.5)
    assert smoother.add(two(0.9), 0.0).emotion == "happy"
    assert [smoother.add(two(0.1), t).emotion for t in (1.0, 1.3, 1.49)] == ["happy"] * 3
    assert smoother.add(two(0.1), 1.5).emotion == "sad"


def test_a_rival_within_the_margin_never_takes_the_label():
    smoother = Smoother(memory=1e-3, margin=0.1, hold=0.0)
    smoother.add(two(0.6), 0.0)
    assert {smoother.add(two(0.46), t).emotion for t in (1.0, 2.0, 3.0)} == {"happy"}


def test_a_flicker_does_not_change_the_label_and_starts_the_hold_anew():
    smoother = Smoother(memory=1e-3, margin=0.1, hold=0.5)
    smoother.add(two(0.9), 0.0)
    readings = [(0.1, 1.0), (0.9, 1.4), (0.1, 1.6), (0.1, 2.0)]
    assert {smoother.add(two(p), t).emotion for p, t in readings} == {"happy"}
    assert smoother.add(two(0.1), 2.1).emotion == "sad"


def test_rivals_that_take_turns_do_not_keep_a_lost_label():
    smoother = Smoother(memory=1e-3, margin=0.1, hold=0.5)
    smoother.add({"a": 0.8, "b": 0.1, "c": 0.1}, 0.0)
    b, c = {"a": 0.02, "b": 0.58, "c": 0.4}, {"a": 0.02, "b": 0.4, "c": 0.58}
    assert [smoother.add(p, t).emotion for p, t in ((b, 1.0), (c, 1.3), (b, 1.5))] == ["a", "a", "b"]


def test_a_new_set_of_classes_starts_over():
    smoother = Smoother()
    smoother.add(two(0.9), 0.0)
    assert smoother.add({"calm": 0.2, "angry": 0.8}, 0.1).emotion == "angry"


@pytest.mark.parametrize("wrong", [{"memory": 0.0}, {"margin": -0.1}, {"hold": -1.0}])
def test_settings_of_smoothing_that_make_no_sense_are_refused(wrong):
    with pytest.raises(ValueError, match="must be positive"):
        Smoother(**wrong)


def test_entropy_is_zero_for_certainty_and_one_for_no_idea():
    assert entropy({"a": 1.0, "b": 0.0, "c": 0.0}) == 0.0
    assert entropy({"a": 0.25, "b": 0.25, "c": 0.25, "d": 0.25}) == pytest.approx(1.0)
    assert entropy({"a": 0.5, "b": 0.5, "c": 0.0, "d": 0.0}) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("confidence", "uncertainty", "sure"), [(0.44, 0.2, False), (0.45, 0.85, True), (0.9, 0.86, False)]
)
def test_a_reading_is_sure_only_when_confident_and_not_spread(confidence, uncertainty, sure):
    assert is_sure(confidence, uncertainty) is sure


# --- live ---


@pytest.fixture(scope="module")
def recognizer():
    torch.manual_seed(0)
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 6}
    config = Config(model=ModelConfig(**small, fusion_type="adaptive"))
    with Recognizer(MultimodalEmotionModel(config.model), config, {}) as opened:
        yield opened


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Pictures (T, H, W, 3) of a drawn face that speaks."""
    import av

    clip = corpora.talking_face(tmp_path_factory.mktemp("clips"))
    with av.open(str(clip)) as container:
        return np.stack([f.to_ndarray(format="rgb24") for f in container.decode(video=0)])


def speech(seconds, rate=RATE):
    at = np.arange(round(seconds * rate)) / rate
    return (6_000 * np.sin(2 * np.pi * 180 * at) * (1 + np.sin(2 * np.pi * 3 * at))).astype(np.int16)


def test_nothing_given_is_nothing_read_and_every_modality_says_why(recognizer):
    live = Live(recognizer)
    assert live.read(0.0) is None
    assert live.notes == {"text": "not given", "audio": "not given", "video": "not given"}


def test_a_running_picture_reads_as_the_same_frames_do_in_one_go(recognizer, frames):
    """The box is held in between, so crops differ a little; with one frame there is no difference at all."""
    live = Live(recognizer)
    live.see(frames[0], 0.0)
    expected = recognizer.predict(video=frames[:1])
    assert live.read(0.0).probabilities == pytest.approx(expected.probabilities, abs=1e-4)


def test_running_words_read_as_predict_does(recognizer):
    live = Live(recognizer)
    live.say("I am so glad", 0.0)
    assert live.read(1.0).probabilities == pytest.approx(
        recognizer.predict(text="I am so glad").probabilities, abs=1e-5
    )


def test_running_sound_reads_as_predict_does(recognizer):
    live, whole = Live(recognizer), speech(2.0, 16_000)
    for i in range(0, len(whole), 4_000):
        live.hear(whole[i : i + 4_000], 16_000, i / 16_000)
    expected = recognizer.predict(audio=whole.astype(np.float32) / 32768)
    assert live.read(2.0).probabilities == pytest.approx(expected.probabilities, abs=1e-4)


@pytest.mark.parametrize("rate", [44_100, 48_000])
def test_resampling_goes_on_across_chunks(rate):
    sound, whole = RunningSound(), speech(1.0, rate)
    for chunk in np.array_split(whole, 7):
        sound.add(chunk, rate)
    direct = RunningSound()
    direct.add(whole, rate)
    length = min(len(sound.samples), len(direct.samples))
    assert length > 14_000
    assert np.abs(sound.samples[:length] - direct.samples[:length]).max() < 1e-4


def test_buffers_do_not_grow(recognizer, frames):
    live = Live(recognizer)
    for i in range(120):
        live.see(frames[i % len(frames)], i / 20)
        live.hear(speech(0.05), RATE, i / 20)
    assert len(live.sound.samples) <= VOICE_SECONDS * 16_000
    assert len(live._crops) <= 20 * FACE_SECONDS + 1


def test_only_what_is_new_is_encoded_again(recognizer, frames, monkeypatch):
    encoded = []
    whole = recognizer.encode
    monkeypatch.setattr(recognizer, "encode", lambda m, x: encoded.append((m, len(x))) or whole(m, x))
    live = Live(recognizer)
    live.say("I am so glad", 0.0)
    live.hear(speech(1.0), RATE, 0.0)
    live.see(frames[0], 0.0)
    live.read(0.0)
    encoded.clear()
    live.see(frames[1], 0.2)
    live.hear(speech(0.2), RATE, 0.2)
    live.read(0.2)
    assert [m for m, length in encoded if length] == ["video"]
    live.hear(speech(0.5), RATE, 0.4)
    encoded.clear()
    live.read(0.4)
    assert [m for m, length in encoded if length] == ["audio"]


def test_what_is_over_is_missing_and_says_so(recognizer, frames):
    live = Live(recognizer)
    live.say("so glad", 0.0)
    live.see(frames[0], 0.0)
    live.hear(speech(1.0), RATE, 0.0)
    assert set(live.read(0.1).per_modality) == {"text", "audio", "video"}
    assert set(live.read(GONE + 0.1).per_modality) == {"text"}
    assert live.read(WORDS_SECONDS + 0.1) is None


def test_a_picture_without_a_face_is_no_face(recognizer):
    live = Live(recognizer)
    live.see(np.full((120, 160, 3), 128, np.uint8), 0.0)
    assert live.read(0.0) is None
    assert live.notes["video"] == "no face in the picture"
    assert live.box is None


def test_a_quiet_room_is_not_a_voice(recognizer):
    live = Live(recognizer)
    noise = np.random.default_rng(0).normal(scale=30, size=RATE).astype(np.int16)  # -60 dB
    live.hear(noise, RATE, 0.0)
    assert live.read(0.0) is None
    assert live.notes["audio"] == "quiet: nobody seems to speak"


def test_the_box_is_where_the_face_is_and_is_held_between_looks(recognizer, frames):
    live = Live(recognizer)
    looks = []
    look = live.face._detect
    live.face._detect = lambda *a: looks.append(1) or look(*a)
    for i in range(10):
        live.see(frames[i], i / 6)
    x, y, w, h = live.box
    assert 0 <= x < x + w <= 1.01
    assert 0 <= y < y + h <= 1.01
    assert w > 0.2
    assert len(looks) <= 4  # of ten pictures: two looks, each beside the last place first


def test_forgetting_leaves_nothing(recognizer, frames):
    live = Live(recognizer)
    live.say("so glad", 0.0)
    live.see(frames[0], 0.0)
    live.hear(speech(1.0), RATE, 0.0)
    live.forget()
    assert live.read(0.1) is None
    assert (len(live.sound.samples), len(live._crops), live._encoded, live.box) == (0, 0, {}, None)


# --- beats and visits ---


def packed(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def test_a_beat_carries_raw_pixels_and_samples():
    pixels = np.arange(4 * 3 * 3, dtype=np.uint8).reshape(3, 4, 3)
    beat = Beat.of({"frame": packed(pixels), "width": 4, "height": 3, "sound": packed(speech(0.1)), "rate": RATE})
    assert (beat.frame == pixels).all()
    assert (beat.sound == speech(0.1)).all()


@pytest.mark.parametrize(
    "sent",
    [
        {"frame": packed(np.zeros(35, np.uint8)), "width": 4, "height": 3},
        {"frame": "A" * 4_000_000, "width": 640, "height": 480},
        {"frame": "AAAA", "width": 10**9, "height": 1},
        {"frame": "AAAA", "width": 641, "height": 480},
        {"frame": "AAAA", "width": -1, "height": -1},
        {"frame": "AAAA", "width": 1.5, "height": 1},
        {"frame": "AAAA", "width": True, "height": 1},
        {"frame": ["AAAA"], "width": 1, "height": 1},
        {"frame": "<x>!", "width": 1, "height": 1},
        {"sound": "A" * 1_000_000, "rate": 8_000},
        {"sound": "AAAA", "rate": 10**9},
        {"sound": "AAAA", "rate": "48000"},
    ],
)
def test_a_beat_of_another_shape_or_size_is_refused(sent):
    with pytest.raises(ValueError):  # noqa: PT011  each has a sentence of its own
        Beat.of(sent)


def visit(recognizer):
    return Visit(recognizer, Conversation(recognizer))


def test_pictures_come_at_most_twelve_times_a_second(recognizer, frames):
    one = visit(recognizer)
    for i in range(20):
        one.take(Beat(frames[0]), i * 0.01)
    assert len(one.live._crops) == 3  # at 0.00, 0.08 and 0.16 s


def test_what_is_shown_is_smoothed_and_raw_beside(recognizer, frames):
    one = visit(recognizer)
    shown = one.take(Beat(frames[0]), 0.0)
    assert shown.fused.probabilities == pytest.approx(shown.reading.probabilities)
    assert set(shown.alone) == {"video"}
    assert shown.notes["audio"] == "not given"
    assert shown.cost > 0


def test_two_visits_share_nothing(recognizer, frames):
    visits = Visits(lambda: visit(recognizer))
    one, other = visits.of("a"), visits.of("b")
    one.take(Beat(frames[0]), 0.0)
    one.conversation.answer("hello", None)
    assert visits.of("a") is one
    assert other.shown.reading is None
    assert not other.conversation.history.turns
    assert other.live.read(0.0) is None


def test_a_visit_that_ended_or_rested_too_long_is_forgotten(recognizer, frames, monkeypatch):
    kept = Visits(lambda: visit(recognizer))
    ended, idle = kept.of("a"), kept.of("b")
    for one in (ended, idle):
        one.take(Beat(frames[0]), 0.0)
    kept.end("a")
    assert ended.shown.reading is None
    assert kept.of("a") is not ended
    monkeypatch.setattr(visits, "IDLE", -1.0)
    kept.sweep()
    assert idle.shown.reading is None
    assert len(kept) == 0


def test_the_visit_idle_longest_makes_room(recognizer, monkeypatch):
    kept = Visits(lambda: visit(recognizer))
    first = kept.of("a")
    kept.of("b")
    kept.sweep(most=1)
    assert len(kept) == 1
    assert kept.of("a") is not first


def test_visits_may_be_made_from_many_threads_at_once(recognizer):
    kept, found = Visits(lambda: visit(recognizer)), []
    threads = [threading.Thread(target=lambda: found.append(kept.of("same"))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(v) for v in found}) == 1


def test_the_corpus_drawn_people_have_a_face_that_is_found(frames):
    """What these tests rest on."""
    with MediaReader() as reader:
        faces = reader.frames_to_faces(frames, np.arange(len(frames)), max_frames=6, size=48)
    assert len(faces.crops) == 6
