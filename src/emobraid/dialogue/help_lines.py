"""Fixed, human-written help for a crisis, and where to reach a person, by language and country (help_lines.toml)."""

import re
import tomllib
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

from emobraid.dialogue.crisis import KINDS, detect
from emobraid.dialogue.history import History
from emobraid.dialogue.safety import Alarm, look
from emobraid.dialogue.words import even

STAYING = 3  # turns after a crisis that are answered with fixed words too
REMINDING = 10  # turns after a crisis that end with where help is, and offer no activities
CAREFUL = 3  # turns after a caution in which nothing is cheered or suggested
PATIENCE, ANEW = 6, 0.7  # turns in which a question is not asked again, unless it is as likely as this
ANSWER = 7  # words up to which a turn may answer a question
BROKEN = 6  # words up to which a message may be the first half of a sentence
CAUTION = "caution"  # the strategy of an answer that asks
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
        self.answering = "help"  # what the last fixed answer was: help, or caution
        self._asked = ""  # the kind of danger that was asked about in the turn before
        self._cautions = 0
        self._unasked = PATIENCE  # turns since a question was asked
        self._careful = 0  # turns that are still answered with care after a caution

    @property
    def watching(self) -> bool:
        """Whether there was a crisis a short while ago."""
        return self._since is not None and self._since <= REMINDING

    @property
    def careful(self) -> bool:
        """Whether only words that people wrote may answer, for now."""
        return self.watching or self._careful > 0

    def for_words(self, said: str, history: History) -> str:
        """The fixed answer to `said`; empty when another one may answer."""
        self.answering = "help"
        asked, self._asked, self._careful = self._asked, "", max(0, self._careful - 1)
        alarm = look(said) or self._across(said, history)
        if asked and (alarm is None or alarm.level == "caution") and self._is(said, "yes"):
            alarm = Alarm("crisis", asked, "en")
        if alarm and alarm.level == "crisis":
            self._since, self._crises, self._spoken = 0, self._crises + 1, alarm.language
            return self.text(alarm.kind) if self._crises == 1 else self._one_of("again", self._crises)
        if asked and alarm is None and self._is(said, "no"):
            self.answering = CAUTION
            return self._english("caution_no", turn=self._cautions)
        self._unasked += 1
        if alarm and not self.watching and (self._unasked > PATIENCE or alarm.likely >= ANEW):
            return self._caution(alarm.kind)
        return self._staying(said)

    def _staying(self, said: str) -> str:
        """Fixed words for some turns after a crisis."""
        if self._since is None:
            return ""
        self._since += 1
        if self._since > STAYING:
            return ""
        if self._taken_back(said):
            self._since = STAYING
            return self.text("misread")
        return self._one_of("stay", self._since)

    def _caution(self, kind: str) -> str:
        """One plain question, and where help is."""
        self.answering = CAUTION
        self._asked, self._careful, self._cautions, self._unasked = kind, CAREFUL, self._cautions + 1, 0
        return self._english("caution", kind, self._cautions)

    def _english(self, name: str, kind: str = "", turn: int = 1) -> str:
        """The classifier reads English, so what it leads to is there in English."""
        texts = self._table["languages"]["en"][name]
        lines = texts[kind] if kind else texts
        return self._filled(lines[(turn - 1) % len(lines)])

    def _is(self, said: str, answer: str) -> bool:
        """Whether `said` answers the question of a caution with "yes" or "no", in whatever words."""
        short = len(said.split()) <= ANSWER  # "I have sorted the books and ..." is no answer
        return short and re.search(self._table["languages"]["en"][answer], even(said)) is not None

    def reminder(self) -> str:
        """One line on where help is, for some turns after a crisis."""
        return self.text("reminder") if self.watching else ""

    def in_language(self, language: str) -> str:
        """The line of where a person is, in `language` where we have it."""
        spoken, self._spoken = self._spoken, language
        try:
            return self.text("page")
        finally:
            self._spoken = spoken

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

    def _across(self, said: str, history: History) -> Alarm | None:
        """A sentence that was sent in two halves."""
        last = history.turns[-1] if history.turns else None
        if last is None or last.reply.strategy == "help" or not 0 < len(last.said.split()) <= BROKEN:
            return None
        found = detect(f"{last.said} {said}") if len(said.split()) <= BROKEN else None
        return Alarm("crisis", found.kind, found.language) if found else None


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
