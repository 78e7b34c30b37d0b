"""The HTTP API: the same readings as `predict`, errors as sentences, nobody meets another, nothing is kept."""

import base64
import json
import logging
import os
import struct
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

import corpora
from emobraid import cli
from emobraid.app.batching import Batcher, Job, alike
from emobraid.app.limits import ServerSettings
from emobraid.app.metrics import Histogram, Metrics
from emobraid.app.server import create_app
from emobraid.app.serving import with_token
from emobraid.data.shelf import Input
from emobraid.recognizer import NothingToRead
from server_fixtures import WORDS, tiny_recognizer

HERE = "http://127.0.0.1"
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def recognizer():
    with tiny_recognizer() as opened:
        yield opened


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clips")
    return {"video": corpora.talking_face(folder), "audio": corpora.tone(folder / "tone.wav")}


@pytest.fixture(scope="module")
def shared(recognizer):
    """One client for tests that change nothing."""
    with TestClient(create_app(recognizer), base_url=HERE) as client:
        yield client


def client_of(recognizer, **changed):
    return TestClient(create_app(recognizer, ServerSettings(**changed)), base_url=HERE)


def apart(told, prediction):
    """The largest difference between two readings, part by part."""
    pairs = [(told["probabilities"], prediction.probabilities), (told["contributions"], prediction.contributions)]
    pairs += [(told["affect"], prediction.affect)]
    pairs += [(told["per_modality"][m]["probabilities"], r.probabilities) for m, r in prediction.per_modality.items()]
    assert all(ours.keys() == theirs.keys() for ours, theirs in pairs)
    return max(abs(ours[k] - theirs[k]) for ours, theirs in pairs for k in ours)


# --- readings ---


@pytest.mark.parametrize("given", [("text",), ("audio",), ("video",), ("text", "audio"), ("text", "audio", "video")])
@pytest.mark.parametrize("way", ["form", "json"])
def test_the_api_gives_the_same_reading_as_predict(shared, recognizer, clips, given, way):
    files = {m: clips[m].read_bytes() for m in given if m != "text"}
    text = {"text": WORDS} if "text" in given else {}
    if way == "form":
        fields = {name: (None, value) for name, value in text.items()}  # so that text alone is a form of parts as well
        answer = shared.post("/v1/predict", files={**fields, **{m: (f"{m}.bin", f) for m, f in files.items()}})
    else:
        answer = shared.post(
            "/v1/predict", json={**text, **{m: base64.b64encode(f).decode() for m, f in files.items()}}
        )
    assert answer.status_code == 200
    expected = recognizer.predict(**text, **{m: clips[m] for m in files})
    assert answer.json()["emotion"] == expected.emotion
    assert answer.json()["notes"] == expected.notes
    assert apart(answer.json(), expected) < 1e-4


def test_a_videos_own_sound_can_be_refused(shared, recognizer, clips):
    answer = shared.post("/v1/predict", data={"sound": "false"}, files={"video": clips["video"].read_bytes()})
    assert list(answer.json()["per_modality"]) == ["video"]
    assert apart(answer.json(), recognizer.predict(video=clips["video"], sound=False)) < 1e-4


def test_requests_that_are_read_together_get_what_each_gets_alone(recognizer):
    """Twelve utterances of all lengths and subsets at once, in batches of up to eight."""
    encoders, rng = recognizer.model.by_modality(), np.random.default_rng(0)
    many = []
    for i in range(12):
        inputs = {m: Input(e.absent(), "not given") for m, e in encoders.items()}
        if i % 3 != 1:
            inputs["text"] = Input(encoders["text"].prepare("word " * (1 + i)))
        if i % 2:
            inputs["audio"] = Input(encoders["audio"].prepare(0.1 * rng.normal(size=1600 * (1 + i))))
        if i % 3 == 1 or i % 4 == 0:
            crops = rng.integers(0, 255, (1 + i % 4, 96, 96, 3), np.uint8)
            inputs["video"] = Input(encoders["video"].prepare(crops), "face in 3 of 4 frames")
        many.append(inputs)
    metrics = Metrics()
    batcher = Batcher(recognizer, max_batch=8, max_wait=0.2, metrics=metrics)
    together = [future.result(30) for future in [batcher.submit(inputs) for inputs in many]]
    batcher.close()
    for read, inputs in zip(together, many, strict=True):
        alone = recognizer.read(inputs)
        assert read.notes == alone.notes
        assert apart(read.to_json(), alone) < 1e-5
    assert metrics.batch.sum == 12
    assert sum(metrics.batch.counts) < 12  # fewer batches than requests


