"""Who says what in the sample corpus: speakers, splits, labels, and what each modality really shows of the label."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from emobraid.data.sample.sentences import sentence
from emobraid.emotions import Emotion

Split = Literal["train", "val", "test"]
SPEAKERS: Mapping[Split, range] = {"train": range(18), "val": range(18, 22), "test": range(22, 28)}
SHARE: Mapping[Split, float] = {"val": 0.15, "test": 0.20}  # of the clips; train takes the rest
CELLS = ("text", "audio_path", "video_path")
ONE_EMPTY, TWO_EMPTY = 0.065, 0.015  # of the rows


@dataclass(frozen=True)
class Channel:
    """How a modality tells the label: sometimes it is off and shows something else, and its strength varies."""

    off: float  # probability that it does not show the label
    neutral: float  # of those, the share that shows nothing; the others show one of `mistaken`
    weakest: float  # intensities are uniform between this and 1
    mistaken: Mapping[Emotion, tuple[Emotion, ...]]


_HAPPY, _SAD, _ANGRY, _FEAR, _SURPRISE, _DISGUST, _NEUTRAL = Emotion
# The one table that decides how hard the corpus is. Voices are mistaken by arousal, faces by shared action units
# (brows and eyes of fear and surprise, the frown of anger and disgust); text that is off fits several emotions.
CHANNELS: Mapping[str, Channel] = {
    "text": Channel(off=0.36, neutral=1.0, weakest=1.0, mistaken={}),
    "voice": Channel(
        off=0.20,
        neutral=0.2,
        weakest=0.7,
        mistaken={
            _HAPPY: (_ANGRY, _SURPRISE),
            _ANGRY: (_HAPPY,),
            _SURPRISE: (_HAPPY, _FEAR),
            _FEAR: (_SURPRISE,),
            _SAD: (_DISGUST,),
            _DISGUST: (_SAD,),
            _NEUTRAL: (_SAD, _DISGUST),
        },
    ),
    "face": Channel(
        off=0.26,
        neutral=0.2,
        weakest=0.6,
        mistaken={
            _HAPPY: (_SURPRISE,),
            _ANGRY: (_DISGUST,),
            _DISGUST: (_ANGRY,),
            _FEAR: (_SURPRISE,),
            _SURPRISE: (_FEAR,),
            _SAD: (_FEAR,),
            _NEUTRAL: (_SAD,),
        },
    ),
}


@dataclass(frozen=True)
class Showing:
    """What one modality of one clip really expresses."""

    emotion: Emotion
    intensity: float  # 0 (nothing) .. 1 (full)


@dataclass(frozen=True)
class Clip:
    """One row to be made. `empty` names the cells that are left empty; no file is written for those."""

    number: int
    split: Split
    speaker: int
    emotion: Emotion
    text: str
    voice: Showing
    face: Showing
    empty: frozenset[str]

    @property
    def name(self) -> str:
        return f"clip_{self.number:04d}"


def plan(seed: int, clips: int) -> list[Clip]:
    """All clips of a corpus: speakers of the splits are disjoint, emotions balanced overall and within each split."""
    sizes = {split: round(share * clips) for split, share in SHARE.items()}
    sizes = {"train": clips - sum(sizes.values()), **sizes}
    rows = [(split, place) for split in SPEAKERS for place in range(sizes[split])]
    # numbers are drawn, so that neither a file name nor the order of rows tells the emotion
    numbers = np.random.default_rng([seed, 0]).permutation(clips)
    made = [
        _clip(seed, int(number), split, place, tuple(Emotion)[row % len(Emotion)])
        for row, (number, (split, place)) in enumerate(zip(numbers, rows, strict=True))
    ]
    return sorted(made, key=lambda clip: clip.number)


def _clip(seed: int, number: int, split: Split, place: int, emotion: Emotion) -> Clip:
    rng = np.random.default_rng([seed, 1, number])
    speakers = SPEAKERS[split]  # their counts share no factor with seven: each speaker meets every emotion
    return Clip(
        number=number,
        split=split,
        speaker=speakers[place % len(speakers)],
        emotion=emotion,
        text=sentence(emotion, weak=bool(rng.random() < CHANNELS["text"].off), rng=rng),
        voice=_showing(CHANNELS["voice"], emotion, rng),
        face=_showing(CHANNELS["face"], emotion, rng),
        empty=_empty(rng),
    )


def _showing(channel: Channel, emotion: Emotion, rng: np.random.Generator) -> Showing:
    intensity = float(rng.uniform(channel.weakest, 1.0))
    if rng.random() >= channel.off:
        return Showing(emotion, intensity)
    if rng.random() < channel.neutral and emotion != Emotion.NEUTRAL:
        return Showing(Emotion.NEUTRAL, intensity)
    mistaken = channel.mistaken[emotion]
    return Showing(mistaken[int(rng.integers(len(mistaken)))], intensity)


def _empty(rng: np.random.Generator) -> frozenset[str]:
    draw = rng.random()
    how_many = 2 if draw < TWO_EMPTY else 1 if draw < TWO_EMPTY + ONE_EMPTY else 0
    return frozenset(str(cell) for cell in rng.choice(CELLS, how_many, replace=False))
