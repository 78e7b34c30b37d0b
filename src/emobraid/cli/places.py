"""Where results go: looked at before the work, not after it."""

import os
from pathlib import Path


def refuse_unwritable(folder: Path) -> None:
    """ValueError when nothing can be written into `folder`, which need not be there yet; nothing is made."""
    there = folder.absolute()
    while not there.exists() and there != there.parent:
        there = there.parent
    if not there.is_dir():
        raise ValueError(f"{folder}: cannot be written to, {there} is not a folder; choose another place")
    if not os.access(there, os.W_OK | os.X_OK):
        raise ValueError(f"{folder}: cannot be written to, {there} is read-only; choose another place")
