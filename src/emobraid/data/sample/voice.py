"""A small source-filter voice: glottal pulses and noises through moving formants, in the manner of an emotion.

After the source-filter theory (Fant 1960) with the glottal pulse and cascade resonators of Klatt & Klatt (1990,
J. Acoust. Soc. Am. 87, 820-857). It babbles syllables; nobody was recorded. Speech sounds are a handful of formant and
noise targets, enough to sound like a voice and to give a spectrum its usual shape.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter, resample_poly, sosfilt

from emobraid.data.sample.prosody import STEP, Manner, Track, Utterance, smooth, utterance

RATE = 16_000  # Hz
HOP = round(RATE * STEP)
OVERSAMPLING = 2  # a glottal closure is abrupt: sampled at RATE it would alias into a whistle
LOUDEST, QUIETEST = -3.0, -12.0  # dBFS peaks

Wave = NDArray[np.float64]


@dataclass(frozen=True)
class Throat:
    """What stays the same whenever a speaker speaks."""

    pitch: float  # Hz, neutral
    formants: float  # factor on all formant frequencies; a long vocal tract has a small one
    breath: float  # 0..1, on top of the manner's
    effort: float  # on top of the manner's
    rate: float  # factor on the manner's

    @classmethod
    def draw(cls, kind: int, rng: np.random.Generator) -> "Throat":
        """A speaker's throat; kind 0 is a low voice, 1 a high one, 2 one in between."""
        pitch, formants = ((112, 1.0), (205, 1.16), (155, 1.08))[kind % 3]
        return cls(
            pitch=pitch * 2 ** (rng.uniform(-1.5, 1.5) / 12),
            formants=formants * rng.uniform(0.97, 1.03),
            breath=rng.uniform(0.0, 0.12),
            effort=rng.uniform(-0.12, 0.12),
            rate=rng.uniform(0.93, 1.07),
        )


class Sound(NamedTuple):
    """Targets of a speech sound: formants in Hz, how much voice, which noise (an index of BANDS) and how much."""

    formants: tuple[float, float, float]
    voice: float
    band: int = 0
    noise: float = 0.0
    burst: bool = False  # closed, then noise at once


BANDS = ((4500.0, 7400.0), (2200.0, 4800.0), (900.0, 6500.0))  # Hz, the noises of s, sh, and f or h
VOWELS = (
    Sound((300, 2250, 3000), 1.0),
    Sound((480, 1950, 2600), 1.0),
    Sound((750, 1250, 2550), 1.0),
    Sound((480, 900, 2450), 1.0),
    Sound((330, 850, 2300), 1.0),
    Sound((520, 1450, 2500), 1.0),
    Sound((680, 1750, 2500), 1.0),
)
CONSONANTS = (
    Sound((300, 900, 2300), 0.0, 2, 0.35, burst=True),  # p
    Sound((300, 1750, 2700), 0.0, 0, 0.5, burst=True),  # t
    Sound((300, 1900, 2300), 0.0, 1, 0.5, burst=True),  # k
    Sound((250, 1000, 2300), 0.25, 2, 0.2, burst=True),  # b
    Sound((250, 1700, 2600), 0.25, 1, 0.2, burst=True),  # d
    Sound((320, 1600, 2600), 0.0, 0, 0.45),  # s
    Sound((320, 1800, 2500), 0.0, 1, 0.4),  # sh
    Sound((320, 1100, 2300), 0.0, 2, 0.25),  # f
    Sound((260, 1100, 2200), 0.45),  # m
    Sound((260, 1500, 2500), 0.45),  # n
    Sound((350, 1100, 2700), 0.6),  # l
    Sound((300, 700, 2200), 0.6),  # w
)


def speak(throat: Throat, how: Manner, syllables: int, rng: np.random.Generator) -> tuple[Wave, Track]:
    """An utterance as samples in -1..1 at RATE, and its loudness every STEP seconds (0..1) to move a mouth by."""
    how = how._replace(
        rate=how.rate * throat.rate,
        effort=float(np.clip(how.effort + throat.effort, -1, 1)),
        breath=float(np.clip(how.breath + throat.breath, 0, 1)),
    )
    said = utterance(throat.pitch, syllables, how, rng)
    formants, voicing, noises = _articulate(said, throat.formants * (1 + how.spread), rng)
    source = _glottis(said, voicing, how, rng)
    wave = _tract(source, formants) + _hiss(noises, rng) * 10 ** (how.effort / 4)
    return _room(wave, how.level, rng), said.loudness * voicing


def _articulate(said: Utterance, scale: float, rng: np.random.Generator) -> tuple[Track, Track, Track]:
    """Formants (T, 3) in Hz, voicing (T,) and noises (T, bands): what the mouth does at every step."""
    steps = len(said.loudness)
    formants, voicing, noises = np.tile([500.0, 1500.0, 2500.0], (steps, 1)), np.zeros(steps), np.zeros((steps, 3))
    for start, length, _ in said.syllables:
        a = round(start / STEP)
        c, b = a + round(min(0.3 * length, 0.09) / STEP), a + round(length / STEP)
        onset, vowel = CONSONANTS[rng.integers(len(CONSONANTS))], VOWELS[rng.integers(len(VOWELS))]
        formants[a:c], formants[c:b] = onset.formants, vowel.formants
        voicing[a:c], voicing[c:b] = onset.voice, vowel.voice
        noises[c - 3 if onset.burst else a : c + 1, onset.band] = onset.noise
    formants = np.stack([smooth(f, 11) for f in formants.T], axis=1) * scale
    noises = np.stack([smooth(n, 3) for n in noises.T], axis=1) * smooth(said.loudness, 5)[:, None]
    return formants, smooth(voicing, 5), noises