def test_batches_hold_what_is_alike_in_length(recognizer):
    encoder = recognizer.model.by_modality()["text"]
    jobs = [Job({"text": Input(encoder.prepare("word " * n))}) for n in (200, 5, 60, 3, 90)]
    # 3 and 5 go together, 60 is beyond 2 * 3 + 16; 90 is within 2 * 60 + 16, 200 is not
    assert [[job.length for job in batch] for batch in alike(jobs)] == [[3, 5], [60, 90], [200]]


def test_one_that_fails_in_a_batch_does_not_take_the_others_along(recognizer, monkeypatch):
    real = recognizer.read_many

    def out_of_memory(many):
        if any(len(inputs["text"].tensor) == 7 for inputs in many):
            raise MemoryError
        return real(many)

    monkeypatch.setattr(recognizer, "read_many", out_of_memory)
    batcher = Batcher(recognizer, max_batch=8, max_wait=0.2, metrics=Metrics())
    encoders = recognizer.model.by_modality()
    absent = {m: Input(e.absent(), "not given") for m, e in encoders.items()}
    futures = [batcher.submit({**absent, "text": Input(encoders["text"].prepare("word " * n))}) for n in (6, 7, 8)]
    nothing = batcher.submit(absent)
    assert futures[0].result(10).emotion == futures[0].result().emotion
    assert isinstance(futures[1].exception(10), MemoryError)
    assert futures[2].exception(10) is None
    assert isinstance(nothing.exception(10), NothingToRead)
    batcher.close()


# --- what is refused ---

