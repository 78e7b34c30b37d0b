"""What goes into the reading of media files and what comes out of it."""

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

SAMPLE_RATE = 16_000
#: root mean square about the mean, full scale = 1; above the noise of a good converter, below a voice at a tenth of its
#: usual level
SILENCE = 10 ** (-78 / 20)
Side = Literal["left", "right"]  # half of a picture, as the viewer sees it


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
    share: float | None = None  # seconds for one file while others wait for a decoder; None: as long as any
    memory: int = 1 << 30  # bytes a child may map on top of what it has mapped once it is ready
    picture_memory: int = 256 << 20  # the same for a picture
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


def shown(path: Path | MediaBytes) -> str:
    """The name for a message: a line feed or a byte that is no text must not reach a terminal."""
    name = path.name if isinstance(path, MediaBytes) else os.fspath(path)
    return name if name.isprintable() else repr(name)
