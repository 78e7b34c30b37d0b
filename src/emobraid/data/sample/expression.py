"""Which facial action units an emotion moves, and when.

Action units are numbered as in the Facial Action Coding System (Ekman & Friesen 1978; Ekman, Friesen & Hager 2002);
the prototypes are those of its investigators' guide, simplified, and their sizes are ours.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from emobraid.emotions import Emotion

# 1 inner brow raiser, 2 outer brow raiser, 4 brow lowerer, 5 upper lid raiser, 6 cheek raiser, 7 lid tightener,
# 9 nose wrinkler, 10 upper lip raiser, 12 lip corner puller, 15 lip corner depressor, 17 chin raiser,
# 20 lip stretcher, 23 lip tightener, 25 lips part, 26 jaw drop, 43 eyes closed
UNITS = (1, 2, 4, 5, 6, 7, 9, 10, 12, 15, 17, 20, 23, 25, 26, 43)
PROTOTYPES: Mapping[Emotion, Mapping[int, float]] = {
    Emotion.HAPPY: {6: 0.9, 12: 1.0, 25: 0.7},
    Emotion.SAD: {1: 1.0, 4: 0.5, 15: 1.0, 17: 0.7, 43: 0.3},
    Emotion.ANGRY: {4: 1.0, 5: 0.35, 7: 0.7, 23: 1.0, 17: 0.3},
    Emotion.FEAR: {1: 0.9, 2: 0.4, 4: 0.5, 5: 1.0, 20: 1.0, 25: 0.7, 26: 0.15},
    Emotion.SURPRISE: {1: 1.0, 2: 1.0, 5: 0.8, 25: 0.9, 26: 1.0},
    Emotion.DISGUST: {9: 1.0, 10: 1.0, 4: 0.45, 7: 0.6, 15: 0.4, 17: 0.4},
    Emotion.NEUTRAL: {},
}

Action = NDArray[np.float64]  # (frames, units) or (units,), in the order of UNITS, 0..1


def action(emotion: Emotion, intensity: float, mouth: Action, rate: float, rng: np.random.Generator) -> Action:
    """Action units of a film of `len(mouth)` frames at `rate` per second, (frames, units).

    The emotion rises to an apex and fades a little; eyes blink; `mouth` (frames,) 0..1 opens lips and jaw in speech.
    """
    units = np.zeros((len(mouth), len(UNITS)))
    course = _course(len(mouth), rate, rng)
    for unit, size in PROTOTYPES[emotion].items():
        units[:, UNITS.index(unit)] = course * intensity * size * rng.uniform(0.75, 1.1)
    units += rng.uniform(0, 0.06, len(UNITS)) * np.array([unit not in (5, 25, 26, 43) for unit in UNITS])
    for unit, share in ((25, 0.45), (26, 0.3)):
        column = units[:, UNITS.index(unit)]
        column += share * mouth * (1 - 0.5 * column)
    closed = units[:, UNITS.index(43)]
    np.maximum(closed, _blinks(len(mouth), rate, rng), out=closed)
    return np.clip(units, 0.0, 1.0)


def _course(frames: int, rate: float, rng: np.random.Generator) -> Action:
    """Onset, apex, offset: from a trace to 1 within about half a second, and down to about two thirds at the end."""
    time = np.arange(frames) / rate
    onset, offset = rng.uniform(0.15, 0.5), frames / rate - rng.uniform(0.2, 0.5)
    rise = np.clip((time + 0.1) / onset, 0.25, 1.0)
    fall = np.clip((time - offset) / 0.5, 0.0, 1.0) * rng.uniform(0.2, 0.5)
    return rise * (1 - fall) * (1 + 0.04 * np.sin(2 * np.pi * 0.8 * time + rng.uniform(0, 6.28)))


def _blinks(frames: int, rate: float, rng: np.random.Generator) -> Action:
    """A blink of about a quarter second every two seconds or so."""
    time = np.arange(frames) / rate
    moments = rng.uniform(0.2, 1.2) + np.array([0.0, rng.uniform(1.0, 2.5)])
    return np.clip(1.15 - np.abs(time[:, None] - moments) / 0.11, 0.0, 1.0).max(axis=1)
