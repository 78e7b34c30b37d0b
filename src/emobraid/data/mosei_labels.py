"""How CMU-MOSEI was rated, and what a model's classes make of it.

A segment has a sentiment from -3 to 3 and six emotions from 0 (not there) to 3; several may be there at once.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import isnan, nan
from typing import NamedTuple

from emobraid.config import ModelConfig
from emobraid.data.corpus import OwnLabel
from emobraid.data.labels import Target, targets
from emobraid.emotions import LabelSpace

EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")
COLUMNS = ("sentiment", *EMOTIONS)
STRONGEST = 3.0
SENTIMENTS = ("negative", "neutral", "positive")
NEUTRAL, TIED = "neutral", "tied"


class Rating(NamedTuple):
    """NaN where a file does not tell."""

    sentiment: float
    intensities: tuple[float, ...] = (nan,) * len(EMOTIONS)

    def clamped(self) -> "Rating":
        """Within the scales, which four published rows exceed."""
        return Rating(
            max(-STRONGEST, min(STRONGEST, self.sentiment)) if not isnan(self.sentiment) else nan,
            tuple(max(0.0, min(STRONGEST, x)) if not isnan(x) else nan for x in self.intensities),
        )

    @property
    def out_of_range(self) -> bool:
        return abs(self.sentiment) > STRONGEST or any(x < 0 or x > STRONGEST for x in self.intensities)

    @property
    def affect(self) -> dict[str, float]:
        return {} if isnan(self.sentiment) else {"sentiment": self.sentiment}

    @property
    def present(self) -> tuple[str, ...] | None:
        """The emotions that were seen at all; None when that was not rated."""
        if any(map(isnan, self.intensities)):
            return None
        return tuple(name for name, x in zip(EMOTIONS, self.intensities, strict=True) if x > 0)

    @property
    def dominant(self) -> str | None:
        """The strongest emotion; neutral when none was seen, tied when two are equally strong."""
        if (present := self.present) is None:
            return None
        if not present:
            return NEUTRAL
        strongest = max(self.intensities)
        return EMOTIONS[self.intensities.index(strongest)] if self.intensities.count(strongest) == 1 else TIED

    @property
    def polarity(self) -> str | None:
        """The sign of the sentiment as one of SENTIMENTS."""
        if isnan(self.sentiment):
            return None
        return SENTIMENTS[(self.sentiment > 0) - (self.sentiment < 0) + 1]


class Asked(NamedTuple):
    """What a row asks of the model: a class, or a value for every class; neither where it cannot tell."""

    label: int | None = None
    spread: tuple[float, ...] | None = None

    @property
    def known(self) -> bool:
        return self.label is not None or self.spread is not None


@dataclass(frozen=True)
class Reading:
    """Ratings in the classes of one model."""

    config: ModelConfig

    @property
    def by_sentiment(self) -> bool:
        """Whether the classes are those of sentiment, not of emotion."""
        keys = {LabelSpace.key(name) for name in self.config.labels}
        return {"negative", "positive"} <= keys <= set(SENTIMENTS) and self.config.label_kind == "exclusive"

    def targets(self) -> dict[str, Target]:
        """For each own label, the class that it is, and why when it is none; ValueError when none is."""
        if self.by_sentiment:
            by_key = {LabelSpace.key(name): name for name in self.config.labels}
            lacks = "the model has no class for it"
            return {n: Target(by_key.get(n), "" if n in by_key else lacks) for n in SENTIMENTS}
        found = targets("mosei", self.config.labels)
        if not any(target.label for target in found.values()):
            raise ValueError(f"the labels {', '.join(self.config.labels)} express none of CMU-MOSEI's; see --labels")
        return found | {TIED: Target(None, "two emotions or more are equally strong")}

    def own(self, rating: Rating) -> tuple[str, ...]:
        """The own labels of a row: one for exclusive classes, all that are there for others; none when unknown."""
        if self.config.label_kind == "multi":
            return () if rating.present is None else rating.present or (NEUTRAL,)
        name = rating.polarity if self.by_sentiment else rating.dominant
        return () if name is None else (name,)

    def asked(self, ratings: Sequence[Rating]) -> list[Asked]:
        """For each row what it asks of the model."""
        read_as, space = self.targets(), LabelSpace(self.config.labels)
        asked = []
        for rating in ratings:
            own = self.own(rating)
            places = [space.index(label) for name in own if (label := read_as[name].label) is not None]
            if self.config.label_kind == "multi":
                row = tuple(float(i in places) for i in range(len(self.config.labels)))
                asked.append(Asked(spread=row) if own else Asked())
            else:
                asked.append(Asked(label=places[0] if places else None))
        return asked

    def labels(self, ratings: Sequence[Rating]) -> tuple[OwnLabel, ...]:
        """What became of each own label. Of several in a row, one that the model lacks leaves no row out."""
        counts = Counter(name for rating in ratings for name in self.own(rating))
        multi = self.config.label_kind == "multi"
        return tuple(
            OwnLabel(name, counts[name], *target)
            for name, target in self.targets().items()
            if counts[name] and not (multi and target.label is None)
        )

    def notes(self, ratings: Sequence[Rating]) -> tuple[str, ...]:
        """What a reader of the scores should know, a line each."""
        told = [
            f"{own.rows} rows {own.name!r} left out: {own.reason}" for own in self.labels(ratings) if not own.read_as
        ]
        if unknown := sum(not self.own(rating) for rating in ratings):
            told.append(f"{unknown} rows without a rating left out")
        if self.config.label_kind == "multi":
            counts = Counter(name for rating in ratings for name in self.own(rating))
            for name, target in self.targets().items():
                if counts[name] and target.label is None:
                    no_class = "no class is present in them" if name == NEUTRAL else "kept without it"
                    told.append(f"{counts[name]} rows show {name!r}: {target.reason}; {no_class}")
        return tuple(told)
