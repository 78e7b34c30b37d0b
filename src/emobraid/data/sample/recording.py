"""One planned clip as real files: a WAV and an MP4."""

import wave
from functools import lru_cache
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from emobraid.data.sample.face import film
from emobraid.data.sample.look import Look
from emobraid.data.sample.plan import Clip
from emobraid.data.sample.portrait import HEIGHT, WIDTH
from emobraid.data.sample.prosody import STEP, Track, manner
from emobraid.data.sample.sentences import syllables
from emobraid.data.sample.voice import RATE, Throat, speak

FRAME_RATE = 12
# With B-frames the macroblock tree of x264 depends on what lay in memory before: the same film, other bytes.
X264 = {"preset": "veryfast", "crf": "25", "threads": "1", "x264-params": "bframes=0:mbtree=0"}

Samples = NDArray[np.int16]  # (N,) at RATE, unless said


@lru_cache(maxsize=64)
def _person(seed: int, speaker: int) -> tuple[Throat, Look]:
    rng = np.random.default_rng([seed, 4, speaker])
    kind = speaker % 3  # low, high, in between
    return Throat.draw(kind, rng), Look.draw(speaker, kind, rng)


def record(clip: Clip, seed: int, folder: Path) -> None:
    """Writes `folder`/audio/NAME.wav and `folder`/video/NAME.mp4, each unless its cell is empty.

    The film carries the sound as well, unless the row is to have no audio at all.
    """
    samples, loudness = voice_of(clip, seed)
    if "audio_path" not in clip.empty:
        _write_wav(folder / "audio" / f"{clip.name}.wav", samples)
    if "video_path" not in clip.empty:
        heard = None if "audio_path" in clip.empty else samples
        write_mp4(folder / "video" / f"{clip.name}.mp4", film_of(clip, seed, loudness), heard)


def voice_of(clip: Clip, seed: int) -> tuple[Samples, Track]:
    """What is heard in a clip, and how loud it is over time."""
    throat, _ = _person(seed, clip.speaker)
    how = manner(clip.voice.emotion, clip.voice.intensity)
    sound, loudness = speak(throat, how, syllables(clip.text), np.random.default_rng([seed, 2, clip.number]))
    return np.round(sound * 32767).astype(np.int16), loudness


def film_of(clip: Clip, seed: int, loudness: Track) -> NDArray[np.uint8]:
    """(T, H, W, 3) BGR: the face of a clip, its mouth moving with the voice."""
    _, look = _person(seed, clip.speaker)
    rng = np.random.default_rng([seed, 3, clip.number])
    return film(look, clip.face.emotion, clip.face.intensity, _mouth(loudness), FRAME_RATE, rng)


def _mouth(loudness: Track) -> Track:
    """How far speech opens the mouth in each frame, 0..1."""
    middles = (np.arange(round(len(loudness) * STEP * FRAME_RATE)) + 0.5) / FRAME_RATE
    return np.clip(np.interp(middles, np.arange(len(loudness)) * STEP, loudness / loudness.max()), 0, 1)


def _write_wav(path: Path, samples: Samples) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes(samples.astype("<i2").tobytes())


def write_mp4(
    path: Path, frames: NDArray[np.uint8], samples: Samples | None, *, rate: int = RATE, layout: str = "mono"
) -> None:
    """H.264 at FRAME_RATE with AAC; `samples` are (N,) or, for a layout of C channels, (C, N), at `rate`."""
    with av.open(str(path), "w", format="mp4") as container:
        video = container.add_stream("libx264", rate=FRAME_RATE, options=X264)
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = (
            None
            if samples is None
            else container.add_stream("aac", rate=rate, layout=layout, bit_rate=48_000, options={"aac_coder": "fast"})
        )
        for frame in frames:
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, format="bgr24")))
        container.mux(video.encode(None))
        if audio is not None and samples is not None:
            sound = av.AudioFrame.from_ndarray(np.atleast_2d(samples), format="s16p", layout=layout)
            sound.sample_rate, sound.pts = rate, 0
            container.mux(audio.encode(sound))
            container.mux(audio.encode(None))
