"""A decoder in a process of its own, under limits of time and memory, and the only socket to it."""

import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np

from emobraid.media.kinds import SAMPLE_RATE, Answer, Audio, Faces, Limits, MediaError
from emobraid.media.wire import ProtocolError, bounded, fill, one_line, receive, send

LOOK = 0.1  # seconds between looks for others that wait
START = 60.0  # seconds a child may take to start: half a second on an idle machine


class Decoder:
    """One decoder child and the only socket to it, lent to one thread at a time."""

    def __init__(self, limits: Limits, face_model: Path | None, waiting: Sequence[object] = ()) -> None:
        self.limits, self.face_model, self.waiting = limits, face_model, waiting
        self._owner = os.getpid()
        self._process: subprocess.Popen[bytes] | None = None
        self._busy = threading.Lock()
        self._closed = False

    def ask(
        self, name: str, request: Mapping[str, Any], *, file: int | None = None, frames: Sequence[np.ndarray] = ()
    ) -> Answer:
        """The child's answer for the open `file` or for `frames`; a MediaError names `name`."""
        with self._busy:
            self._start()
            try:
                return self._exchange(name, request, [] if file is None else [file], frames)
            except TimeoutError:
                self._stop()
                raise MediaError(f"{name}: {self._too_slow()}") from None
            except (EOFError, OSError, ProtocolError):
                raise MediaError(f"{name}: {self._epitaph()}") from None
            except MediaError:
                raise
            except BaseException:  # Ctrl-C: what is left in the socket would be read as the next file's answer
                self._stop()
                raise

    def close(self) -> None:
        if self._owner != os.getpid():
            return
        self._closed = True
        if (process := self._process) is not None:
            process.kill()  # a thread that waits for an answer now gets its end
        with self._busy:
            self._stop()

    def _exchange(
        self, name: str, request: Mapping[str, Any], files: list[int], frames: Sequence[np.ndarray]
    ) -> Answer:
        since = time.monotonic()
        until = since + self.limits.deadline
        limits = {k: getattr(self.limits, k) for k in ("seconds", "pixels", "memory", "picture_memory", "deadline")}
        self._channel.settimeout(self.limits.deadline)
        socket.send_fds(self._channel, [b"?"], files)
        send(self._channel, {**request, **limits}, *frames)
        self._wait(name, since, until)
        answer = receive(self._channel, until)
        if "error" in answer:
            if answer.get("retire"):
                self._stop()
            raise MediaError(f"{name}: {one_line(answer['error'])}")
        faces = request.get("faces", {"max_frames": 1, "size": 1})
        samples = np.empty(bounded(answer, "samples", math.ceil((self.limits.seconds + 1) * SAMPLE_RATE)), np.float32)
        times = np.empty(bounded(answer, "faces", faces["max_frames"]), np.float32)
        crops = np.empty((len(times), faces["size"], faces["size"], 3), np.uint8)
        for block in (samples, times, crops):
            fill(self._channel, block, until)
        notes = [one_line(answer.get(k)) for k in ("audio_note", "faces_note")]
        if not isinstance(length := answer.get("length"), float) or not 0 <= length < math.inf:
            raise ProtocolError(f"length = {length!r}")
        return Answer(Audio(samples, notes[0]), Faces(crops, times, notes[1]), length)

    def _wait(self, name: str, since: float, until: float) -> None:
        """Until an answer comes; a MediaError when the file has had its share and others wait."""
        share = self.limits.share
        while share is not None and not select.select([self._channel], [], [], LOOK)[0]:
            now = time.monotonic()
            if now > until:
                raise TimeoutError
            if self.waiting and now - since > share:
                self._stop()
                raise MediaError(f"{name}: decoding took more than {share:g} s while others waited; send less at once")

    def _start(self) -> None:
        if self._closed:
            raise ValueError("this MediaReader is closed")
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        settings = {"memory": self.limits.memory, "face_model": str(self.face_model) if self.face_model else None}
        self._channel, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(
                # -P: a stray av.py in the working folder must not be imported
                [sys.executable, "-P", "-m", "emobraid.decoding", json.dumps(settings)],
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                env=environment(),
                process_group=0,  # Ctrl-C in a terminal is for us; we end the child
            )
        try:
            ready = receive(self._channel, time.monotonic() + START)
        except (OSError, EOFError, ProtocolError):
            raise RuntimeError(f"the decoder process did not start (exit status {self._stop()})") from None
        except BaseException:
            self._stop()
            raise
        if "error" in ready:
            self._stop()
            raise ValueError(one_line(ready["error"]))

    def _stop(self) -> int:
        """Ends the child; its exit status, negative for the signal it died of."""
        if self._process is None:
            return 0
        process, self._process = self._process, None
        process.kill()
        self._channel.close()
        return process.wait()

    def _too_slow(self) -> str:
        return f"decoding took more than {self.limits.deadline:g} s; the file is too large or damaged"

    def _epitaph(self) -> str:
        """Why the child died, after clearing it away."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(1)  # the socket ends a moment before the exit status is there
        status = self._stop()
        if self._closed:
            return "the MediaReader was closed while reading it"
        if status == -signal.SIGXCPU:
            return self._too_slow()
        cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        limit = self.limits.memory >> 20
        return f"the decoder died on it ({cause}); the file is damaged, or decoding needs more than {limit} MB"


def environment() -> dict[str, str]:
    """What a child needs to run the same code as this process. Access tokens are no business of a decoder."""
    kept = {k: os.environ[k] for k in ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH") if k in os.environ}
    code = os.pathsep.join(p for p in sys.path if p)
    return kept | {"PYTHONPATH": code, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}
