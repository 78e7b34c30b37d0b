"""What the page says: a guess with its figures, never what somebody feels, and errors as sentences."""

import pytest

from emobraid.app import furniture, words
from emobraid.app.actions import sentence
from emobraid.app.dashboard import dashboard
from emobraid.app.languages import first_language
from emobraid.app.smoothing import Smoothed
from emobraid.dialogue import Point
from emobraid.emotions import LabelSpace
from emobraid.media import MediaError
from emobraid.recognizer import NothingToRead
from page_fixtures import NAMES, Skeleton, shown, smoothed


def test_the_notice_and_what_is_kept_stand_on_the_page():
    told = Skeleton(furniture.notice("")).text
    for needed in (
        "Art. 50(3)",
        "Art. 5(1)(f)",
        "does not know what anybody feels",
        "Nothing is written to a disk",
        "Forget me",
    ):
        assert needed in told
    assert "language model" not in told
    assert "http://127.0.0.1:1/v1" in Skeleton(furniture.notice("http://127.0.0.1:1/v1")).text


def test_a_model_of_synthetic_people_is_called_that():
    assert "synthetic people" in furniture.masthead("x", True)
    assert "synthetic people" not in furniture.masthead("x", False)


@pytest.mark.parametrize(
    ("asked", "told"), [("", "findahelpline.com"), ("de-AT", "142"), ("fr", "3114"), ("en-GB", "999"), ("xx-QQ", "988")]
)
def test_where_a_person_is_to_be_reached_stands_on_the_page_at_all_times(asked, told):
    assert told in Skeleton(furniture.people(asked)).text


@pytest.mark.parametrize("file", ["dashboard.py", "talk.py", "words.py", "furniture.py", "actions.py", "capture.js"])
def test_the_page_never_says_what_somebody_feels(file):
    text = furniture.text_of(file).lower()
    assert "you feel" not in text
    assert "your emotion" not in text


def test_what_is_expressed_is_a_guess_with_figures():
    text = " ".join(Skeleton(dashboard(shown(), LabelSpace(NAMES), ("text",), ())).text.split())
    for needed in ("My guess: expressed", "fairly sure", "sad", "70 %", "15 %", "+30"):
        assert needed in text


def test_a_weak_reading_is_not_called_by_its_label():
    drawn = dashboard(shown(fused=smoothed(top=0.36)), LabelSpace(NAMES), ("text",), ())
    assert 'class="eb-guess">not sure<' in drawn
    assert "closest: sad" in drawn


def test_a_held_label_that_fell_behind_is_not_what_stands_out_of_an_unsure_reading():
    lagging = Smoothed(emotion="angry", probabilities={"angry": 0.35, "sad": 0.41, "happy": 0.24})
    drawn = dashboard(shown(fused=lagging), LabelSpace(("angry", "sad", "happy")), ("text",), ())
    assert "closest: sad" in drawn
    assert "<dt>Confidence</dt><dd>41 %</dd>" in drawn
    assert '<li class="eb-held"><span class="eb-name">sad</span>' in drawn
    assert drawn.count("eb-held") == 1


def test_uncertainty_is_shown_beside_confidence():
    even = Smoothed(emotion="happy", probabilities={"happy": 0.5, "sad": 0.5, "angry": 0.0})  # ln 2 / ln 3 = 63 %
    assert "<dt>Uncertainty</dt><dd>63 %</dd>" in dashboard(shown(fused=even), LabelSpace(NAMES), ("text",), ())


def test_every_modality_is_there_or_says_why_not():
    drawn = dashboard(
        shown(notes={"audio": "not given", "video": "no face in the picture"}),
        LabelSpace(NAMES),
        ("text", "audio", "video"),
        (),
    )
    for needed in ("Words", "microphone is off", "no face in the picture"):
        assert needed in drawn
    assert words.NO_SUCH_INPUT in dashboard(shown(), LabelSpace(NAMES), ("text",), ())


def test_the_plane_shows_now_and_the_way_here():
    trail = [Point(0, "sad", 0.6, -0.5, -0.5), Point(1, "angry", 0.6, None, None), Point(2, "happy", 0.8, 1.0, 1.0)]
    drawn = dashboard(shown(source="a.mp4"), LabelSpace(NAMES), ("text",), trail)
    assert drawn.count('class="eb-was"') == 2  # a turn without a place has none
    assert "valence -0.50, arousal +0.25; 2 turns before" in drawn
    assert 'cx="76.0" cy="98.0"' in drawn  # 120 - 88 / 2, 120 - 88 / 4


def test_a_label_that_nobody_knows_has_a_bar_and_no_place():
    drawn = dashboard(shown(fused=smoothed("bored", ("bored", "b"))), LabelSpace(("bored", "b")), ("text",), ())
    assert "nowhere yet" in drawn
    assert "e-other" in drawn


def test_the_skeleton_stays_while_numbers_change_so_that_nothing_jumps():
    one = Skeleton(dashboard(shown(), LabelSpace(NAMES), ("text",), ())).found
    other = Skeleton(dashboard(shown(fused=smoothed(top=0.9)), LabelSpace(NAMES), ("text",), ())).found
    assert [t[0] for t in one] == [t[0] for t in other]


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (MediaError("a.mp4: no such file"), "A.mp4: no such file."),
        (NothingToRead("nothing to read: text: no words"), "Nothing to read: text: no words."),
        (MemoryError(), "This is too large for this computer right now. Try again later, or with less."),
        (KeyError("secret"), "Something went wrong on this computer (KeyError). Nothing was kept; try again."),
    ],
)
def test_errors_are_sentences(error, told):
    assert sentence(error) == told


@pytest.mark.parametrize(
    ("header", "tag"),
    [
        ("en-GB,en;q=0.8", "en-GB"),
        ("de", "de"),
        ("zh-Hant-TW,zh;q=0.9", "zh-Hant-TW"),
        ("*", ""),
        ("", ""),
        ("../../x", ""),
        ("english", ""),
    ],
)
def test_the_browsers_language_chooses_the_help(header, tag):
    assert first_language(header) == tag
