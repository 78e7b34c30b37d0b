"""Fixed, human-written help for a crisis, and where to reach a person, by language and country (help_lines.toml)."""

import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from emobraid.dialogue.crisis import KINDS, Crisis, detect
from emobraid.dialogue.history import History

STAYING = 3  # turns after a crisis that are answered with fixed words too
REMINDING = 10  # turns after a crisis that end with where help is, and offer no activities
BROKEN = 6  # words up to which a message may be the first half of a sentence
TEXTS = (*KINDS, "again", "stay", "misread", "reminder", "page")


def crisis_help(locale: str = "en", *, help_lines: Path | None = None) -> str:
    """What a person in a crisis reads, in the language of `locale` ("en-GB", "de"), with the numbers of its country."""
    return Help(locale, help_lines).text("self_harm")


def people_to_talk_to(locale: str = "en") -> str:
    """One line for a page to show at all times, crisis or not: where a person is, in the country of `locale`."""
    return Help(locale).text("page")


class Help:
    """Help for one conversation, and the memory of how long ago a crisis was."""

    def __init__(self, locale: str = "en", table: Path | None = None) -> None:
        self._table = _shipped() if table is None else _read(table)
        self.speak(locale)
        self.forget()

    def speak(self, locale: str) -> None:
        """From now on in the language and with the numbers of `locale`."""
        self._language, self._region = _parts(locale)

    def forget(self) -> None:
        self._since: int | None = None  # turns since the last crisis
        self._crises = 0
        self._spoken = ""

    @property
    def watching(self) -> bool:
        return self._since is not None and self._since <= REMINDING

    def for_words(self, said: str, history: History) -> str:
        """The fixed answer to `said`; empty when another one may answer."""
        if crisis := detect(said) or self._across(said, history):
            self._since, self._crises, self._spoken = 0, self._crises + 1, crisis.language
            return self.text(crisis.kind) if self._crises == 1 else self._one_of("again", self._crises)
        if self._since is None:
            return ""
        self._since += 1
        if self._since > STAYING:
            return ""
        if self._taken_back(said):
            self._since = STAYING
            return self.text("misread")
        return self._one_of("stay", self._since)

    def reminder(self) -> str:
        """One line on where help is, for some turns after a crisis."""
        return self.text("reminder") if self.watching else ""

    def text(self, name: str) -> str:
        texts = self._texts()[name]
        return self._filled(texts if isinstance(texts, str) else texts[0])

    def _one_of(self, name: str, turn: int) -> str:
        texts = self._texts()[name]
        return self._filled(texts[(turn - 1) % len(texts)])

    def _texts(self) -> dict[str, Any]:
        languages = self._table["languages"]
        return next(languages[x] for x in (self._spoken, self._language, "en") if x in languages)

    def _filled(self, text: str) -> str:
        texts = self._texts()
        # English tells of no country; who asks for any other language and writes in English is in its country, if any
        asked = texts if self._language == "en" else self._table["languages"].get(self._language, {})
        lines = self._table["regions"].get(self._region or asked.get("region", ""), {})
        return text.format_map({**texts["anywhere"], **lines})

    def _taken_back(self, said: str) -> bool:
        return re.search(self._texts()["taken_back"], said.casefold().replace("’", "'")) is not None

    def _across(self, said: str, history: History) -> Crisis | None:
        """A sentence that was sent in two halves."""
        last = history.turns[-1] if history.turns else None
        if last is None or last.reply.source == "safety" or not 0 < len(last.said.split()) <= BROKEN:
            return None
        return detect(f"{last.said} {said}") if len(said.split()) <= BROKEN else None


def _parts(locale: str) -> tuple[str, str]:
    """en_GB.UTF-8 -> en, GB."""
    language, _, region = re.split(r"[.@]", locale)[0].replace("_", "-").partition("-")
    return language.lower(), region.rpartition("-")[2].upper()


@cache
def _shipped() -> dict[str, Any]:
    return tomllib.loads((resources.files(__package__) / "help_lines.toml").read_text(encoding="utf-8"))


def _read(path: Path) -> dict[str, Any]:
    """An operator's own table: what it holds takes the place of ours, country by country and text by text."""
    try:
        own = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ValueError(f"{path}: no readable table of help lines: {error}") from None
    ours = _shipped()
    if unknown := set(own) - set(ours):
        raise ValueError(f"{path}: unknown table {sorted(unknown)[0]!r}; there are {', '.join(ours)}")
    table = {name: {k: {**ours[name].get(k, {}), **v} for k, v in own.get(name, {}).items()} for name in ours}
    table = {name: {**ours[name], **rows} for name, rows in table.items()}
    _check(path, table)
    return table


def _check(path: Path, table: dict[str, Any]) -> None:
    """Every text is there and names only what the table knows: found at the start, not in somebody's crisis."""
    for language, texts in table["languages"].items():
        if missing := [name for name in (*TEXTS, "anywhere", "taken_back") if name not in texts]:
            raise ValueError(f"{path}: languages.{language} lacks {', '.join(missing)}")
        for name in TEXTS:
            for text in [texts[name]] if isinstance(texts[name], str) else texts[name]:
                try:
                    text.format_map(texts["anywhere"])
                except (KeyError, ValueError, IndexError) as error:
                    raise ValueError(f"{path}: languages.{language}.{name}: unknown placeholder {error}") from None
