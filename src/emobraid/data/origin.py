"""Whether a corpus is one of ours, in which nobody was recorded: each of those says so in a file of its own."""

import json
from pathlib import Path

MADE, EXPECTED = "sample_corpus.json", "expected.json"
ABOUT = "a synthetic corpus"


def is_synthetic(root: Path) -> bool:
    """Whether `emobraid sample-corpus` made what lies in `root`, in any layout."""
    if (root / MADE).is_file():
        return True
    try:
        told = json.loads((root / EXPECTED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(told, dict) and str(told.get("about", "")).startswith(ABOUT)
