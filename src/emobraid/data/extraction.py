"""Fill the cache ahead of training, and check what is in it by making some of it again."""

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from emobraid import encoders
from emobraid.config import Config
from emobraid.data.cache import NOWHERE, CacheSizes, FileHashes, TensorCache, default_folder
from emobraid.data.corpus import SPLITS, Sample
from emobraid.data.layouts import open_corpus
from emobraid.data.preparer import Preparer, Reporter, preparing
from emobraid.data.shelf import Shelf

AGREE = 2e-3  # relative: float16 keeps eleven bits, and sums in another order differ in the last of them


def extract(config: Config, splits: Sequence[str], reporter: Reporter) -> dict[str, CacheSizes]:
    """Decode, prepare and encode all inputs of `splits` that are not cached yet; what each encoder's entries take.

    What is done is kept when it is stopped, and the next call goes on from there. Labels are not read.
    """
    with _encoding(config) as (preparer, kept):
        for name in splits:
            samples = _inputs(config, name)
            preparer.inputs(
                samples, skip_unreadable=config.data.skip_unreadable, progress=reporter.progress(f"reading {name}")
            )
            reporter.say(f"{name}: {len(samples)} utterances")
        kept.tensors.compact()
        return kept.tensors.sizes()


@dataclass(frozen=True, kw_only=True)
class Check:
    """One entry made again: how far the kept one is from it, relative to its size."""

    split: str
    id: str
    modality: str
    difference: float

    @property
    def agrees(self) -> bool:
        return self.difference <= AGREE


def check(config: Config, count: int, seed: int, reporter: Reporter) -> list[Check]:
    """`count` random entries of this data's in the cache, each decoded and encoded anew; fewer when there are fewer."""
    with _encoding(config) as (preparer, kept):
        there = [
            (split, sample, modality)
            for split in _splits(config)
            for sample in _inputs(config, split)
            for modality in preparer.encoders
            if kept.key(modality, sample) in kept.tensors
        ]
        chosen = random.Random(seed).sample(there, min(count, len(there)))  # noqa: S311, nobody is to be surprised
        progress, checks = reporter.progress("making again"), []
        for i, (split, sample, modality) in enumerate(chosen):
            found = kept.get(kept.key(modality, sample))
            again = preparer.finished(modality, preparer.prepared(modality, sample))
            far = difference(found.tensor, again.tensor) if found else float("inf")
            checks.append(Check(split=split, id=sample.id, modality=modality, difference=far))
            progress(i + 1, len(chosen))
        return checks


def difference(kept: Tensor, again: Tensor) -> float:
    """The norm of the difference over the norm of what was made again; infinite for another shape."""
    if kept.shape != again.shape:
        return float("inf")
    if torch.equal(kept, again):
        return 0.0
    again = again.float()
    return float((kept.float() - again).norm() / again.norm().clamp(min=1e-12))


def clear(config: Config) -> int:
    """Delete everything in the cache folder; how many entries there were."""
    folder = _folder(config)
    with FileHashes(folder) as hashes, TensorCache(folder) as tensors:
        hashes.clear()
        return tensors.clear()


def _folder(config: Config) -> Path:
    if not (folder := config.data.cache_dir or default_folder()):
        raise ValueError(NOWHERE)
    return folder


@contextmanager
def _encoding(config: Config) -> Iterator[tuple[Preparer, Shelf]]:
    if not config.data.cache:
        raise ValueError("--no_cache leaves nothing to fill or to check")
    kinds: Mapping[str, str] = {m: getattr(config.model, f"{m}_encoder") for m in config.model.modalities}
    built = {m: encoders.build(m, config.model) for m, kind in kinds.items() if kind != "features"}
    if not built:
        raise ValueError("all encoders read published features, which are not cached")
    _folder(config)
    with preparing(built, config) as preparer:
        assert preparer.shelf is not None
        yield preparer, preparer.shelf


def _inputs(config: Config, split: str) -> list[Sample]:
    return open_corpus(config.data, config.model).inputs(split)


def _splits(config: Config) -> list[str]:
    rows = open_corpus(config.data, config.model).rows
    return [name for name in SPLITS if rows.table(name).exists()]
