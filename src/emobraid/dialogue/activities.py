"""Activities on offer (activities.toml): by emotion, intensity, course, what was offered before, and time, place and
company that the person named."""

import random
import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING

from emobraid.dialogue.history import History
from emobraid.dialogue.words import Wish

if TYPE_CHECKING:
    from emobraid.prediction import Prediction

FAR = 0.5  # valence or arousal (-1..1) from which a reading is strong
FIRM = 0.6  # confidence from which a reading may be called strong at all
LASTING = 3  # turns with one emotion after which company is preferred
# which energy suits whom: strong readings first, then mild ones
ENERGY = {
    "happy": (("high", "medium"), ("medium", "low")),
    "sad": (("low",), ("low", "medium")),
    "angry": (("high", "low"), ("medium", "low")),
    "fear": (("low",), ("low", "medium")),
    "surprise": (("medium", "low"), ("low", "medium")),
    "disgust": (("medium", "high"), ("low", "medium")),
    "neutral": (("medium", "high"), ("low", "medium")),
}


@dataclass(frozen=True, kw_only=True)
class Activity:
    """`emotions` it suits, `minutes` it takes, its `energy` (low, medium, high), where, and alone or together."""

    text: str
    emotions: frozenset[str]
    minutes: int
    energy: str
    place: str
    company: str


def suggest(
    emotion: str,
    wish: Wish,
    prediction: "Prediction | None",
    history: History,
    rng: random.Random,
    *,
    count: int,
) -> tuple[str, ...]:
    """At most `count` activities for `emotion`, none of them offered before in this conversation while there are
    others; fewer when little fits."""
    fitting = [a for a in activities() if emotion in a.emotions and _fits(a, wish)]
    offered = [text for turn in history.turns for text in turn.reply.suggestions]
    fresh = [a for a in fitting if a.text not in offered]
    if not fresh:
        latest = set(offered[-12:])
        fresh = [a for a in fitting if a.text not in latest]
    lasting = _lasting(history, emotion)
    wanted = ENERGY[emotion][0 if prediction and _strong(prediction) else 1]
    rng.shuffle(fresh)
    fresh.sort(
        key=lambda a: (wanted.index(a.energy) if a.energy in wanted else 2) - lasting * (a.company == "together")
    )
    return tuple(a.text for a in fresh[:count])


def _fits(activity: Activity, wish: Wish) -> bool:
    return (
        (wish.minutes is None or activity.minutes <= wish.minutes)
        and (wish.place is None or activity.place in ("anywhere", wish.place))
        and (wish.company is None or activity.company in ("either", wish.company))
    )


def _strong(prediction: "Prediction") -> bool:
    """A firm reading far from rest: agitated, or deep in the pleasant or unpleasant half."""
    far = max((abs(v) for v in prediction.affect.values()), default=0.0)
    return prediction.confidence >= FIRM and far >= FAR


def _lasting(history: History, emotion: str) -> int:
    last = [p.emotion for p in history.course[-LASTING:]]
    return int(len(last) == LASTING and set(last) == {emotion})


@cache
def activities() -> tuple[Activity, ...]:
    """All activities there are."""
    rows = tomllib.loads((resources.files(__package__) / "activities.toml").read_text(encoding="utf-8"))["activity"]
    return tuple(Activity(**{**row, "emotions": _known(row["emotions"])}) for row in rows)


def _known(emotions: Iterable[str]) -> frozenset[str]:
    assert set(emotions) <= set(ENERGY), emotions
    return frozenset(emotions)
