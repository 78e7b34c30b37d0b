"""The emotions we read, and how a data set's own labels become columns of a target."""

import difflib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


class Emotion(StrEnum):
    """The seven expressed emotions that every data set is mapped to, in the order of all our tables."""

    HAPPY = "happy"
    SAD = "sad"
    ANGRY = "angry"
    FEAR = "fear"
    SURPRISE = "surprise"
    DISGUST = "disgust"
    NEUTRAL = "neutral"


AffectDimension = Literal["sentiment", "valence", "arousal", "dominance"]
#: exclusive: one class an utterance; multi: each class is expressed or not, whatever the others are
LabelKind = Literal["exclusive", "multi"]

# Rough places on the valence-arousal circumplex (Russell 1980, J. Pers. Soc. Psychol. 39(6)), each in -1..1.
# They give a prediction without affect labels a place on the plane; they are not measurements.
CIRCUMPLEX: Mapping[str, tuple[float, float]] = {
    "happy": (0.80, 0.50),
    "sad": (-0.70, -0.40),
    "angry": (-0.60, 0.70),
    "fear": (-0.65, 0.65),
    "surprise": (0.20, 0.75),
    "disgust": (-0.70, 0.25),
    "neutral": (0.0, 0.0),
    "calm": (0.30, -0.50),
    "positive": (0.60, 0.20),
    "negative": (-0.60, 0.20),
}


def nearest(name: str, known: Sequence[str]) -> str:
    """`", did you mean 'x'?"` for the known name closest to `name`, or nothing when none is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f", did you mean {close[0]!r}?" if close else ""


@dataclass(frozen=True)
class LabelSpace:
    """The classes of a task, in column order. Labels are compared without case and outer spaces."""

    names: tuple[str, ...] = tuple(e.value for e in Emotion)
    kind: LabelKind = "exclusive"

    def __post_init__(self) -> None:
        if len(self.names) < 2:
            raise ValueError(f"a label space needs at least two classes, got {list(self.names)}")
        if len({self.key(n) for n in self.names}) != len(self.names):
            raise ValueError(f"labels must differ, got {list(self.names)}")

    @staticmethod
    def key(label: str) -> str:
        return label.strip().casefold()

    def __len__(self) -> int:
        return len(self.names)

    def index(self, label: str) -> int:
        """The column of `label`; ValueError names the label, the known ones and the nearest."""
        keys = [self.key(n) for n in self.names]
        if self.key(label) not in keys:
            hint = nearest(self.key(label), keys) or ","
            if self.kind == "exclusive" and all(self.key(part) in keys for part in re.split("[|;]", label)):
                hint = "; several labels a row need --label_kind multi,"
            raise ValueError(f"unknown label {label!r}{hint} known: {', '.join(self.names)}")
        return keys.index(self.key(label))

    def spread(self, labels: str) -> tuple[float, ...]:
        """Multi-hot (C,) of labels with `|` or `;` between them; a `|` alone expresses none. ValueError as `index`."""
        named = [part for part in re.split("[|;]", labels) if part.strip()]
        columns = {self.index(part) for part in named}
        return tuple(float(i in columns) for i in range(len(self)))

    def affect(self, probabilities: Sequence[float]) -> dict[str, float]:
        """Expected valence and arousal (-1..1) under `probabilities`; empty when a class has no known place.

        Probabilities of classes that do not exclude each other count by their share of the sum.
        """
        if any(self.key(n) not in CIRCUMPLEX for n in self.names):
            return {}
        places = [CIRCUMPLEX[self.key(n)] for n in self.names]
        whole = (math.fsum(probabilities) or 1.0) if self.kind == "multi" else 1.0
        return {
            axis: math.fsum(p * place[i] for p, place in zip(probabilities, places, strict=True)) / whole
            for i, axis in enumerate(("valence", "arousal"))
        }
