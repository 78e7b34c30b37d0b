"""The state of a long training that may be stopped at any moment: written aside, then put in place of the last one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch


def resumed(path: Path, parts: Mapping[str, Any]) -> dict[str, Any]:
    """Loads `parts` (model, optimizer ...) from `path` and says how far it was; a start where there is none."""
    if not path.is_file():
        return {"seconds": 0.0, "step": 0, "epoch": 0}
    kept = torch.load(path, weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(kept[name])
    state: dict[str, Any] = kept["state"]
    return state


def store(path: Path, parts: Mapping[str, Any], state: Mapping[str, Any]) -> None:
    aside = path.with_suffix(".new")
    torch.save({**{name: part.state_dict() for name, part in parts.items()}, "state": dict(state)}, aside)
    aside.replace(path)
