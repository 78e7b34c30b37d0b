"""Who may ask the server: its own pages, whoever has the token, and nobody else."""

import pytest

import server_fixtures
from emobraid.app.limits import ServerSettings
from emobraid.app.serving import with_token
from server_fixtures import HERE, WORDS, client_of

recognizer, shared = server_fixtures.recognizer, server_fixtures.shared


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