def _samples(track: Track, per_step: int) -> Wave:
    return np.interp(np.arange(len(track) * per_step) / per_step, np.arange(len(track)), track)


def _glottis(said: Utterance, voicing: Track, how: Manner, rng: np.random.Generator) -> Wave:
    """Derivative of the glottal flow (KLGLOTT88) with jitter, shimmer, creak, and breath while the glottis is open."""
    per_step = HOP * OVERSAMPLING
    phase = np.cumsum(_samples(said.pitch, per_step)) / (RATE * OVERSAMPLING)
    cycles = int(phase[-1]) + 2
    jitter = rng.standard_normal(cycles) * (0.004 + 0.035 * how.rough + 0.02 * how.creak)
    phase += np.interp(phase, np.arange(cycles), np.cumsum(jitter))
    cycle = np.clip(phase.astype(int), 0, cycles - 1)
    open_part = 0.6 - 0.18 * how.effort
    place = np.clip((phase - np.floor(phase)) / open_part, 0.0, 1.0)
    shimmer = 1 + rng.standard_normal(cycles) * (0.02 + 0.15 * how.rough)
    shimmer[::2] *= 1 - 0.75 * how.creak
    pulses = (2 * place - 3 * place**2) * (place < 1) * shimmer[cycle]
    breath = rng.standard_normal(len(phase)) * (0.3 + np.sin(np.pi * place) ** 2) * (0.02 + 0.45 * how.breath)
    source = resample_poly(pulses + breath, 1, OVERSAMPLING) * _samples(said.loudness * voicing, HOP)
    # the brighter the harder the folds close: a one-pole low-pass from 300 Hz (lax) over 1.2 kHz to 4.8 kHz (pressed)
    pole = np.exp(-2 * np.pi * 1200 * 4.0**how.effort / RATE)
    return np.asarray(lfilter([1 - pole], [1, -pole], source))


def _tract(source: Wave, formants: Track) -> Wave:
    """`source` through five resonators in cascade whose frequencies move from step to step.

    As in linear-prediction synthesis the cascade is one all-pole filter whose memory is its last outputs: these stay
    valid when the coefficients change.
    """
    higher = np.broadcast_to([3400.0, 4400.0], (len(formants), 2)) * (formants[:, 2:] / 2500) ** 0.3
    sections = _resonators(np.concatenate([formants, higher], axis=1), np.array([70.0, 90.0, 130.0, 200.0, 280.0]))
    gains = sections[:, :, 0].prod(axis=1)
    poles = np.ones((len(formants), 1))
    for section in sections[:, :, 3:].swapaxes(0, 1):  # multiply the polynomials
        longer = np.zeros((3, len(poles), poles.shape[1] + 2))
        for delay in range(3):
            longer[delay, :, delay : delay + poles.shape[1]] = poles * section[:, delay : delay + 1]
        poles = longer.sum(axis=0)
    return _all_pole(source, gains, poles)


def _all_pole(source: Wave, gains: Track, poles: Track) -> Wave:
    order = poles.shape[1] - 1
    ahead = np.add.outer(np.arange(order), np.arange(order)) + 1
    memory = np.pad(poles, ((0, 0), (0, order)))[:, ahead]  # (T, order, order): last outputs -> state of lfilter
    wave = np.zeros(order + len(source))
    for step, (gain, pole) in enumerate(zip(gains, poles, strict=True)):
        now = order + step * HOP
        state = -(memory[step] * wave[now - order : now][::-1]).sum(axis=1)
        wave[now : now + HOP], _ = lfilter([gain], pole, source[step * HOP : (step + 1) * HOP], zi=state)
    return wave[order:]


def _resonators(frequencies: Track, bandwidths: Track) -> Track:
    """Klatt's resonators with a gain of one at 0 Hz as second-order sections (T, F, 6)."""
    radius = np.exp(-np.pi * bandwidths / RATE)
    b = 2 * radius * np.cos(2 * np.pi * np.minimum(frequencies, 0.48 * RATE) / RATE)
    c = np.broadcast_to(-(radius**2), b.shape)
    zero, one = np.zeros_like(b), np.ones_like(b)
    return np.stack([1 - b - c, zero, zero, one, -b, -c], axis=-1)


def _hiss(noises: Track, rng: np.random.Generator) -> Wave:
    """The noise of fricatives and bursts, one band of BANDS per column of `noises`."""
    total = np.zeros(len(noises) * HOP)
    for (low, high), gain in zip(BANDS, noises.T, strict=True):
        centre, width = (low + high) / 2, high - low
        band = _resonators(np.array([centre]), np.array([width / 2]))
        white = np.diff(rng.standard_normal(len(total) + 1))  # differentiated: no rumble from a band-pass
        total += sosfilt(band, white) * _samples(gain, HOP) * 0.05
    return total


def _room(wave: Wave, level: float, rng: np.random.Generator) -> Wave:
    """`wave` at a peak that follows `level`, with a few early reflections and a little noise of the room."""
    echo = wave.copy()
    for delay, gain in zip(rng.integers(60, 700, 5), 0.12 * rng.uniform(-1, 1, 5), strict=True):
        echo[delay:] += gain * wave[:-delay]
    peak = 10 ** (np.clip(-7.5 + level + rng.uniform(-0.5, 0.5), QUIETEST, LOUDEST) / 20)
    hum = lfilter([1.0], [1.0, -0.9], rng.standard_normal(len(wave)))
    mixed = echo / np.abs(echo).max() + rng.uniform(0.0004, 0.0015) * hum
    return np.asarray(peak * mixed / np.abs(mixed).max())
