"""Masks of the missing-modality benchmark, frozen: whoever asks again, on any machine, gets the same gaps.

A gap is decided by a number that SHAKE-256 makes of (protocol, seed, draw, utterance, modality): numpy's version, the
order of the rows and the other modalities do not matter. A number below the rate is a gap, so what is hidden at one
rate is hidden at every higher one, and curves over rates do not jump by chance.

Shapes: N utterances, M modalities, T positions of one stream. True is hidden.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]

#: of the random protocol: the chance that an utterance loses a modality (GCNet, Lian et al. 2023, arXiv:2203.02177)
RATES = tuple(round(0.1 * i, 1) for i in range(8))
#: of the frame protocol: the share of a stream's positions (as in TFR-Net and EMT-DLFR, Sun et al. 2022,
#: arXiv:2208.07589)
FRAME_RATES = tuple(round(0.1 * i, 1) for i in range(11))
#: of the noise study: standard deviations of the noise, in those of the stream
NOISE_LEVELS = (0.0, 0.25, 0.5, 1.0, 2.0)

DRAWS = 10
FRAME_DRAWS = 3  # each runs the encoders nine times over
ALL = "all"  # in place of a modality: every one at once


def subset_mask(kept: Sequence[str], modalities: Sequence[str], n: int) -> Mask:
    """(N, M): every modality outside `kept`, in every utterance."""
    return np.tile([m not in kept for m in modalities], (n, 1))


def modality_mask(
    present: Mask, ids: Sequence[str], modalities: Sequence[str], *, rate: float, draw: int, seed: int
) -> Mask:
    """(N, M): each modality that an utterance has goes with chance `rate`, apart from the others; one always stays.

    `present` (N, M) tells what each utterance has; what it lacks is not hidden again. Where all would go, the one with
    the largest number stays, so each with the same chance. With M modalities the share that goes is r - r^M / M, not r.
    """
    chances = np.array([[numbers("random", seed, draw, i, m, 1)[0] for m in modalities] for i in ids], dtype=np.uint32)
    chances = chances.reshape(present.shape)
    hidden = present & (chances < _threshold(rate))
    lost = present.any(axis=1) & (hidden == present).all(axis=1)
    spared = np.where(present, chances.astype(np.int64), -1).argmax(axis=1)
    hidden[lost, spared[lost]] = False
    return hidden


def position_mask(length: int, name: str, modality: str, *, rate: float, draw: int, seed: int) -> Mask:
    """(T,): each position of the stream of utterance `name` goes with chance `rate`; all of them at 1."""
    return np.asarray(numbers("frames", seed, draw, name, modality, length) < _threshold(rate))


def achieved(hidden: Mask, present: Mask) -> float:
    """The share of what was there that is hidden; 0 where nothing was there."""
    return float((hidden & present).sum() / max(1, present.sum()))


def numbers(protocol: str, seed: int, draw: int, name: str, modality: str, count: int) -> NDArray[np.uint32]:
    """(count,) even random numbers of 32 bits that belong to one stream of one utterance."""
    key = json.dumps([protocol, seed, draw, name, modality]).encode()
    return np.frombuffer(hashlib.shake_256(key).digest(4 * count), dtype="<u4")


def fingerprint(masks: Iterable[Mask]) -> str:
    """sha256 of masks, packed to bits, with their shapes: what to cite so that others can tell they had the same."""
    digest = hashlib.sha256()
    for mask in masks:
        digest.update(repr(mask.shape).encode() + np.packbits(mask).tobytes())
    return digest.hexdigest()


def normalised_area(rates: Sequence[float], scores: Sequence[float]) -> float:
    """Area under a curve by the trapezoid rule over the width of its rates: the mean height."""
    return float(np.trapezoid(np.asarray(scores), np.asarray(rates)) / (rates[-1] - rates[0]))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of the benchmark is run. ValueError for numbers that cannot be."""

    draws: int = DRAWS  # of the random protocol
    frame_draws: int = FRAME_DRAWS  # of the frame protocol and the noise study; 0 leaves the frame protocol out
    seed: int = 0
    noise: bool = False

    def __post_init__(self) -> None:
        if self.draws < 1:
            raise ValueError(f"draws: at least 1 is needed, got {self.draws}; 10 are the custom")
        if self.frame_draws < 0 or self.seed < 0:
            raise ValueError("frame_draws and seed cannot be below 0")
        if self.noise and not self.frame_draws:
            raise ValueError("noise is drawn frame_draws times, which are 0")


@dataclass(frozen=True)
class Frozen:
    """The masks of one plan for one set of utterances."""

    random: Mapping[tuple[float, int], Mask]  # by rate and draw: (N, M)
    achieved: Mapping[tuple[str, float], float]  # by protocol or part of the frame protocol, and rate: the share hidden
    sha256: Mapping[str, str]  # by protocol


def freeze(
    ids: Sequence[str], present: Mask, lengths: Mapping[str, Sequence[int]], modalities: Sequence[str], plan: Plan
) -> Frozen:
    """All masks for utterances `ids` that have `present` (N, M), with streams of `lengths` (N each, by modality)."""
    random = {
        (rate, draw): modality_mask(present, ids, modalities, rate=rate, draw=draw, seed=plan.seed)
        for rate in RATES
        for draw in range(plan.draws)
    }
    shares = {
        ("random", rate): float(np.mean([achieved(random[rate, draw], present) for draw in range(plan.draws)]))
        for rate in RATES
    }
    hashes = {"random": fingerprint(random.values())}
    if plan.frame_draws:
        hidden: Counter[tuple[str, float]] = Counter()
        hashes["frames"] = fingerprint(_counted(_all_positions(ids, lengths, plan), hidden))
        for rate in FRAME_RATES:
            for part in (*modalities, ALL):
                own = modalities if part == ALL else (part,)
                there = plan.frame_draws * sum(sum(lengths[m]) for m in own)
                shares[part, rate] = sum(hidden[m, rate] for m in own) / max(1, there)
    return Frozen(random, shares, hashes)


def _all_positions(
    ids: Sequence[str], lengths: Mapping[str, Sequence[int]], plan: Plan
) -> Iterator[tuple[str, float, Mask]]:
    for draw in range(plan.frame_draws):
        for modality, own in lengths.items():
            for name, length in zip(ids, own, strict=True):
                for rate in FRAME_RATES:
                    mask = position_mask(length, name, modality, rate=rate, draw=draw, seed=plan.seed)
                    yield modality, rate, mask


def _counted(masks: Iterable[tuple[str, float, Mask]], hidden: Counter[tuple[str, float]]) -> Iterator[Mask]:
    for modality, rate, mask in masks:
        hidden[modality, rate] += int(mask.sum())
        yield mask


def noise(shape: tuple[int, ...], name: str, modality: str, *, draw: int, seed: int) -> NDArray[np.float32]:
    """Standard normal numbers of one stream of one utterance; unlike the masks they rest on numpy's generator."""
    key: Any = numbers("noise", seed, draw, name, modality, 4).tolist()
    return np.random.default_rng(key).standard_normal(shape, dtype=np.float32)


def _threshold(rate: float) -> int:
    if not 0 <= rate <= 1:
        raise ValueError(f"a rate is between 0 and 1, got {rate}")
    return round(rate * 2**32)
