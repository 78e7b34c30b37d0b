"""kill -9 at random moments of a short training, always resumed: do the bits of the unbroken run come out?

    python benchmarks/kill.py runs/kill --kills 20 --seed 0
    python benchmarks/kill.py runs/kill --data_root data -- --config features --num_epochs 5 --save_every 2

Every other kill is aimed into a save, while a checkpoint lies half written. A run is killed one to three times, then
left to end, and its weights, temperatures and metrics log are compared with those of a run that nobody touched. Exit
code 1 if any differs. Without --data_root a small sample corpus is made; what follows `--` goes to `emobraid train`.
"""

import argparse
import hashlib
import multiprocessing
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

RESULTS = ("best_model/model.safetensors", "best_model/calibration.json", "metrics.jsonl")
SMALL = shlex.split(
    "--config sample --encoder_dim 32 --fusion_hidden_size 32 --batch_size 8 --num_epochs 4 --save_every 3"
)
SAVES = 6  # a kill aimed into a save waits for one of the next six

# imported once, and every training is a fork of that: a start would take longer than the training
FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "emobraid.cli",
        "emobraid.training.run",
        "emobraid.training.display",
        "torch._dynamo",
        "tensorboard.summary.writer",
    ]
)


@dataclass
class Kill:
    """One kill and what came of it."""

    run: int
    aimed: str
    after: float  # seconds
    lines: int  # of the metrics log
    left: str  # what lay half done
    resumed: str = ""


def train(flags: Sequence[str], folder: str) -> None:
    """`emobraid train --resume` in a process of its own, its words going to FOLDER.txt."""
    words = os.open(f"{folder}.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(words, stream)
    import torch

    from emobraid.cli import main

    torch.set_num_threads(1)
    sys.exit(main(["train", *flags, "--output_dir", folder, "--resume"]))


def start(flags: Sequence[str], folder: Path) -> BaseProcess:
    Path(f"{folder}.txt").write_text("")  # it may be killed before it empties the file itself
    process = FORKS.Process(target=train, args=(list(flags), str(folder)))
    process.start()
    return process


def told(folder: Path) -> str:
    return Path(f"{folder}.txt").read_text()


def finish(flags: Sequence[str], folder: Path) -> dict[str, str]:
    """Let the run in `folder` go to its end; the sha256 of each of its results."""
    process = start(flags, folder)
    process.join()
    if process.exitcode != 0:
        raise SystemExit(f"the training in {folder} ended with {process.exitcode}: {told(folder)}")
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in RESULTS}


def kill_at(process: BaseProcess, seconds: float) -> bool:
    """Kill after that time; False if the run was over before."""
    process.join(seconds)
    return _kill(process)


def kill_in_save(process: BaseProcess, folder: Path, skipped: int, wait: float) -> bool:
    """Kill `wait` seconds into a save, letting `skipped` saves pass; False if the run was over before."""
    seen: set[Path] = set()
    while process.is_alive():
        unfinished = {*folder.glob("resume/*.writing"), *folder.glob("*.writing")} - seen
        if unfinished and len(seen) >= skipped:
            time.sleep(wait)
            return _kill(process)
        seen |= unfinished
    return False


def _kill(process: BaseProcess) -> bool:
    process.kill()
    process.join()
    return process.exitcode == -9


def killed(
    run: int, aimed: str, flags: Sequence[str], folder: Path, seconds: float, rng: np.random.Generator
) -> Kill | None:
    """Start or resume the run in `folder` and kill it; None if it was over before."""
    began = time.monotonic()
    process = start(flags, folder)
    if aimed == "save":
        done = kill_in_save(process, folder, int(rng.integers(SAVES)), float(rng.uniform(0, 0.004)))
    else:
        done = kill_at(process, float(rng.uniform(0, seconds)))
    log = folder / "metrics.jsonl"
    lines = log.read_bytes().count(b"\n") if log.is_file() else 0
    left = sorted(re.sub("-0*", " ", p.name) for p in folder.rglob("*") if p.suffix in (".writing", ".former"))
    return Kill(run, aimed, time.monotonic() - began, lines, ", ".join(left)) if done else None


def broken_run(
    number: int, aims: Sequence[str], flags: Sequence[str], folder: Path, seconds: float, rng: np.random.Generator
) -> tuple[list[Kill], dict[str, str]]:
    """A run killed once for each of `aims` (fewer times if it ends before), then left to end."""
    shutil.rmtree(folder, ignore_errors=True)
    kills: list[Kill] = []
    for aimed in aims:
        kill = killed(number, aimed, flags, folder, seconds, rng)
        if kills:
            kills[-1].resumed = _resumed(folder)
        if kill is None:
            break
        kills.append(kill)
    ended = finish(flags, folder)
    if kills and not kills[-1].resumed:
        kills[-1].resumed = _resumed(folder)
    return kills, ended


def _resumed(folder: Path) -> str:
    """Where the last start went on from; it may have been killed before it could tell."""
    found = re.search(r"resuming from (step \d+)|nothing to resume", told(folder))
    return (found[1] or "the start") if found else "-"


def trial(flags: Sequence[str], out: Path, *, kills: int, seed: int) -> tuple[list[Kill], list[bool]]:
    """All kills in runs of one to three, and for each run whether the unbroken run's bits came out."""
    rng = np.random.default_rng(seed)
    shutil.rmtree(out / "unbroken", ignore_errors=True)
    finish(flags, out / "unbroken")  # fills the cache of prepared inputs
    shutil.rmtree(out / "unbroken")
    began = time.monotonic()
    expected = finish(flags, out / "unbroken")
    seconds = time.monotonic() - began
    all_kills: list[Kill] = []
    same: list[bool] = []
    while len(all_kills) < kills:
        count = min(int(rng.integers(1, 4)), kills - len(all_kills))
        aims = [("any time", "save")[(len(all_kills) + i) % 2] for i in range(count)]
        done, ended = broken_run(len(same), aims, flags, out / f"run{len(same)}", seconds, rng)
        all_kills += done
        same.append(ended == expected)
    return all_kills, same


def show(kills: Sequence[Kill], same: Sequence[bool], console: Console) -> None:
    table = Table("kill", "run", "aimed at", "after", "log", "left half done", "resumed from", "bits")
    for number, kill in enumerate(kills, start=1):
        verdict = "same" if same[kill.run] else "DIFFERENT"
        table.add_row(
            *(str(number), str(kill.run), kill.aimed, f"{kill.after:.1f} s", str(kill.lines)),
            *(kill.left or "-", kill.resumed, verdict),
        )
    console.print(table)
    amid, runs = sum(bool(k.left) for k in kills), {k.run for k in kills}
    console.print(
        f"{len(kills)} kills in {len(runs)} runs, {amid} of them amid a save; {sum(same[r] for r in runs)} of "
        f"{len(runs)} runs ended with the weights, temperatures and log of the unbroken run"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="where the runs go")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments, not of the training")
    parser.add_argument("--data_root", type=Path, help="a corpus with train.csv and val.csv")
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, flags = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :] or SMALL
    args.out.mkdir(parents=True, exist_ok=True)
    if args.data_root is None:
        from emobraid.data.sample import make_sample_corpus

        args.data_root = args.out / "sample"
        make_sample_corpus(args.data_root, clips=42)
    flags = [*flags, "--data_root", str(args.data_root), "--cache_dir", str(args.out / "cache")]
    kills, same = trial(flags, args.out, kills=args.kills, seed=args.seed)
    show(kills, same, Console())
    return 0 if all(same) else 1


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.exit(main())
