"""What the server keeps and tells: nothing that was sent, in files, logs or metrics."""

import logging
import os
import struct
import sys
import threading

import server_fixtures
from emobraid.app.metrics import Histogram
from server_fixtures import WORDS, client_of

recognizer, clips, shared = server_fixtures.recognizer, server_fixtures.clips, server_fixtures.shared

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
