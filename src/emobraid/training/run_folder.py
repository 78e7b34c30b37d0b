"""The folder of a run: what is there already, and who may write in it."""

import json
import os
import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from emobraid.config import SECTIONS, Config, fields_of, to_tree
from emobraid.data.preparer import Reporter
from emobraid.training import state
from emobraid.training.distillation import SIZES

COMPARED = ("model", "training", "distillation")  # sections of the settings that shape a training
BEST = "best_model"  # the mission's checkpoints/best_model.pth resolves to this folder


def earlier_run(
    config: Config, folder: Path, *, resume: bool, overwrite: bool, reporter: Reporter, given: Collection[str] = ()
) -> state.Saved | None:
    """The state to go on from; ValueError when there is a run and it is not said what to do with it.

    The very same training, asked for once more when it has ended, goes on to its end at once: its data are compared,
    and nothing is trained again.
    """
    if resume and overwrite:
        raise ValueError("--resume continues a run, --overwrite takes it away: give one of them")
    refuse_unwritable(folder)
    saved, damaged = state.newest(folder / "resume")
    for line in damaged:
        reporter.say(f"passed over: {line}")
    if resume and saved:
        refuse_changes(saved.config, config, saved.standing.left_out, given)
        reporter.say(f"resuming from step {saved.standing.step}, epoch {saved.standing.epoch + 1}")
        return saved
    if resume and damaged:
        raise ValueError(f"{folder}: no saved state is whole, nothing to resume; --overwrite starts anew")
    if not overwrite and saved and (folder / BEST).is_dir() and _ended(saved) and _same(saved, config):
        reporter.say(f"{folder} holds this very training, ended: nothing is trained again (--overwrite starts anew)")
        return saved
    if (saved or damaged or (folder / BEST).exists()) and not overwrite:
        raise ValueError(f"{folder} holds a run already: --resume continues it, --overwrite starts anew")
    if resume:
        reporter.say(f"nothing to resume in {folder} yet: starting")
    return None


def _ended(saved: state.Saved) -> bool:
    return saved.standing.stopped or saved.standing.epoch >= saved.config.training.num_epochs


def _same(saved: state.Saved, now: Config) -> bool:
    """Whether every setting that shapes a training is what it was, asked for or usual."""
    try:
        refuse_changes(
            saved.config, now, saved.standing.left_out, {n for s in COMPARED for n in fields_of(SECTIONS[s])}
        )
    except ValueError:
        return False
    return saved.config.data.dataset == now.data.dataset


def refuse_unwritable(folder: Path) -> None:
    """OSError when nothing can be written there: told at once, not after all data have been read."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise NotADirectoryError(f"cannot write to {folder}: {there} is a file")
    if not os.access(there, os.W_OK | os.X_OK):
        raise PermissionError(f"cannot write to {folder}: {there} may not be written to; choose another --output_dir")


def refuse_changes(was: Config, now: Config, left_out: Sequence[str] = (), given: Collection[str] = ()) -> None:
    """A resumed run must be the same run: data paths and workers may differ, nothing else.

    A setting that was not `given` and is the usual one does not count as asked for. `left_out` are modalities that were
    asked for and that the run's data do not have.
    """
    default = to_tree(Config())
    for section in COMPARED:
        before, after = to_tree(was)[section], to_tree(now)[section]
        for name in fields_of(SECTIONS[section]):
            if name.endswith("_width") or before.get(name) == after.get(name) or _sized(name, now):
                continue
            if name == "modalities" and [m for m in after[name] if m not in left_out] == before[name]:
                continue
            if name in given or after.get(name) != default[section].get(name):
                raise ValueError(
                    f"{section}.{name} was {before.get(name)} in this run and is {after.get(name)} now; "
                    "leave it out to resume, or start anew in another folder"
                )


def _sized(name: str, now: Config) -> bool:
    """Whether a student's size, which is compared itself, says what this setting is."""
    return now.distillation.student_size is not None and name in SIZES[now.distillation.student_size]


@contextmanager
def only_trainer(folder: Path) -> Iterator[None]:
    """One trainer a folder; the lock goes with its process, so a killed one leaves none behind."""
    who = folder / ".trainer.json"
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise ValueError(
            f"{folder} is in use by another training: {who.read_text() if who.is_file() else '?'}"
        ) from None
    try:
        who.write_text(json.dumps({"pid": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S")}))
        yield
    finally:
        lock.release()


def clear(folder: Path) -> None:
    """Take away an earlier run's files, and nothing else that lies in the folder."""
    for name in ("resume", BEST, "tensorboard"):
        shutil.rmtree(folder / name, ignore_errors=True)
    for name in ("metrics.jsonl", "training.png"):
        (folder / name).unlink(missing_ok=True)
