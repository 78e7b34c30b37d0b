"""The trained models that ship, each a checkpoint folder here with its card; their terms are not the code's.

A name is `emobraid/` and the folder: `emobraid/compact`.
"""

from pathlib import Path

PREFIX = "emobraid"


def shipped() -> dict[str, Path]:
    """The folder of each shipped model by its name."""
    folders = sorted(p.parent for p in Path(__file__).parent.glob("*/manifest.json"))
    return {f"{PREFIX}/{folder.name}": folder for folder in folders}


def named(path: Path) -> Path:
    """The folder of a shipped model where `path` is a name and no folder of the user's; else `path` itself.

    ValueError lists the names when it looks like one and is none."""
    if len(path.parts) != 2 or path.parts[0] != PREFIX or path.exists():
        return path
    known = shipped()
    if path.as_posix() not in known:
        raise ValueError(
            f"no model called {path.as_posix()} ships with emobraid; these do: {', '.join(known) or 'none'}"
        )
    return known[path.as_posix()]
