"""A made-up corpus in the exact layout of CMU-MOSEI: computational sequences, folds, transcripts, films; and defects.

The people, their videos and what they think of films do not exist.
"""

import json
import wave
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from emobraid.data.folds import JSON
from emobraid.data.mosei_files import SOUNDS, TRANSCRIPTS, VIDEOS
from emobraid.data.mosei_labels import Rating
from emobraid.data.origin import ABOUT, EXPECTED_FILE
from emobraid.data.sample.folder import check, whole
from emobraid.data.sample.mosei_script import GAP, SEGMENTS, Part, script
from emobraid.data.sample.mosei_tracks import write_tracks
from emobraid.data.sample.recording import FRAME_RATE, film_of, voice_of, write_mp4
from emobraid.data.sample.voice import RATE

DEFECTS = (
    *("no_metadata", "out_of_order", "negative_start", "minus_infinity", "no_features", "out_of_range", "no_fold"),
    "missing_film",
)
FEWEST = 5 * SEGMENTS  # segments; fewer leave a split without a video


def make_sample_mosei(
    folder: Path,
    *,
    seed: int = 0,
    clips: int = 48,
    defects: Collection[str] = (),
    media: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes a synthetic corpus in CMU-MOSEI's layout into `folder`, which must be new or empty.

    `clips` segments, three a video, with labels, words, GloVe, COVAREP, FACET, OpenFace2, folds.json, transcripts and,
    with `media`, films and sound. `expected.json` says what there should be, for the audit. `defects` spoils some:
    `no_metadata` (OpenFace2), `out_of_order` (v000's labels), `negative_start` (v000's first segment),
    `minus_infinity` (v000's COVAREP), `no_features` (v001 in FACET), `out_of_range` (v001's first segment), `no_fold`
    (the last of train), `missing_film` (v001).
    ValueError for settings out of range and a folder that holds anything.
    """
    check(folder, seed, clips, defects, known=DEFECTS, fewest=FEWEST, of=SEGMENTS)
    with whole(folder) as aside:
        _fill(aside, seed, clips, frozenset(defects), media, progress)


def _fill(
    root: Path,
    seed: int,
    clips: int,
    defects: Collection[str],
    media: bool,
    progress: Callable[[int, int], None] | None,
) -> None:
    for inside in (TRANSCRIPTS, VIDEOS, SOUNDS) if media else (TRANSCRIPTS,):
        (root / "Raw" / inside).mkdir(parents=True)
    planned, parts = script(seed, clips), list[Part]()
    videos = [planned[i : i + SEGMENTS] for i in range(0, len(planned), SEGMENTS)]
    for done, video in enumerate(videos):
        parts += _record(root, video, seed, media)
        if progress:
            progress(done + 1, len(videos))
    spoilt = _spoilt(parts, defects)
    write_tracks(root, spoilt, seed, defects)
    for name in {p.video: None for p in parts}:
        lines = [p for p in spoilt if p.video == name]
        text = "".join(f"{name}___{p.number}___{p.start:.4f}___{p.end:.4f}___{p.clip.text}\n" for p in lines)
        (root / "Raw" / TRANSCRIPTS / f"{name}.txt").write_text(text, encoding="utf-8")
    folds = {own: sorted({p.video for p in parts if p.split == own}) for own in ("train", "val", "test")}
    if "no_fold" in defects:
        folds["train"] = folds["train"][:-1]
    told = {"train": folds["train"], "valid": folds["val"], "test": folds["test"]}
    (root / JSON).write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    if media and "missing_film" in defects:
        (root / "Raw" / VIDEOS / "v001.mp4").unlink()
    expected = {
        "about": ABOUT.format("CMU-MOSEI"),
        "videos": len(videos),
        "rows": {split: sum(p.split == split for p in parts) for split in ("train", "val", "test")},
        "no_fold": 0,
    }
    (root / EXPECTED_FILE).write_text(json.dumps(expected, indent=1) + "\n", encoding="utf-8")
    (root / "README.md").write_text(README.format(seed=seed, clips=clips), encoding="utf-8")


def _record(root: Path, video: Sequence[Part], seed: int, media: bool) -> list[Part]:
    """The segments of a video with their times; its film and sound if wanted."""
    sounds, films, placed, now = list[np.ndarray](), list[np.ndarray](), list[Part](), 0.0
    for part in video:
        samples, loudness = voice_of(part.clip, seed)
        start, end = now + GAP, now + GAP + len(samples) / RATE
        placed.append(replace(part, start=start, end=end))
        sounds += [np.zeros(round(GAP * RATE), np.int16), samples]
        if media:
            film = film_of(part.clip, seed, loudness)
            films += [np.repeat(film[:1], round(GAP * FRAME_RATE), axis=0), film]
        now = end
    if media:
        name, sound = placed[0].video, np.concatenate(sounds)
        with wave.open(str(root / "Raw" / SOUNDS / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            file.writeframes(sound.astype("<i2").tobytes())
        write_mp4(root / "Raw" / VIDEOS / f"{name}.mp4", np.concatenate(films), sound)
    return placed


def _spoilt(parts: list[Part], defects: Collection[str]) -> list[Part]:
    """The segments as the files tell of them."""
    told = []
    for part in parts:
        if "negative_start" in defects and (part.video, part.number) == ("v000", 0):
            told.append(replace(part, start=-0.5))
        elif "out_of_range" in defects and (part.video, part.number) == ("v001", 0):
            told.append(replace(part, rating=Rating(3.5, (4.0, *part.rating.intensities[1:]))))
        else:
            told.append(part)
    return told


README = """\
# A synthetic corpus in the layout of CMU-MOSEI

**This is not CMU-MOSEI, and nobody was recorded.** Voices are synthesised, faces drawn, sentences put together from
templates; features are noise that leans towards the emotion. It is there to try and to test the reading of the files:
computational sequences `CMU_MOSEI_*.csd`, `folds.json`, and `Raw/` with transcripts, sound and films.

Made with seed {seed}, {clips} segments. What the audit compares it with is in `expected.json`.
"""
