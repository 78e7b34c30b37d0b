"""Conversations over HTTP: a session is its owner's, and forgotten when asked or idle."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

import server_fixtures
from server_fixtures import HERE, WORDS, client_of, tiny_recognizer

recognizer = server_fixtures.recognizer


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


CRISIS = "I want to kill myself"


@pytest.mark.parametrize(
    ("locale", "header", "helps"),
    [
        (None, None, "988"),
        (None, "en-GB,en;q=0.8", "Samaritans"),
        ("de", "en-GB,en;q=0.8", "TelefonSeelsorge"),
        ("en_IE", "de", "116 123 (Samaritans"),
        (None, "../../x", "988"),
        ("ja", None, "findahelpline.com"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_help_in_a_crisis_follows_the_request(recognizer, locale, header, helps, stream):
    sent = {"text": CRISIS, "stream": stream} | ({"locale": locale} if locale else {})
    with client_of(recognizer) as client:
        answer = client.post("/v1/chat", json=sent, headers={"accept-language": header} if header else {})
        assert answer.status_code == 200
        assert helps in answer.text


def test_help_goes_on_in_the_language_that_was_asked_for_before(recognizer):
    with client_of(recognizer) as client:
        client.post("/v1/chat", files={"text": (None, "hello"), "locale": (None, "de-AT")})  # a form
        said = client.post("/v1/chat", json={"text": CRISIS}).json()["reply"]["text"]
        assert "142" in said  # TelefonSeelsorge in Austria
        client.post("/v1/chat", json={"text": "no", "locale": "en-GB"})
        assert "Samaritans" in client.post("/v1/chat", json={"text": CRISIS}).json()["reply"]["text"]


def test_a_locale_that_is_none_is_refused(recognizer):
    with client_of(recognizer) as client:
        for wrong in ("english", "../x", "", "en-GB-x", 7):
            answer = client.post("/v1/chat", json={"text": "hello", "locale": wrong})
            assert answer.status_code == 422, wrong
            assert answer.json()["error"].startswith("locale: ")


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
