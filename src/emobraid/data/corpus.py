"""Utterances as a corpus names them, and the seal on its test split.

A corpus comes in some layout on disk; a `Rows` reads that layout, and `Corpus` decides who may ask for what.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, Protocol

from emobraid.data.features import ArrayCell
from emobraid.media import MediaBytes, Side

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Clip:
    """A stretch of a media file, in seconds from its start, and the half of its picture that shows the speaker."""

    path: Path
    start: float = 0.0
    end: float | None = None  # None: to its end
    side: Side | None = None  # None: the whole picture

    def __str__(self) -> str:
        part = f"{self.start:g}-{'' if self.end is None else f'{self.end:g}'}"
        return f"{self.path}[{part}{f' {self.side}' if self.side else ''}]"


#: what a modality's cell holds: words, a media file or a stretch of one, a place in an array file, or nothing
Cell = str | Path | Clip | MediaBytes | ArrayCell | None


class SealedSplit(PermissionError):
    """The training side asked for the test split."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One utterance as its table names it; nothing is decoded yet."""

    id: str
    table: str = ""  # "train.csv", for messages
    line: int = 0
    group: str  # speaker, or dialogue; empty when unknown
    speaker: str = ""  # as the text encoder reads it, with a context only
    context: tuple[tuple[str, str], ...] = ()  # (speaker, words) of the turns before, oldest first
    cells: Mapping[str, Cell]  # by modality
    sound_from_video: bool  # the table has no audio column: the clip's own sound track is its audio
    label: int | None
    spread: tuple[float, ...] | None = None  # (C,) soft or multi-hot: what training asks for instead of `label`
    affect: Mapping[str, float] = field(default_factory=dict)  # by dimension, in the corpus's own units
    absent: Mapping[str, str] = field(default_factory=dict)  # by modality, why an empty cell is empty; else "not given"


class OwnLabel(NamedTuple):
    """A corpus's own label in a split: how many rows have it, and what the model reads it as."""

    name: str
    rows: int
    read_as: str | None  # None: those rows are left out
    reason: str = ""


class Rows(Protocol):
    """One layout on disk."""

    def table(self, split: str) -> Path:
        """The file that says what is in a split; its hash goes into the ledger."""

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        """The utterances of a split, in order; ValueError names the file and the line.

        Labelled, rows are left out whose label the model cannot express; without labels all are there.
        """

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        """What became of the corpus's own labels in a split; empty when the table uses the model's."""

    def notes(self, split: str) -> tuple[str, ...]:
        """What a user should know about a split as it was read, a line each."""


@dataclass(frozen=True)
class Corpus:
    """`split` gives train and val; the test split opens for evaluation only."""

    rows: Rows

    def split(self, name: str) -> list[Sample]:
        """The rows of train or val; SealedSplit for test, so that nothing can be selected on it."""
        if name == "test":
            raise SealedSplit("the test split is sealed: only evaluation opens it")
        return self.rows.read(known(name), labelled=True)

    def open_test(self) -> list[Sample]:
        """The rows of the test split. For `evaluation` alone, which writes each opening into the run's ledger."""
        return self.rows.read("test", labelled=True)

    def notes(self, name: str) -> tuple[str, ...]:
        """What a user should know about train or val as it was read; SealedSplit for test."""
        if name == "test":
            raise SealedSplit("the test split is sealed: only evaluation opens it")
        return self.rows.notes(known(name))

    def inputs(self, name: str) -> list[Sample]:
        """The rows of any split without their labels: what may be computed ahead without opening the seal."""
        return self.rows.read(known(name), labelled=False)


def known(name: str) -> str:
    if name not in SPLITS:  # "./test" would open it too
        raise ValueError(f"unknown split {name!r}, known: {', '.join(SPLITS)}")
    return name
