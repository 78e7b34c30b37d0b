"""Chromium with a drawn person before its camera, and the page that it looks at. Skipped where there is no Chromium."""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[1]))

import corpora
import media_fixtures

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]
START = 120.0  # seconds the page may take to answer on a busy machine


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A clip of a drawn person who speaks; with EMOBRAID_CLIPS, a folder of mp4 files, the first real one in it."""
    if folder := os.environ.get("EMOBRAID_CLIPS"):
        return min(Path(folder).resolve().glob("*.mp4"))
    return corpora.talking_face(tmp_path_factory.mktemp("clip"))


@pytest.fixture(scope="session")
def long_clip(tmp_path_factory) -> Path:
    """Fourteen seconds: a face, and after nine of them nobody; a tone that comes and goes."""
    images = [media_fixtures.portrait()] * 45 + [media_fixtures.nobody()] * 25
    sound = media_fixtures.tone(14.0, 48_000) * (np.arange(14 * 48_000) % 480_000 < 240_000)
    path = tmp_path_factory.mktemp("clip") / "holiday.mp4"
    return media_fixtures.write_video(path, images, rate=5, sound=sound.astype(np.float32))


@pytest.fixture(scope="session")
def chromium(clip, tmp_path_factory):
    """The browser; its camera and microphone play `clip` again and again."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="no Playwright: pip install playwright")
    if CHROMIUM is None:
        pytest.skip("no Chromium: apt-get install chromium, or set CHROMIUM to its path")
    picture, sound = as_device(clip, tmp_path_factory.mktemp("device"))
    devices = [f"--use-file-for-fake-video-capture={picture}", f"--use-file-for-fake-audio-capture={sound}"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *devices])
        yield browser
        browser.close()


def as_device(clip: Path, folder: Path) -> tuple[Path, Path]:
    """The clip as the raw files that Chromium's fake camera and microphone take."""
    import av
    import cv2

    from emobraid.media import MediaReader

    picture, sound = folder / "camera.y4m", folder / "microphone.wav"
    with av.open(str(clip)) as container, picture.open("wb") as file:
        file.write(b"YUV4MPEG2 W640 H480 F15:1 Ip A1:1 C420jpeg\n")
        for frame in container.decode(video=0):
            rgb = frame.to_ndarray(format="rgb24")
            width = round(480 * rgb.shape[1] / rgb.shape[0])
            wide = np.full((480, 640, 3), 90, np.uint8)
            left = (640 - width) // 2
            wide[:, left : left + width] = cv2.resize(rgb, (width, 480))
            file.write(b"FRAME\n" + cv2.cvtColor(wide, cv2.COLOR_RGB2YUV_I420).tobytes())
    with MediaReader() as reader, wave.open(str(sound), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes((np.clip(reader.audio(clip).samples, -1, 1) * 32767).astype("<i2").tobytes())
    return picture, sound


@pytest.fixture(scope="session")
def model(tmp_path_factory) -> Path:
    """EMOBRAID_MODEL, or one with random weights: what it reads means nothing, but it reads."""
    if given := os.environ.get("EMOBRAID_MODEL"):
        return Path(given).resolve()
    from emobraid import checkpoint
    from emobraid.config import Config, ModelConfig
    from emobraid.model import MultimodalEmotionModel

    torch.manual_seed(0)
    small = {"encoder_dim": 16, "fusion_hidden_size": 16, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 6}
    config = Config(model=ModelConfig(**small, fusion_type="adaptive"))
    folder = tmp_path_factory.mktemp("model") / "best_model"
    files = checkpoint.model_files(MultimodalEmotionModel(config.model), config, calibration={}, card="")
    checkpoint.publish(folder, files)
    return folder


class Server:
    """`emobraid demo` in a process of its own, with folders of its own."""

    def __init__(self, model: Path, place: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self.folders = {name: place / name for name in ("home", "cwd", "tmp")}
        for folder in self.folders.values():
            folder.mkdir()
        env = {**os.environ, "HOME": str(self.folders["home"]), "TMPDIR": str(self.folders["tmp"])}
        env.pop("XDG_CACHE_HOME", None)
        self.log = (place / "log").open("w+")
        command = [
            sys.executable,
            "-m",
            "emobraid",
            "demo",
            "--model_path",
            str(model),
            "--port",
            self.url.rpartition(":")[2],
        ]
        self.process = subprocess.Popen(command, env=env, cwd=self.folders["cwd"], stdout=self.log, stderr=self.log)

    def wait(self) -> None:
        until = time.monotonic() + START
        while time.monotonic() < until and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", int(self.url.rpartition(":")[2]))) == 0:
                    return
            time.sleep(0.2)
        raise AssertionError(f"the page did not start: {self.said()}")

    def said(self) -> str:
        self.log.seek(0)
        return self.log.read()

    @property
    def spools(self) -> list[Path]:
        """Where its uploads lie."""
        roots = {Path("/dev/shm"), Path(tempfile.gettempdir()), self.folders["tmp"]}
        return [p for root in roots if root.is_dir() for p in root.glob(f"emobraid-page-{self.process.pid}-*")]

    def written(self) -> dict[str, int]:
        """Bytes of every file it left in its folders, and in memory."""
        places = [*self.folders.values(), *self.spools]
        return {str(f): f.stat().st_size for p in places for f in p.rglob("*") if f.is_file() and f.stat().st_size}


@pytest.fixture(scope="session")
def server(chromium, model, tmp_path_factory):
    running = Server(model, tmp_path_factory.mktemp("server"))
    try:
        running.wait()
        yield running
    finally:
        running.process.terminate()
        running.process.wait(20)
        running.log.close()
