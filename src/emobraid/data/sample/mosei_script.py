"""Who says what in the made-up CMU-MOSEI, and how it is rated."""

from dataclasses import dataclass

import numpy as np

from emobraid.data.labels import to_common
from emobraid.data.mosei_files import PAUSE
from emobraid.data.mosei_labels import NEUTRAL, TIED, Rating
from emobraid.data.sample.plan import Clip, Showing, Split
from emobraid.data.sample.sentences import sentence
from emobraid.emotions import Emotion

SEGMENTS = 3  # of a video
GAP = 0.25  # seconds of silence before each segment
#: sentiment and the six intensities: alone, together, none, tied, so that no two classes have the same numbers
RATINGS = (
    Rating(2.0, (2.0, 0, 0, 0, 0, 0)),
    Rating(0.0, (0, 0, 0, 0, 0, 0)),
    Rating(-4 / 3, (0, 5 / 3, 0, 0, 0, 0)),
    Rating(1.0, (4 / 3, 0, 0, 2 / 3, 0, 0)),
    Rating(-2.0, (0, 0, 2.0, 0, 1.0, 0)),
    Rating(1 / 3, (0, 0, 0, 0, 0, 0)),
    Rating(-1.0, (0, 0, 0, 0, 4 / 3, 0)),
    Rating(2 / 3, (0, 0, 0, 1.0, 0, 0)),
    Rating(-2 / 3, (0, 1 / 3, 0, 0, 0, 1.0)),
    Rating(0.0, (1.0, 1.0, 0, 0, 0, 0)),
    Rating(3.0, (3.0, 0, 0, 0, 0, 0)),
    Rating(-1 / 3, (0, 0, 2 / 3, 0, 0, 0)),
)

Words = list[tuple[str, float, float]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One segment to be; `start` and `end` are known when its video has been recorded."""

    video: str
    split: Split
    number: int
    rating: Rating
    clip: Clip
    start: float = 0.0
    end: float = 0.0

    @property
    def words(self) -> Words:
        """The words, evenly over the segment, after the pause before it."""
        said = self.clip.text.lower().replace(",", "").replace(".", "").replace("!", "").replace("?", "").split()
        edges = np.linspace(self.start, self.end, len(said) + 1)
        spoken = [(w, float(a), float(b)) for w, a, b in zip(said, edges[:-1], edges[1:], strict=True)]
        return [(PAUSE, self.start - GAP, self.start), *spoken]


def script(seed: int, clips: int) -> list[Part]:
    """Who says what, before anything is recorded."""
    videos = clips // SEGMENTS
    val, test = max(1, round(0.15 * videos)), max(1, round(0.25 * videos))
    rng = np.random.default_rng([seed, 6])
    ratings = [RATINGS[int(i) % len(RATINGS)] for i in rng.permutation(videos * SEGMENTS)]
    parts = []
    for place, rating in enumerate(ratings):
        video, number = divmod(place, SEGMENTS)
        split: Split = "train" if video < videos - val - test else "val" if video < videos - test else "test"
        parts.append(_part(f"v{video:03d}", split, number, rating, place, video, rng))
    return parts


def _part(
    video: str, split: Split, number: int, rating: Rating, place: int, speaker: int, rng: np.random.Generator
) -> Part:
    shown = {TIED: "happy"}.get(rating.dominant or NEUTRAL, rating.dominant or NEUTRAL)
    common = Emotion(str(to_common("mosei", shown)))
    showing = Showing(common, 0.9)
    clip = Clip(
        number=place,
        split=split,
        speaker=speaker,
        emotion=common,
        text=sentence(common, weak=False, rng=rng),
        voice=showing,
        face=showing,
        empty=frozenset(),
    )
    return Part(video=video, split=split, number=number, rating=rating, clip=clip)
