"""Samples -> tensors: every file is decoded once, in bounded children, read by the frozen part of its encoder if it has
one, and kept in memory and in the cache."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from emobraid.config import Config
from emobraid.data.cache import NOWHERE, default_folder
from emobraid.data.corpus import Clip, Sample
from emobraid.data.features import ArrayCell
from emobraid.data.prepared import PreparedSplit, affect_targets, targets
from emobraid.data.shelf import Input, Shelf, source
from emobraid.encoders.base import Encoder, Utterance
from emobraid.media import MediaError, MediaReader

AHEAD = 64 << 20  # bytes of prepared inputs that wait for a frozen encoder, so that it can put like lengths together


Progress = Callable[[int, int], None]  # (done, of)


class Reporter(Protocol):
    """Who tells the user what is going on."""

    def say(self, line: str) -> None: ...

    def progress(self, task: str) -> Progress: ...


@dataclass
class _Waiting:
    """Prepared inputs of one modality on their way through its stem."""

    places: list[int] = field(default_factory=list)
    inputs: list[Input] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    bytes: int = 0

    def add(self, place: int, made: Input, key: str) -> None:
        self.places.append(place)
        self.inputs.append(made)
        self.keys.append(key)
        self.bytes += made.tensor.nbytes


class Preparer:
    """Turns samples into what the encoders' `encode` reads: decoded, prepared, through the stem where there is one;
    from the shelf when there is one and it has it. `half` keeps what a stem gives as float16."""

    def __init__(
        self,
        encoders: Mapping[str, Encoder],
        reader: MediaReader,
        *,
        max_frames: int,
        shelf: Shelf | None = None,
        workers: int = 1,
        device: torch.device | str = "cpu",
        half: bool = True,
    ) -> None:
        self.encoders, self.reader, self.max_frames = encoders, reader, max_frames
        self.shelf, self.workers, self.device, self.half = shelf, workers, device, half

    def sample(self, sample: Sample) -> dict[str, Input]:
        """All modalities of one utterance, nothing kept; ValueError when a file cannot be read."""
        return {m: self.finished(m, self.prepared(m, sample)) for m in self.encoders}

    def prepared(self, modality: str, sample: Sample) -> Input:
        """One modality decoded and prepared, not through the stem yet."""
        cell, encoder = source(modality, sample), self.encoders[modality]
        if cell is None:
            return Input(encoder.absent(), sample.absent.get(modality, "not given"))
        if isinstance(cell, ArrayCell):
            values = cell.load()
            tensor = encoder.prepare(values)
            if not np.isfinite(values).any():  # whatever an encoder makes of it
                tensor = tensor[:0]
            return Input(tensor, "" if len(tensor) else cell.unusable if values.size else cell.nothing)
        if isinstance(cell, str):
            tensor = encoder.prepare(Utterance(cell, sample.speaker, sample.context))
            return Input(tensor, "" if len(tensor) else "no words")
        path = cell.path if isinstance(cell, Clip) else cell
        start, end, side = (cell.start, cell.end, cell.side) if isinstance(cell, Clip) else (0.0, None, None)
        if modality == "audio":
            samples, note = self.reader.audio(path, start=start, end=end)
            return Input(encoder.prepare(samples) if len(samples) else encoder.absent(), note)
        frames, size = self.max_frames, encoder.crop
        faces = self.reader.faces(path, max_frames=frames, size=size, start=start, end=end, side=side)
        return Input(encoder.prepare(faces.crops) if len(faces.crops) else encoder.absent(), faces.note)

    def finished(self, modality: str, prepared: Input) -> Input:
        """One prepared input through the stem."""
        return self.through_stem(modality, [prepared])[0]

    def through_stem(self, modality: str, prepared: Sequence[Input]) -> list[Input]:
        """What `prepared` gave for one modality of many utterances, read by the frozen part of its encoder."""
        encoder = self.encoders[modality]
        there = [i for i, x in enumerate(prepared) if len(x.tensor)]
        done = list(prepared)
        if encoder.has_stem and there:
            read = encoder.stem([prepared[i].tensor for i in there], self.device)
            for i, tensor in zip(there, read, strict=True):
                done[i] = Input(halved(tensor) if self.half else tensor, prepared[i].note)
        return done

    def inputs(
        self, samples: Sequence[Sample], *, skip_unreadable: bool = False, progress: Progress | None = None
    ) -> list[dict[str, Input]]:
        """All modalities of many utterances. Files are decoded ahead while a stem reads; ValueError names the row."""
        done: list[dict[str, Input]] = [{} for _ in samples]
        waiting = {m: _Waiting() for m in self.encoders}

        def tell(come: int) -> None:
            if progress:
                on_the_way = max((len(queue.places) for queue in waiting.values()), default=0)
                progress(come - on_the_way, len(samples))

        for i, found in enumerate(self._ahead(samples, skip_unreadable)):
            for modality, (made, key) in found.items():
                if key is None or not self.encoders[modality].has_stem or not len(made.tensor):
                    done[i][modality] = made
                    self._keep(modality, key, made)
                    continue
                waiting[modality].add(i, made, key)
                if waiting[modality].bytes > AHEAD:
                    self._drain(modality, waiting, done)
            tell(i + 1)
        for modality in waiting:
            self._drain(modality, waiting, done)
            tell(len(samples))
        return done

    def _drain(self, modality: str, waiting: dict[str, _Waiting], done: list[dict[str, Input]]) -> None:
        queue, waiting[modality] = waiting[modality], _Waiting()
        made = self.through_stem(modality, queue.inputs)
        for place, key, one in zip(queue.places, queue.keys, made, strict=True):
            done[place][modality] = one
            self._keep(modality, key, one)

    def _keep(self, modality: str, key: str | None, made: Input) -> None:
        if self.shelf and key:
            self.shelf.put(modality, key, made)

    def _ahead(self, samples: Sequence[Sample], skip_unreadable: bool) -> Iterator[dict[str, tuple[Input, str | None]]]:
        """Every sample's inputs in order, a few samples decoded ahead. None for a key: it is finished."""
        with ThreadPoolExecutor(self.workers) as pool:
            attempts: deque[Future[dict[str, tuple[Input, str | None]]]] = deque()
            try:
                for sample in samples:
                    attempts.append(pool.submit(self._one, sample, skip_unreadable))
                    if len(attempts) > 8 * self.workers:
                        yield attempts.popleft().result()
                while attempts:
                    yield attempts.popleft().result()
            finally:
                for attempt in attempts:
                    attempt.cancel()

    def _one(self, sample: Sample, skip_unreadable: bool) -> dict[str, tuple[Input, str | None]]:
        made: dict[str, tuple[Input, str | None]] = {}
        for modality in self.encoders:
            try:
                key = self.shelf.key(modality, sample) if self.shelf else ""
                found = self.shelf.get(key) if self.shelf else None
                made[modality] = (found, None) if found else (self.prepared(modality, sample), key)
            except (MediaError, ValueError, OSError) as error:
                if not skip_unreadable:
                    raise ValueError(f"{sample.table} line {sample.line}: {error}") from None
                made[modality] = Input(self.encoders[modality].absent(), f"unreadable: {error}"), None
        return made

    def split(
        self,
        samples: Sequence[Sample],
        classes: int,
        *,
        affect: Sequence[str] = (),
        skip_unreadable: bool = False,
        progress: Progress | None = None,
    ) -> PreparedSplit:
        """A whole split. An unreadable file stops it with the row's name, or is a missing modality by option."""
        inputs = self.inputs(samples, skip_unreadable=skip_unreadable, progress=progress)
        return PreparedSplit(
            tuple(samples),
            {m: tuple(row[m].tensor for row in inputs) for m in self.encoders},
            targets(samples, classes),
            {s.id: {m: x.note for m, x in row.items() if x.note} for s, row in zip(samples, inputs, strict=True)},
            affect_targets(samples, affect),
        )


