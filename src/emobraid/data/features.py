"""Cells that point into array files: `features.npz#audio[12]`, `clip_7.npz#frames`, `vector.npy`, `x.safetensors`."""

import re
import zlib
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from safetensors import SafetensorError
from safetensors.torch import load_file

CELL = re.compile(r"^(?P<path>[^#]+)(?:#(?P<name>[^\[\]]+))?(?:\[(?P<row>\d+)\])?$")
SUFFIXES = (".npz", ".npy", ".safetensors")


class ArrayCell(ABC):
    """One utterance's published features, wherever they lie."""

    nothing = "no features at that time"  # what T = 0 means

    @abstractmethod
    def load(self) -> np.ndarray:
        """(W,) or (T, W) numbers, T = 0 when there are none; ValueError says what the file lacks."""


@dataclass(frozen=True)
class FeatureCell(ArrayCell):
    """One utterance's features: a file, the array in it (its only one when not named), the row (all when None)."""

    path: Path
    name: str | None
    row: int | None

    @classmethod
    def parse(cls, value: str) -> "FeatureCell":
        match = CELL.match(value)
        if not match or Path(match["path"]).suffix not in SUFFIXES:
            raise ValueError(f"{value!r} is no feature cell; write file.npz#array[row] ({', '.join(SUFFIXES)})")
        return cls(Path(match["path"]), match["name"], int(match["row"]) if match["row"] else None)

    def at(self, path: Path) -> "FeatureCell":
        return replace(self, path=path)

    def load(self) -> np.ndarray:
        """(W,) or (T, W) float; ValueError says what the file lacks. Pickled arrays are never read."""
        try:
            arrays = _arrays(self.path, self.path.stat().st_mtime_ns)
        except (OSError, ValueError, EOFError, BadZipFile, zlib.error, SafetensorError) as error:
            # the first sentence: numpy's second one advises to unpickle
            reason = re.split(r"\.\s|\n", str(error))[0]
            raise ValueError(f"{self.path}: no readable array file: {reason}") from None
        name = self.name or (next(iter(arrays)) if len(arrays) == 1 else "")
        if name not in arrays:
            raise ValueError(f"{self.path}: no array {name!r}; it holds {', '.join(arrays)}")
        array = arrays[name]
        rows = array.shape[0] if array.ndim else 0
        if self.row is not None and self.row >= rows:
            raise ValueError(f"{self.path}: {name} has {rows} rows, row {self.row} was asked for")
        array = array if self.row is None else array[self.row]
        if array.ndim not in (1, 2) or not np.issubdtype(array.dtype, np.number):
            raise ValueError(
                f"{self.path}: {name} gives {array.dtype} of shape {array.shape}; need numbers, (W) or (T, W)"
            )
        return array


@lru_cache(maxsize=8)
def _arrays(path: Path, mtime: int) -> dict[str, np.ndarray]:
    """All arrays of a file; `mtime` makes a changed file a new entry."""
    if path.suffix == ".safetensors":
        # by way of torch: numpy knows no bfloat16
        return {k: (t.float() if t.is_floating_point() else t).numpy() for k, t in load_file(path).items()}
    with path.open("rb") as file:  # numpy leaves a damaged archive open
        loaded = np.load(file, allow_pickle=False)
        return {path.stem: loaded} if isinstance(loaded, np.ndarray) else {k: loaded[k] for k in loaded.files}
