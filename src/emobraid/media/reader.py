"""MediaReader: files in, arrays out, through a pool of decoder children."""

import functools
import math
import os
import queue
import weakref
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import numpy as np

from emobraid.media.child import Decoder
from emobraid.media.files import regular_file
from emobraid.media.frames import evenly, too_large
from emobraid.media.kinds import Answer, Audio, Faces, Limits, MediaBytes, MediaError, Side, shown

USUAL = Limits()


class MediaReader:
    """Reads media files in a pool of `workers` decoder children, each started when first needed.

    Threads may share a reader: a call borrows a child and waits for one when all are busy. A child that crashes,
    hangs or needs too much memory is replaced; the file it worked on is a MediaError. `face_model` is the path of a
    YuNet ONNX file for `cv2.FaceDetectorYN`; without it, BlazeFace and a face mesh, which come with the package, look
    for faces. A reader may be pickled and works on after a fork: the copy starts its own children. Use it in a `with`
    block, or close it.
    """

    def __init__(self, *, workers: int = 1, limits: Limits = USUAL, face_model: Path | None = None) -> None:
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
        self._waiting: list[None] = []  # one for each call that waits; its operations are atomic
        self._decoders = [Decoder(self.limits, self.face_model, self._waiting) for _ in range(self.workers)]
        self._idle: queue.LifoQueue[Decoder] = queue.LifoQueue()  # last in, first out: a warm child before a cold one
        for decoder in self._decoders:
            self._idle.put(decoder)
            weakref.finalize(self, decoder.close)

    @contextmanager
    def _borrowed(self) -> Iterator[Decoder]:
        if self._pid != os.getpid():  # forked: those children are the parent's, and a shared socket mixes answers
            self._fill_pool()
        self._waiting.append(None)
        try:
            decoder = self._idle.get()
        finally:
            self._waiting.pop()
        try:
            yield decoder
        finally:
            self._idle.put(decoder)

    def _read(self, path: Path | MediaBytes, request: Mapping[str, Any]) -> Answer:
        with regular_file(path) as file, self._borrowed() as decoder:
            return decoder.ask(shown(path), request, file=file)


def wish(max_frames: int, size: int) -> dict[str, int]:
    if max_frames < 1 or size < 1:
        raise ValueError(f"max_frames and size must be at least 1, got {max_frames} and {size}")
    return {"max_frames": int(max_frames), "size": int(size)}


def stretch(start: float, end: float | None) -> dict[str, Any]:
    """What a request says of a part of a file; nothing for the whole."""
    if not (math.isfinite(start) and start >= 0 and (end is None or (math.isfinite(end) and end > start))):
        raise ValueError(f"a stretch must start at 0 s or later and end after that, got {start} to {end}")
    return {} if start == 0 and end is None else {"stretch": [float(start), None if end is None else float(end)]}
