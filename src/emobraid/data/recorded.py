"""The small files of a checkpoint: what was fitted, where it comes from. A valid hash says that a file is as it was
written, not that what was written makes sense, so each value is checked; ValueError names the file."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ANOTHER = "the checkpoint is damaged, use another one"


def table_of(files: Mapping[str, bytes], name: str, folder: Path) -> dict[str, Any]:
    """The JSON object in a file; empty where there is no such file."""
    try:
        found = json.loads(files.get(name, b"{}"))
    except (ValueError, RecursionError):
        raise ValueError(f"{folder}: {name} is not JSON; {ANOTHER}") from None
    return table(found, f"{folder}: {name}")


def table(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is {kind_of(value)}, not a table of names and values; {ANOTHER}")
    return value


def number(value: Any, what: str) -> float:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{what} is {kind_of(value)}, not a number; {ANOTHER}")
    try:
        size = float(value)
    except OverflowError:
        size = math.inf
    if not math.isfinite(size):
        raise ValueError(f"{what} is {size:g}, which is no finite number; {ANOTHER}")
    return size


def kind_of(value: Any) -> str:
    names = {dict: "a table", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    return names.get(type(value), "a number")


def temperatures_of(files: Mapping[str, bytes], folder: Path) -> dict[str, float]:
    """By modality subset what logits are divided by: above 0, and finite."""
    where = f"{folder}: calibration.json"
    told = table_of(files, "calibration.json", folder)
    if "temperatures" not in told:
        raise ValueError(f"{where} holds no temperatures; {ANOTHER}")
    found = {s: number(t, f"{where}: the temperature of {s}") for s, t in table(told["temperatures"], where).items()}
    for subset, temperature in found.items():
        if not temperature > 0:
            raise ValueError(f"{where}: the temperature of {subset} is {temperature:g}, it must be above 0; {ANOTHER}")
    return found


def thresholds_of(files: Mapping[str, bytes], folder: Path) -> dict[str, dict[str, float]]:
    """By modality subset and class from which probability on it counts as expressed."""
    where = f"{folder}: calibration.json: the thresholds"
    cuts = table(table_of(files, "calibration.json", folder).get("thresholds", {}), where)
    return {
        subset: {c: number(t, f"{where} of {subset}") for c, t in table(by, f"{where} of {subset}").items()}
        for subset, by in cuts.items()
    }
