"""Media files as 16 kHz sound and timed face crops. The only way from a file to arrays.

A decoder is fed by strangers, may loop forever and may ask for any amount of memory, and a thread cannot be stopped.
So every decode runs in a child process (`emobraid.decoding`) under limits, and this module decodes nothing. Parent
and child exchange JSON and raw array bytes whose sizes the parent checks, never pickles: a child that a file has
taken over must not be able to run code here. The parent opens the file and hands over the open descriptor, so what
was checked is what is read. Linux and macOS; the limit on memory holds on Linux only.
"""

import functools
import json
import math
import os
import queue
import signal
import socket
import stat
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Self

import numpy as np

__all__ = ["SAMPLE_RATE", "Audio", "Faces", "Limits", "MediaBytes", "MediaError", "MediaReader", "Side"]

SAMPLE_RATE = 16_000
Side = Literal["left", "right"]  # half of a picture, as the viewer sees it
START = 60.0  # seconds a child may take to start: half a second on an idle machine


class MediaError(ValueError):
    """A file that cannot be read: one line that names it, says what it looks like and what to do."""


@dataclass(frozen=True)
class MediaBytes:
    """The content of a media file that lies in memory only; `name` stands for it in messages. Taken like a path."""

    name: str
    content: bytes = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one file may cost. A file over a limit is refused with a MediaError, never read in part."""

    seconds: float = 600  # of sound or video, or of a stretch of it, counted as it is decoded, whatever the header says
    deadline: float = 20.0  # seconds of wall-clock time for one file
    memory: int = 1 << 30  # bytes a child may map on top of what it has mapped once it is ready
    pixels: int = 50_000_000  # width x height of a picture
    children: int = 8  # the most `workers` a reader may have


class Audio(NamedTuple):
    """The sound of a file; no samples when it is missing, and `note` says why."""

    samples: np.ndarray  # (N,) float32, mono at SAMPLE_RATE, always finite
    note: str = ""  # why it is missing, or a warning such as "cut short at 1.2 of 2.0 s"


class Faces(NamedTuple):
    """The face in a file, cropped from frames at even times; T = 0 when there is none, and `note` says why."""

    crops: np.ndarray  # (T, size, size, 3) uint8 RGB, upright
    times: np.ndarray  # (T,) float32 seconds from the start
    note: str = ""  # such as "no face in 30 frames" or "face in 15 of 30 frames"


class Answer(NamedTuple):
    """What a decoder child gives for one request; what was not asked for is empty."""

    audio: Audio
    faces: Faces
    length: float  # seconds


class MediaReader:
    """Reads media files in a pool of `workers` decoder children, each started when first needed.

    Threads may share a reader: a call borrows a child and waits for one when all are busy. A child that crashes,
    hangs or needs too much memory is replaced; the file it worked on is a MediaError. `face_model` is the path of a
    YuNet ONNX file for `cv2.FaceDetectorYN`; without it, the Haar cascade inside OpenCV looks for faces. A reader
    may be pickled and works on after a fork: the copy starts its own children. Use it in a `with` block, or close it.
    """

    def __init__(self, *, workers: int = 1, limits: Limits = Limits(), face_model: Path | None = None) -> None:
        if not 1 <= workers <= limits.children:
            raise ValueError(f"workers must be 1 to {limits.children}, got {workers}")
        if face_model is not None and not Path(face_model).is_file():
            raise ValueError(f"face_model {shown(face_model)}: no such file")
        self.workers, self.limits, self.face_model = workers, limits, face_model
        self._fill_pool()

    def audio(self, path: Path | MediaBytes, *, start: float = 0.0, end: float | None = None) -> Audio:
        """The first sound track of `path` as one channel; of the stretch from `start` to `end` seconds only, if given.

        A stretch is exact to the sample (in Matroska and WebM to a millisecond, as their times are), wherever the file
        can be entered, and `Limits` count for it alone. MediaError when the file ends before it.
        """
        return self._read(path, {"audio": True, **stretch(start, end)})[0]

    def faces(
        self,
        path: Path | MediaBytes,
        *,
        max_frames: int,
        size: int,
        start: float = 0.0,
        end: float | None = None,
        side: Side | None = None,
    ) -> Faces:
        """The face in at most `max_frames` frames of `path`, evenly spaced in time; a still picture is one frame.

        With `start` and `end` in frames that are shown in that stretch, `times` counting from its start; with `side`
        in that half of the picture.
        """
        return self._read(path, {"faces": wish(max_frames, size), "side": side, **stretch(start, end)})[1]

    def both(self, path: Path | MediaBytes, *, max_frames: int, size: int) -> tuple[Audio, Faces]:
        """One clip: its own sound track, and the face in it."""
        return self._read(path, {"audio": True, "faces": wish(max_frames, size)})[:2]

    def length(self, path: Path | MediaBytes) -> float:
        """Seconds until the last of its first sound track and its first film ends; 0 for a picture."""
        return self._read(path, {"measure": True}).length

    def frames_to_faces(self, frames: np.ndarray, times: np.ndarray, *, max_frames: int, size: int) -> Faces:
        """As `faces`, for frames (T, H, W, 3) uint8 RGB in memory, taken at `times` (T,) in seconds."""
        frames, times = np.asarray(frames), np.asarray(times, dtype=np.float64)
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[3] != 3:
            raise ValueError(f"frames must be (T, H, W, 3) uint8, got {frames.shape} {frames.dtype}")
        if times.shape != frames.shape[:1] or not np.isfinite(times).all():
            raise ValueError(f"times must be {len(frames)} finite seconds, one for each frame, got {times.shape}")
        _, height, width, _ = frames.shape
        if width * height > self.limits.pixels:
            raise MediaError(f"frames: {too_large(width, height, self.limits.pixels)}")
        order = np.argsort(times, kind="stable")
        order = order[evenly(times[order], max_frames)]
        request = {"faces": wish(max_frames, size), "shape": [height, width, 3], "times": times[order].tolist()}
        with self._borrowed() as decoder:
            return decoder.ask("frames", request, frames=[frames[i] for i in order])[1]

    def close(self) -> None:
        """Ends the children. A call that still runs in another thread ends with a MediaError."""
        for decoder in self._decoders:
            decoder.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __reduce__(self) -> tuple[Any, ...]:
        return functools.partial(MediaReader, workers=self.workers, limits=self.limits, face_model=self.face_model), ()

    def _fill_pool(self) -> None:
        self._pid = os.getpid()
        self._decoders = [_Decoder(self.limits, self.face_model) for _ in range(self.workers)]
        self._idle: queue.LifoQueue[_Decoder] = queue.LifoQueue()  # last in, first out: a warm child before a cold one
        for decoder in self._decoders:
            self._idle.put(decoder)
            weakref.finalize(self, decoder.close)

    @contextmanager
    def _borrowed(self) -> Iterator["_Decoder"]:
        if self._pid != os.getpid():  # forked: those children are the parent's, and a shared socket mixes answers
            self._fill_pool()
        decoder = self._idle.get()
        try:
            yield decoder
        finally:
            self._idle.put(decoder)

    def _read(self, path: Path | MediaBytes, request: Mapping[str, Any]) -> Answer:
        with regular_file(path) as file, self._borrowed() as decoder:
            return decoder.ask(shown(path), request, file=file)


class _Decoder:
    """One decoder child and the only socket to it, lent to one thread at a time."""

    def __init__(self, limits: Limits, face_model: Path | None) -> None:
        self.limits, self.face_model = limits, face_model
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
        until = time.monotonic() + self.limits.deadline
        limits = {k: getattr(self.limits, k) for k in ("seconds", "pixels", "memory", "deadline")}
        self._channel.settimeout(self.limits.deadline)
        socket.send_fds(self._channel, [b"?"], files)
        send(self._channel, {**request, **limits}, *frames)
        answer = receive(self._channel, until)
        if "error" in answer:
            if answer.get("retire"):
                self._stop()
            raise MediaError(f"{name}: {one_line(answer['error'])}")
        faces = request.get("faces", wish(1, 1))
        samples = np.empty(bounded(answer, "samples", math.ceil((self.limits.seconds + 1) * SAMPLE_RATE)), np.float32)
        times = np.empty(bounded(answer, "faces", faces["max_frames"]), np.float32)
        crops = np.empty((len(times), faces["size"], faces["size"], 3), np.uint8)
        for block in (samples, times, crops):
            fill(self._channel, block, until)
        notes = [one_line(answer.get(k)) for k in ("audio_note", "faces_note")]
        if not isinstance(length := answer.get("length"), float) or not 0 <= length < math.inf:
            raise ProtocolError(f"length = {length!r}")
        return Answer(Audio(samples, notes[0]), Faces(crops, times, notes[1]), length)

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


class ProtocolError(Exception):
    """The other side of the socket sent what it never should."""


def send(channel: socket.socket, header: Mapping[str, Any], *blocks: np.ndarray) -> None:
    """One message: a JSON header with its length before it, then the bytes of the arrays."""
    text = json.dumps(header).encode()
    channel.sendall(struct.pack("!I", len(text)) + text)
    for block in blocks:
        channel.sendall(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)


def receive(channel: socket.socket, until: float | None = None) -> dict[str, Any]:
    """The header of the next message; TimeoutError at `until` (monotonic clock), EOFError when the other is gone."""
    length = np.empty(1, ">u4")
    fill(channel, length, until)
    if length[0] > 1 << 20:
        raise ProtocolError(f"a header of {length[0]} bytes")
    text = np.empty(int(length[0]), np.uint8)
    fill(channel, text, until)
    try:
        header = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON") from error
    if not isinstance(header, dict):
        raise ProtocolError("not a JSON object")
    return header


def fill(channel: socket.socket, block: np.ndarray, until: float | None = None) -> None:
    """Reads exactly the bytes of `block`, a contiguous array."""
    left = block.reshape(-1).view(np.uint8).data
    while left:
        if until is not None:
            channel.settimeout(max(until - time.monotonic(), 1e-3))
        count = channel.recv_into(left)
        if not count:
            raise EOFError
        left = left[count:]


def bounded(answer: Mapping[str, Any], key: str, most: int) -> int:
    count = answer.get(key)
    if type(count) is not int or not 0 <= count <= most:
        raise ProtocolError(f"{key} = {count!r}")
    return count


def environment() -> dict[str, str]:
    """What a child needs to run the same code as this process. Access tokens are no business of a decoder."""
    kept = {k: os.environ[k] for k in ("PATH", "PYTHONHOME", "LD_LIBRARY_PATH") if k in os.environ}
    code = os.pathsep.join(p for p in sys.path if p)
    return kept | {"PYTHONPATH": code, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "1"}


@contextmanager
def regular_file(path: Path | MediaBytes) -> Iterator[int]:
    """A descriptor of `path`; MediaError for anything but a regular file, before it is opened."""
    name = shown(path)
    if isinstance(path, MediaBytes):
        with in_memory(path) as file:
            yield file
        return
    try:
        refuse_special(os.stat(path).st_mode, name)
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        broken = "a link to a file that does not exist" if os.path.islink(path) else "no such file"
        raise MediaError(f"{name}: {broken}") from None
    except OSError as error:
        raise MediaError(f"{name}: {(error.strerror or 'cannot be opened').lower()}") from None
    except MediaError:
        raise
    except ValueError:  # a NUL in the name
        raise MediaError(f"{name}: not a file name") from None
    try:
        refuse_special(os.fstat(file).st_mode, name)  # it may have been swapped since
        if not os.fstat(file).st_size:
            raise MediaError(f"{name}: empty file (0 bytes)")
        yield file
    finally:
        os.close(file)


@contextmanager
def in_memory(media: MediaBytes) -> Iterator[int]:
    """A descriptor of content that never lies on a disk, where the system has such (Linux)."""
    if not media.content:
        raise MediaError(f"{media.name}: empty file (0 bytes)")
    anonymous = os.memfd_create("media") if hasattr(os, "memfd_create") else None
    with open(anonymous, "wb", 0) if anonymous is not None else tempfile.TemporaryFile(buffering=0) as file:
        left = memoryview(media.content)
        while left:
            left = left[file.write(left) :]
        yield file.fileno()


def refuse_special(mode: int, name: str) -> None:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    if not stat.S_ISREG(mode):
        raise MediaError(f"{name}: a {kinds.get(stat.S_IFMT(mode), 'device')}, not a regular file")


def wish(max_frames: int, size: int) -> dict[str, int]:
    if max_frames < 1 or size < 1:
        raise ValueError(f"max_frames and size must be at least 1, got {max_frames} and {size}")
    return {"max_frames": int(max_frames), "size": int(size)}


def stretch(start: float, end: float | None) -> dict[str, Any]:
    """What a request says of a part of a file; nothing for the whole."""
    if not (math.isfinite(start) and start >= 0 and (end is None or (math.isfinite(end) and end > start))):
        raise ValueError(f"a stretch must start at 0 s or later and end after that, got {start} to {end}")
    return {} if start == 0 and end is None else {"stretch": [float(start), None if end is None else float(end)]}


def evenly(times: np.ndarray, count: int) -> np.ndarray:
    """Indices of at most `count` of the ascending `times`, evenly spaced in time, whatever the spacing of `times`."""
    if len(times) <= count:
        return np.arange(len(times))
    span = times[-1] - times[0]
    wanted = times[0] + (np.arange(count) + 0.5) / count * span * len(times) / (len(times) - 1)
    after = np.searchsorted(times, wanted).clip(1, len(times) - 1)
    return np.unique(after - (wanted - times[after - 1] < times[after] - wanted))


def too_large(width: int, height: int, pixels: int) -> str:
    return f"{width} x {height} pixels, the limit is {pixels / 1e6:g} megapixels; make it smaller"


def shown(path: Path | MediaBytes) -> str:
    """The name for a message: a line feed or a byte that is no text must not reach a terminal."""
    name = path.name if isinstance(path, MediaBytes) else os.fspath(path)
    return name if name.isprintable() else repr(name)


def one_line(text: object) -> str:
    """A child's words, as far as they may reach a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text or ""))[:300]
