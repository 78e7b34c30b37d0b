"""The lines of the built-in responder, as TOML files: one for each emotion, one for all of them, one of what is
never said."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from emobraid.emotions import Emotion

SLOTS = ("opening", "reflection", "plain", "support", "question")
GENERAL = (
    *("unsure", "mixed", "eased", "dipped", "staying", "returning", "unread"),
    *("after", "onward", "open", "care", "care_question"),
)
FILLED = {"topic", "shade", "first", "second", "shade_first", "shade_second"}


@dataclass(frozen=True)
class Strategy:
    """How an emotion is answered: its name as a sentence, guidance for a language model, and lines by slot."""

    name: str
    guidance: str
    shade: str  # how such an expression sounds: "heavy"
    lines: dict[str, list[str]]


@dataclass(frozen=True)
class Repertoire:
    strategies: dict[str, Strategy]
    general: dict[str, list[str]]
    acts: dict[str, list[str]]
    aliases: dict[str, str]
    foreign: dict[str, str]  # by language: that the answers are English

    def emotion(self, label: str) -> str:
        """The one of the seven whose strategy answers `label`; neutral for a label nobody planned for."""
        label = label.strip().casefold()
        return label if label in self.strategies else self.aliases.get(label, Emotion.NEUTRAL.value)


def load(folder: Path | None = None) -> Repertoire:
    """The shipped repertoire; files of the same names in `folder` take the place of ours."""
    return _assembled({**_shipped(), **_own(folder)}) if folder else _ours()


def banned(text: str) -> str | None:
    """The first phrase in `text` that a reply must not hold (banned.toml), or None."""
    found = _banned().search(re.sub(r"[’‘]", "'", text))
    return found[0] if found else None


@cache
def _banned() -> re.Pattern[str]:
    table = tomllib.loads((resources.files(__package__) / "banned.toml").read_text(encoding="utf-8"))
    phrases = "|".join(p for group in table.values() for p in group)
    return re.compile(rf"\b(?:{phrases})", re.IGNORECASE)


@cache
def _ours() -> Repertoire:
    return _assembled(_shipped())


@cache
def _shipped() -> dict[str, dict[str, Any]]:
    folder = resources.files(__package__) / "repertoire"
    return {f.name: tomllib.loads(f.read_text(encoding="utf-8")) for f in folder.iterdir() if f.name.endswith(".toml")}


def _own(folder: Path) -> dict[str, dict[str, Any]]:
    known = _shipped()
    own = {}
    for path in sorted(folder.glob("*.toml")):
        if path.name not in known:
            raise ValueError(f"{path}: not a file of the repertoire; there are {', '.join(sorted(known))}")
        try:
            own[path.name] = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            raise ValueError(f"{path}: not a readable TOML file: {error}") from None
    if not own:
        raise ValueError(f"{folder}: no file of a repertoire in it; there are {', '.join(sorted(known))}")
    return own


def _assembled(files: dict[str, dict[str, Any]]) -> Repertoire:
    general = files["general.toml"]
    strategies = {e.value: _strategy(f"{e.value}.toml", files[f"{e.value}.toml"]) for e in Emotion}
    for name in GENERAL:
        _check("general.toml", name, general.get(name))
    for name, lines in general["acts"].items():
        _check("general.toml", f"acts.{name}", lines)
    return Repertoire(
        strategies, {n: general[n] for n in GENERAL}, general["acts"], general["aliases"], general["foreign"]
    )


def _strategy(file: str, table: dict[str, Any]) -> Strategy:
    if missing := [n for n in ("strategy", "guidance", "shade") if not table.get(n)]:
        raise ValueError(f"{file} lacks {', '.join(missing)}")
    for slot in SLOTS:
        _check(file, slot, table.get(slot))
    return Strategy(table["strategy"], table["guidance"], table["shade"], {s: table[s] for s in SLOTS})


def _check(file: str, name: str, lines: Any) -> None:
    """Lines that a conversation can be made of: found at the start, not in the middle of one."""
    if not isinstance(lines, list) or not lines or not all(isinstance(line, str) and line for line in lines):
        raise ValueError(f"{file}: {name} must be a list of sentences")
    for line in lines:
        if phrase := banned(line):
            raise ValueError(f"{file}: {name} holds {phrase!r}, which is never said (banned.toml): {line}")
        if unknown := set(re.findall(r"\{(.*?)\}", line)) - FILLED:
            raise ValueError(f"{file}: {name} names {{{unknown.pop()}}}; known: {', '.join(sorted(FILLED))}")
