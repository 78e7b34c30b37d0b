"""Episodes for few-shot learning: a few labelled utterances to learn from, others to be judged on.

An episode (Vinyals et al. 2016, arXiv:1606.04080) draws K shots of each of N classes as support and Q more of each as
queries. All episodes are drawn once, from the seed alone, and hashed, so that every method meets the same ones.

Shapes: N utterances, C classes, S speakers.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from emobraid.data.corpus import Sample

DRAWS = 200  # orders of the speakers that are tried before it is said that none leaves enough on both sides


class Labelled(Protocol):
    """Utterances with labels, such as a `PreparedSplit`."""

    @property
    def samples(self) -> Sequence[Sample]: ...

    @property
    def labels(self) -> Tensor: ...  # (N, C), NaN rows unlabelled


@dataclass(frozen=True)
class Episode:
    """One small task. Support and queries stand class by class, in the order of `classes`."""

    classes: tuple[int, ...]  # columns of the base data set's labels
    support: tuple[int, ...]  # rows of the base data set, n_shot of each class
    query: tuple[int, ...]  # n_query of each class

    @property
    def support_labels(self) -> list[int]:
        """The place in `classes` of each support row."""
        return _labels(len(self.support), len(self.classes))

    @property
    def query_labels(self) -> list[int]:
        return _labels(len(self.query), len(self.classes))


def _labels(rows: int, ways: int) -> list[int]:
    return [i * ways // rows for i in range(rows)]


class FewShotDataset(Sequence[Episode]):
    """`episodes` frozen episodes over a labelled data set: `dataset[i]` is an `Episode`, `dataset.hash` names them all.

    No speaker is in both the support and the queries of an episode where the rows name their speakers (or dialogues);
    `speaker_disjoint` says whether all do. A row with several labels in parts counts for its largest. With fewer ways
    than classes, each episode draws its own. `room` shots are left room for (default: `n_shot`): data sets with the
    same seed and room and different shots share queries, and the support of fewer shots is part of that of more.
    ValueError when classes have too few rows or speakers for it, which it calls by `class_names`.
    """

    def __init__(
        self,
        base_dataset: Labelled,
        n_shot: int = 5,
        n_way: int = 7,
        *,
        n_query: int = 8,
        episodes: int = 100,
        seed: int = 0,
        room: int | None = None,
        class_names: Sequence[str] = (),
    ) -> None:
        room = n_shot if room is None else room
        if min(n_shot, n_query, episodes) < 1 or n_way < 2 or room < n_shot:
            raise ValueError("an episode needs two ways or more, a shot, a query, and room for its shots")
        self.base, self.n_shot, self.n_way, self.n_query, self.room = base_dataset, n_shot, n_way, n_query, room
        self.seed, self._names = seed, class_names
        labels = base_dataset.labels
        known = ~labels.isnan().any(dim=1)
        column = labels.nan_to_num().argmax(dim=1)
        self._label: NDArray[np.intp] = np.where(known.numpy(), column.numpy(), -1)
        groups = [s.group for s in base_dataset.samples]
        labelled = [g for g, label in zip(groups, self._label, strict=True) if label >= 0]
        self.speaker_disjoint = bool(labelled) and all(labelled)
        # a row whose speaker is not known stands for itself
        names = [(g, -1) if g else ("", i) for i, g in enumerate(groups)]
        self._speaker: NDArray[np.intp] = np.unique([f"{g}/{i}" for g, i in names], return_inverse=True)[1]
        self._able = self._able_classes(labels.shape[1])
        self._episodes = tuple(self._draw(i) for i in range(episodes))

    def __len__(self) -> int:
        return len(self._episodes)

    def __getitem__(self, index: int) -> Episode:  # type: ignore[override]  # an episode at a time, no slices
        return self._episodes[index]

    def __iter__(self) -> Iterator[Episode]:
        return iter(self._episodes)

    @property
    def hash(self) -> str:
        """The sha256 over the ids and classes of all episodes, in order."""
        digest = hashlib.sha256()
        ids = [s.id for s in self.base.samples]
        for episode in self._episodes:
            rows = "\n".join(ids[i] for i in (*episode.support, *episode.query))
            digest.update(f"{episode.classes}|{len(episode.support)}|{rows}\0".encode())
        return digest.hexdigest()

    def _able_classes(self, classes: int) -> list[int]:
        """The classes that have rows and speakers enough; ValueError when they are fewer than the ways."""
        if self.n_way > classes:
            raise ValueError(f"{self.n_way} ways: there are {classes} classes")
        able, lacking = [], []
        for c in range(classes):
            rows = self._label == c
            by_speaker = np.bincount(self._speaker[rows], minlength=1)
            enough = rows.sum() >= self.room + self.n_query and rows.sum() - by_speaker.max() >= min(
                self.room, self.n_query
            )
            able += [c] if enough else []
            name = self._names[c] if self._names else f"class {c}"
            told = f"{name} has {rows.sum()} rows of {(by_speaker > 0).sum()} speakers"
            lacking += [] if enough else [told]
        if len(able) < self.n_way:
            found = f"{len(able)} of {classes} classes have enough: {'; '.join(lacking)}"
            raise ValueError(f"{self._wanted()}, and {found}")
        return able

    def _wanted(self) -> str:
        return f"{self.n_way} ways need {self.room} shots and {self.n_query} queries of other speakers each"

    def _draw(self, number: int) -> Episode:
        # a stream of its own for each episode: more episodes leave the first ones as they were
        draw = np.random.default_rng([self.seed, number])
        classes = np.sort(draw.permutation(self._able)[: self.n_way])
        taught = self._taught_speakers(draw, classes)
        support, query = [], []
        for c in classes:
            rows = draw.permutation(np.flatnonzero(self._label == c))
            first = taught[self._speaker[rows]]
            support += rows[first][: self.n_shot].tolist()
            query += rows[~first][: self.n_query].tolist()
        return Episode(tuple(classes.tolist()), tuple(support), tuple(query))

    def _taught_speakers(self, draw: np.random.Generator, classes: NDArray[np.intp]) -> NDArray[np.bool_]:
        """(S,) which speakers the support may take: about half of the rows, so that both sides hear several."""
        count = int(self._speaker.max()) + 1
        of_class = np.stack([np.bincount(self._speaker[self._label == c], minlength=count) for c in classes])  # (C, S)
        for _ in range(DRAWS):
            order = draw.permutation(count)
            behind = of_class[:, order].cumsum(axis=1)  # rows of each class among the first speakers
            ahead = of_class.sum(axis=1, keepdims=True) - behind
            fits = (behind >= self.room).all(axis=0) & (ahead >= self.n_query).all(axis=0)
            if fits.any():
                balance = np.abs(behind.sum(axis=0) - ahead.sum(axis=0))
                last = int(np.where(fits, balance, balance.max() + 1).argmin())
                taught = np.zeros(count, dtype=np.bool_)
                taught[order[: last + 1]] = True
                return taught
        raise ValueError(
            f"{self._wanted()}, and no division of the {count} speakers gives that; ask for fewer shots or queries"
        )
