"""The safety net, in layers, before any model reads: patterns, a small classifier, and between safe and not a caution.

Recall comes before precision: a question too many costs a person little, a missed plan may cost a life. The patterns
(crisis.py) read eight languages, the classifier (net.py) English; where they differ, the text is asked about.
"""

from dataclasses import dataclass
from typing import Literal

from emobraid.dialogue import words
from emobraid.dialogue.crisis import detect
from emobraid.dialogue.net import Danger, Net

DOUBTED = 0.7  # likelihood below which what a pattern found is asked about, and not taken for a crisis at once


@dataclass(frozen=True)
class Alarm:
    """How a text must be answered: `crisis` with help and nothing else, `caution` with one plain question and help
    lines. `kind` is one of crisis.KINDS, `language` (ISO 639-1) that of the words that told of it."""

    level: Literal["crisis", "caution"]
    kind: str
    language: str
    likely: float = 1.0  # what the classifier gave it; 1 where a pattern found it


def look(text: str) -> Alarm | None:
    """The alarm that `text` gives, or None. It takes some 10 ms a sentence; the words go nowhere.

    `look("I gave my cat away. After Sunday nobody needs to feed her.").kind` -> "self_harm".
    """
    if not text.strip():
        return None
    pattern = detect(text)
    net = Net.shipped()
    if words.foreign(text) or words.perhaps_foreign(text) or not net.reads(text):
        return Alarm("crisis", pattern.kind, pattern.language) if pattern else None
    danger = net.hear(text)
    if pattern:
        # a sentence with the words of a crisis and none of its sense: a film, a game, a figure of speech
        doubted = pattern.language == "en" and danger.likely < DOUBTED
        return Alarm("caution" if doubted else "crisis", pattern.kind, pattern.language)
    return heard(danger, net)


def heard(danger: Danger, net: Net) -> Alarm | None:
    """What the classifier alone says."""
    if danger.likely >= net.crisis:
        return Alarm("crisis", danger.kind, "en", danger.likely)
    return Alarm("caution", danger.kind, "en", danger.likely) if danger.likely >= net.caution else None


def is_crisis(text: str) -> bool:
    """Whether `text` must be answered with help and nothing else."""
    alarm = look(text)
    return alarm is not None and alarm.level == "crisis"
