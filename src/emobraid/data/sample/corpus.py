"""The sample corpus as a folder: made aside by several processes, checked by a manifest, put in place at once."""

import csv
import hashlib
import json
import multiprocessing
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import cv2

from emobraid.data.origin import MANIFEST
from emobraid.data.sample.folder import whole
from emobraid.data.sample.plan import SPEAKERS, Clip, plan
from emobraid.data.sample.readme import readme
from emobraid.data.sample.recording import record

EDITION = 1  # to be raised whenever the same seed gives another corpus
COLUMNS = ("text", "audio_path", "video_path", "emotion", "speaker")
FEWEST = 14  # clips; fewer leave a split without rows

Settings = dict[str, int]


def make_sample_corpus(
    folder: Path,
    *,
    seed: int = 0,
    clips: int = 560,
    workers: int = 2,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Writes train.csv, val.csv, test.csv, audio/, video/ and README.md of a synthetic corpus into `folder`.

    `folder` must be new or empty, or hold the same corpus already: then nothing happens. The same `seed` and `clips`
    give the same bytes whatever `workers` (processes) is, with the same versions of the libraries. `progress` is called
    with how many clips are done and how many there will be. Everything is made beside `folder` and renamed at the end,
    so an interruption leaves no half corpus. Scripts need the usual `if __name__ == "__main__":` when workers > 1.

    Raises ValueError for settings out of range and for a folder that holds anything else or cannot be written.
    """
    for name, value, least in (("seed", seed, 0), ("clips", clips, FEWEST), ("workers", workers, 1)):
        if value < least:
            raise ValueError(f"{name} must be at least {least}, got {value}")
    folder = Path(folder).expanduser().resolve()
    settings = {"edition": EDITION, "seed": seed, "clips": clips}
    if _is_there(folder, settings):
        return
    with whole(folder) as aside:
        _fill(aside, settings, workers, progress)


def _is_there(folder: Path, settings: Settings) -> bool:
    """Whether `folder` holds exactly this corpus already; ValueError when it holds something else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} is not empty and holds no sample corpus: choose a new or an empty folder")
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        made, hashes = {name: manifest[name] for name in settings}, dict(manifest["sha256"])
    except (ValueError, KeyError, TypeError):
        raise ValueError(f"{folder / MANIFEST} is damaged: delete {folder} or choose another folder") from None
    if made != settings:
        told = ["edition {edition}, seed {seed}, {clips} clips".format(**which) for which in (made, settings)]
        raise ValueError(
            f"{folder} holds another sample corpus ({told[0]}; asked for {told[1]}): choose another folder"
        )
    for name, expected in hashes.items():
        if not (folder / name).is_file() or _sha256(folder / name) != expected:
            raise ValueError(f"{folder}: {name} is missing or was changed: delete the folder or choose another")
    return True


def _fill(aside: Path, settings: Settings, workers: int, progress: Callable[[int, int], None] | None) -> None:
    rows = plan(settings["seed"], settings["clips"])
    for part in ("audio", "video"):
        (aside / part).mkdir(parents=True)
    # a speaker's clips one after the other: the head is drawn once for all of them
    jobs = sorted(rows, key=lambda clip: (clip.speaker, clip.number))
    for done in _recorded(jobs, settings["seed"], aside, workers):
        if progress is not None:
            progress(done, len(jobs))
    for split in SPEAKERS:
        _write_table(aside / f"{split}.csv", [clip for clip in rows if clip.split == split])
    (aside / "README.md").write_text(readme(rows, settings["seed"], EDITION), encoding="utf-8")
    files = sorted(path for path in aside.rglob("*") if path.is_file())
    hashes = {path.relative_to(aside).as_posix(): _sha256(path) for path in files}
    (aside / MANIFEST).write_text(json.dumps({**settings, "sha256": hashes}, indent=1) + "\n", encoding="utf-8")


def _recorded(jobs: Sequence[Clip], seed: int, folder: Path, workers: int) -> Iterator[int]:
    """Records every clip of `jobs`; yields how many are done."""
    if workers == 1:
        for done, clip in enumerate(jobs, start=1):
            record(clip, seed, folder)
            yield done
        return
    # spawned, not forked: the caller may have threads that a fork would leave in the middle of things
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(workers, len(jobs)), context, initializer=_start_worker)
    try:
        futures = [pool.submit(record, clip, seed, folder) for clip in jobs]
        for done, future in enumerate(as_completed(futures), start=1):
            future.result()
            yield done
    finally:
        pool.shutdown(cancel_futures=True)


def _start_worker() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which then stops us
    cv2.setNumThreads(1)


def _write_table(path: Path, rows: Sequence[Clip]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for clip in rows:
            cells = {
                "text": clip.text,
                "audio_path": f"audio/{clip.name}.wav",
                "video_path": f"video/{clip.name}.mp4",
                "emotion": clip.emotion.value,
                "speaker": f"speaker_{clip.speaker:02d}",
            }
            writer.writerow("" if column in clip.empty else cells[column] for column in COLUMNS)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
