"""How an emotion changes a voice, and the utterance plan that follows: syllables, pauses, pitch and loudness.

The directions follow the acoustic correlates collected by Scherer (2003, Speech Communication 40, 227-256) and
Juslin & Laukka (2003, Psychological Bulletin 129, 770-814); the sizes are ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from emobraid.emotions import Emotion

STEP = 0.005  # s between two values of a control track
SHORTEST, LONGEST = 1.5, 2.5  # s, a whole clip
SILENCE = 0.12  # s before and after the speech

Track = NDArray[np.float64]


class Manner(NamedTuple):
    """How something is said, relative to the speaker's neutral voice."""

    pitch: float = 0.0  # semitones
    span: float = 1.0  # factor on the size of pitch accents
    slope: float = -2.0  # semitones over the utterance
    ending: float = -1.5  # semitones over the last quarter
    rate: float = 1.0  # factor on syllables per second
    level: float = 0.0  # dB
    effort: float = 0.0  # -1 lax and dull .. 1 pressed and bright
    breath: float = 0.0  # 0..1
    creak: float = 0.0  # 0..1, alternating weak pulses
    rough: float = 0.0  # 0..1, jitter and shimmer
    tremor: float = 0.0  # 0..1, slow wavering of pitch and level
    pauses: float = 0.0  # chance of a pause after a syllable
    spread: float = 0.0  # relative shift of the formants: a smile shortens the tract, a pout lengthens it


MANNERS: Mapping[Emotion, Manner] = {
    Emotion.NEUTRAL: Manner(),
    Emotion.HAPPY: Manner(6.0, 2.5, 1.0, 2.5, rate=1.2, level=2.0, effort=0.25, spread=0.15),
    Emotion.SAD: Manner(
        -2.5, 0.4, -3.5, -2.0, rate=0.72, level=-4.5, effort=-0.7, breath=0.6, pauses=0.3, spread=-0.03
    ),
    Emotion.ANGRY: Manner(1.5, 1.5, -5.0, -4.0, rate=1.12, level=4.0, effort=1.0, rough=1.0),
    Emotion.FEAR: Manner(7.0, 0.5, 0.5, 0.5, rate=1.3, level=-1.5, breath=0.35, rough=0.3, tremor=1.0, pauses=0.08),
    Emotion.SURPRISE: Manner(6.0, 1.4, 2.5, 10.0, rate=0.85, level=0.5, effort=-0.2, breath=0.45),
    Emotion.DISGUST: Manner(-1.5, 1.0, -3.5, -4.5, rate=0.78, level=-1.0, effort=0.4, creak=0.9, spread=-0.05),
}


def manner(emotion: Emotion, intensity: float) -> Manner:
    """The manner of `emotion` at `intensity` 0..1, on the line between the neutral manner and the full one."""
    neutral, full = MANNERS[Emotion.NEUTRAL], MANNERS[emotion]
    return Manner(*(n + intensity * (f - n) for n, f in zip(neutral, full, strict=True)))


@dataclass(frozen=True)
class Utterance:
    """When which syllable is said, and how pitch and loudness move; tracks have one value every STEP seconds."""

    syllables: tuple[tuple[float, float, bool], ...]  # start s, length s, stressed
    pitch: Track  # Hz
    loudness: Track  # amplitude 0..1, zero in pauses; without the level of the manner


def utterance(base_pitch: float, syllables: int, how: Manner, rng: np.random.Generator) -> Utterance:
    """An utterance of about `syllables` syllables that lasts SHORTEST to LONGEST seconds, silence included."""
    timing, seconds = _timing(syllables, how, rng)
    time: Track = STEP * np.arange(round(seconds / STEP), dtype=np.float64)
    pitch = base_pitch * 2.0 ** (_melody(time, timing, how, rng) / 12)
    return Utterance(timing, pitch, _loudness(time, timing, how, rng))


def _timing(
    syllables: int, how: Manner, rng: np.random.Generator
) -> tuple[tuple[tuple[float, float, bool], ...], float]:
    usual = 0.215 / (how.rate * rng.uniform(0.93, 1.07))
    room = LONGEST - 2 * SILENCE, SHORTEST - 2 * SILENCE
    count = int(np.clip(syllables, room[1] / usual, 0.95 * room[0] / usual))
    lengths = usual * rng.uniform(0.8, 1.2, count)
    lengths[-1] *= 1.35  # the last syllable is drawn out
    gaps = np.where(rng.random(count) < how.pauses, rng.uniform(0.12, 0.28, count), 0.0)
    gaps[-1] = 0.0
    squeeze = min(1.0, room[0] / (lengths.sum() + gaps.sum()))
    starts = SILENCE + squeeze * (np.cumsum(lengths + gaps) - lengths - gaps)
    beat = int(rng.integers(2))  # every second or so syllable is stressed
    stressed = (np.arange(count) % 2 == beat) | (rng.random(count) < 0.15)
    timing = tuple((float(s), float(n), bool(x)) for s, n, x in zip(starts, squeeze * lengths, stressed, strict=True))
    return timing, max(SHORTEST, timing[-1][0] + timing[-1][1] + SILENCE)


def _melody(time: Track, timing: tuple[tuple[float, float, bool], ...], how: Manner, rng: np.random.Generator) -> Track:
    """Semitones above the base pitch: overall slope, an accent per stressed syllable, the ending, wavering."""
    first, last = timing[0][0], timing[-1][0] + timing[-1][1]
    place = np.clip((time - first) / (last - first), 0.0, 1.0)
    semitones = how.pitch + how.slope * (place - 0.5)
    for start, length, stressed in timing:
        size = how.span * (2.4 if stressed else 0.4) * rng.uniform(0.7, 1.3)
        semitones += size * np.exp(-0.5 * ((time - start - 0.55 * length) / (0.38 * length)) ** 2)
    rise = np.clip((place - 0.7) / 0.3, 0.0, 1.0)
    semitones += how.ending * rise**2 * (3 - 2 * rise)
    semitones += 1.1 * how.tremor * np.sin(2 * np.pi * rng.uniform(6.0, 7.5) * time + rng.uniform(0, 6.28))
    return semitones + 0.15 * smooth(rng.standard_normal(len(time)), 9) * 3


def _loudness(
    time: Track, timing: tuple[tuple[float, float, bool], ...], how: Manner, rng: np.random.Generator
) -> Track:
    level = np.zeros(len(time))
    attack = 9 if how.effort < 0.5 else 5  # pressed voices start and stop abruptly
    for start, length, stressed in timing:
        inside = (time >= start) & (time < start + length)
        level[inside] = (1.0 if stressed else 0.72) * rng.uniform(0.88, 1.0) * (1 - 0.25 * start / time[-1])
    waver = 1 + 0.35 * how.tremor * np.sin(2 * np.pi * rng.uniform(6.0, 7.5) * time)
    return smooth(level, attack) * waver


def smooth(track: Track, width: int) -> Track:
    """`track` under a moving Hann window of `width` values."""
    window = np.hanning(width + 2)[1:-1]
    return np.convolve(np.pad(track, width // 2, mode="edge"), window / window.sum(), mode="valid")[: len(track)]
