"""The page without a browser: what it shows and says, who may see it, and that nothing stays on a disk."""

import asyncio
import base64
import json
import os
import stat
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch

import corpora

pytest.importorskip("gradio", reason="the page needs the extra: pip install 'emobraid[demo]'")

import gradio as gr
from starlette.testclient import TestClient

from emobraid import Recognizer, checkpoint
from emobraid.app import furniture, launching, spool, talk, uploads, words
from emobraid.app.actions import Actions, first_language, sentence
from emobraid.app.asr import STEP, Dictation, Speech
from emobraid.app.dashboard import dashboard
from emobraid.app.limits import ServerSettings
from emobraid.app.page import build
from emobraid.app.smoothing import Smoothed
from emobraid.app.visits import Shown
from emobraid.config import Config, ModelConfig
from emobraid.dialogue import History, Point, Reply, Turn
from emobraid.emotions import LabelSpace
from emobraid.media import MediaError
from emobraid.model import MultimodalEmotionModel
from emobraid.recognizer import NothingToRead, Prediction, Reading


@pytest.fixture(scope="module", autouse=True)
def _event_loop():
    """Gradio makes event loops that it never closes."""
    made, make = [], asyncio.new_event_loop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", lambda: made.append(make()) or made[-1])
        yield
    asyncio.set_event_loop(None)
    for loop in made:
        loop.close()


PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//x></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<math><mtext><img src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<input onfocus=alert(1) autofocus>",
    "<select onfocus=alert(1) autofocus>",
    "<textarea onfocus=alert(1) autofocus>",
    "<marquee onstart=alert(1)>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><input type=submit>",
    "<base href=//x/>",
    "<link rel=stylesheet href=//x>",
    "<style>*{background:url(javascript:alert(1))}</style>",
    "<meta http-equiv=refresh content=0>",
    "</p></li></ol><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<!--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "`${alert(1)}`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u202e<script>alert(1)</script>",
    "<scr\x00ipt>alert(1)</script>",
]