def halved(tensor: Tensor) -> Tensor:
    """As float16, unless that would make a number infinite."""
    half = tensor.half()
    # least and largest first: they are thirty times quicker to find than all infinite ones
    fits = not half.numel() or bool(torch.stack(torch.aminmax(half)).isfinite().all())
    return half if fits else tensor


def read_split(
    encoders: Mapping[str, Encoder], samples: Sequence[Sample], config: Config, name: str, reporter: Reporter
) -> PreparedSplit:
    """A split decoded and prepared, with a line to the user about what is missing and why."""
    settings = config.data
    rows = f"{settings.data_root.absolute()} {name}"
    if settings.cache and not (settings.cache_dir or default_folder()):
        reporter.say(f"nothing is kept between runs: {NOWHERE}")
    with preparing(encoders, config) as preparer, ExitStack() as held:
        if preparer.shelf:
            held.enter_context(preparer.shelf.alone(rows, reporter.say))
        split = preparer.split(
            samples,
            len(config.model.labels),
            affect=config.model.affect,
            skip_unreadable=settings.skip_unreadable,
            progress=reporter.progress(f"reading {name}"),
        )
    reporter.say(f"{name}: {split.missing()}")
    return split


@contextmanager
def preparing(encoders: Mapping[str, Encoder], config: Config) -> Iterator[Preparer]:
    """A Preparer with decoder processes and shelf as `config` says; both end with the block."""
    settings, frames = config.data, config.model.video_max_frames
    device = "cuda" if config.training.device == "auto" and torch.cuda.is_available() else "cpu"
    with ExitStack() as open_things:
        reader = open_things.enter_context(MediaReader(workers=settings.workers))
        shelf = None
        if settings.cache and (folder := settings.cache_dir or default_folder()):
            shelf = Shelf(folder, encoders, max_frames=frames, device=device, half=settings.half_features)
            open_things.enter_context(shelf)
        yield Preparer(
            encoders,
            reader,
            max_frames=frames,
            shelf=shelf,
            workers=settings.workers,
            device=device,
            half=settings.half_features,
        )
