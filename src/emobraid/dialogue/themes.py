"""What a message speaks of (themes.toml): loss, an exam, a quarrel ..., with lines and questions that go to it."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from emobraid.dialogue.words import READ, even


@dataclass(frozen=True)
class Theme:
    """`about` are lines that go to it, `ask` questions; kept for `emotions` where there are any. What `stays` is
    still spoken of in the turns that follow. With a `mood` it is answered as that emotion is, whatever was read."""

    name: str
    signs: re.Pattern[str]
    taken_back: re.Pattern[str]
    about: tuple[str, ...]
    ask: tuple[str, ...]
    emotions: frozenset[str]
    stays: bool
    mood: str


def theme(said: str, emotion: str) -> Theme | None:
    """The first theme in `said` that fits a reading of `emotion`; None where there is none to be sure of."""
    text = even(said[:READ])
    return next(
        (
            t
            for t in themes()
            if (not t.emotions or emotion in t.emotions) and t.signs.search(text) and not t.taken_back.search(text)
        ),
        None,
    )


@cache
def themes() -> tuple[Theme, ...]:
    """All of them, in the order in which they are looked for."""
    table = tomllib.loads((resources.files(__package__) / "themes.toml").read_text(encoding="utf-8"))
    return tuple(
        Theme(
            name,
            _any_of(row["signs"]),
            _any_of(row.get("not", [])),
            tuple(row["about"]),
            tuple(row["ask"]),
            frozenset(row.get("emotions", [])),
            row.get("stays", False),
            row.get("mood", ""),
        )
        for name, row in table.items()
    )


def _any_of(signs: list[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<!\w)(?:{'|'.join(signs)})(?!\w)" if signs else r"(?!)")
