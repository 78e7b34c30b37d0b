"""How each emotion is answered (strategies.toml), and the lines for what was not understood (plain_lines.toml)."""

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources

from emobraid.emotions import Emotion


@dataclass(frozen=True)
class Strategy:
    """What an answer to an emotion tries to do, in words, and guidance on it for a language model."""

    name: str
    guidance: str


def strategy(label: str) -> Strategy:
    """The strategy that answers `label`, which may be of any label space; neutral for one that nobody planned for."""
    row = _table("strategies")[planned(label)]
    return Strategy(row["name"], row["guidance"])


def planned(label: str) -> str:
    """The one of the seven emotions whose strategy answers `label`."""
    label = label.strip().casefold()
    seven = {e.value for e in Emotion}
    return label if label in seven else _table("strategies")["aliases"].get(label, Emotion.NEUTRAL.value)


def foreign_line(language: str) -> str:
    """To who writes in `language` (ISO 639-1): that the answers are English, in that language where we have it."""
    lines: dict[str, str] = _table("strategies")["foreign"]
    return lines.get(language, lines["other"])


def plain_lines(name: str) -> list[str]:
    """Lines that are right after anything: plain, bad, good, follow, care, a `_question` for each, or an emotion."""
    return list(_table("plain_lines")[name])


def all_plain_lines() -> dict[str, list[str]]:
    """Every list of plain lines, by name."""
    return {name: list(lines) for name, lines in _table("plain_lines").items()}


@cache
def _table(name: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((resources.files(__package__) / f"{name}.toml").read_text(encoding="utf-8"))
