"""The mission's CSV layout from real RAVDESS recordings, to train, evaluate and predict on.

    python benchmarks/ravdess.py speech DATA/ravdess_speech runs/ravdess            # actors 1-16 / 17-20 / 21-24
    python benchmarks/ravdess.py folds DATA/ravdess_speech runs/ravdess             # eight folds of three actors
    python benchmarks/ravdess.py audiovisual DATA/ravdess_speech DATA/ravdess_av_actor01 runs/ravdess

Only tables are written, with absolute paths; the media stay where they are, so give DATA as --allow_outside:

    emobraid train --config speech --data_root runs/ravdess/speech --allow_outside DATA --output_dir runs/ravdess/run

`audiovisual` trains on the other actors' voices (no video) and on half of actor 01's audio-visual takes, and tests on
takes of actor 01 that it has not seen: it shows that everything runs on real clips with missing modalities. One actor
is no measure of anything, and the two sentences carry no emotion.
"""

import argparse
import csv
from collections.abc import Callable, Iterable
from pathlib import Path

Row = dict[str, str]
FOLDS = 8


def manifest(folder: Path) -> list[Row]:
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        return [{**row, "path": str((folder / row["path"]).resolve())} for row in csv.DictReader(file)]


def spoken(row: Row) -> Row:
    return {
        "text": row["text"],
        "audio_path": row["path"],
        "video_path": "",
        "emotion": row["emotion"],
        "speaker": row["speaker"],
    }


def seen(row: Row) -> Row:
    """An audio-visual take: its sound track is its audio."""
    return {**spoken(row), "video_path": row["path"]}


def write(folder: Path, **splits: Iterable[Row]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in splits.items():
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["text", "audio_path", "video_path", "emotion", "speaker"])
            writer.writeheader()
            writer.writerows(rows)
    print(folder)


def actor(row: Row) -> int:
    return int(row["speaker"][-2:])


def write_speech(speech: Path, out: Path) -> None:
    rows = manifest(speech)
    write(out / "speech", **{s: [spoken(r) for r in rows if r["split"] == s] for s in ("train", "val", "test")})


def write_folds(speech: Path, out: Path) -> None:
    """Actors 1-3, 4-6, ... are tested in turn; the three after them choose the epoch."""
    rows = manifest(speech)
    for fold in range(FOLDS):
        part = [(spoken(r), ((actor(r) - 1) // 3 - fold) % FOLDS) for r in rows]
        write(
            out / f"fold{fold}",
            train=[r for r, place in part if place > 1],
            val=[r for r, place in part if place == 1],
            test=[r for r, place in part if place == 0],
        )


def write_audiovisual(speech: Path, takes: Path, out: Path) -> None:
    voices = [r for r in manifest(speech) if actor(r) != 1]
    clips = sorted(manifest(takes), key=lambda r: (r["emotion"], r["path"]))
    # every emotion's takes in turn to train, test, train, val: all four sets of one actor
    turns = [clips[i::4] for i in range(4)]
    write(
        out / "audiovisual",
        train=[spoken(r) for r in voices if r["split"] == "train"] + [seen(r) for r in turns[0] + turns[2]],
        val=[spoken(r) for r in voices if r["split"] == "val"] + [seen(r) for r in turns[3]],
        test=[seen(r) for r in turns[1]],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", choices=["speech", "folds", "audiovisual"])
    parser.add_argument("paths", nargs="+", type=Path, help="the data folders named above, then the output folder")
    args = parser.parse_args()
    wanted = {"speech": 2, "folds": 2, "audiovisual": 3}[args.layout]
    if len(args.paths) != wanted:
        parser.error(f"{args.layout} needs {wanted} folders, see above")
    writers: dict[str, Callable[..., None]] = {
        "speech": write_speech,
        "folds": write_folds,
        "audiovisual": write_audiovisual,
    }
    writers[args.layout](*args.paths)


if __name__ == "__main__":
    main()
