"""The first layer of the safety net: words that tell of self-harm, danger to others, abuse, or someone else at risk.

Curated patterns (crisis.toml), not a model: what they catch can be read and tested. A missed sentence costs more than
a false alarm, so a doubt is a yes. The text is evened out first, so that case, accents, spacing, digits for letters
and common typing errors change nothing.
"""

import re
import tomllib
import unicodedata
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

KINDS = ("someone_else", "self_harm", "abuse", "harm_others")  # the order in which they are looked for
SHORT = 24  # words up to which a text is also read as one sentence, across its full stops

_LOOKALIKES = str.maketrans("аеорсухіјѕԁһкмтвнαεορτυικнł", "aeopcyxijsdhkmtbhaeoptuikhl")
_LEET = str.maketrans("013457@$!|€", "oieastasile")
_JOINED = re.compile(r"\b(?:\w ){3,}\w\b")  # s u i c i d e
_STRETCHED = re.compile(r"(\w)\1{2,}")
_SPELT_WITH_SIGNS = re.compile(r"[^\s.,;:?\"()]*[a-z][^\s.,;:?\"()]*")
_SENTENCE = re.compile(r"[.!?;\n]+(?=\s|$)|…|\n")


@dataclass(frozen=True)
class Crisis:
    """What kind of crisis a text tells of, and the language (ISO 639-1) of the pattern that found it."""

    kind: str
    language: str


@dataclass(frozen=True)
class _Rules:
    language: str
    signs: dict[str, re.Pattern[str]]  # by kind
    idioms: re.Pattern[str]  # taken out before the signs are looked for
    denied: re.Pattern[str]  # ends a text before a sign that is denied
    doubts: dict[str, re.Pattern[str]]  # by kind: a sentence that holds this is harmless ...
    serious: re.Pattern[str]  # ... unless it holds this
    death: re.Pattern[str]  # words of it: who says "I" beside one, and names nobody else, is asked after
    own: re.Pattern[str]
    others: re.Pattern[str]
    spelling: dict[str, str]


def detect(text: str) -> Crisis | None:
    """The crisis that `text` tells of, or None."""
    if not text.strip():
        return None
    return next((c for rules in _rules() for form in _forms(text) if (c := _find(form, rules))), None)


def _find(sentences: tuple[str, ...], rules: _Rules) -> Crisis | None:
    for sentence in sentences:
        respelt = " ".join(rules.spelling.get(w, w) for w in sentence.split())
        rest = rules.idioms.sub(" ", respelt)
        for kind in KINDS:
            if kind in rules.signs and _tells(rest, respelt, kind, rules):
                return Crisis(kind, rules.language)
    return None


def _tells(rest: str, sentence: str, kind: str, rules: _Rules) -> bool:
    if kind in rules.doubts and rules.doubts[kind].search(sentence) and not rules.serious.search(sentence):
        return False
    return _said(rules.signs[kind], rest, rules) or (kind == "self_harm" and _of_own_death(rest, rules))


def _said(sign: re.Pattern[str], rest: str, rules: _Rules) -> bool:
    return any(not rules.denied.search(rest[: m.start()]) for m in sign.finditer(rest))


def _of_own_death(rest: str, rules: _Rules) -> bool:
    """Nobody can list all the ways to say it: a word of death, first person, and nobody else's death in sight."""
    return bool(rules.own.search(rest)) and not rules.others.search(rest) and _said(rules.death, rest, rules)


def _forms(text: str) -> tuple[tuple[str, ...], ...]:
    """The sentences of `text` evened out, stretched letters ("diiie") taken as one and as two."""
    even = _plain(text)
    sentences = [s for s in (_words(part) for part in _SENTENCE.split(even)) if s]
    if len(sentences) > 1 and len(even.split()) <= SHORT:
        sentences.append(_words(even))
    once = tuple(_STRETCHED.sub(r"\1", s) for s in sentences)
    twice = tuple(_STRETCHED.sub(r"\1\1", s) for s in sentences)
    return (once,) if once == twice else (once, twice)


def _plain(text: str) -> str:
    """Lower case without accents, invisible characters and look-alike letters."""
    shown = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    parts = unicodedata.normalize("NFKD", shown.casefold().translate(_LOOKALIKES))
    bare = "".join(c for c in parts if not unicodedata.combining(c))
    return re.sub(r"[’'`´ʼ‘]", "", bare)


def _words(sentence: str) -> str:
    """Words with one space between them: signs that stand for letters read as those, s p a c e d words joined."""
    spelt = _SPELT_WITH_SIGNS.sub(lambda m: m[0].rstrip("!").translate(_LEET), sentence)
    words = " ".join(re.findall(r"\w+", spelt.replace("_", " ")))
    return _JOINED.sub(lambda m: m[0].replace(" ", ""), words)


@cache
def _rules() -> tuple[_Rules, ...]:
    table = tomllib.loads((resources.files(__package__) / "crisis.toml").read_text(encoding="utf-8"))
    return tuple(_compiled(language, rules) for language, rules in table.items())


def _compiled(language: str, rules: dict[str, Any]) -> _Rules:
    def any_of(patterns: list[str]) -> re.Pattern[str]:
        for _ in range(2):  # a macro may use another one
            for name, macro in rules.get("macros", {}).items():
                patterns = [p.replace(f"<{name}>", macro) for p in patterns]
        return re.compile(rf"\b(?:{'|'.join(patterns)})\b" if patterns else r"(?!)")

    wrong = {w: right for right, words in rules.get("spelling", {}).items() for w in words}
    return _Rules(
        language=language,
        signs={kind: any_of(patterns) for kind, patterns in rules["signs"].items()},
        idioms=any_of(rules.get("idioms", [])),
        denied=re.compile(any_of(rules.get("denied", [])).pattern + r"(?= ?$)"),
        doubts={kind: any_of(patterns) for kind, patterns in rules.get("doubts", {}).items()},
        serious=any_of(rules.get("serious", [])),
        death=any_of(rules.get("death", [])),
        own=any_of(rules.get("own", [])),
        others=any_of(rules.get("others", [])),
        spelling=wrong,
    )