class Skeleton(HTMLParser):
    """Tags and attributes of a page without its text."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *attrs))

    def handle_endtag(self, tag):
        self.found.append(("/" + tag,))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.found.append(("comment", data))

    handle_decl = unknown_decl = handle_pi = handle_comment


NAMES = ("happy", "sad", "angry")


def smoothed(emotion="sad", names=NAMES, top=0.7):
    rest = (1 - top) / (len(names) - 1)
    return Smoothed(emotion=emotion, probabilities={n: top if n == emotion else rest for n in names})


def prediction(emotion="sad", names=NAMES, notes=None):
    probabilities = smoothed(emotion, names).probabilities
    alone = Reading(emotion=emotion, confidence=0.7, probabilities=probabilities)
    return Prediction(
        emotion=emotion,
        confidence=0.7,
        probabilities=probabilities,
        contributions={"text": 0.3},
        per_modality={"text": alone},
        affect={"valence": -0.5, "arousal": 0.25},
        notes=notes or {},
    )


def shown(text="", **changed):
    return Shown(
        **{
            "reading": prediction(),
            "fused": smoothed(),
            "alone": {"text": smoothed()},
            "notes": {"text": text, "audio": text},
            "source": text or "live",
            **changed,
        }
    )


def said(text):
    history = History()
    history.add(Turn(text, prediction(), Reply(text, "comfort", (text, "a walk"), "built-in")))
    return history


#: every place where words of a user, a file, a model or a language model are shown
PLACES = {
    "what was said, answered and offered": lambda t: talk.conversation(said(t)),
    "what is being said and answered": lambda t: talk.conversation(History(), t, t),
    "the course": lambda t: talk.course([Point(0, t, 0.5, None, None)], t),
    "the name of a file, and notes": lambda t: dashboard(shown(t), LabelSpace(NAMES), ("text", "audio"), ()),
    "labels of a model": lambda t: dashboard(
        shown(fused=smoothed(t, (t, "b")), alone={"text": smoothed(t, (t, "b"))}), LabelSpace((t, "b")), ("text",), ()
    ),
    "modalities": lambda t: dashboard(shown(alone={}), LabelSpace(NAMES), (t,), ()),
    "an error": furniture.alert,
    "the title": lambda t: furniture.masthead(t, True),
    "who writes the replies": furniture.notice,
    "who hears": furniture.hearing,
}


@pytest.mark.parametrize("place", PLACES)
def test_no_words_become_markup_wherever_they_are_shown(place):
    assert len(PAYLOADS) == 40
    harmless = Skeleton(PLACES[place]("harmless")).found
    for payload in PAYLOADS:
        drawn = Skeleton(PLACES[place](payload))
        assert drawn.found == harmless, payload
        if "\0" not in payload:
            assert payload in drawn.text or place == "the course"


def test_templates_of_the_page_hold_no_words_of_anybody():
    """Gradio evaluates templates in the browser; what is shown goes into their one value, which is not evaluated."""
    with build(lambda: None, title="${alert(1)}") as page:
        templates = {b.html_template for b in page.blocks.values() if isinstance(b, gr.HTML)}
    assert templates == {"${value}", furniture.CAPTURE, ""}
    assert not {"${", "{{"} & {furniture.CAPTURE[i : i + 2] for i in range(len(furniture.CAPTURE))}


# --- what is said ---


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
    assert 'role="status">not sure<' in drawn
    assert "closest: sad" in drawn


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
    [("en-GB,en;q=0.8", "en-GB"), ("de", "de"), ("*", ""), ("", ""), ("../../x", ""), ("english", "")],
)
def test_the_browsers_language_chooses_the_help(header, tag):
    assert first_language(header) == tag


# --- actions ---


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    torch.manual_seed(0)
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 4}
    config = Config(model=ModelConfig(**small, fusion_type="adaptive"))
    folder = tmp_path_factory.mktemp("model") / "best_model"
    files = checkpoint.model_files(MultimodalEmotionModel(config.model), config, calibration={}, card="")
    checkpoint.publish(folder, files)
    with Recognizer.from_pretrained(folder) as opened:
        yield opened


@pytest.fixture
def actions(recognizer):
    return Actions(lambda: recognizer, None, None)


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
    actions.read(visit, uploaded(clip.read_bytes(), "clip.mp4"), "I am so glad")
    expected = recognizer.predict(video=clip, text="I am so glad")
    assert visit.shown.reading.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    assert visit.shown.source == "clip.mp4"
    assert spool.held() == 0


@pytest.mark.parametrize("content", [b"", b"this is no clip", b"<html>", b"\x00" * 1000])
def test_a_broken_upload_is_a_sentence_and_deleted(actions, content):
    with pytest.raises(ValueError, match=r"clip\.mp4: "):
        actions.read(actions.visit("a"), uploaded(content, "clip.mp4"), "")
    assert spool.held() == 0


def test_a_path_that_was_not_uploaded_is_refused_and_left_alone(actions, tmp_path):
    secret = tmp_path / "secret.txt"
    secret.write_text("x")
    with pytest.raises(ValueError, match="not a file that was uploaded here"):
        actions.read(actions.visit("a"), str(secret), "")
    assert secret.exists()


def test_a_sound_and_a_picture_are_read_as_what_they_are(actions, tmp_path):
    import cv2

    visit = actions.visit("a")
    actions.read(visit, uploaded(corpora.tone(tmp_path / "t.wav", seconds=1.0).read_bytes(), "t.wav"), "")
    assert set(visit.shown.reading.per_modality) == {"audio"}
    grey = cv2.imencode(".png", np.full((96, 96, 3), 128, np.uint8))[1].tobytes()
    with pytest.raises(NothingToRead, match="no face"):
        actions.read(visit, uploaded(grey, "grey.png"), "")


def test_nothing_to_read_and_too_much_are_sentences(actions):
    with pytest.raises(ValueError, match="Choose a file or write something first"):
        actions.read(actions.visit("a"), None, "  ")
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


def test_whoever_guesses_a_session_lacks_the_cookie(actions):
    from emobraid.app.page import key

    def of(cookie):
        request = gr.Request(session_hash="known")
        request.kwargs = {"headers": {"cookie": f"{uploads.COOKIE}={cookie}"}}
        return key(request)

    assert of("a" * 32) != of("b" * 32)


# --- speech to text ---


def test_speech_is_cut_at_pauses():
    speech, loud, quiet = Speech(), np.full(STEP, 0.1, np.float32), np.zeros(STEP, np.float32)
    loud[::2] *= -1
    for step in (quiet, loud, loud, loud, loud, quiet):
        assert speech.add(step) is None
    assert len(speech.add(quiet)) == 6 * STEP
    for step in (loud, quiet):  # a click
        assert speech.add(step) is None
    assert speech.add(quiet) is None


def test_what_was_spoken_becomes_words_of_the_turn():
    class Listener:
        name = "test"

        def write(self, samples):
            return f"{len(samples) // STEP} steps"

    dictation = Dictation(Listener())
    loud = np.where(np.arange(STEP) % 2, 0.1, -0.1).astype(np.float32)
    for step in (loud,) * 4 + (0 * loud,) * 2:
        dictation.hear(step)
    Dictation._worker.submit(lambda: None).result(timeout=10)
    assert dictation.fresh() == "6 steps"
    assert dictation.fresh() == ""
    assert dictation.turn() == "6 steps"
    assert dictation.said == ""


def test_whisper_writes_down_sound(hub, tmp_path):
    import shutil

    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from emobraid.app.asr import Whisper

    folder = tmp_path / "whisper"
    shutil.copytree(hub["whisper"], folder)
    vocabulary = {f"word{i}": i for i in range(64)}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="word0")), unk_token="word0"
    ).save_pretrained(folder)
    written = Whisper(str(folder)).write(np.random.default_rng(0).normal(size=16_000).astype(np.float32))
    assert written
    assert set(written.split()) <= set(vocabulary)
    with pytest.raises(ValueError, match="nobody/nothing"):
        Whisper("nobody/nothing")


# --- launching ---


def test_every_launch_rule_holds():
    settings = ServerSettings(port=7860)
    asked = launching.launch_settings(settings)
    assert asked["server_name"] == "127.0.0.1"
    assert asked["max_file_size"] == "25mb"
    assert asked["allowed_paths"] == []
    assert asked["blocked_paths"] == [str(Path.cwd()), str(Path.home())]
    for off in ("enable_monitoring", "run_history", "show_error", "share", "pwa", "mcp_server", "ssr_mode"):
        assert asked[off] is False, off
    assert asked["strict_cors"] is True
    assert asked["footer_links"] == []
    assert [m.cls.__name__ for m in asked["app_kwargs"]["middleware"]] == ["Gate", "Uploads"]
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    page = build(lambda: None)
    assert page.analytics_enabled is False
    assert page.delete_cache == (60, 300)
    assert page._queue.max_size == 32
    assert page.default_config.fns[0] is not None
    assert page._queue.default_concurrency_limit == 2
    assert {fn.api_visibility for fn in page.fns.values()} == {"private"}


def test_the_page_takes_no_addresses_and_loads_nothing():
    package = Path(launching.__file__).parent
    source = "".join((package / f"{n}.py").read_text() for n in ("page", "furniture", "dashboard", "talk", "actions"))
    assert "gr.load" not in source
    assert "gr.Markdown" not in source
    for file in ("page.css", "capture.js"):
        assert "http" not in furniture.text_of(file).replace("over https", "")
        assert "@import" not in furniture.text_of(file)


def test_the_spool_is_private_in_memory_and_gone_at_the_end(tmp_path):
    place = spool.spool()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert os.environ["GRADIO_TEMP_DIR"] == str(place)
    if Path("/dev/shm").is_dir():
        assert place.is_relative_to("/dev/shm")
    code = "from emobraid.app.spool import spool; p = spool(); (p / 'x').write_text('x'); print(p)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert not Path(other).exists()


def test_what_a_killed_process_left_behind_is_deleted_and_nothing_else():
    code = "import os; from emobraid.app.spool import spool; print(spool(), flush=True); os.kill(os.getpid(), 9)"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    assert Path(left).is_dir()
    spool.sweep()
    assert not Path(left).exists()
    assert spool.spool().is_dir()


def test_without_a_model_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "shipped", lambda: [])
    with pytest.raises(ValueError, match="make run"):
        launching.find_model(None)
    made = tmp_path / "runs" / "sample" / "best_model"
    made.mkdir(parents=True)
    assert launching.find_model(None) == (Path("runs/sample/best_model"), True)


# --- over HTTP ---


@pytest.fixture(scope="module")
def app(recognizer):
    """The page behind what `emobraid demo` puts before it."""
    from fastapi import FastAPI

    page = build(recognizer)
    outer = FastAPI(middleware=launching.guarded(ServerSettings()))
    return gr.mount_gradio_app(outer, page, path="/", **launching.mount_settings())


def browser(app, **headers):
    return TestClient(app, base_url="http://127.0.0.1:7860", headers=headers)


def test_an_upload_is_its_senders_alone(app):
    with browser(app) as one, browser(app) as other:
        one.get("/")
        other.get("/")
        [path] = one.post("/gradio_api/upload", files={"files": ("a.txt", b"mine")}).json()
        assert one.get(f"/gradio_api/file={path}").content == b"mine"
        assert other.get(f"/gradio_api/file={path}").status_code == 403
        assert browser(app).get(f"/gradio_api/file={path}").status_code == 403
        assert one.get("/gradio_api/file=/etc/passwd").status_code == 403
        assert one.get("/gradio_api/file=http://127.0.0.1:1/x").status_code == 403
        assert one.get("/gradio_api/proxy=http://127.0.0.1:1/x").status_code == 403
        spool.take(path)


def test_the_cookie_is_random_and_not_for_scripts_or_other_sites(app):
    told = [browser(app).get("/").headers["set-cookie"] for _ in range(2)]
    assert told[0] != told[1]
    for cookie in told:
        assert cookie.startswith(f"{uploads.COOKIE}=")
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert len(cookie.partition("=")[2].partition(";")[0]) == 32  # 128 bits


@pytest.mark.parametrize("cookie", ["", "short", "x" * 31, "x" * 33, "x" * 31 + ";"])
def test_a_cookie_that_is_not_ours_is_replaced(app, cookie):
    assert "set-cookie" in browser(app, cookie=f"{uploads.COOKIE}={cookie}").get("/").headers


def test_strangers_hosts_and_origins_are_refused_and_headers_are_safe(app):
    with browser(app) as client:
        answer = client.get("/")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        assert client.post("/gradio_api/queue/join", headers={"origin": "http://evil.example"}).status_code == 403
        assert client.get("/monitoring/summary").status_code in (403, 404)


def test_too_large_an_upload_is_refused_and_leaves_nothing(app):
    with browser(app) as client:
        answer = client.post("/gradio_api/upload", files={"files": ("a.mp4", bytes(26_000_000))})
        assert answer.status_code == 413
    assert spool.held() == 0
