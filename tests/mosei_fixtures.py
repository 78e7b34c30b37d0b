"""CMU-MOSEI's own layouts in a few rows, for tests.

A test file takes its fixture by name: `root = mosei_fixtures.root`.
"""

import json
import pickle

import h5py
import numpy as np
import pytest

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.labels import LABEL_SETS
from emobraid.data.layouts import open_corpus

MOSEI = LABEL_SETS["mosei"]
MULTI = {"labels": MOSEI, "label_kind": "multi", "affect": ("sentiment",)}
PUBLISHED = {f"{m}_encoder": "features" for m in ("text", "audio", "video")}

#: sentiment, happy, sad, anger, surprise, disgust, fear of the segments 4-6, -0.5-2 and 2-4 s of the first video, which
#: is out of order; all numbers are exact in 32 bits
FIRST = {
    "labels": [[-1, 0, 0, 1.5, 0, 0.5, 0], [2, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]],
    "intervals": [[4, 6], [-0.5, 2], [2, 4]],
}
WORDS = [("well", 0, 0.5), ("sp", 0.5, 1), ("yes", 1, 2), ("fine", 2, 2.5), ("no", 4, 4.5), ("more", 4.5, 6)]


def write(path, name, tracks, metadata=("x",)):
    with h5py.File(path, "w") as file:
        for video, (features, intervals) in tracks.items():
            file[f"{name}/data/{video}/features"] = np.asarray(features)
            file[f"{name}/data/{video}/intervals"] = np.asarray(intervals, "f4")
        for key in metadata:
            file.create_dataset(f"{name}/metadata/{key}", data=np.array([b'"y"']))


def ratings(*rows):
    return np.array(rows, "f4"), [[i, i + 1] for i in range(len(rows))]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "MOSEI"
    root.mkdir()
    tracks = {
        "aaa": (np.array(FIRST["labels"], "f4"), FIRST["intervals"]),
        "b-1": ratings([3.5, 4, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0]),
        "ccc": ratings([1 / 3, 0, 0, 0, 2, 0, 0]),
        "ddd": ratings([-2, 0, 0, 0, 0, 0, 1]),
        "eee": ratings([1, 1, 0, 0, 0, 0, 0]),
    }
    write(root / "CMU_MOSEI_Labels.csd", "All Labels", tracks)
    spans = [[a, b] for _, a, b in WORDS]
    write(
        root / "CMU_MOSEI_TimestampedWords.csd", "words", {"aaa": (np.array([[w] for w, _, _ in WORDS], "S32"), spans)}
    )
    folds = {"train": ["aaa", "b-1"], "valid": ["ccc"], "test": ["ddd", "gone"]}
    (root / "folds.json").write_text(json.dumps(folds))
    return root


def opened(root, *, data=(), **model):
    return open_corpus(DataConfig(dataset="mosei", data_root=root, **dict(data)), ModelConfig(**model))


SENTIMENTS = ("negative", "neutral", "positive")


def mmsa(rows=2, *, videos=("abc",)):
    """Audio of width 2 with two real positions of four, a face with zeros at both ends."""
    return {
        "id": [f"{videos[i % len(videos)]}$_${i}" for i in range(rows)],
        "raw_text": np.array([f"word {i}" for i in range(rows)]),
        "text": np.ones((rows, 4, 3), "f4"),
        "text_bert": np.stack([np.array([[9, 9, 9, 0], [1, 1, 1, 0], [0, 0, 0, 0]])] * rows).astype("f4"),
        "audio": np.arange(rows * 8, dtype="f4").reshape(rows, 4, 2),
        "audio_lengths": [2] * rows,
        "vision": np.tile(np.array([[0], [5], [0], [6], [0]], "f4"), (rows, 1, 1)),
        "regression_labels": np.linspace(-4, 1, rows).astype("f4"),
    }


def pickled(folder, name="aligned_50.pkl", **changed):
    folder.mkdir(parents=True, exist_ok=True)
    splits = {"train": mmsa(), "valid": mmsa(videos=("v",)), "test": mmsa(videos=("t",))}
    splits["train"] |= changed
    (folder / name).write_bytes(pickle.dumps(splits, protocol=4))
    return folder
