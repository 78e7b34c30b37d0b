"""What a short message does and what it asks for, by light rules over English words (words.toml)."""

import re
import tomllib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

READ = 2000  # characters of a message that are looked at
_TIMES = {"half an hour": 30, "quarter of an hour": 15, "an hour": 60, "one hour": 60, "a couple of minutes": 3,
          "a few minutes": 5, "a moment": 2, "a minute": 1, "all day": 480, "all evening": 240, "all weekend": 480,
          "the whole day": 480, "the evening": 180, "no time": 2, "lunch break": 30, "a short break": 10}  # fmt: skip
_NUMBERS = {
    w: n for n, w in enumerate(["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"], start=1)
}
_NUMBERS |= {"fifteen": 15, "twenty": 20, "thirty": 30, "forty": 40, "forty-five": 45}
_SPAN = re.compile(rf"\b(\d{{1,3}}|{'|'.join(_NUMBERS)})[ -]?(minutes?|mins?|hours?|hrs?|h)\b")


@dataclass(frozen=True)
class Wish:
    """What a message says of the time, the place and the company there is; None where it says nothing."""

    minutes: int | None = None
    place: str | None = None
    company: str | None = None
    asked: bool = False  # for something to do


def act(said: str) -> str | None:
    """What a short message does: greets, thanks, takes leave, corrects the reading ...; None for plain telling."""
    text = even(said)
    for name, rule in _table()["acts"].items():
        if len(text.split()) <= rule["words"] and re.search("|".join(rule["signs"]), text):
            return str(name)
    return None


def wish(said: str) -> Wish:
    text = even(said)
    table = _table()["wishes"]
    found = {name: next((k for k, signs in table[name].items() if _any(signs, text)), None) for name in table}
    return Wish(_minutes(text), found["place"], found["company"], found["asked"] is not None)


def _minutes(text: str) -> int | None:
    if span := _SPAN.search(text):
        number = _NUMBERS.get(span[1]) or int(span[1])
        return max(1, number * (60 if span[2].startswith("h") else 1))
    return next(
        (n for words, n in _TIMES.items() if re.search(rf"\b(?:have|got|only|just|there is) .*\b{words}\b", text)), None
    )


def foreign(said: str) -> str | None:
    """The language (ISO 639-1) of words that are not English, of those with a line about it; None when not sure."""
    best, hits, english = _languages(said)
    return best if hits >= 2 and hits > english else None


def perhaps_foreign(said: str) -> bool:
    """Whether there is a frequent word of another language and none of English."""
    _, hits, english = _languages(said)
    return hits >= 1 and english == 0


def _languages(said: str) -> tuple[str, int, int]:
    """The likeliest other language, how many of its frequent words are there, and how many English ones."""
    words = re.findall(r"[^\W\d_]+", even(said))
    hits = {language: sum(w in known for w in words) for language, known in _table()["foreign"].items()}
    best = max(hits, key=lambda language: hits[language])
    return best, hits[best], sum(w in _english() for w in words)


def _any(signs: list[str], text: str) -> bool:
    return re.search(rf"\b(?:{'|'.join(signs)})\b", text) is not None


def even(said: str) -> str:
    """`said` in lower case, with straight apostrophes and single spaces."""
    return " ".join(said[:READ].casefold().replace("’", "'").split())


@cache
def _english() -> frozenset[str]:
    """Words so frequent in English that hardly a sentence is without one."""
    return frozenset(_table()["english"]["frequent"])


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((resources.files(__package__) / "words.toml").read_text(encoding="utf-8"))
