"""What a body may hold is bounded before it is parsed or checked; one sender never stalls the others."""

import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

import server_fixtures
from emobraid.app.bounds import DEPTH, BodyCount, Outline
from emobraid.app.limits import ServerSettings
from emobraid.app.protocol import PIECES, SLICE
from emobraid.app.refusals import LONGEST, Refusal, sentence
from emobraid.app.server import create_app
from server_fixtures import HERE, WORDS, connected, loops_closed, running, until_closed

recognizer, shared = server_fixtures.recognizer, server_fixtures.shared

JSON, FORM = "application/json", "multipart/form-data; boundary=x"
PART = b'--x\r\nContent-Disposition: form-data; name="text"\r\n\r\nhello\r\n'
FILE = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.txt"\r\n\r\nhello\r\n'
ROUTES = ("/v1/predict", "/v1/chat", "/v1/timeline")
PAGES = (
    "/gradio_api/queue/join",
    "/gradio_api/run/predict",
    "/gradio_api/call/predict",
    "/gradio_api/component_server",
)


def keys(count: int) -> bytes:
    return b"{" + b",".join(b'"k%d":1' % i for i in range(count)) + b"}"


TOO_MUCH = {
    "a million keys": (JSON, keys(1_000_000)),
    "20,000 keys": (JSON, keys(20_000)),
    "101 keys": (JSON, keys(101)),
    "a million items": (JSON, b'{"data":[' + b"1," * 1_000_000 + b"1]}"),
    "a million objects": (JSON, b'{"data":[' + b"{}," * 1_000_000 + b"{}]}"),
    "nested 17 deep": (JSON, b'{"data":' + b"[" * DEPTH + b"]" * DEPTH + b"}"),
    "nested 900 deep": (JSON, b'{"data":' + b'{"a":' * 90 + b"[" * 810 + b"]" * 810 + b"}" * 91),
    "nested a million deep": (JSON, b'{"data":' + b"[" * 1_000_000),
    "escapes": (JSON, b'{"text":"' + b"\\n" * 1_000_000 + b'"}'),
    "100,000 parts": (FORM, PART * 100_000 + b"--x--\r\n"),
    "100,000 files": (FORM, FILE * 100_000 + b"--x--\r\n"),
    "10 parts": (FORM, PART * 10 + b"--x--\r\n"),
}
ONLY_API = {
    "a million digits": (JSON, b'{"window":' + b"1" * 1_000_000 + b"}"),
    "a million decimals": (JSON, b'{"window":1.' + b"1" * 1_000_000 + b"}"),
}


@pytest.mark.parametrize("route", ROUTES)
@pytest.mark.parametrize("name", [*TOO_MUCH, *ONLY_API])
def test_a_body_that_holds_too_much_is_refused_at_once(shared, name, route):
    kind, body = {**TOO_MUCH, **ONLY_API}[name]
    started = time.thread_time()
    answer = shared.post(route, content=body, headers={"content-type": kind})
    assert answer.status_code == 413, answer.text
    assert answer.json().keys() == {"error", "request_id"}
    assert len(answer.json()["error"]) < 100
    assert time.thread_time() - started < 1  # in this thread: the client's own work


def test_an_answer_names_a_few_of_many_mistakes(shared):
    answer = shared.post("/v1/predict", json={"k" * 1000 + str(i): 1 for i in range(90)})
    assert answer.status_code == 422
    assert "and 87 more: are not fields of this request; there are text, audio, video, sound" in answer.json()["error"]
    assert len(answer.text) < 2 * LONGEST


def test_a_sentence_about_a_name_of_megabytes_is_short_and_soon_made():
    started = time.process_time()
    assert len(sentence("k" * 20_000_000)) < LONGEST + 10
    assert time.process_time() - started < 0.1


