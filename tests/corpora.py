"""Tiny corpora in the mission's layout: published features, made in a moment, and raw clips; what a refusal says."""

import csv
import hashlib
import wave
from contextlib import contextmanager
from pathlib import Path

import av
import numpy as np
import pytest

from emobraid.config import Config, parse
from emobraid.data.sample.plan import plan
from emobraid.data.sample.recording import record
from emobraid.training.run import train

LABELS = ("happy", "sad", "angry")
COLUMNS = ("text", "audio_path", "video_path", "emotion")
ROWS = {"train": 24, "val": 12, "test": 12}

#: the smallest model that has every part
SMALL = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "fusion_type": "late"}
FEATURES = {"modalities": ["audio", "video"], "audio_encoder": "features", "video_encoder": "features"}
SHORT = {"batch_size": 8, "num_epochs": 3, "learning_rate": 1e-2, "patience": 3}


def write_table(path: Path, rows, columns=COLUMNS) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])


def feature_corpus(root: Path, *, rows=ROWS) -> Path:
    """Audio vectors of width 4 and video sequences of width 3 that lean towards their class; some cells are empty."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    place, audio, video = 0, [], []
    for split, count in rows.items():
        table = []
        for i in range(count):
            label = i % len(LABELS)
            audio.append(rng.normal(size=4) + 2 * np.eye(4)[label])
            video.append(rng.normal(size=(5, 3)) + np.eye(3)[label])
            heard = "" if i % 7 == 3 else f"arrays.npz#audio[{place}]"
            seen = "" if i % 5 == 4 else f"arrays.npz#video[{place}]"
            table.append([f"this is {LABELS[label]}, {i}", heard, seen, LABELS[label]])
            place += 1
        write_table(root / f"{split}.csv", table)
    np.savez(root / "arrays.npz", audio=np.array(audio), video=np.array(video))
    return root


def feature_config(root: Path, **changed) -> Config:
    """The settings of a short training on `feature_corpus(root)`; `changed` may name settings of any section."""
    tree = {
        "model": {**SMALL, **FEATURES, "labels": list(LABELS)},
        "training": dict(SHORT),
        "data": {"data_root": str(root), "cache": False, "workers": 1},
    }
    for name, value in changed.items():
        section = next(s for s in ("training", "data", "model") if name in getattr(Config(), s).__dataclass_fields__)
        tree[section][name] = value
    return parse(tree, "test")


def as_flags(config: Config, *sections: str) -> list[str]:
    """The same settings as flags of `emobraid train`, or those of `sections` alone."""
    flags = []
    default = Config()
    for section in sections or ("model", "training", "data"):
        for name in getattr(config, section).__dataclass_fields__:
            value = getattr(getattr(config, section), name)
            if value == getattr(getattr(default, section), name):
                continue
            if isinstance(value, bool):
                flags.append(f"--{name}" if value else f"--no_{name}")
            else:
                flags += [f"--{name}", *map(str, value if isinstance(value, tuple) else (value,))]
    return flags


def write_wav(path: Path, samples: np.ndarray) -> Path:
    """Samples (N,) in -1..1 at 16 kHz."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(np.round(samples * 32767).astype("<i2").tobytes())
    return path


def tone(path: Path, pitch: float = 220.0, seconds: float = 0.5) -> Path:
    return write_wav(path, 0.3 * np.sin(2 * np.pi * pitch * np.arange(round(16_000 * seconds)) / 16_000))


def silence(path: Path, seconds: float = 0.5) -> Path:
    return write_wav(path, np.zeros(round(16_000 * seconds)))


def talking_face(folder: Path) -> Path:
    """An MP4 of a drawn face that speaks, with its sound."""
    for part in ("audio", "video"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    clip = next(c for c in plan(0, 14) if not c.empty)
    record(clip, 0, folder)
    return folder / "video" / f"{clip.name}.mp4"


def faceless_video(path: Path) -> Path:
    """Ten grey frames, without sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width = stream.height = 96
        stream.pix_fmt = "yuv420p"
        for shade in range(10):
            frame = np.full((96, 96, 3), 100 + shade, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def clip_corpus(root: Path) -> Path:
    """Six, three and three rows of raw clips: words, a tone of a pitch for each class, one talking face for all."""
    root.mkdir(parents=True)
    face = talking_face(root).relative_to(root)
    for i, label in enumerate(LABELS):
        tone(root / "audio" / f"{label}.wav", 150.0 * (i + 1))
    for split, count in {"train": 6, "val": 3, "test": 3}.items():
        rows = []
        for i in range(count):
            label = LABELS[i % len(LABELS)]
            rows.append([f"I am {label}", f"audio/{label}.wav", face if i % 2 == 0 else "", label])
        write_table(root / f"{split}.csv", rows)
    return root


def clip_config(root: Path, **changed) -> Config:
    """The settings of a very short training on `clip_corpus(root)`."""
    raw = {"modalities": ["text", "audio", "video"], "audio_encoder": "compact", "video_encoder": "compact"}
    return feature_config(root, **{**raw, "video_max_frames": 4, "num_epochs": 1, "batch_size": 3, **changed})


class Onlooker:
    """A reporter that keeps what is said, shows nothing and calls `at_step` and `at_epoch` as the run goes."""

    def __init__(self, *, at_step=None, at_epoch=None):
        self.said = []
        self.at_step, self.at_epoch = at_step, at_epoch

    def say(self, line):
        self.said.append(line)

    def progress(self, task):
        return lambda done, of: None

    @contextmanager
    def named(self, name):
        yield self

    def watchers(self, *_):
        return [self]

    def step(self, standing, values):
        if self.at_step:
            self.at_step(standing)

    def epoch(self, standing, values):
        if self.at_epoch:
            self.at_epoch(standing)


def results(folder: Path) -> dict[str, str]:
    """The sha256 of everything that has to come out the same, bit for bit."""
    names = ("best_model/model.safetensors", "best_model/calibration.json", "metrics.jsonl")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}


def run(config: Config, folder: Path, *, resume=False, overwrite=False, reporter=None):
    return train(config, folder, resume=resume, overwrite=overwrite, reporter=reporter or Onlooker())


def refusal(call) -> str:
    """The one line with which `call` is refused."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message
