"""Readings over time: smoothed, and with a label that does not flicker. Numbers in, numbers out."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

UNSURE_BELOW = 0.45  # confidence: with less, some other class is nearly as likely, or all are
UNSURE_ABOVE = 0.85  # entropy as a part of that of a coin with a side for each class


@dataclass(frozen=True, kw_only=True)
class Smoothed:
    """Probabilities over time, and the label that is held."""

    emotion: str
    probabilities: dict[str, float]

    @property
    def confidence(self) -> float:
        """The probability of the label that is held."""
        return self.probabilities[self.emotion]

    @property
    def uncertainty(self) -> float:
        return entropy(self.probabilities)

    @property
    def nearest(self) -> str:
        """The label that is held, or where it is not sure whatever is ahead now: a held label may lag behind."""
        return self.emotion if self.sure else max(self.probabilities, key=self.probabilities.__getitem__)

    @property
    def sure(self) -> bool:
        return is_sure(self.confidence, self.uncertainty)


def entropy(probabilities: Mapping[str, float]) -> float:
    """Shannon's entropy as a part of the largest possible one: 0 certain, 1 no idea."""
    spread = -math.fsum(p * math.log(p) for p in probabilities.values() if p > 0)
    return min(1.0, max(0.0, spread / math.log(len(probabilities))))


def is_sure(confidence: float, uncertainty: float) -> bool:
    """Whether a calibrated reading says enough to be called by its label."""
    return confidence >= UNSURE_BELOW and uncertainty <= UNSURE_ABOVE


class Smoother:
    """Exponential average of calibrated probabilities with hysteresis: the label changes only when it has been
    behind by `margin` for `hold` seconds, to whatever is ahead then. `memory` is the time constant in seconds: after
    it, 63 % of a new state has arrived. Steps may come at any pace.
    """

    def __init__(self, *, memory: float = 1.0, margin: float = 0.08, hold: float = 0.6) -> None:
        if memory <= 0 or margin < 0 or hold < 0:
            raise ValueError(f"memory must be positive, margin and hold not negative: {memory}, {margin}, {hold}")
        self.memory, self.margin, self.hold = memory, margin, hold
        self.forget()

    def forget(self) -> None:
        """As at the start."""
        self._average: dict[str, float] = {}
        self._label = ""
        self._since: float | None = None  # when it fell behind
        self._last = 0.0

    def add(self, probabilities: Mapping[str, float], at: float) -> Smoothed:
        """The smoothed state with one more reading, taken `at` seconds of a clock that never goes back."""
        if set(probabilities) != set(self._average):  # the first one, or another model
            self.forget()
            self._average = dict(probabilities)
            self._label = max(probabilities, key=lambda name: probabilities[name])
        else:
            share = 1.0 - math.exp(-max(at - self._last, 0.0) / self.memory)
            self._average = {k: v + share * (probabilities[k] - v) for k, v in self._average.items()}
        self._last = at
        self._hold_or_change(at)
        return Smoothed(emotion=self._label, probabilities=dict(self._average))

    def _hold_or_change(self, at: float) -> None:
        ahead = max(self._average, key=lambda name: self._average[name])
        if ahead == self._label or self._average[ahead] < self._average[self._label] + self.margin:
            self._since = None
            return
        if self._since is None:
            self._since = at
        if at - self._since >= self.hold:
            self._label, self._since = ahead, None
