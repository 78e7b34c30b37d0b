"""The folder of a made-up corpus: whole or not there at all."""

import os
import shutil
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """Inside, a folder beside `folder` to fill, not there yet; at the end it takes the place of `folder`, which must be
    new or empty. An interruption leaves neither. ValueError for what cannot be written."""
    folder = folder.expanduser().resolve()
    aside = folder.parent / f".{folder.name}.{os.getpid()}.unfinished"
    try:
        shutil.rmtree(aside, ignore_errors=True)  # of a killed process that had our number
        yield aside
        if folder.exists():
            folder.rmdir()
        aside.rename(folder)
    except OSError as error:
        raise ValueError(f"cannot write the sample corpus to {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def check(
    folder: Path,
    seed: int,
    clips: int,
    defects: Collection[str],
    *,
    known: Sequence[str],
    fewest: int,
    of: int = 1,
) -> None:
    """ValueError for fewer than `fewest` clips, or not a multiple of `of`; a defect that is not `known`; a folder that
    holds anything."""
    if seed < 0 or clips < fewest or clips % of:
        wanted = f"at least {fewest}" + (f" and a multiple of {of}" if of > 1 else "")
        raise ValueError(f"seed must be at least 0 and clips {wanted}, got {seed} and {clips}")
    if unknown := [d for d in defects if d not in known]:
        raise ValueError(f"unknown defect {unknown[0]!r}, known: {', '.join(known)}")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"{folder} is not empty: choose a new or an empty folder")
