"""Where a search may look: `NAME=LOW..HIGH` or `NAME=A,B,C`, for any setting of the model or the training."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from emobraid.config import SECTIONS, Config, fields_of, parse, to_tree
from emobraid.emotions import nearest

SEARCHED = ("model", "training")
FIXED = ("seed", "device", "labels", "modalities", "num_epochs")  # they say what is asked, not how well it is answered
DECADE = 10  # a range that spans this factor is searched on a logarithmic scale
#: by the setting, beside the learning rate; what most recipes gain from
USUAL = {"fusion_dropout": (0.0, 0.5), "weight_decay": (1e-3, 0.3), "modality_dropout": (0.0, 0.5)}


@dataclass(frozen=True, kw_only=True)
class Axis:
    """One setting with its range, or with its choices."""

    name: str
    section: str
    low: float = 0.0
    high: float = 0.0
    whole: bool = False  # whole numbers only
    choices: tuple[str | float | int | bool, ...] = ()

    @property
    def log(self) -> bool:
        return self.low > 0 and self.high >= DECADE * self.low

    def __str__(self) -> str:
        if self.choices:
            return f"{self.name}={','.join(map(str, self.choices))}"
        return f"{self.name}={self.low:g}..{self.high:g}"


def usual(config: Config) -> tuple[Axis, ...]:
    """What is searched unless told otherwise."""
    rate = config.training.learning_rate
    ranges = {"learning_rate": (rate / 5, rate * 5), **USUAL}
    if len(config.model.modalities) == 1:
        del ranges["modality_dropout"]
    return tuple(Axis(name=n, section=section_of(n), low=low, high=high) for n, (low, high) in ranges.items())


def axes(told: Sequence[str], config: Config) -> tuple[Axis, ...]:
    """The axes that were written, or the usual ones; ValueError in one line for what is no axis."""
    found = tuple(map(axis, told)) or usual(config)
    names = [a.name for a in found]
    if twice := {n for n in names if names.count(n) > 1}:
        raise ValueError(f"space: {', '.join(sorted(twice))} is there twice")
    for one in found:  # each alone, so that a setting's own limits are met before the first training
        for value in one.choices or (one.low, one.high):
            placed(config, {one: int(value) if one.whole else value}, str(one))
    return found


def axis(written: str) -> Axis:
    name, _, values = (part.strip() for part in written.partition("="))
    if not values:
        raise ValueError(f"space: {written!r} is not NAME=LOW..HIGH or NAME=A,B,C")
    section = section_of(name)
    if ".." not in values:
        return Axis(name=name, section=section, choices=tuple(map(literal, values.split(","))))
    ends = [literal(end) for end in values.split("..")]
    if len(ends) != 2 or not all(type(end) in (int, float) for end in ends) or not ends[0] < ends[1]:  # type: ignore[operator]
        raise ValueError(f"space: {written!r} needs a smaller and a larger number, as in 1e-4..1e-2")
    return Axis(
        name=name,
        section=section,
        low=float(ends[0]),
        high=float(ends[1]),
        whole=all(isinstance(end, int) for end in ends) and wants_whole(section, name),
    )


def section_of(name: str) -> str:
    known = {n: s for s in SEARCHED for n in fields_of(SECTIONS[s]) if n not in FIXED}
    if name not in known:
        raise ValueError(f"space: {name!r} is not a setting to search{nearest(name, list(known))}".rstrip(","))
    return known[name]


def wants_whole(section: str, name: str) -> bool:
    return SECTIONS[section].__annotations__[name] is int


def literal(text: str) -> str | float | int | bool:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    if re.fullmatch(r"[+-]?\d+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text


def placed(config: Config, values: Mapping[Axis, Any], source: str) -> Config:
    """The same settings with these values; ValueError for values that do not go together."""
    tree = to_tree(config)
    for at, value in values.items():
        tree[at.section][at.name] = value
    return parse(tree, source)