HOSTILE = {
    "cut off": (b'{"text": "a', 400, "not valid JSON"),
    "nested 100,000 deep": (b"[" * 100_000, 400, "nested too deeply"),
    "nested inside": (b'{"text":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nested too deeply"),
    "NaN": (b'{"text": NaN}', 400, "not valid JSON"),
    "Infinity": (b'{"sound": -Infinity}', 400, "not valid JSON"),
    "100,000 digits": (b'{"text": ' + b"1" * 100_000 + b"}", 400, "not valid JSON"),
    "not UTF-8": (b'{"text": "\xff"}', 400, "not valid JSON"),
    "a lone surrogate": (rb'{"text": "\ud800"}', 422, "surrogate"),
    "a list": (b"[1, 2]", 422, "must be a JSON object"),
    "a number for words": (b'{"text": 3}', 422, "text: Input should be a valid string"),
    "not base64": (b'{"audio": "%%%"}', 422, "audio: Value error, not base64"),
    "an address": (b'{"url": "http://127.0.0.1:1/x.wav"}', 422, "url: Extra inputs are not permitted"),
    "an address for sound": (b'{"audio": "http://127.0.0.1/x"}', 422, "not base64"),
    "text for sound": (b'{"audio": "aGVsbG8gdGhlcmU="}', 422, "audio: looks like plain text"),
    "an empty file": (b'{"audio": ""}', 422, "audio: empty file"),
    "nothing": (b"{}", 422, "nothing to read: text: not given"),
    "no words": (b'{"text": "  "}', 422, "nothing to read: text: no words"),
    "too many words": (b'{"text": "' + b"a" * 20_001 + b'"}', 422, "text: has 20,001 characters, the limit is 20,000"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_refused_in_one_sentence(shared, name):
    body, status, words = HOSTILE[name]
    answer = shared.post("/v1/predict", content=body, headers=JSON)
    assert answer.status_code == status
    assert answer.json().keys() == {"error", "request_id"}
    assert words in answer.json()["error"]
    assert "\n" not in answer.json()["error"]
    assert answer.headers["x-request-id"] == answer.json()["request_id"]


PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello\r\n'
BROKEN_FORMS = {
    "no boundary": ("multipart/form-data", PART + b"--x--\r\n", 400),
    "another boundary": ("multipart/form-data; boundary=y", PART + b"--x--\r\n", 400),
    "no name": ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n", 400),
    "a thousand parts": ("multipart/form-data; boundary=x", PART * 1000 + b"--x--\r\n", 400),
    "the same field twice": ("multipart/form-data; boundary=x", PART * 2 + b"--x--\r\n", 422),
    "sound without a file name": (
        "multipart/form-data; boundary=x",
        PART.replace(b"text", b"audio") + b"--x--\r\n",
        422,
    ),
    "rubbish": ("multipart/form-data; boundary=x", bytes(range(256)) * 20, 400),
    "never ends": ("multipart/form-data; boundary=x", PART[:-2], (400, 422)),
    "text/plain": ("text/plain", b"hello", 415),
    "a form of addresses": ("application/x-www-form-urlencoded", b"text=hello", 415),
    "a charset nobody has": ("multipart/form-data; boundary=x; charset=klingon", PART + b"--x--\r\n", 200),
}


@pytest.mark.parametrize("name", BROKEN_FORMS)
def test_a_broken_form_is_never_an_error_of_ours(shared, name):
    kind, body, status = BROKEN_FORMS[name]
    answer = shared.post("/v1/predict", content=body, headers={"content-type": kind})
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text
    assert answer.status_code == 200 or answer.json().keys() == {"error", "request_id"}


def test_a_body_that_is_too_large_is_refused_declared_or_not(recognizer):
    with client_of(recognizer, upload_mb=0.1) as client:
        fits = client.post("/v1/predict", json={"text": WORDS})
        declared = client.post("/v1/predict", content=b"x" * 100_001, headers=JSON)
        in_chunks = client.post("/v1/predict", content=(b"x" * 10_000 for _ in range(30)), headers=JSON)
        elsewhere = client.put("/nowhere", content=b"x" * 100_001)
        service = client.app.state.service
        assert fits.status_code == 200
        for answer in (declared, in_chunks, elsewhere):
            assert answer.status_code == 413
            assert answer.json()["error"] == "the request is larger than 0.1 MB; send less"
        assert service.readings.under_way == 0


def test_an_address_or_a_method_that_is_not_there_is_a_sentence_too(shared):
    assert shared.get("/v1/nothing").json()["error"] == "there is nothing at this address"
    assert shared.get("/v1/predict").json()["error"] == "this address does not take that method"
    assert shared.get("/docs").status_code == 404  # its scripts would come from other hosts


def test_a_modality_that_the_model_does_not_have_is_refused(clips):
    with tiny_recognizer(modalities=("text",)) as reader, client_of(reader) as client:
        answer = client.post("/v1/predict", files={"audio": clips["audio"].read_bytes()})
        assert (answer.status_code, answer.json()["error"]) == (422, "this model reads text, not audio")


def test_a_failure_of_ours_says_no_more_than_an_id_to_look_for(recognizer, monkeypatch, caplog):
    def broken(_):
        raise KeyError("what Ada said in confidence")

    monkeypatch.setattr(recognizer, "read_many", broken)
    with client_of(recognizer) as client, caplog.at_level(logging.INFO, "emobraid.server"):
        answer = client.post("/v1/predict", json={"text": WORDS})
    assert answer.status_code == 500
    assert "Ada" not in answer.text + caplog.text
    assert "KeyError" in caplog.text
    assert answer.json()["request_id"] in caplog.text


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory")])
def test_out_of_memory_is_a_passing_refusal_and_the_next_request_is_read(recognizer, monkeypatch, error):
    def full(_):
        raise error

    with client_of(recognizer) as client:
        with monkeypatch.context() as patch:
            patch.setattr(recognizer, "read_many", full)
            answer = client.post("/v1/predict", json={"text": WORDS})
        assert answer.status_code == 503
        assert "too large right now" in answer.json()["error"]
        assert answer.headers["retry-after"] == "5"
        assert client.post("/v1/predict", json={"text": WORDS}).status_code == 200


# --- who may ask ---


def test_only_the_servers_own_name_and_pages_are_heard(shared):
    assert shared.get("/metrics", headers={"host": "evil.example"}).status_code == 403  # DNS rebinding
    assert shared.get("/metrics", headers={"host": "127.0.0.1.evil.example"}).status_code == 403
    assert shared.get("/metrics", headers={"host": "[::1]:8000"}).status_code == 200
    assert shared.get("/metrics", headers={"host": "localhost:8000"}).status_code == 200
    for origin in ("http://evil.example", "null", "http://127.0.0.1:9999", "file://"):
        assert shared.post("/v1/predict", json={"text": WORDS}, headers={"origin": origin}).status_code == 403
    assert shared.post("/v1/predict", json={"text": WORDS}, headers={"origin": HERE}).status_code == 200
    assert shared.get("/livez", headers={"host": "10.0.0.7"}).status_code == 200  # whoever watches it


def test_another_name_can_be_allowed(recognizer):
    with client_of(recognizer, hosts=("Moods.Example",)) as client:
        assert client.get("/metrics", headers={"host": "moods.example:80"}).status_code == 200


def test_with_a_token_nobody_gets_in_without_it(recognizer):
    with client_of(recognizer, token="s3cret", host="0.0.0.0") as client:
        for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": "Basic s3cret"}, {"cookie": "a=b"}):
            answer = client.post("/v1/predict", json={"text": WORDS}, headers=headers)
            assert (answer.status_code, "token" in answer.json()["error"]) == (401, True)
        allowed = client.post("/v1/predict", json={"text": WORDS}, headers={"authorization": "Bearer s3cret"})
        assert allowed.status_code == 200
        assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
        assert client.get("/metrics").status_code == 401


def test_a_browser_brings_the_token_once_and_then_has_a_cookie(recognizer):
    with client_of(recognizer, token="s3cret") as client:
        trick = client.get("/%5Cevil.example/?token=s3cret", follow_redirects=False)
        assert trick.headers["location"] == "/evil.example/"  # with two slashes it would be another host
        first = client.get("/metrics?token=s3cret", follow_redirects=False)
        assert (first.status_code, first.headers["location"]) == (303, "/metrics")
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert client.get("/metrics").status_code == 200
        client.cookies.clear()
        assert client.get("/metrics?token=wrong").status_code == 401


def test_other_computers_need_a_token(monkeypatch):
    monkeypatch.delenv("EMOBRAID_TOKEN", raising=False)
    with pytest.raises(ValueError, match=r"--host 0\.0\.0\.0 lets other computers in, so a token is needed"):
        with_token(ServerSettings(host="0.0.0.0"))
    assert with_token(ServerSettings()).token is None
    monkeypatch.setenv("EMOBRAID_TOKEN", "from the environment")
    assert with_token(ServerSettings(host="0.0.0.0")).token == "from the environment"


def test_every_answer_carries_safe_headers_and_an_id(recognizer):
    with client_of(recognizer, upload_mb=0.1) as client:
        answers = [
            client.get("/livez"),
            client.post("/v1/predict", json={"text": WORDS}),
            client.post("/v1/predict", json={}),
            client.post("/v1/predict", content=b"x" * 200_000),
            client.get("/nothing"),
            client.get("/metrics", headers={"host": "evil.example"}),
        ]
    assert [a.status_code for a in answers] == [200, 200, 422, 413, 404, 403]
    assert len({a.headers["x-request-id"] for a in answers}) == 6
    for answer in answers:
        assert answer.headers["content-security-policy"].startswith("default-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["x-frame-options"] == "DENY"
        assert "unsafe" not in answer.headers["content-security-policy"] or answer.status_code == 404


# --- how many, how long ---


class Blocked:
    """A recognizer's `read_many` that waits until `go` is set."""

    def __init__(self, recognizer, monkeypatch):
        self.go, self.real = threading.Event(), recognizer.read_many
        monkeypatch.setattr(recognizer, "read_many", self)

    def __call__(self, many):
        self.go.wait(20)
        return self.real(many)


def eventually(condition, seconds=10):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "never came true"
        time.sleep(0.01)


def test_beyond_the_queue_clients_are_told_to_come_again_and_health_stays(recognizer, monkeypatch):
    blocked = Blocked(recognizer, monkeypatch)
    with client_of(recognizer, queue=3) as client, ThreadPoolExecutor(3) as pool:
        service = client.app.state.service
        taken = [pool.submit(client.post, "/v1/predict", json={"text": WORDS}) for _ in range(3)]
        eventually(lambda: service.readings.under_way == 3)
        fourth = client.post("/v1/predict", json={"text": WORDS})
        assert (fourth.status_code, fourth.headers["retry-after"]) == (503, "1")
        assert client.get("/livez").status_code == client.get("/readyz").status_code == 200
        assert "emobraid_requests_under_way 3" in client.get("/metrics").text
        blocked.go.set()
        assert [t.result().status_code for t in taken] == [200, 200, 200]
        assert client.post("/v1/predict", json={"text": WORDS}).status_code == 200


def test_a_request_that_takes_too_long_is_given_up_and_its_place_is_free(recognizer, monkeypatch):
    blocked = Blocked(recognizer, monkeypatch)
    with client_of(recognizer, request_seconds=0.2, queue=1) as client:
        late = client.post("/v1/predict", json={"text": WORDS})
        assert late.status_code == 504
        assert late.json()["error"] == "no answer within 0.2 s; send less, or try again later"
        assert client.app.state.service.readings.under_way == 0
        blocked.go.set()


def test_the_server_lives_while_the_model_is_loaded():
    gate = threading.Event()
    made = []

    def load():
        gate.wait(10)
        made.append(tiny_recognizer())
        return made[0]

    with TestClient(create_app(load), base_url=HERE) as client:
        assert client.get("/livez").status_code == 200
        early = client.get("/readyz")
        assert (early.status_code, early.headers["retry-after"]) == (503, "2")
        assert client.post("/v1/predict", json={"text": WORDS}).json()["error"].startswith("the model is being loaded")
        gate.set()
        eventually(lambda: client.get("/readyz").status_code == 200)
        assert client.post("/v1/predict", json={"text": WORDS}).status_code == 200
    with pytest.raises(ValueError, match="closed"):
        made[0].reader.audio(__file__)  # the server made it, so the server closes it


def test_a_model_that_cannot_be_loaded_leaves_the_server_not_ready():
    def load():
        raise ValueError("damaged")

    with TestClient(create_app(load), base_url=HERE) as client:
        eventually(lambda: "could not be loaded" in client.get("/readyz").text)
        assert client.get("/livez").status_code == 200
        assert str(client.app.state.service.failure) == "damaged"


# --- conversations ---


def chat(client, text, cookies=None, **more):
    client.cookies.clear()
    client.cookies.update(cookies or {})
    return client.post("/v1/chat", json={"text": text, **more})


def test_a_session_goes_on_by_its_cookie_and_is_gone_once_forgotten(recognizer):
    with client_of(recognizer) as client:
        first = client.post("/v1/chat", json={"text": "I am so glad today"})
        cookie = first.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=strict" in cookie
        assert first.json()["prediction"]["emotion"] == recognizer.predict(text="I am so glad today").emotion
        assert first.json()["reply"]["source"] == "built-in"
        client.post("/v1/chat", json={"text": "and tomorrow too"})
        sessions = client.app.state.service.sessions
        [session] = sessions._kept.values()
        assert [t.said for t in session.conversation.history.turns] == ["I am so glad today", "and tomorrow too"]
        assert len(session.id) >= 22  # 128 bits in base64
        assert client.delete("/v1/session").json()["forgotten"] is True
        assert len(session.conversation.history.turns) == 0
        assert len(sessions) == 0
        assert client.delete("/v1/session").json()["forgotten"] is False


def test_a_made_up_cookie_never_becomes_a_session(recognizer):
    with client_of(recognizer) as client:
        for guess in ("a" * 22, "../x", "", "emobraid"):
            answer = chat(client, "hello there", {"emobraid_session": guess})
            assert answer.cookies["emobraid_session"] != guess
        assert len(client.app.state.service.sessions) == 4


def test_sessions_never_meet(recognizer):
    """Twelve people, six turns each, all at once: each history holds its owner's words alone, in order."""
    with client_of(recognizer, queue=100) as client:
        app = client.app

        def talk(person):
            own = TestClient(app, base_url=HERE)
            for turn in range(6):
                answer = own.post("/v1/chat", json={"text": f"token-{person}-{turn} makes me glad"})
                assert answer.status_code == 200
                assert f"token-{(person + 1) % 12}-" not in answer.text
            return own.cookies["emobraid_session"]

        with ThreadPoolExecutor(6) as pool:
            names = list(pool.map(talk, range(12)))
        assert len(set(names)) == 12
        for person, name in enumerate(names):
            turns = app.state.service.sessions._kept[name].conversation.history.turns
            assert [t.said for t in turns] == [f"token-{person}-{turn} makes me glad" for turn in range(6)]


def test_idle_sessions_are_forgotten_and_the_one_idle_longest_makes_room(recognizer):
    with client_of(recognizer, sessions=2, session_minutes=0.005) as client:
        kept = client.app.state.service.sessions
        first = chat(client, "one").cookies["emobraid_session"]
        chat(client, "two")
        chat(client, "three")
        assert len(kept) == 2
        assert first not in kept._kept
        time.sleep(0.4)
        kept.sweep()
        assert len(kept) == 0


def test_words_of_a_crisis_are_read_by_no_model(recognizer, monkeypatch):
    monkeypatch.setattr(recognizer, "read_many", lambda many: pytest.fail("it was read"))
    with client_of(recognizer) as client:
        answer = client.post("/v1/chat", json={"text": "I want to kill myself"}).json()
        assert answer["prediction"] is None
        assert answer["reply"]["source"] == "safety"
        streamed = client.post("/v1/chat", json={"text": "I want to kill myself", "stream": True}).text
        assert '"source": "safety"' in streamed


def events(text):
    blocks = [dict(line.split(": ", 1) for line in block.splitlines()) for block in text.strip().split("\n\n")]
    return [(b["event"], json.loads(b["data"])) for b in blocks]


def test_a_streamed_answer_is_the_reading_the_words_and_the_turn(recognizer):
    with client_of(recognizer) as client:
        answer = client.post("/v1/chat", json={"text": WORDS, "stream": True})
        assert answer.headers["content-type"].startswith("text/event-stream")
        told = events(answer.text)
        assert [name for name, _ in (told[0], told[-1])] == ["reading", "turn"]
        assert told[0][1]["prediction"] == recognizer.predict(text=WORDS).to_json()
        words = [data["text"] for name, data in told[1:-1] if name == "words"]
        assert len(words) == len(told) - 2 > 1
        assert "".join(words) == told[-1][1]["reply"]["text"]
        assert client.app.state.service.readings.under_way == 0


def test_nothing_said_is_refused_and_a_turn_without_a_reading_is_answered(recognizer):
    with client_of(recognizer) as client:
        assert client.post("/v1/chat", json={"text": " "}).json()["error"] == "text: nothing was said"
    with tiny_recognizer(modalities=("audio", "video")) as deaf_to_words, client_of(deaf_to_words) as client:
        answer = client.post("/v1/chat", json={"text": WORDS})
        assert (answer.status_code, answer.json()["prediction"]) == (200, None)


# --- what is kept, and told ---

WRITTEN: list[str] = []
watching = threading.Event()


def _watch(event, args):
    if event == "open" and watching.is_set():
        path, mode, flags = args
        writes = flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND) if isinstance(flags, int) else 0
        if (writes or set(mode or "") & set("wax+")) and not isinstance(path, int):
            WRITTEN.append(str(path))


def test_no_upload_is_ever_written_to_a_disk(recognizer, clips, tmp_path, monkeypatch):
    """Twenty uploads beyond the size at which forms go over to a file by default, with every opening of a file seen."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    sys.addaudithook(_watch)
    film = clips["video"].read_bytes() + struct.pack("!I4s", 3 << 20, b"free") + bytes((3 << 20) - 8)
    watching.set()
    try:
        open(tmp_path / "seen", "w").close()
        assert [str(tmp_path / "seen")] == WRITTEN  # the watch sees what it should
        WRITTEN.clear()
        with client_of(recognizer) as client:
            for i in range(10):
                sound = {"audio": (f"{i}.wav", clips["audio"].read_bytes())}
                for files in (sound, {"video": (f"{i}.mp4", film)}):
                    assert client.post("/v1/predict", data={"text": WORDS}, files=files).status_code == 200
    finally:
        watching.clear()
    assert [p for p in WRITTEN if p != os.devnull] == []
    assert [p.name for p in tmp_path.iterdir()] == ["seen"]


def test_logs_and_metrics_hold_nothing_of_what_was_sent(recognizer, clips, caplog):
    with client_of(recognizer) as client, caplog.at_level(logging.DEBUG):
        client.post("/v1/predict", data={"text": "topsecret"}, files={"audio": ("topsecret.wav", b"topsecret")})
        client.post("/v1/chat", json={"text": "topsecret"})
        client.post("/v1/topsecret?topsecret=1", content=b"topsecret")
        metrics = client.get("/metrics").text
    ours = [r.getMessage() for r in caplog.records if not r.name.startswith(("httpx", "httpcore", "asyncio"))]
    assert any("POST /v1/predict 422" in line for line in ours)
    assert not any("topsecret" in line for line in ours)
    assert "topsecret" not in metrics
    assert 'emobraid_requests_total{route="/v1/predict",status="422"} 1' in metrics
    assert 'emobraid_requests_total{route="other",status="404"} 1' in metrics


def test_a_histogram_counts_up_to_each_bound():
    histogram = Histogram((1, 2))
    for value in (0.5, 1, 1.5, 7):
        histogram.add(value)
    assert histogram.lines("x", 'a="b"') == [
        'x_bucket{a="b",le="1"} 2',
        'x_bucket{a="b",le="2"} 3',
        'x_bucket{a="b",le="+Inf"} 4',
        'x_sum{a="b"} 10.000000',
        'x_count{a="b"} 4',
    ]


def test_the_api_describes_itself_with_examples(shared):
    described = shared.get("/openapi.json").json()
    routes = {"/v1/predict", "/v1/timeline", "/v1/chat", "/v1/session", "/livez", "/readyz", "/metrics"}
    assert routes <= set(described["paths"])
    for route in ("/v1/predict", "/v1/timeline", "/v1/chat"):
        post = described["paths"][route]["post"]
        assert set(post["requestBody"]["content"]) == {"application/json", "multipart/form-data"}
        assert post["requestBody"]["content"]["application/json"]["examples"]
        assert {"200", "400", "413", "422", "503", "504"} <= set(post["responses"])
    assert "examples" in described["components"]["schemas"]["PredictionBody"]
    assert "Art. 5(1)(f)" in described["info"]["description"]


# --- limits ---


def test_every_limit_is_an_option_with_a_sentence_and_stands_in_the_table_of_the_docs(capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    told = capsys.readouterr().out
    table = (Path(__file__).parents[1] / "docs/server.md").read_text(encoding="utf-8")
    for name, default in vars(ServerSettings()).items():
        assert f"--{name.replace('_', '-')}" in told, name
        shown = f"{default:g}" if isinstance(default, int | float) else default or ""
        assert f"| `--{name}` | {shown}" in table, (name, shown)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"queue": 0}, "queue must be more than 0"),
        ({"request_seconds": -1.0}, "request_seconds must be more"),
        ({"port": 70_000}, "port must be 0 to 65535"),
        ({"decoders": 9}, "decoders must be 1 to 8"),
    ],
)
def test_limits_that_cannot_be_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        ServerSettings(**changed)
