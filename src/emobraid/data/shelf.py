"""What was prepared, kept between runs: each input under a name made of everything it depends on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from emobraid.data.cache import FileHashes, TensorCache, key_of
from emobraid.data.corpus import Cell, Clip, Sample
from emobraid.data.features import ArrayCell
from emobraid.data.mocap import MotionCell
from emobraid.encoders.base import Encoder
from emobraid.media import MediaBytes

CODE = "3"  # to be raised when decoding or cropping changes, so that nothing made by the old code is taken


@dataclass(frozen=True)
class Input:
    """One modality of one utterance: its tensor (T, ...), T = 0 when missing, and why it is missing or what is odd."""

    tensor: Tensor
    note: str = ""


def source(modality: str, sample: Sample) -> Cell:
    """The cell that a modality comes from: a clip's own sound track stands in for a missing audio column."""
    cell = sample.cells[modality]
    return sample.cells["video"] if cell is None and modality == "audio" and sample.sound_from_video else cell


@contextmanager
def _waiting(lock: FileLock, tell: Callable[[str], None]) -> Iterator[None]:
    try:
        lock.acquire(timeout=0)
    except Timeout:
        tell("another process is reading the same files: waiting for what it keeps")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


class Shelf:
    """The cache as one set of encoders sees it: content hash, weights hash, settings and code version make the name."""

    def __init__(
        self,
        folder: Path,
        encoders: Mapping[str, Encoder],
        *,
        max_frames: int,
        device: torch.device | str = "cpu",
        half: bool = True,
    ) -> None:
        self.tensors, self.hashes = TensorCache(folder), FileHashes(folder)
        self.encoders = encoders
        self._settings = {m: self._depends_on(m, max_frames, device, half) for m in encoders}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tensors.close()
        self.hashes.close()

    @contextmanager
    def alone(self, rows: str, tell: Callable[[str], None]) -> Iterator[None]:
        """Who reads the same `rows` at the same time waits here, and then finds on the shelf what was made of them."""
        with ExitStack() as held:
            for modality in sorted(self._settings):  # all in one order, so that no two wait for each other
                lock = self.tensors.folder / f"reading-{key_of(rows, *self._settings[modality])[:16]}.lock"
                try:
                    self.tensors.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                    held.enter_context(_waiting(FileLock(lock, mode=0o600), tell))
                except (OSError, NotImplementedError):
                    pass  # a folder that cannot be written to keeps nothing that could be waited for
            self.tensors.refresh()
            yield

    def _depends_on(self, modality: str, frames: int, device: torch.device | str, half: bool) -> tuple[str, ...]:
        """Everything besides its content that decides what becomes of an input."""
        encoder = self.encoders[modality]
        crops = f"{frames}:{encoder.crop}" if modality == "video" else ""
        stem = encoder.stem_identity(device)
        return (modality, encoder.preparation, crops, stem, f"half:{half}" if stem else "", CODE)

    def key(self, modality: str, sample: Sample) -> str:
        """The name of an input; empty for what costs nothing to make again, or cannot be read."""
        cell = source(modality, sample)
        if isinstance(cell, MotionCell):
            if not all(file.is_file() for file in cell.files if file):
                return ""
            files = [self.hashes.of(file) if file else "" for file in cell.files]
            return key_of(*self._settings[modality], *files, f"{cell.start}:{cell.end}")
        if cell is None or isinstance(cell, ArrayCell | MediaBytes):
            return ""
        if isinstance(cell, str):
            said = (cell, sample.speaker, *(part for turn in sample.context for part in turn))
            return key_of(*self._settings[modality], *said) if self.encoders[modality].has_stem else ""
        path, part = (cell.path, f"{cell.start}:{cell.end}:{cell.side}") if isinstance(cell, Clip) else (cell, "")
        if not path.is_file():
            return ""
        return key_of(*self._settings[modality], self.hashes.of(path), *([part] if part else []))

    def get(self, key: str) -> Input | None:
        """None when it is not there, or damaged."""
        found = self.tensors.get(key) if key else None
        return Input(*found) if found else None

    def put(self, modality: str, key: str, made: Input) -> None:
        self.tensors.put(key, made.tensor, made.note, group=f"{modality}/{self.encoders[modality].title}")
