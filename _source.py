"""Puts this clone's `src` on the path: after `pip install -r requirements.txt` alone the scripts here work."""

import sys
from pathlib import Path

SOURCE = str(Path(__file__).resolve().parent / "src")
if SOURCE not in sys.path:
    sys.path.insert(0, SOURCE)
