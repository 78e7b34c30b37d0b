"""The published RAVDESS features as tables: five folds, no actor in two of them. Read by the benchmarks beside it."""

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

FOLDS = range(5)


def three_ways(fold: int) -> dict[str, list[int]]:
    """Test fold `fold`, validation the next one, the other three for training."""
    test, val = FOLDS[fold], FOLDS[(fold + 1) % len(FOLDS)]
    return {"train": [f for f in FOLDS if f not in (test, val)], "val": [val], "test": [test]}


def write_folds(features: Path, folder: Path, splits: Mapping[str, Collection[int]], *, label: str) -> list[str]:
    """The mission's CSV layout, a table of each of `splits` with the clips of its folds; the labels of all clips.

    `features` holds clips.csv and features.npz; `label` is emotion7 or emotion8.
    """
    with (features / "clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    folds = sorted({c["fold5"] for c in clips})
    arrays = (features / "features.npz").resolve()
    folder.mkdir(parents=True, exist_ok=True)
    for split, own in splits.items():
        rows = [
            {
                "audio_path": f"{arrays}#audio_w2v2[{clip['row']}]",
                "video_path": f"{arrays}#visual_au[{clip['row']}]",
                "emotion": clip[label],
                "speaker": clip["actor"],
            }
            for clip in clips
            if folds.index(clip["fold5"]) in own
        ]
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return sorted({c[label] for c in clips})
