"""Cells that point into array files: `features.npz#audio[12]`, `clip_7.npz#frames`, `vector.npy`, `x.safetensors`."""

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from emobraid.data.array_files import UNREADABLE, NotThere, array_in

CELL = re.compile(r"^(?P<path>[^#]+)(?:#(?P<name>[^\[\]]+))?(?:\[(?P<row>\d+)\])?$")
LARGEST_VALUE = 1e12  # beyond it a model's numbers overflow; infinities and NaN, which COVAREP has, count as missing
SUFFIXES = (".npz", ".npy", ".safetensors")


class ArrayCell(ABC):
    """One utterance's published features, wherever they lie."""

    nothing = "no features at that time"  # what T = 0 means
    unusable = "not one finite number"  # what it means when the file holds some

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
        name, array = self._array()
        rows = array.shape[0] if array.ndim else 0
        if self.row is not None and self.row >= rows:
            raise ValueError(f"{self.path}: {name} has {rows} rows, row {self.row} was asked for")
        array = array if self.row is None else array[self.row]
        if array.ndim not in (1, 2) or not np.issubdtype(array.dtype, np.number):
            raise ValueError(
                f"{self.path}: {name} gives {array.dtype} of shape {array.shape}; need numbers, (W) or (T, W)"
            )
        finite = array[np.isfinite(array)]
        if finite.size and not (most := float(np.abs(finite).max())) <= LARGEST_VALUE:
            raise ValueError(
                f"{self.path}: {name} holds {most:.3g}, which is no feature; values must be below {LARGEST_VALUE:g}"
            )
        return array

    def _array(self) -> tuple[str, np.ndarray]:
        """The array and its name."""
        try:
            return array_in(self.path, self.name)
        except NotThere as error:
            raise ValueError(f"{self.path}: {error}") from None
        except MemoryError:
            raise ValueError(f"{self.path}: there is not enough memory for it; split it into several files") from None
        except UNREADABLE as error:
            # the first sentence: numpy's second one advises to unpickle
            reason = re.split(r"\.\s|\n", str(error))[0]
            raise ValueError(f"{self.path}: no readable array file: {reason}") from None
