"""Which data a model was trained on, as its checkpoint remembers it."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

from emobraid import checkpoint
from emobraid.config import DataConfig

#: what says which rows are read and how; speed, cache and what may be read outside are for each machine to say
REMEMBERED = ("data_root", "video_features", "alignment", "folds", "split_seed", "fold", "soft_labels")


def as_trained(model_path: Path, asked: DataConfig, given: Collection[str]) -> DataConfig:
    """The settings of data that were asked for; of those not `given`, what the model was trained on.

    On another dataset than its own nothing of that holds, and a folder that is not there any more is not looked for.
    """
    folder = checkpoint.resolve(model_path)
    if not (folder / "config.toml").is_file():
        return asked  # damaged: whoever loads it says so
    own = checkpoint.load_config(folder, {"config.toml": (folder / "config.toml").read_bytes()}).data
    if "dataset" in given and asked.dataset != own.dataset:
        return asked
    if "data_root" not in given and not own.data_root.is_dir():
        return asked if own.dataset == "csv" else replace(asked, **_kept(own, given, leaving=("data_root",)))
    return replace(asked, **_kept(own, given))


def _kept(own: DataConfig, given: Collection[str], leaving: Collection[str] = ()) -> dict[str, Any]:
    names = ("dataset", *REMEMBERED)
    return {name: getattr(own, name) for name in names if name not in given and name not in leaving}
