"""Whether a corpus is one of ours, in which nobody was recorded: each of those says so in a file of its own."""

import json
from pathlib import Path

MANIFEST = "sample_corpus.json"  # of the usual layout: settings and hashes
EXPECTED_FILE = "expected.json"  # of a native layout: its own numbers, for the audit
ABOUT = "a synthetic corpus in {}'s layout; nobody was recorded"


def is_synthetic(root: Path) -> bool:
    """Whether `emobraid sample-corpus` made what lies in `root`, or in a folder of it, in any layout."""
    if (root / MANIFEST).is_file():
        return True
    return any(map(_says_so, [root / EXPECTED_FILE, *root.glob(f"*/{EXPECTED_FILE}")]))


def _says_so(path: Path) -> bool:
    try:
        told = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and str(told.get("about", "")).startswith(ABOUT.partition(" in ")[0])
