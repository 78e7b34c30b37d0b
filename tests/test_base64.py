"""Files in JSON as people send them, and forms as browsers do."""

import base64
import textwrap

import pytest

import server_fixtures
from server_fixtures import WORDS

recognizer, clips, shared = server_fixtures.recognizer, server_fixtures.clips, server_fixtures.shared

WAYS = {
    "a data address": lambda b: "data:audio/wav;base64," + base64.b64encode(b).decode(),
    "a data address with a parameter": lambda b: "DATA:audio/wav;codecs=1;Base64," + base64.b64encode(b).decode(),
    "wrapped at 76": lambda b: base64.encodebytes(b).decode(),
    "wrapped as mail is": lambda b: "\r\n".join(textwrap.wrap(base64.b64encode(b).decode(), 76)),
    "a trailing newline": lambda b: base64.b64encode(b).decode() + "\n",
    "the alphabet of addresses": lambda b: base64.urlsafe_b64encode(b).decode(),
    "without its end": lambda b: base64.urlsafe_b64encode(b).decode().rstrip("="),
    "both": lambda b: "data:;base64," + base64.urlsafe_b64encode(b).decode() + " \n",
}


@pytest.mark.parametrize("way", WAYS)
def test_base64_is_read_as_people_send_it(shared, clips, way):
    content = clips["audio"].read_bytes()
    plain = shared.post("/v1/predict", json={"audio": base64.b64encode(content).decode()}).json()
    answer = shared.post("/v1/predict", json={"audio": WAYS[way](content)})
    assert answer.status_code == 200
    assert answer.json() | {"request_id": ""} == plain | {"request_id": ""}


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        ("data:audio/wav,RIFF", "audio: a data: address whose data are not base64; send data:TYPE;base64,DATA"),
        ("https://example.org/a.wav", "audio: an address; no address is opened here, send the file itself as base64"),
        ("data:audio/wav;base64,%%%", "audio: not base64"),
        ("a", "audio: not base64"),
    ],
)
def test_what_is_no_base64_is_said_in_a_sentence(shared, sent, said):
    answer = shared.post("/v1/predict", json={"audio": sent})
    assert (answer.status_code, answer.json()["error"]) == (422, said)


def test_a_file_input_in_which_nothing_was_chosen_is_missing(shared):
    head = 'Content-Disposition: form-data; name="'
    parts = [
        f'{head}text"\r\n\r\n{WORDS}',
        f'{head}audio"; filename=""\r\nContent-Type: application/octet-stream\r\n\r\n',
    ]
    body = "".join(f"--x\r\n{part}\r\n" for part in parts) + "--x--\r\n"
    answer = shared.post("/v1/predict", content=body, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, list(answer.json()["per_modality"])) == (200, ["text"])


def test_a_field_that_there_is_not_is_called_that(shared, clips):
    answer = shared.post("/v1/predict", files={"file": ("a.wav", clips["audio"].read_bytes())})
    assert answer.status_code == 422
    assert answer.json()["error"].startswith("file: is not a field of this request; ")
