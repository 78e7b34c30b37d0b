"""What the page shows of a longer recording: where its windows lie, what is drawn of them, and when it stops."""

import os
import re
from dataclasses import replace

import pytest

import media_fixtures
import page_fixtures
from emobraid.app import recording, recording_drawn, spool
from emobraid.app.recording import Course, courses, plan_for
from emobraid.media import MediaBytes, MediaError
from emobraid.timeline import Plan, Timeline, Window
from page_fixtures import NAMES, Skeleton, prediction, smoothed

recognizer, actions = page_fixtures.recognizer, page_fixtures.actions


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    """Fourteen seconds: a face for the first eight, then nobody, and a tone all along."""
    images = [media_fixtures.portrait()] * 40 + [media_fixtures.nobody()] * 30
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    return media_fixtures.write_video(path, images, rate=5, sound=media_fixtures.tone(14.0, 48_000)).read_bytes()


def uploaded(content, name):
    place = spool.spool() / os.urandom(8).hex() / name
    place.parent.mkdir()
    place.write_bytes(content)
    return str(place)


@pytest.mark.parametrize(
    ("seconds", "window", "step", "count"), [(12, 4, 2, 5), (120, 4, 2, 59), (121, 6, 3, 40), (600, 20, 10, 59)]
)
def test_windows_grow_so_that_there_are_sixty_at_most(seconds, window, step, count):
    plan = plan_for(seconds, 30)
    assert (plan.window, plan.step, len(plan.windows(seconds))) == (window, step, count)
    assert plan.fps == min(4.0, 30 / window)


def test_a_long_upload_is_read_first_and_then_drawn_as_the_timeline_reads_it(actions, recognizer, film, monkeypatch):
    monkeypatch.setattr(recording, "LOOKS", 0.0)
    visit = actions.visit("a")
    shown = list(actions.read(visit, uploaded(film, "film.mp4"), ""))
    assert spool.held() == 0
    assert {dash for dash, _ in shown} == {shown[0][0]}
    assert shown[0][1] == recording_drawn.EMPTY  # an earlier one is gone at once
    busy = ['aria-busy="true"' in course for _, course in shown[1:]]
    assert busy == [True] * 7 + [False]  # before the first, after each of the six windows, and at the end
    expected = list(Timeline(recognizer, MediaBytes("film.mp4", film), plan_for(14.0, 4)))
    course = Course(14.0, plan_for(14.0, 4), tuple(expected), done=True)
    assert shown[-1][1] == recording_drawn.drawn(
        course, "film.mp4", recognizer.labels.names, ("audio", "video", "text")
    )
    assert "Face missing in 2: no face" in shown[-1][1]  # 8 to 12 s, 10 to 14 s


def window(start, emotion, top=0.7, missing=None, **affect):
    probabilities = smoothed(emotion, NAMES, top).probabilities
    read = replace(prediction(emotion), confidence=top, probabilities=probabilities)
    return Window(start, start + 4, replace(read, affect=affect) if affect else read, missing or {})


def test_a_bar_stands_in_the_lane_of_its_guess_as_tall_as_it_is_sure_and_hollow_when_it_is_not():
    windows = (window(0, "sad", 0.75), window(2, "angry", 0.36), Window(4, 8, None, {"audio": "silent"}))
    html = recording_drawn.drawn(Course(8.0, Plan(), windows, done=True), "a.wav", NAMES, ("audio",))
    lanes = html[html.index("eb-lanes") : html.index("eb-lines")]
    bars = [dict(re.findall(r'([\w-]+)="([^"]*)"', bar)) for bar in re.findall(r"<rect [^>]*>", lanes)]
    # happy, sad, angry: the second lane ends at 1.95, the third at 2.95; heights are 0.86 of the confidence
    assert [(b["class"], b["x"], b["width"], b["y"], b["height"]) for b in bars] == [
        ("e-sad", "0.00", "2.00", "1.305", "0.645"),
        ("e-angry eb-unsure", "2.00", "2.00", "2.640", "0.310"),
    ]


