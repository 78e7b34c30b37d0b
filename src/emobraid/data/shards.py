"""Files of many tensors: they appear whole or not at all, are mapped into memory, and are checked when first read.

A shard is a safetensors file with entries of one group. Its name begins with its time, so that of two entries under
one key the younger counts. Every entry carries a CRC-32 over its numbers, key, group, note, type and shape.
"""

import contextlib
import fcntl
import math
import os
import re
import secrets
import time
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

MARK = "emobraid.shard"  # where the metadata says version and group; all other names there are keys
VERSION = "1"
ENDING = ".shard.safetensors"


class UnreadableShard(Exception):
    """The file is damaged or of another version: nobody here will ever read it."""


class Kept(NamedTuple):
    """What is known of an entry without reading its numbers. The type is safetensors' name for it, as F16."""

    key: str
    group: str
    note: str
    shape: tuple[int, ...]
    dtype: str
    bytes: int


class Entry(NamedTuple):
    """A tensor (T, ...), what is odd about it, and the checksum of both."""

    tensor: Tensor
    note: str
    check: str

    @classmethod
    def of(cls, key: str, group: str, tensor: Tensor, note: str) -> "Entry":
        assert key != MARK
        note = note.encode(errors="replace").decode()  # names of files may hold what UTF-8 cannot
        return cls(tensor, note, _check(key, group, tensor, note))

    @property
    def weight(self) -> int:
        """About the bytes it takes in a shard, its lines in the header with them."""
        return self.tensor.nbytes + len(self.note) + 300


def _check(key: str, group: str, tensor: Tensor, note: str) -> str:
    about = repr((key, group, note, str(tensor.dtype), tuple(tensor.shape))).encode()
    numbers: Any = tensor.reshape(-1).view(torch.uint8).numpy()
    return f"{zlib.crc32(numbers, zlib.crc32(about)):08x}"


class Shard:
    """A published file. It stays readable here after another process has deleted it, as the mapping is kept."""

    def __init__(self, path: Path) -> None:
        self.path, self.size = path, path.stat().st_size
        try:
            # maps the file privately: tensors are views of it, and what is written into one never reaches the disk
            self._file = cast(Any, safe_open(path, framework="pt"))
        except SafetensorError as error:
            raise UnreadableShard(f"{path}: {error}") from None
        except RuntimeError as error:  # torch's own, when the file went away or cannot be mapped
            raise OSError(f"{path}: {error}") from None
        about = self._file.metadata() or {}
        version, _, self.group = about.pop(MARK, "").partition(" ")
        if version != VERSION:
            raise UnreadableShard(f"{path}: not a shard of version {VERSION}")
        keys = sorted(about.keys() & set(self._file.keys()))
        self._about = {key: about[key] for key in keys}  # key -> checksum, then note
        self._checked: set[str] = set()

    def __contains__(self, key: str) -> bool:
        return key in self._about

    def __iter__(self) -> Iterator[str]:
        """The keys."""
        return iter(list(self._about))

    def about(self, key: str) -> Kept | None:
        """What is known of an entry without reading its numbers; None when it was dropped."""
        if (text := self._about.get(key)) is None:
            return None
        place = self._file.get_slice(key)
        shape, dtype = tuple(place.get_shape()), str(place.get_dtype())
        bits = re.search(r"\d+", dtype)  # BOOL has none and takes eight
        size = math.prod(shape) * int(bits[0] if bits else 8) // 8
        return Kept(key, self.group, text[8:], shape, dtype, size)

    def read(self, key: str) -> Entry | None:
        """An entry, or None when it is damaged; the first reading of each compares the checksum."""
        if (text := self._about.get(key)) is None:
            return None
        entry = Entry(self._file.get_tensor(key), text[8:], text[:8])
        if key not in self._checked:
            if entry.check != _check(key, self.group, entry.tensor, entry.note):
                return None
            self._checked.add(key)
        return entry

    def drop(self, key: str) -> None:
        """From now on as if the entry were not there."""
        self._about.pop(key, None)


def publish(folder: Path, group: str, entries: Mapping[str, Entry]) -> Path:
    """Writes a shard aside, then renames it; OSError when the disk does not let us, and then nothing is left behind."""
    about = {MARK: f"{VERSION} {group}"} | {key: entry.check + entry.note for key, entry in entries.items()}
    blob = save({key: entry.tensor for key, entry in entries.items()}, metadata=about)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)  # prepared inputs are people's voices and faces
    path = folder / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(4)}{ENDING}"
    aside = path.with_suffix(".aside")
    with os.fdopen(_open_locked(aside), "wb") as file:
        try:
            file.write(blob)
            file.flush()
            os.fsync(file.fileno())
            os.replace(aside, path)  # the folder needs no fsync: a shard that a power cut takes back is made again
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    return path


def _open_locked(aside: Path) -> int:
    """A new file under a lock that lasts as long as its writer lives, so that `sweep` knows it is not an orphan."""
    while True:
        handle = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600)
        with contextlib.suppress(OSError):  # a file system without locks; there `sweep` removes nothing either
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:
            return handle
        os.close(handle)  # swept away between opening and locking


def sweep(folder: Path) -> None:
    """Removes what killed writers have left; a file whose writer lives is locked and stays."""
    for aside in folder.glob("*.aside"):
        with contextlib.suppress(OSError):
            handle = os.open(aside, os.O_RDWR)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                aside.unlink()
            finally:
                os.close(handle)
