"""What a model reads in one utterance, and how much each modality had in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import factorial, isfinite
from typing import Any


class NoNumber(ValueError):
    """The model's answer is NaN or infinite, which is no answer."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one modality alone expresses, in the model's reading."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Prediction(Reading):
    """What an utterance expresses, in the model's reading; never a claim about what a person feels.

    `confidence` is calibrated for the modalities that were there. `contributions` are Shapley values: how much each
    modality moved the probability of `emotion` away from what the model says of nothing at all; they add up to that
    difference. `affect` holds the dimensions that the model reads, in the units of its training data; of a model that
    reads none, it places the probabilities on the valence-arousal plane (each -1..1); `affect_note` says which.
    `notes` tell, by modality, why it is missing or what is odd about it.

    Where classes do not exclude each other, `expressed` are those whose probability reaches their threshold, which may
    be none, and `emotion` is the likeliest; for exclusive classes `expressed` is None and not in the JSON.

    NoNumber (a ValueError) when any of its numbers is not finite: there is no such Prediction.
    """

    contributions: dict[str, float]
    per_modality: dict[str, Reading]
    affect: dict[str, float]
    notes: dict[str, str]
    affect_note: str = ""
    expressed: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        read = (self, *self.per_modality.values())
        numbers = [p for one in read for p in (one.confidence, *one.probabilities.values())]
        if not all(map(isfinite, (*numbers, *self.contributions.values(), *self.affect.values()))):
            raise NoNumber(
                "the model's answer to this is not a number: what it was given holds values far beyond those that it "
                "learned from; check the features or the recording"
            )

    def to_json(self) -> dict[str, Any]:
        told = {**vars(self), "per_modality": {m: dict(vars(one)) for m, one in self.per_modality.items()}}
        return told if self.expressed is not None else {k: v for k, v in told.items() if k != "expressed"}


def shapley(value: Mapping[frozenset[str], Any], players: tuple[str, ...]) -> dict[str, Any]:
    """Exact Shapley values (Shapley 1953) from the value of every subset, the empty one included; a value is a number
    or an array of numbers."""
    size = len(players)
    shares = {}
    for player in players:
        rest = [s for s in value if player not in s]
        weigh = {s: factorial(len(s)) * factorial(size - len(s) - 1) / factorial(size) for s in rest}
        shares[player] = sum(weigh[s] * (value[s | {player}] - value[s]) for s in rest)
    return shares
