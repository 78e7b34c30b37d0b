"""Samples -> tensors: every file is decoded once, in bounded children, and kept in memory and in the cache."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from emobraid.config import Config
from emobraid.data.cache import PreparedCache, content_hash, default_folder, key_of
from emobraid.data.csv import Sample
from emobraid.data.features import FeatureCell
from emobraid.data.prepared import PreparedSplit
from emobraid.encoders.base import Encoder
from emobraid.media import MediaError, MediaReader

CROP = 96  # side of the face crops asked for; encoders bring them to their own size

Progress = Callable[[int, int], None]  # (done, of)


class Reporter(Protocol):
    """Who tells the user what is going on."""

    def say(self, line: str) -> None: ...

    def progress(self, task: str) -> Progress: ...


@dataclass(frozen=True)
class Input:
    """One modality of one utterance: its tensor (T, ...), T = 0 when missing, and why it is missing or what is odd."""

    tensor: Tensor
    note: str = ""


class Preparer:
    """Turns samples into tensors with the encoders' own `prepare`, through the cache when there is one."""

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        reader: MediaReader,
        *,
        max_frames: int,
        cache: PreparedCache | None = None,
        workers: int = 1,
    ) -> None:
        self.encoders, self.reader, self.max_frames = encoders, reader, max_frames
        self.cache, self.workers = cache, workers

    def sample(self, sample: Sample) -> dict[str, Input]:
        """All modalities of one utterance; ValueError when a file cannot be read."""
        return {m: self._one(m, sample) for m in self.encoders}

    def _one(self, modality: str, sample: Sample) -> Input:
        cell, encoder = sample.cells[modality], self.encoders[modality]
        if cell is None and modality == "audio" and sample.sound_from_video:
            cell = sample.cells["video"]
        if cell is None:
            return Input(encoder.absent(), "not given")
        if isinstance(cell, FeatureCell):
            return Input(encoder.prepare(cell.load()))
        if isinstance(cell, str):
            tensor = encoder.prepare(cell)
            return Input(tensor, "" if len(tensor) else "no words")
        return self._media(modality, cell)

    def _media(self, modality: str, path: Path) -> Input:
        """Decoded and prepared, or taken from the cache under content, modality and preparation."""
        encoder = self.encoders[modality]
        key = ""
        if self.cache and path.is_file():
            key = key_of(content_hash(path), modality, encoder.preparation, f"{self.max_frames}:{CROP}:1")
            if kept := self.cache.get(key):
                return Input(*kept)
        if modality == "audio":
            samples, note = self.reader.audio(path)
            prepared = encoder.prepare(samples) if len(samples) else encoder.absent()
        else:
            faces = self.reader.faces(path, max_frames=self.max_frames, size=CROP)
            note = faces.note
            prepared = encoder.prepare(faces.crops) if len(faces.crops) else encoder.absent()
        if self.cache and key:
            self.cache.put(key, prepared, note)
        return Input(prepared, note)

    def split(
        self,
        samples: Sequence[Sample],
        classes: int,
        *,
        skip_unreadable: bool = False,
        progress: Progress | None = None,
    ) -> PreparedSplit:
        """A whole split. An unreadable file stops it with the row's name, or is a missing modality by option."""
        inputs: list[dict[str, Input]] = []
        with ThreadPoolExecutor(self.workers) as pool:
            attempts = [pool.submit(self._tolerant, s, skip_unreadable) for s in samples]
            try:
                for i, attempt in enumerate(attempts):
                    inputs.append(attempt.result())
                    if progress:
                        progress(i + 1, len(samples))
            except BaseException:
                for attempt in attempts:
                    attempt.cancel()
                raise
        labels = torch.full((len(samples), classes), float("nan"))
        for i, sample in enumerate(samples):
            if sample.label is not None:
                labels[i] = torch.eye(classes)[sample.label]
        return PreparedSplit(
            tuple(samples),
            {m: tuple(row[m].tensor for row in inputs) for m in self.encoders},
            labels,
            {s.id: {m: x.note for m, x in row.items() if x.note} for s, row in zip(samples, inputs, strict=True)},
        )

    def _tolerant(self, sample: Sample, skip_unreadable: bool) -> dict[str, Input]:
        prepared = {}
        for modality in self.encoders:
            try:
                prepared[modality] = self._one(modality, sample)
            except (MediaError, ValueError) as error:
                if not skip_unreadable:
                    raise ValueError(f"{sample.table} line {sample.line}: {error}") from None
                prepared[modality] = Input(self.encoders[modality].absent(), f"unreadable: {error}")
        return prepared


def read_split(
    encoders: Mapping[str, Encoder], samples: Sequence[Sample], config: Config, name: str, reporter: Reporter
) -> PreparedSplit:
    """A split decoded and prepared, with a line to the user about what is missing and why."""
    settings = config.data
    cache = PreparedCache(settings.cache_dir or default_folder()) if settings.cache else None
    with MediaReader(workers=settings.workers) as reader:
        preparer = Preparer(
            encoders, reader, max_frames=config.model.video_max_frames, cache=cache, workers=settings.workers
        )
        split = preparer.split(
            samples,
            len(config.model.labels),
            skip_unreadable=settings.skip_unreadable,
            progress=reporter.progress(f"reading {name}"),
        )
    reporter.say(f"{name}: {split.missing()}")
    return split
