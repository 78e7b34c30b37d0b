"""Which video of CMU-MOSEI belongs to which split: from a file, or drawn by video."""

import ast
import json
import random
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from emobraid.data.corpus import SPLITS

JSON, PYTHON = "folds.json", "cmu_mosei_std_folds.py"
LARGEST = 16 << 20  # bytes of a folds file
SHARES = {"train": 0.7, "val": 0.1, "test": 0.2}  # of videos, about those of the published folds
#: what the lists are called, in either file
NAMES = {
    "train": ("train", "standard_train_fold"),
    "val": ("val", "valid", "dev", "standard_valid_fold"),
    "test": ("test", "standard_test_fold"),
}

Folds = Mapping[str, tuple[str, ...]]  # video ids by split


def find(root: Path, *names: str) -> Path | None:
    """The first file of one of these names in `root` or up to two folders below it."""
    places = (p for name in names for depth in ("", "*/", "*/*/") for p in sorted(root.glob(depth + name)))
    return next((p for p in places if p.is_file()), None)


def read_folds(root: Path) -> Folds:
    """The folds that a file in `root` names; ValueError says where to get it, or what is wrong in it."""
    if (path := find(root, JSON, PYTHON)) is None:
        raise ValueError(
            f"no {JSON} and no {PYTHON} in {root}: the CMU Multimodal SDK has the latter, in mmsdk/mmdatasdk/dataset/"
            "standard_datasets/CMU_MOSEI; --folds random draws other folds by video"
        )
    if path.stat().st_size > LARGEST:
        raise ValueError(f"{path}: {path.stat().st_size:,} bytes are no lists of videos")
    try:
        text = path.read_text(encoding="utf-8")
        lists = _json_lists(text) if path.name == JSON else dict(_python_lists(text))
    except (ValueError, SyntaxError, RecursionError, MemoryError) as error:
        raise ValueError(f"{path}: cannot be read: {' '.join(str(error).split())}") from None
    return _checked(path, lists)


def _json_lists(text: str) -> dict[str, Any]:
    return lists if isinstance(lists := json.loads(text), dict) else {}


def _python_lists(text: str) -> Iterator[tuple[str, Any]]:
    """The lists that a Python file assigns, read as literals: nothing in it is run."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            try:
                yield node.targets[0].id, ast.literal_eval(node.value)
            except ValueError:
                continue


def _checked(path: Path, lists: Mapping[str, Any]) -> Folds:
    found: dict[str, tuple[str, ...]] = {}
    for split, names in NAMES.items():
        videos = next((lists[n] for n in names if n in lists), None)
        if not isinstance(videos, list | tuple) or not all(isinstance(v, str) for v in videos) or not videos:
            raise ValueError(f"{path}: no list of videos for {split}; it would be called {' or '.join(names)}")
        found[split] = tuple(dict.fromkeys(videos))
    if shared := overlap(found):
        raise ValueError(f"{path}: {len(shared)} videos are in two folds, {', '.join(sorted(shared)[:3])}")
    return found


def overlap(folds: Folds) -> set[str]:
    """Videos in more than one fold."""
    counts = Counter(video for videos in folds.values() for video in set(videos))
    return {video for video, count in counts.items() if count > 1}


def random_folds(videos: Collection[str], seed: int) -> Folds:
    """All of `videos`, drawn into the splits by SHARES; the same seed gives the same folds whatever their order."""
    if len(videos) < len(SPLITS):
        raise ValueError(f"{len(videos)} videos cannot be drawn into {len(SPLITS)} folds")
    drawn: Sequence[str] = random.Random(seed).sample(sorted(videos), len(videos))  # noqa: S311  # no secret
    val = max(1, round(SHARES["val"] * len(drawn)))
    test = max(1, round(SHARES["test"] * len(drawn)))
    return {"val": tuple(drawn[:val]), "test": tuple(drawn[val : val + test]), "train": tuple(drawn[val + test :])}
