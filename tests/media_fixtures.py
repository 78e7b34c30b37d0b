"""Media files for tests, sound and hostile alike, made on the spot, and readers of them.

A test file takes its fixtures by name: `reader = media_fixtures.reader`.
"""

import io
import struct
import zlib
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import psutil
import pytest
import skimage.data
from PIL import Image

from emobraid.media import Limits, MediaReader


def tone(seconds: float, rate: int, frequency: float = 440.0) -> np.ndarray:
    """(N,) float32 sine of amplitude 0.5."""
    return (0.5 * np.sin(2 * np.pi * frequency * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def portrait(size: int = 128) -> np.ndarray:
    """(size, size, 3): the head and shoulders of Eileen Collins (NASA, public domain), her face in the middle."""
    return resized(skimage.data.astronaut()[:256, 96:352], size)


def nobody(size: int = 128) -> np.ndarray:
    """(size, size, 3): a picture without a face."""
    return resized(skimage.data.coffee()[:256, :256], size)


def resized(image: np.ndarray, size: int) -> np.ndarray:
    return np.asarray(Image.fromarray(np.ascontiguousarray(image)).resize((size, size), Image.Resampling.BOX))


def wav(samples: np.ndarray, rate: int = 16_000, *, size: int | None = None, kind: str = "<i2") -> bytes:
    """A WAV of (N,) or (N, C) floats, as "<i2" or as "<f4", which can hold NaN; `size` is what its header claims."""
    channels = 1 if samples.ndim == 1 else samples.shape[1]
    data = ((samples * 32767).round() if kind == "<i2" else samples).astype(kind).tobytes()
    size = len(data) if size is None else size
    width = np.dtype(kind).itemsize
    about = (1 if kind == "<i2" else 3, channels, rate, rate * channels * width, channels * width, 8 * width)
    riff = struct.pack("<4sI4s4sI", b"RIFF", min(size + 36, 0xFFFFFFFF), b"WAVE", b"fmt ", 16)
    return riff + struct.pack("<HHIIHH4sI", *about, b"data", size) + data


def write_sound(path: Path, channels: np.ndarray, rate: int, codec: str, container: str | None = None) -> Path:
    """Encodes (C, N) floats."""
    layout = {1: "mono", 2: "stereo", 8: "7.1"}[len(channels)]
    with av.open(str(path), "w", format=container) as out:
        stream = out.add_stream(codec, rate=rate, layout=layout)
        for at in range(0, channels.shape[1], 4096):
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(channels[:, at : at + 4096]), "fltp", layout)
            frame.sample_rate, frame.pts, frame.time_base = rate, at, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def write_video(
    path: Path,
    images: Sequence[np.ndarray],
    *,
    rate: int = 10,
    codec: str = "libx264",
    container: str | None = None,
    options: dict[str, str] | None = None,
    rotation: int | None = None,
    stamps: Sequence[int] | None = None,
    key_every: int = 12,
    sound: np.ndarray | None = None,
) -> Path:
    """Encodes (H, W, 3) images, at `stamps` in ms if given, and `sound` (N,) at 48 kHz if given."""
    with av.open(str(path), "w", format=container, options=options or {}) as out:
        fast = {"libx264": {"preset": "ultrafast"}, "libvpx": {"deadline": "realtime", "cpu-used": "8"}}
        video = out.add_stream(codec, rate=rate, options=fast.get(codec, {}))
        video.height, video.width = images[0].shape[:2]
        video.pix_fmt, video.gop_size = ("yuvj420p" if codec == "mjpeg" else "yuv420p"), key_every
        if stamps is not None:
            video.codec_context.time_base = Fraction(1, 1000)
        if rotation is not None:
            video.set_display_rotation(rotation)
        if sound is not None:
            audio = out.add_stream("libopus" if container == "webm" else "aac", rate=48_000, layout="mono")
        for i, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image))
            if stamps is not None:
                frame.pts, frame.time_base = stamps[i], Fraction(1, 1000)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
        if sound is not None:
            whole = av.AudioFrame.from_ndarray(sound[None], "fltp", "mono")
            whole.sample_rate, whole.time_base = 48_000, Fraction(1, 48_000)
            out.mux(audio.encode(whole))
            out.mux(audio.encode(None))
    return path


def flac(path: Path, seconds: float, *, claimed: int, rate: int = 8000) -> Path:
    """A FLAC of silence whose header claims to hold `claimed` samples; 0 means that it does not say."""
    write_sound(path, np.zeros((1, round(seconds * rate)), np.float32), rate, "flac")
    data = bytearray(path.read_bytes())
    # STREAMINFO follows "fLaC" and a block header of 4 bytes; its last 36 bits before the MD5 are the count
    packed = int.from_bytes(data[18:26], "big") >> 36 << 36 | claimed
    data[18:26] = packed.to_bytes(8, "big")
    path.write_bytes(data)
    return path


def png_header(width: int, height: int) -> bytes:
    """A PNG of any size on paper, with a thousand bytes of data."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(1000))) + chunk(b"IEND", b"")


def saved(image: np.ndarray | Image.Image, kind: str = "PNG", **options: object) -> bytes:
    """An image as the bytes of a file."""
    buffer = io.BytesIO()
    (Image.fromarray(image) if isinstance(image, np.ndarray) else image).save(buffer, kind, **options)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def reader() -> Iterator[MediaReader]:
    with MediaReader() as reader:
        yield reader


@pytest.fixture(scope="module")
def victim(tmp_path_factory) -> Iterator[MediaReader]:
    """A reader with tight limits, for tests that cost it its child."""
    with MediaReader(limits=Limits(seconds=20, deadline=4.0, memory=24 << 20)) as reader:
        reader.audio(put(tmp_path_factory.mktemp("victim"), "a.wav", wav(tone(0.1, 16_000))))
        yield reader


@pytest.fixture
def short(tmp_path: Path) -> Path:
    """A tenth of a second of sound."""
    (tmp_path / "short.wav").write_bytes(wav(tone(0.1, 16_000)))
    return tmp_path / "short.wav"


def put(folder: Path, name: str, data: bytes) -> Path:
    (folder / name).write_bytes(data)
    return folder / name


def child_of(reader: MediaReader, path: Path) -> psutil.Process:
    """The child that reads `path` for a reader of one worker."""
    reader.audio(path)
    return psutil.Process(reader._decoders[0]._process.pid)