def test_lines_go_from_one_at_the_top_to_minus_one_and_break_where_nothing_was_read():
    windows = (window(0, "sad", valence=1.0, arousal=0.0), window(2, "sad", valence=-1.0, arousal=0.5))
    windows += (Window(4, 8, None, {}), window(6, "sad", valence=0.0, arousal=-1.0))
    html = recording_drawn.drawn(Course(10.0, Plan(), windows, done=True), "a.wav", NAMES, ("audio",))
    assert '<path class="eb-valence" d="M1.00 0.000L3.00 2.000M8.00 1.000"/>' in html
    assert '<path class="eb-arousal" d="M1.00 1.000L3.00 0.500M8.00 2.000"/>' in html


def test_all_of_it_stands_in_words_and_in_a_table():
    missing = {"video": "no face"}
    windows = (window(0, "sad", 0.6, missing), window(2, "sad", 0.8, missing), window(4, "happy"))
    windows += (Window(6, 10, None, {"audio": "silent", "video": "no face"}),)
    html = recording_drawn.drawn(Course(10.0, Plan(), windows, done=True), "a.mp4", NAMES, ("audio", "video"))
    text = Skeleton(html).text
    assert "My guess for 4 windows of 4 s: sad in 2, happy in 1, nothing to read in 1." in text
    assert "Voice missing in 1: silent. Face missing in 3: no face." in text
    rows = re.findall(r"<tr><th scope=\"row\">(.*?)</th><td>(.*?)</td><td class=\"eb-number\">(.*?)</td></tr>", html)
    assert rows == [("0:00–0:04", "sad", "70 %"), ("0:04–0:06", "happy", "70 %"), ("0:06–0:10", "nothing to read", "–")]
    assert "<span>0:00</span><span>0:05</span><span>0:10</span>" in html
    assert 'role="img"' in html
    assert 'role="status"' in html


def test_its_height_does_not_depend_on_how_much_of_it_is_there():
    """Rows and charts are the same from the first look to the last."""

    def frame(*windows):
        html = recording_drawn.drawn(Course(30.0, Plan(), windows), "a.wav", NAMES, ("audio", "video"))
        return re.findall(r'--n:\d+|viewBox="[^"]*"|<li>.*?</li>', html)

    assert frame() == frame(window(0, "sad"), window(2, "happy"))


def test_reading_stops_in_time_and_says_how_far_it_came(recognizer, film, monkeypatch):
    monkeypatch.setattr(recording, "PATIENCE", 0.0)
    *_, last = courses(recognizer, MediaBytes("film.mp4", film), lambda: False)
    assert (len(last.windows), last.done) == (1, True)
    assert "Only the first 0:04 of 0:14 were read" in recording_drawn.sentence(last)


def test_reading_stops_when_all_is_forgotten_or_something_else_was_uploaded(actions, film, monkeypatch):
    monkeypatch.setattr(recording, "LOOKS", 0.0)
    for stop in (actions.forget, lambda v: next(actions.read(v, None, "I am so glad"))):
        visit = actions.visit("a")
        coming = actions.read(visit, uploaded(film, "film.mp4"), "")
        assert "Over time" in [next(coming), next(coming)][1][1]
        stop(visit)
        assert list(coming) == []
    assert visit.shown.source == "what you wrote"


def test_a_course_that_fails_is_a_sentence_beside_the_reading(actions, film, monkeypatch):
    class Broken(Timeline):
        def __iter__(self):
            yield from ()
            raise MediaError("film.mp4: <b>cut short</b>")

    monkeypatch.setattr(recording, "Timeline", Broken)
    visit = actions.visit("a")
    *_, (dash, course) = actions.read(visit, uploaded(film, "film.mp4"), "")
    assert "from film.mp4" in dash
    assert "Film.mp4: &lt;b&gt;cut short&lt;/b&gt;." in course
