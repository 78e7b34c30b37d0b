"""What the HTTP API cannot read, or fails to, is told in one sentence."""

import logging

import pytest

import server_fixtures
from server_fixtures import WORDS, client_of, tiny_recognizer

recognizer, clips, shared = server_fixtures.recognizer, server_fixtures.clips, server_fixtures.shared

JSON = {"content-type": "application/json"}

HOSTILE = {
    "cut off": (b'{"text": "a', 400, "not valid JSON"),
    "nested 10,000 deep": (b"[" * 10_000, 413, "nested too deeply"),
    "nested inside": (b'{"text":' + b"[" * 20 + b"]" * 20 + b"}", 413, "nested too deeply"),
    "NaN": (b'{"text": NaN}', 400, "not valid JSON"),
    "Infinity": (b'{"sound": -Infinity}', 400, "not valid JSON"),
    "100,000 digits": (b'{"text": ' + b"1" * 100_000 + b"}", 413, "more than 100 digits"),
    "not UTF-8": (b'{"text": "\xff"}', 400, "not valid JSON"),
    "a lone surrogate": (rb'{"text": "\ud800"}', 422, "surrogate"),
    "a list": (b"[1, 2]", 422, "must be a JSON object"),
    "a number for words": (b'{"text": 3}', 422, "text: Input should be a valid string"),
    "not base64": (b'{"audio": "%%%"}', 422, "audio: not base64"),
    "an address": (b'{"url": "http://127.0.0.1:1/x.wav"}', 422, "url: is not a field of this request"),
    "an address for sound": (b'{"audio": "http://127.0.0.1/x"}', 422, "audio: an address; no address is opened here"),
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
    "a thousand parts": ("multipart/form-data; boundary=x", PART * 1000 + b"--x--\r\n", 413),
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
