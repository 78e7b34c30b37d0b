"""How long a live reading takes, from a beat of camera and microphone to the new dashboard, for 1 and for 8 people.

    python benchmarks/live_latency.py --model_path runs/sample/best_model --people 1 8 --seconds 20

Starts `emobraid demo` in a process of its own and talks to it as browsers do: each person sends a picture of 320 x 240
and the sound since the last one, and the next when that was answered, 150 ms later at the soonest. The time is that
between the last byte of a beat and the last byte of the new dashboard; drawing it takes a browser some 10 ms more. With
a queue that grows, the second half would be slower than the first.
"""

import base64
import contextlib
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import tyro

from emobraid.data.sample.plan import plan
from emobraid.data.sample.recording import record

EVERY = 0.15  # seconds between two beats of one person, as the page has it
RATE = 48_000


@dataclass(kw_only=True)
class Settings:
    """What is measured."""

    model_path: Path = Path("runs/sample/best_model")
    people: tuple[int, ...] = (1, 8)
    seconds: float = 20.0


@contextlib.contextmanager
def page(model_path: Path) -> Iterator[tuple[str, int]]:
    """Address and process id of a page of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "emobraid", "demo", "--model_path", str(model_path), "--port", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[0]
        yield url.rstrip("/"), process.pid
    finally:
        process.terminate()
        process.wait()


def pictures(folder: Path) -> list[str]:
    """Frames of a drawn person who speaks, as the page sends them."""
    import av
    import cv2

    for part in ("audio", "video"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    clip = next(c for c in plan(0, 14) if not c.empty)
    record(clip, 0, folder)
    with av.open(str(folder / "video" / f"{clip.name}.mp4")) as container:
        frames = [cv2.resize(f.to_ndarray(format="rgb24"), (320, 240)) for f in container.decode(video=0)]
    return [base64.b64encode(f.tobytes()).decode() for f in frames]


def person(url: str, beat: int, frames: list[str], until: float, times: list[tuple[float, float]]) -> None:
    """One browser: (when, how long) of every beat into `times`."""
    hum = (6_000 * np.sin(2 * np.pi * 180 * np.arange(RATE) / RATE)).astype("<i2")
    name, number, last = os.urandom(6).hex(), 0, time.perf_counter() - EVERY
    with httpx.Client(base_url=url, timeout=60) as client:
        client.get("/")
        while (now := time.perf_counter()) < until:
            number += 1
            sound = base64.b64encode(hum[: int(RATE * min(now - last, 1.0))].tobytes()).decode()
            sent = {"number": number, "frame": frames[number % len(frames)], "width": 320, "height": 240}
            data = {"number": number, **sent, "sound": sound, "rate": RATE}
            body = {"data": [], "fn_index": beat, "session_hash": name, "event_data": data}
            last = now
            answer = client.post("/gradio_api/run/predict", json=body).raise_for_status().json()["data"]
            assert answer[0]["number"] == number, answer[0]
            assert "eb-held" in answer[1], answer[1]
            times.append((now, time.perf_counter() - now))
            time.sleep(max(0.0, last + EVERY - time.perf_counter()))


def processor(pid: int) -> float:
    """Seconds of processor time that a process has taken (Linux)."""
    spent = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK")


def measure(url: str, pid: int, frames: list[str], people: int, seconds: float) -> None:
    functions = httpx.get(f"{url}/config").json()["dependencies"]
    [beat] = [f["id"] for f in functions if any(event == "beat" for _, event in f["targets"])]
    until, times = time.perf_counter() + seconds, [list[tuple[float, float]]() for _ in range(people)]
    threads = [threading.Thread(target=person, args=(url, beat, frames, until, mine)) for mine in times]
    before = processor(pid)
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = sorted(t for mine in times for t in mine)[people:]  # each one's first beat warms up
    took = 1000 * np.array([t for _, t in told])
    half = len(took) // 2
    cost = 1000 * (processor(pid) - before) / sum(map(len, times))
    pace = min(len(mine) for mine in times) / seconds
    print(
        f"{people} people: p50 {np.median(took):.0f} ms, p95 {np.percentile(took, 95):.0f} ms; slowest person "
        f"{pace:.1f} readings a second; p50 of the first half {np.median(took[:half]):.0f} ms, of the second "
        f"{np.median(took[half:]):.0f} ms; {cost:.0f} ms of processor time a reading; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores",
        flush=True,
    )


def main(settings: Settings) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        frames = pictures(Path(folder))
    with page(settings.model_path) as (url, pid):
        for people in settings.people:
            measure(url, pid, frames, people, settings.seconds)


if __name__ == "__main__":
    main(tyro.cli(Settings))
