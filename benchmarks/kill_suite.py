"""kill -9 in each of the five stages of `--mode all`, always resumed: does the unbroken suite's summary come out?

    python benchmarks/kill_suite.py runs/kill_suite --data_root sample --seed 0
    python benchmarks/kill_suite.py runs/kill_suite --data_root sample -- --config sample --num_epochs 2 --jobs 1

Each kill comes a random time, --seconds or down to half of that, after a stage has begun. The summary of the suite that
was killed is compared with that of one that nobody touched, but for what a clock says (training s, ms). Exit code 1 if
they differ. What follows `--` goes to `emobraid train`. How long the unbroken one took is told.
"""

import argparse
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from emobraid.study.suite import SUMMARY

#: what is there once a stage has begun
BEGUN = {
    "standard training": "trials/hierarchical-0",
    "all fusions": "trials/mult-0",
    "few-shot learning": "few_shot",
    "distillation": "trials/tiny-0",
    "robustness": "trials/robust-0",
}
CLOCKED = ("ms", "training s")  # columns


def start(flags: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """The suite in a process of its own, its words going to FOLDER.txt."""
    command = [sys.executable, "-m", "emobraid", "train", "--mode", "all", *flags, "--output_dir", str(folder)]
    with Path(f"{folder}.txt").open("ab") as words:
        return subprocess.Popen(command, stdout=words, stderr=words)


def finish(flags: Sequence[str], folder: Path) -> tuple[float, list[str]]:
    """Let the suite go to its end; the seconds it took, and its summary without what a clock says."""
    began = time.monotonic()
    if code := start(flags, folder).wait():
        raise SystemExit(f"the suite in {folder} ended with {code}: see {folder}.txt")
    return time.monotonic() - began, timeless((folder / SUMMARY).read_text(encoding="utf-8"))


def timeless(summary: str) -> list[str]:
    """The lines of a summary without the clocked columns of its tables."""
    kept, left_out = [], set[int]()
    for line in summary.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if found := {i for i, cell in enumerate(cells) if cell in CLOCKED}:
            left_out = found
        elif len(cells) == 1:
            left_out = set()
        kept.append("|".join(cell for i, cell in enumerate(cells) if i not in left_out))
    return kept


def kill_in_next(stages: Sequence[str], flags: Sequence[str], folder: Path, wait: float) -> str | None:
    """Start or resume the suite and kill it `wait` seconds after one of the stages has begun, which is returned; None
    if it was over before."""
    suite = start(flags, folder)
    begun: list[str] = []
    while not begun and suite.poll() is None:
        time.sleep(0.01)
        begun = [stage for stage in stages if (folder / BEGUN[stage]).exists()]
    try:
        suite.wait(wait)
    except subprocess.TimeoutExpired:
        suite.kill()
        suite.wait()
        return begun[0]
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="where the suites go")
    parser.add_argument("--data_root", type=Path, required=True, help="as `emobraid sample-corpus` makes it")
    parser.add_argument("--seed", type=int, default=0, help="of the moments, not of the training")
    parser.add_argument("--seconds", type=float, default=30.0)
    cut = sys.argv.index("--") if "--" in sys.argv else len(sys.argv)
    args, flags = parser.parse_args(sys.argv[1:cut]), sys.argv[cut + 1 :] or ["--config", "sample"]
    flags = [*flags, "--data_root", str(args.data_root)]
    moments = random.Random(args.seed)
    shutil.rmtree(args.out, ignore_errors=True)
    args.out.mkdir(parents=True)
    seconds, expected = finish(flags, args.out / "unbroken")
    print(f"unbroken: {seconds / 60:.1f} min", flush=True)
    left = list(BEGUN)
    while left:
        wait = moments.uniform(args.seconds / 2, args.seconds)  # not while it is still being imported
        stage = kill_in_next(left, flags, args.out / "killed", wait)
        if stage is None:
            raise SystemExit(f"the suite ended before it could be killed in: {', '.join(left)}")
        left.remove(stage)
        print(f"killed in {stage}, after {wait:.1f} s", flush=True)
    seconds, found = finish(flags, args.out / "killed")
    print(f"went on: {seconds / 60:.1f} min; the summary is {'the same' if found == expected else 'DIFFERENT'}")
    return 0 if found == expected else 1


if __name__ == "__main__":
    sys.exit(main())