def test_what_honest_people_send_is_not_too_much(shared):
    for text in ("," * 20_000, "[{" * 10_000, "&" * 20_000, "\\" * 20_000, '"' * 20_000, "\N{GRINNING FACE}" * 20_000):
        answer = shared.post("/v1/predict", json={"text": text})
        assert answer.status_code in (200, 422), answer.text
        assert answer.status_code == 200 or "no words" in answer.text
    slashes = b'{"audio":"' + b"/\\/A".replace(b"/\\/", b"AB\\/") * 100_000 + b'"}'  # as PHP writes base64
    assert shared.post("/v1/predict", content=slashes, headers={"content-type": JSON}).status_code == 422


def add_cut(count, body: bytes, size: int) -> None:
    for at in range(0, len(body), size):
        count.add(body[at : at + size])


def test_a_boundary_may_be_cut_anywhere():
    headers = {"content-type": 'multipart/form-data; boundary="x"'}
    for size in (1, 3, 7):
        count = BodyCount(headers, 100, page=False)  # type: ignore[arg-type]
        with pytest.raises(Refusal, match="more than 8 parts"):
            add_cut(count, PART * 10 + b"--x--\r\n", size)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.text('"\\,:[]{}', max_size=6),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=200, deadline=None, derandomize=True)
@given(VALUES, st.integers(1, 9), st.booleans())
def test_the_outline_counts_what_json_holds_however_it_is_cut(value, size, ascii_only):
    body, outline = json.dumps(value, ensure_ascii=ascii_only).encode(errors="replace"), Outline()
    add_cut(outline, body, size)
    assert (outline.keys, outline.depth) == (sum(len(o) for o in objects(value)), 0)
    assert outline.values == sum(max(len(o) - 1, 0) for o in [*objects(value), *lists(value)])


def inside(value, kind):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, kind) else []), *(found for one in inner for found in inside(one, kind))]


def objects(value):
    return inside(value, dict)


def lists(value):
    return inside(value, list)


# --- on a socket ---


@contextmanager
def pulse(port: int):
    """Meanwhile asks /livez; a list of the seconds that each answer took."""
    stop, taken = threading.Event(), list[float]()

    def ask() -> None:
        while not stop.wait(0.005):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            started = time.perf_counter()
            connection.request("GET", "/livez")
            assert connection.getresponse().read()
            taken.append(time.perf_counter() - started)
            connection.close()

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield taken
    finally:
        stop.set()
        thread.join()


