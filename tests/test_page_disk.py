"""A whole session with `emobraid serve`, as browsers and programs have one: no byte of it goes to a disk or a log."""

import base64
import io
import json
import os
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import httpx
import psutil
import pytest
from PIL import Image
from websockets.sync.client import connect

pytest.importorskip("gradio", reason="the page needs the extra: pip install 'emobraid[demo]'")

import corpora
import media_fixtures
from emobraid import checkpoint
from emobraid.app.spool import PREFIX
from emobraid.app.streaming import PICTURE, SOUND
from emobraid.config import Config
from server_fixtures import tiny_recognizer

pytestmark = pytest.mark.slow

SECRET = "xylophonist"  # is in every word, name and file that is sent
FRAMES, UPLOADS, CHATS = 100, 20, 20  # half of them on the page, half over the API
START = 120.0  # seconds
RUN = """
import logging, sys
from emobraid.cli import main
logging.basicConfig(level=logging.INFO)  # an operator who wants to read all that it tells
sys.exit(main(sys.argv[1:]))
"""


class Served:
    """`emobraid serve` in a process of its own, with folders of its own; what it logs goes through a pipe."""

    def __init__(self, model: Path, place: Path) -> None:
        self.folders = [place / name for name in ("home", "cwd", "tmp")]
        for folder in self.folders:
            folder.mkdir()
        home, cwd, tmp = map(str, self.folders)
        env = {**os.environ, "HOME": home, "TMPDIR": tmp, "PYTHONDONTWRITEBYTECODE": "1"}
        env.pop("XDG_CACHE_HOME", None)
        flags = ["--model_path", str(model), "--port", "0", "--stream_frames", "1000"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", RUN, "serve", *flags],
            env=env, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        self.lines: list[str] = []
        self._reading = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self._reading.start()

    def url(self) -> str:
        """Its address, once the model is there."""
        until = time.monotonic() + START
        while time.monotonic() < until and self.process.poll() is None:
            address = next((line.split()[0] for line in self.lines if line.startswith("http://127.0.0.1:")), "")
            if address:
                try:
                    if httpx.get(f"{address}/readyz").status_code == 200:
                        return address
                except httpx.HTTPError:
                    pass
            time.sleep(0.1)
        raise AssertionError(f"it did not start: {self.lines}")

    def files(self) -> dict[str, int]:
        """Bytes of every file in its folders, and in memory where uploads are put."""
        roots = {Path("/dev/shm"), Path(tempfile.gettempdir()), self.folders[2]}
        spools = [p for root in roots if root.is_dir() for p in root.glob(f"{PREFIX}{self.process.pid}-*")]
        found = [f for place in (*self.folders, *spools) for f in place.rglob("*") if f.is_file()]
        return {str(f): size for f in found if (size := f.stat().st_size)}

    def to_disk(self) -> int:
        """Bytes that the kernel has sent to a disk for it and its decoders, those of files that are gone included."""
        own = psutil.Process(self.process.pid)
        if not hasattr(own, "io_counters"):
            return 0  # macOS does not tell
        return sum(p.io_counters().write_bytes for p in (own, *own.children(recursive=True)))

    def end(self) -> str:
        """All that it logged."""
        self.process.terminate()
        self.process.wait(20)
        self._reading.join(10)
        return "".join(self.lines)


class Browser:
    """What the page's own script does: each event goes to the server by its number, with the tab's name."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        client.get("/").raise_for_status()
        told = client.get("/config").json()
        names = {c["id"]: c["props"].get("elem_id") for c in told["components"]}
        self.events = {(names.get(i), what): d["id"] for d in told["dependencies"] for i, what in d["targets"]}

    def _body(self, part: str, what: str, *data: object, event: object = None) -> dict:
        return {"data": data, "event_data": event, "fn_index": self.events[part, what], "session_hash": "tab"}

    def beat(self, event: dict) -> str:
        body = self._body("eb-live", "beat", event=event)
        answer = self.client.post("/gradio_api/run/predict", json=body).raise_for_status()
        return answer.json()["data"][1]

    def do(self, part: str, what: str, *data: object) -> str:
        """Everything that comes back."""
        self.client.post("/gradio_api/queue/join", json=self._body(part, what, *data)).raise_for_status()
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": "tab"}) as coming:
            lines = [line for line in coming.iter_lines() if line.startswith("data:")]
        assert any('"process_completed"' in line and '"success":true' in line for line in lines), lines
        return "".join(lines)

    def give(self, name: str, content: bytes) -> str:
        [path] = self.client.post("/gradio_api/upload", files={"files": (name, content)}).json()
        file = {"path": path, "orig_name": name, "size": len(content), "meta": {"_type": "gradio.FileData"}}
        return self.do("eb-read", "click", file, "")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    import matplotlib.font_manager  # noqa: F401  makes its list of this computer's fonts, once for all tests

    place = tmp_path_factory.mktemp("served")
    with tiny_recognizer() as recognizer:
        files = checkpoint.model_files(recognizer.model, Config(model=recognizer.config.model), calibration={}, card="")
    checkpoint.publish(place / "model", files)
    running = Served(place / "model", place)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()
        running.process.stdout.close()


def on_the_page(url: str, film: bytes, sound: bytes) -> None:
    speech = base64.b64encode(bytes(range(256)) * 25).decode()
    with httpx.Client(base_url=url, timeout=60) as client:
        browser = Browser(client)
        for i in range(FRAMES // 2):
            pixels = media_fixtures.portrait(96)
            frame = base64.b64encode(pixels.tobytes()).decode()
            sent = {"number": i + 1, "turn": 1, "frame": frame, "width": 96, "height": 96}
            assert "eb-held" in browser.beat({**sent, "sound": speech, "rate": 16_000})
        for i in range(CHATS // 2):
            assert f"{SECRET} number {i}" in browser.do("eb-send", "click", f"I am glad about the {SECRET} number {i}")
        for i in range(UPLOADS // 4):
            assert f"{SECRET}{i}.mp4" in browser.give(f"{SECRET}{i}.mp4", film)
            assert f"{SECRET}{i}.wav" in browser.give(f"{SECRET}{i}.wav", sound)


def over_the_api(url: str, film: bytes, sound: bytes) -> None:
    picture = io.BytesIO()
    Image.fromarray(media_fixtures.portrait(96)).save(picture, "JPEG")
    with connect(f"ws{url.removeprefix('http')}/v1/stream", max_size=1 << 22) as socket:
        for _ in range(FRAMES // 2):
            socket.send(bytes([PICTURE]) + picture.getvalue())
            socket.send(bytes([SOUND]) + sound[44:3244])
        socket.send(json.dumps({"text": f"I am glad about the {SECRET}"}))  # is read when all before it was
        read: set[str] = set()
        while "text" not in read:
            told = json.loads(socket.recv(timeout=60))
            read = set(told["prediction"]["per_modality"]) if told["type"] == "reading" else read
        assert read == {"text", "audio", "video"}
        assert told["left_out"] == 0
    with httpx.Client(base_url=url, timeout=60) as client:
        for i in range(UPLOADS // 4):
            for field, name, content in (("video", f"{SECRET}{i}.mp4", film), ("audio", f"{SECRET}{i}.wav", sound)):
                sent = client.post("/v1/predict", data={"text": SECRET}, files={field: (name, content)})
                assert sent.status_code == 200, sent.text
        for i in range(CHATS // 2):
            words = {"text": f"I am sad about the {SECRET} number {i}", "stream": i % 2 == 1}
            assert client.post("/v1/chat", json=words).status_code == 200


def test_100_frames_20_uploads_and_20_chats_leave_0_bytes_and_no_word_in_the_log(served, tmp_path):
    url = served.url()
    # beyond the megabyte at which forms go over to a file by default
    film = corpora.talking_face(tmp_path).read_bytes() + struct.pack("!I4s", 2 << 20, b"free") + bytes((2 << 20) - 8)
    sound = corpora.tone(tmp_path / "tone.wav", seconds=1.0).read_bytes()
    before, on_disk = served.files(), served.to_disk()
    on_the_page(url, film, sound)
    over_the_api(url, film, sound)
    assert served.files() == before == {}
    assert served.to_disk() == on_disk
    logged = served.end()
    assert logged.count("POST /v1/predict 200") == UPLOADS // 2
    assert SECRET not in logged
    assert served.files() == {}
