"""A tiny model behind the HTTP API, in this process or on a real socket.

A test file takes its fixtures by name: `shared = server_fixtures.shared`, with those that they need.
"""

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch
import uvicorn
from starlette.testclient import TestClient

import corpora
from emobraid.app.limits import ServerSettings
from emobraid.app.server import create_app
from emobraid.app.serving import listening, uvicorn_config
from emobraid.config import Config, ModelConfig
from emobraid.model import MultimodalEmotionModel
from emobraid.recognizer import Recognizer

SMALL = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 4}
WORDS = "I am so glad"
HERE = "http://127.0.0.1"


def tiny_recognizer(**changed: object) -> Recognizer:
    torch.manual_seed(0)
    model = ModelConfig(**{**SMALL, "fusion_type": "adaptive", **changed})  # type: ignore[arg-type]
    return Recognizer(MultimodalEmotionModel(model), Config(model=model), {"text": 2.0, "text+audio": 0.7})


@contextmanager
def loops_closed() -> Iterator[None]:
    """Gradio makes event loops that it never closes; left open, they fail whichever test is next when they go."""
    made: list[asyncio.AbstractEventLoop] = []
    make = asyncio.new_event_loop
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(asyncio, "new_event_loop", lambda: made.append(make()) or made[-1])
            yield
    finally:
        asyncio.set_event_loop(None)
        for loop in made:
            loop.close()


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


@contextmanager
def running(app, settings) -> Iterator[SimpleNamespace]:
    """The app on a socket of its own; `stop` asks the server to end, as a signal does."""
    with listening(settings) as sock:
        server = uvicorn.Server(uvicorn_config(app, settings))
        server.capture_signals = contextmanager(lambda: (yield))  # type: ignore[method-assign]  not the main thread
        thread = threading.Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        port = sock.getsockname()[1]
        try:
            yield SimpleNamespace(
                port=port,
                url=f"http://127.0.0.1:{port}",
                service=app.state.service,
                stop=lambda: setattr(server, "should_exit", True),
                thread=thread,
            )
        finally:
            server.should_exit = True
            thread.join(20)
            assert not thread.is_alive()


def connected(port: int, *, buffer: int | None = None) -> socket.socket:
    sock = socket.socket()
    if buffer is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
    sock.settimeout(10)
    sock.connect(("127.0.0.1", port))
    return sock


def until_closed(sock: socket.socket) -> tuple[bytes, float]:
    """What still comes, and how many seconds it took until the other side hung up."""
    started, got = time.monotonic(), b""
    try:
        while data := sock.recv(65536):
            got += data
    except ConnectionError:
        pass
    sock.close()
    return got, time.monotonic() - started


def asked(port: int, method: str, path: str, body: object = None, **headers: str):
    """A request without all that a comfortable client does for it: status, headers, JSON or text."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    sent = {"content-type": "application/json", **headers} if body is not None else headers
    try:
        connection.request(method, path, None if body is None else json.dumps(body), sent)
        answer = connection.getresponse()
        text = answer.read().decode()
        kind = answer.headers.get("content-type", "")
        return SimpleNamespace(
            status=answer.status, headers=answer.headers, body=json.loads(text) if "json" in kind else text
        )
    finally:
        connection.close()
