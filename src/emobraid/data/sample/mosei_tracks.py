"""The computational sequences of the made-up CMU-MOSEI."""

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from zlib import crc32

import h5py
import numpy as np

from emobraid.data.mosei_files import FEATURES, LABELS, PAUSE, WORDS
from emobraid.data.mosei_labels import COLUMNS
from emobraid.data.sample.mosei_script import GAP, Part
from emobraid.emotions import Emotion

WIDTHS = {"glove": 300, "covarep": 74, "facet": 35, "openface": 713}
RATES = {"covarep": 100, "facet": 30, "openface": 30}  # rows a second
ROOTS = {"glove": "glove_vectors", "covarep": "COVAREP", "facet": "FACET 4.2", "openface": "OpenFace_2"}


def write_tracks(root: Path, parts: list[Part], seed: int, defects: Collection[str]) -> None:
    videos: dict[str, list[Part]] = {}
    for part in parts:
        videos.setdefault(part.video, []).append(part)
    words = {v: [w for p in some for w in replace(p, start=max(p.start, GAP)).words] for v, some in videos.items()}
    labels = {v: [(p.rating.sentiment, *p.rating.intensities) for p in some] for v, some in videos.items()}
    spans = {v: [(p.start, p.end) for p in some] for v, some in videos.items()}
    if "out_of_order" in defects:
        labels["v000"], spans["v000"] = labels["v000"][::-1], spans["v000"][::-1]
    _write(root / LABELS, "All Labels", {v: (np.array(labels[v], "<f4"), spans[v]) for v in videos}, list(COLUMNS))
    times = {v: [(a, b) for _, a, b in some] for v, some in words.items()}
    said = {v: (np.array([[w.encode()] for w, _, _ in some], "S32"), times[v]) for v, some in words.items()}
    _write(root / WORDS, "words", said)
    vectors = {v: (np.stack([_vector(w) for w, _, _ in some]), times[v]) for v, some in words.items()}
    _write(root / FEATURES["glove"], ROOTS["glove"], vectors)
    for name, rate in RATES.items():
        tracks = {v: _frames(some, name, rate, np.random.default_rng([seed, 7, crc32(v.encode())]))
                  for v, some in videos.items()}  # fmt: skip
        if name == "covarep" and "minus_infinity" in defects:
            tracks["v000"][0][::7, 1] = -np.inf
        if name == "facet" and "no_features" in defects:
            del tracks["v001"]
        _write(root / FEATURES[name], ROOTS[name], tracks)
        if name == "openface" and "no_metadata" in defects:
            with h5py.File(root / FEATURES[name], "a") as file:
                del file[ROOTS[name]]["metadata"]


def _vector(word: str) -> np.ndarray:
    """A direction of its own for every word; zeros for a pause, as in the published file."""
    rng = np.random.default_rng(crc32(word.encode()))
    return (rng.normal(size=WIDTHS["glove"]) * (word != PAUSE)).astype("<f4")


def _frames(parts: list[Part], name: str, rate: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Noise that leans towards the emotion of each segment; frames from the video's start to its end."""
    count = int(parts[-1].end * rate)
    times = np.arange(count + 1) / rate
    values = rng.normal(size=(count, WIDTHS[name])).astype("<f4")
    for part in parts:
        inside = (times[:-1] >= part.start) & (times[:-1] < part.end)
        values[inside, list(Emotion).index(part.clip.emotion)] += 1.5
    return values, np.stack([times[:-1], times[1:]], axis=1)


def _write(
    path: Path, name: str, tracks: Mapping[str, tuple[np.ndarray, object]], dimensions: list[str] | None = None
) -> None:
    """As the SDK does: 32-bit numbers, metadata as JSON in datasets of one string."""
    with h5py.File(path, "w") as file:
        for video, (values, spans) in tracks.items():
            group = file.create_group(f"{name}/data/{video}")
            group.create_dataset("features", data=values)
            group.create_dataset("intervals", data=np.asarray(spans, "<f4"))
        told = {"root name": name, "dimension names": dimensions or [], "dataset name": "a made-up CMU-MOSEI"}
        for key, value in {**told, "computational sequence version": "1.0"}.items():
            place = file.create_dataset(f"{name}/metadata/{key}", (1,), dtype=h5py.string_dtype())
            place[0] = json.dumps(value)
