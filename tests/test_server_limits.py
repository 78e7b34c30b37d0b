"""How many may ask at once and how long they wait; every limit is an option in the docs."""

import asyncio
import http.client
import os
import sys
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
from starlette.testclient import TestClient

import server_fixtures
from emobraid import cli
from emobraid.app import launching
from emobraid.app.limits import ServerSettings
from emobraid.app.outbox import Outbox
from emobraid.app.server import create_app
from server_fixtures import HERE, WORDS, asked, client_of, running, tiny_recognizer

recognizer = server_fixtures.recognizer


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


def test_words_of_a_crisis_are_answered_when_all_places_are_taken(recognizer, monkeypatch):
    blocked = Blocked(recognizer, monkeypatch)
    with client_of(recognizer, queue=1) as client, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(client.post, "/v1/predict", json={"text": WORDS})
        eventually(lambda: client.app.state.service.readings.under_way == 1)
        assert client.post("/v1/chat", json={"text": "I had a bad day"}).status_code == 503
        answer = client.post("/v1/chat", json={"text": "I want to die"})
        assert (answer.status_code, answer.json()["reply"]["source"]) == (200, "safety")
        streamed = client.post("/v1/chat", json={"text": "I want to die", "stream": True})
        assert "event: turn" in streamed.text
        assert '"source": "safety"' in streamed.text
        blocked.go.set()
        assert taken.result().status_code == 200


def test_words_of_a_crisis_are_answered_while_the_model_is_loaded():
    gate = threading.Event()

    def load():
        gate.wait(20)
        return tiny_recognizer()

    with TestClient(create_app(load), base_url=HERE) as client:
        assert client.post("/v1/chat", json={"text": "I had a bad day"}).status_code == 503
        answer = client.post("/v1/chat", json={"text": "I don't want to wake up tomorrow"})
        assert (answer.status_code, answer.json()["reply"]["source"]) == (200, "safety")
        gate.set()


def test_a_long_text_is_looked_through_while_the_server_goes_on_answering(recognizer):
    """On its loop it would stand still for half a second and more."""
    with client_of(recognizer) as client, ThreadPoolExecutor(1) as pool:
        client.post("/v1/chat", json={"text": "hello there"})
        text = "it was a day like any other and we went for a walk " * 380
        waiting = pool.submit(client.post, "/v1/chat", json={"text": text})
        answered = 0
        while not waiting.done():
            answered += client.get("/livez").status_code == 200
        assert waiting.result().status_code == 200
        assert answered > 1


def test_the_threads_that_work_let_the_one_that_answers_go_first(recognizer):
    if sys.platform != "linux":
        pytest.skip("the priority of one thread: Linux only")
    with client_of(recognizer) as client:
        client.post("/v1/predict", json={"text": WORDS})
        named = {t.name: t.native_id for t in threading.enumerate()}
        here = os.getpriority(os.PRIO_PROCESS, 0)
        for name in ("emobraid-model", "emobraid-words_0"):
            assert os.getpriority(os.PRIO_PROCESS, named[name]) > here


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


def test_every_limit_is_an_option_with_a_sentence_and_stands_in_the_table_of_the_docs(capsys):
    with pytest.raises(SystemExit):
        cli.main(["serve", "--help"])
    told = capsys.readouterr().out
    table = (Path(__file__).parents[1] / "docs/server.md").read_text(encoding="utf-8")
    for name, default in vars(ServerSettings()).items():
        assert f"--{name.replace('_', '-')}" in told, name
        shown = f"{default:g}" if isinstance(default, int | float) else default or ""
        shown = " ".join(shown) if isinstance(shown, tuple) else shown
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


def test_the_model_leaves_half_of_the_cores_to_those_who_answer(monkeypatch):
    before = torch.get_num_threads()
    try:
        for cores, share in ((8, 4), (2, 1), (1, 1), (None, 1)):
            monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
            launching.share_cores()
            assert torch.get_num_threads() == share
    finally:
        torch.set_num_threads(before)


def test_who_is_alone_waits_for_nobody(recognizer):
    """A batch waits for those who are under way, not for those who may never come."""
    with client_of(recognizer, max_wait_ms=500) as client:
        client.post("/v1/predict", json={"text": WORDS})
        started = time.perf_counter()
        assert client.post("/v1/predict", json={"text": WORDS}).status_code == 200
        assert time.perf_counter() - started < 0.4


def test_the_loop_is_woken_once_for_all_that_is_finished(monkeypatch):
    async def wait_for_all():
        loop, outbox = asyncio.get_running_loop(), Outbox()
        calls, real = [], loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *a, **k: calls.append(a) or real(*a, **k))
        work = [Future() for _ in range(6)]
        waiting = [asyncio.ensure_future(outbox.waited(one)) for one in work]
        await asyncio.sleep(0)
        waiting[4].cancel()
        await asyncio.sleep(0)
        assert work[4].cancelled()
        work[5].cancel()
        for i in range(3):
            work[i].set_result(i)
        work[3].set_exception(MemoryError())
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        return outcomes, len(calls)

    outcomes, calls = asyncio.run(wait_for_all())
    assert outcomes[:3] == [0, 1, 2]
    assert [type(one) for one in outcomes[3:]] == [MemoryError, asyncio.CancelledError, asyncio.CancelledError]
    assert calls <= 2


def test_who_is_told_to_come_again_keeps_the_connection(recognizer, monkeypatch):
    blocked = Blocked(recognizer, monkeypatch)
    settings = ServerSettings(port=0, queue=1)
    with running(create_app(recognizer, settings), settings) as server, ThreadPoolExecutor(1) as pool:
        taken = pool.submit(asked, server.port, "POST", "/v1/predict", {"text": WORDS})
        eventually(lambda: server.service.readings.under_way == 1)
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        for _ in range(3):
            connection.request("POST", "/v1/predict", b'{"text": "hi"}', {"content-type": "application/json"})
            answer = connection.getresponse()
            assert (answer.status, answer.getheader("connection")) == (503, None)
            answer.read()
        connection.close()
        blocked.go.set()
        assert taken.result().status == 200
