"""What a message is about and what it asks for, by light rules over English words (words.toml).

A topic is a noun phrase of the person's own words, turned to face them ("my boss" -> "your boss"). No topic is better
than a wrong one: where the rules are not sure, there is none.
"""

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

LONGEST = 3  # words of a topic, its determiner not counted
READ = 2000  # characters of a message that are looked at
TURNED = {"my": "your", "our": "your", "your": "my"}
OWN, OTHER = ("my", "our"), ("the", "this", "that", "these", "those", "a", "an", "about")
_PART = re.compile(r"[^a-zA-Z'\s-]+")
_WORD = re.compile(r"[a-zA-Z][a-zA-Z'-]*")
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


def topic(said: str) -> str | None:
    """The words to come back to: "your new job", "the exam"; None when there are none to be sure of."""
    text = said[:READ].replace("’", "'")
    parts = [_WORD.findall(p) for p in _PART.split(text)]
    if not _english([w.lower() for p in parts for w in p]):
        return None
    for determiners in (OWN, OTHER):
        for part in parts:
            for phrase in _phrases(part, determiners):
                return phrase
    return None


def _phrases(part: list[str], determiners: tuple[str, ...]) -> Iterator[str]:
    table = _table()["topics"]
    for i, word in enumerate(part):
        if word.lower() not in determiners or (i and part[i - 1].lower() in ("am", "i'm", "im")):
            continue  # "I am a teacher" speaks of the person
        nouns: list[str] = []
        for following in part[i + 1 :]:
            if len(nouns) == LONGEST or _ends(following.lower(), table["stop"], first=not nouns):
                break
            nouns.append(following)
        heads = {n.lower() for n in nouns}
        if nouns and nouns[0].lower() in table["measure"]:
            continue
        if nouns and not heads & table["never"] and nouns[-1].lower() not in table["no_head"] and len(nouns[-1]) > 2:
            start = "" if word.lower() == "about" else TURNED.get(word.lower(), "the") + " "
            if word.lower() in ("this", "that", "these", "those"):
                start = f"{word.lower()} "
            yield start + " ".join(n if n[1:] != n[1:].lower() or n.istitle() else n.lower() for n in nouns)


def _ends(word: str, stop: frozenset[str], *, first: bool) -> bool:
    """Whether a noun phrase is over before `word`: function words, verbs, adverbs."""
    if word in stop or "n't" in word or re.search(r"'(s|re|ve|ll|d|m)$", word):
        return True
    return not first and re.search(r"(?:ed|ly|ing)$", word) is not None


def _english(words: list[str]) -> bool:
    known = set(_table()["topics"]["english"])
    return sum(w in known for w in words) >= max(1, len(words) // 8)


def foreign(said: str) -> str | None:
    """The language (ISO 639-1) of words that are not English, of those with a line about it; None when not sure."""
    words = re.findall(r"[^\W\d_]+", even(said))
    hits = {language: sum(w in known for w in words) for language, known in _table()["foreign"].items()}
    best = max(hits, key=lambda language: hits[language])
    english = sum(w in _table()["topics"]["english"] for w in words)
    return best if hits[best] >= 2 and hits[best] > english else None


def _any(signs: list[str], text: str) -> bool:
    return re.search(rf"\b(?:{'|'.join(signs)})\b", text) is not None


def even(said: str) -> str:
    """`said` in lower case, with straight apostrophes and single spaces."""
    return " ".join(said[:READ].casefold().replace("’", "'").split())


@cache
def _table() -> dict[str, Any]:
    table = tomllib.loads((resources.files(__package__) / "words.toml").read_text(encoding="utf-8"))
    return table | {"topics": {name: frozenset(words) for name, words in table["topics"].items()}}