def sent(port: int, route: str, kind: str, body: bytes) -> tuple[int, float, bytes]:
    """Status, seconds, and the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.perf_counter()
    connection.request("POST", route, body, {"content-type": kind})
    answer = connection.getresponse()
    text = answer.read()
    taken = time.perf_counter() - started
    connection.close()
    return answer.status, taken, text


def resident() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 / 1e6


def test_18_megabytes_of_unknown_keys_stall_nobody_and_leave_nothing(recognizer):
    body = keys(1_500_000)
    with running(create_app(recognizer), ServerSettings(port=0)) as server:
        assert sent(server.port, "/v1/predict", JSON, b'{"text": "hi"}')[0] == 200
        before = resident()
        for route in ROUTES:
            with pulse(server.port) as taken:
                status, seconds, _ = sent(server.port, route, JSON, body)
            assert status == 413
            assert max(taken) < 2  # 17.7 s before; on an idle machine 0.05 s
            assert seconds < 2
        assert resident() - before < 100  # 716 MB before


@pytest.fixture
def page(recognizer):
    """The page beside the API."""
    pytest.importorskip("gradio", reason="the page needs the extra: pip install 'emobraid[demo]'")
    with loops_closed():
        from emobraid.app.page import mount

        with TestClient(mount(create_app(recognizer)), base_url=HERE) as client:
            yield client


def test_the_pages_own_routes_are_bounded_as_well(page):
    for name, (kind, body) in TOO_MUCH.items():
        for route in ("/gradio_api/upload",) if kind == FORM else PAGES if name != "escapes" else ():
            answer = page.post(route, content=body, headers={"content-type": kind})
            assert answer.status_code == 413, (route, name, answer.text)
    large = b'{"data":["' + b"a" * 5_000_000 + b'"]}'
    assert page.post(PAGES[0], content=large, headers={"content-type": JSON}).status_code == 413
    one = page.post("/gradio_api/upload", content=FILE + b"--x--\r\n", headers={"content-type": FORM})
    assert one.status_code == 200


def frame(kind: int, data: bytes = b"", *, last: bool = True) -> bytes:
    """A short WebSocket frame of a client, masked with zeros."""
    return bytes([kind | 0x80 * last, 0x80 | len(data)]) + bytes(4) + data


def streaming(port: int) -> socket.socket:
    sock = connected(port)
    key = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    sock.sendall(f"GET /v1/stream HTTP/1.1\r\nHost: 127.0.0.1\r\n{key}Sec-WebSocket-Version: 13\r\n\r\n".encode())
    assert b"101" in sock.recv(4096)
    return sock


def pour(sock: socket.socket, data: bytes, seconds: float) -> None:
    """Send as long as the other side takes it."""
    sock.settimeout(seconds)
    with suppress(OSError):
        sock.sendall(data)


TEXT, BINARY, CONT, PING = 1, 2, 0, 9
HEAD = b"POST /v1/predict HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
CRUMBS = {
    "chunks of one byte": (connected, CHUNKED + b"1\r\n \r\n" * 1_000_000),
    "empty pings": (streaming, frame(PING) * 1_000_000),
    "pings whose answers nobody reads": (streaming, frame(PING, b"a" * 125) * 200_000),
    "empty pieces of a message": (streaming, frame(BINARY, b"\1", last=False) + frame(CONT, last=False) * 1_000_000),
}


@pytest.mark.parametrize("name", CRUMBS)
def test_crumbs_stall_nobody(recognizer, name):
    connect, crumbs = CRUMBS[name]
    with running(create_app(recognizer), ServerSettings(port=0, drain_seconds=1)) as server:
        with connect(server.port) as sock, pulse(server.port) as taken:
            pour(sock, crumbs, 3)
        assert sorted(taken)[len(taken) // 2] < 0.3  # up to 3 s before
        assert sent(server.port, "/v1/predict", JSON, b'{"text": "hi"}')[0] == 200


def test_a_message_in_a_thousand_pieces_ends_the_stream(recognizer):
    with running(create_app(recognizer), ServerSettings(port=0)) as server:
        whole = json.dumps({"text": WORDS}).encode()
        with streaming(server.port) as sock:
            pieces = [frame(CONT, whole[i : i + 1], last=False) for i in range(1, len(whole))]
            sock.sendall(frame(TEXT, whole[:1], last=False) + b"".join(pieces) + frame(CONT))
            assert b"reading" in sock.recv(4096)
        with streaming(server.port) as sock:
            pour(sock, frame(TEXT, b"a", last=False) + frame(CONT, b"a", last=False) * (PIECES + 1), 3)
            assert until_closed(sock)[1] < 3


def test_answers_leave_at_once_and_reads_are_small(recognizer):
    """Without TCP_NODELAY the second packet of an answer waits for the first one's receipt, 40 ms."""
    with running(create_app(recognizer), ServerSettings(port=0)) as server:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        taken = []
        for _ in range(20):
            started = time.perf_counter()
            connection.request("GET", "/livez")
            connection.getresponse().read()
            taken.append(time.perf_counter() - started)
        connection.close()
        assert sorted(taken)[10] < 0.02
        assert SLICE <= 1 << 16


def test_a_long_text_message_is_refused_before_it_is_read(shared):
    with shared.websocket_connect("/v1/stream", headers={"host": "127.0.0.1"}) as socket:
        socket.send_text("{" + '"a":1,' * 100_000)
        assert "far longer" in socket.receive_json()["error"]
