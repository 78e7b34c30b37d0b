"""What the page does: it reads, answers, forgets, and keeps nothing on a disk."""

import base64
import json
import os

import numpy as np
import pytest

import corpora
import page_fixtures
from emobraid.app import recording_drawn, spool
from emobraid.dialogue import Reply
from emobraid.recognizer import NothingToRead

recognizer, actions = page_fixtures.recognizer, page_fixtures.actions


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    return corpora.talking_face(tmp_path_factory.mktemp("clips"))


def uploaded(content, name):
    place = spool.spool() / os.urandom(8).hex() / name
    place.parent.mkdir()
    place.write_bytes(content)
    return str(place)


def test_an_upload_reads_as_predict_does_and_is_deleted(actions, recognizer, clip):
    visit = actions.visit("a")
    [(dash, course)] = actions.read(visit, uploaded(clip.read_bytes(), "clip.mp4"), "I am so glad")
    expected = recognizer.predict(video=clip, text="I am so glad")
    assert visit.shown.reading.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert visit.shown.source == "clip.mp4"
    assert "from clip.mp4" in dash
    assert course == recording_drawn.EMPTY  # two seconds have none
    assert spool.held() == 0


@pytest.mark.parametrize("content", [b"", b"this is no clip", b"<html>", b"\x00" * 1000])
def test_a_broken_upload_is_a_sentence_and_deleted(actions, content):
    with pytest.raises(ValueError, match=r"clip\.mp4: "):
        list(actions.read(actions.visit("a"), uploaded(content, "clip.mp4"), ""))
    assert spool.held() == 0


def test_a_path_that_was_not_uploaded_is_refused_and_left_alone(actions, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    with pytest.raises(ValueError, match="not a file that was uploaded here"):
        list(actions.read(actions.visit("a"), str(secret), ""))
    assert secret.exists()


def test_a_sound_and_a_picture_are_read_as_what_they_are(actions, tmp_path):
    import cv2

    visit = actions.visit("a")
    list(actions.read(visit, uploaded(corpora.tone(tmp_path / "t.wav", seconds=1.0).read_bytes(), "t.wav"), ""))
    assert set(visit.shown.reading.per_modality) == {"audio"}
    grey = cv2.imencode(".png", np.full((96, 96, 3), 128, np.uint8))[1].tobytes()
    with pytest.raises(NothingToRead, match="no face"):
        list(actions.read(visit, uploaded(grey, "grey.png"), ""))


def test_nothing_to_read_and_too_much_are_sentences(actions):
    with pytest.raises(ValueError, match="Choose a file or write something first"):
        list(actions.read(actions.visit("a"), None, "  "))
    with pytest.raises(ValueError, match="20,001 characters; at most 20,000"):
        list(actions.say(actions.visit("a"), "x" * 20_001))
    with pytest.raises(ValueError, match="Write something first"):
        list(actions.say(actions.visit("a"), ""))


def test_a_turn_is_read_answered_and_kept_until_forgotten(actions):
    visit = actions.visit("a")
    *_, (turns, course) = actions.say(visit, "I am so glad")
    assert "I am so glad" in turns
    assert "my guess: " in turns
    assert turns.count('class="eb-reply"') == 1
    assert course.count("eb-column") == 1
    exported = json.loads(actions.export(visit)["text"])
    assert [t["said"] for t in exported["turns"]] == ["I am so glad"]
    dash, turns, course = actions.forget(visit)
    assert "I am so glad" not in dash + turns + course
    assert "nothing yet" in dash
    assert json.loads(actions.export(visit)["text"])["turns"] == []


def test_an_answer_on_its_way_is_dropped_when_all_is_forgotten(actions):
    visit = actions.visit("a")

    class Slow:
        def stream(self, said, prediction, history):
            yield "one "
            visit.forgotten += 1  # what forgetting in another thread does first
            yield "two"
            yield Reply("one two", "comfort", (), "llm")

    visit.conversation.responder = Slow()
    list(actions.say(visit, "I am so glad"))
    assert visit.conversation.history.turns == ()
    assert visit.talking.acquire(timeout=1)


def test_a_beat_that_comes_after_all_is_forgotten_is_dropped(actions):
    visit = actions.visit("a")
    speech = base64.b64encode(np.random.default_rng(0).integers(-9_000, 9_000, 16_000).astype("<i2").tobytes()).decode()
    beat = {"number": 1, "turn": 1, "rate": 16_000, "sound": speech}
    told, dash = actions.beat(visit, beat)
    assert "nothing yet" not in dash
    actions.forget(visit)
    told, dash = actions.beat(visit, {**beat, "number": 2})
    assert (told["number"], len(visit.live.sound.samples)) == (2, 0)
    assert "nothing yet" in dash
    actions.rest(visit, {"turn": 2, "forgotten": True})  # turned on and forgotten before its first beat arrived
    actions.beat(visit, {**beat, "turn": 2})
    assert len(visit.live.sound.samples) == 0
    _, dash = actions.beat(visit, {**beat, "turn": 3})
    assert "nothing yet" not in dash


def test_words_of_a_crisis_are_read_by_no_model(actions, monkeypatch):
    visit = actions.visit("a")
    monkeypatch.setattr(visit, "listen", lambda *_: pytest.fail("it was read"))
    *_, (turns, course) = actions.say(visit, "I want to kill myself")
    assert "eb-help" in turns
    assert "my guess" not in turns
    assert "eb-column" not in course


def test_two_tabs_see_nothing_of_each_other(actions):
    list(actions.say(actions.visit("a"), "the secret of a"))
    assert "the secret" not in "".join(actions.everything(actions.visit("b")))
