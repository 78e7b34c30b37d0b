"""The cells of few-shot tables, kept one by one so that a study goes on where it was stopped."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Cell:
    """One number of the tables, before it is known."""

    stage: str  # dev or test
    method: str
    subset: tuple[str, ...]
    shots: int
    rate: float


def kept_cells(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The cells that are done; a last line that a kill cut short is passed over."""
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            cell = json.loads(line)
        except ValueError:
            continue
        yield cell["key"], cell


def keep_cell(path: Path, cell: Mapping[str, Any]) -> None:
    with path.open("a+b") as file:
        if file.tell() and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
            file.write(b"\n")  # behind a line that a kill cut short
        file.write(json.dumps(cell).encode() + b"\n")
        file.flush()
        os.fsync(file.fileno())
