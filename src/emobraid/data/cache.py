"""Tensors kept between runs under keys of everything they depend on: prepared inputs and outputs of frozen encoders.

Many processes may use one folder at once. A damaged entry is as none, and is made again by who asked for it.
"""

import os
import stat
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import torch
from filelock import FileLock, Timeout
from torch import Tensor

from emobraid.data.hashes import FileHashes, content_hash, key_of
from emobraid.data.shard_folder import CacheSizes, ShardFolder
from emobraid.data.shards import Entry, Kept, publish, sweep

__all__ = ["CacheSizes", "FileHashes", "Kept", "TensorCache", "content_hash", "default_folder", "key_of"]

PATIENCE = 10.0  # seconds that an entry may wait in memory, where a kill would lose it


NOWHERE = "there is no home folder to keep things in; --cache_dir DIR or XDG_CACHE_HOME names a place"


def home() -> Path | None:
    """The user's own folder; None for a user who has none, as containers run under any number."""
    try:
        return Path.home()
    except RuntimeError:
        return None


def default_folder() -> Path | None:
    """Where things are kept between runs unless told otherwise; None where there is no such place."""
    if given := os.environ.get("XDG_CACHE_HOME"):
        return Path(given) / "emobraid"
    return own / ".cache" / "emobraid" if (own := home()) else None


@dataclass
class _Waiting:
    """Entries of one group that are not on disk yet."""

    entries: dict[str, Entry] = field(default_factory=dict)
    weight: int = 0
    since: float = field(default_factory=time.monotonic)

    def add(self, key: str, entry: Entry) -> None:
        self.entries[key] = entry
        self.weight += entry.weight


class TensorCache:
    """Tensors with notes in memory-mapped shards; safe with several threads and processes.

    Entries wait in memory until they fill a shard or ten seconds are over, so close it, or use it in a `with`.
    A folder that is full or read-only costs one warning; ValueError for one that everybody may write to.
    """

    def __init__(self, folder: Path, *, shard_bytes: int = 64 << 20) -> None:
        self.folder, self.shard_bytes = Path(folder), shard_bytes
        self.writable = True
        self.damaged = 0  # entries found damaged so far
        self._lock = threading.Lock()  # guards what waits
        self._waiting: dict[str, _Waiting] = {}  # by group
        self._publishing = threading.Lock()  # one writer at a time; the others put meanwhile
        self._published = ShardFolder(self.folder)
        _refuse_if_open_to_all(self.folder)
        sweep(self.folder)
        self.refresh()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """All that waits goes to disk and the files are let go; tensors handed out stay good."""
        self.flush()
        self._published.release()

    def __contains__(self, key: str) -> bool:
        """Whether it is kept; its numbers are not read, so it may still turn out to be damaged."""
        return self._unpublished(key) is not None or self._published.find(key) is not None

    def get(self, key: str) -> tuple[Tensor, str] | None:
        """The tensor (T, ...) and its note; None when absent or damaged.

        The tensor views the mapped file: what is written into it never reaches the disk, but the next `get` here
        would show it, so clone it before writing.
        """
        if entry := self._unpublished(key):
            return entry.tensor.clone(), entry.note
        while shard := self._published.find(key):
            if entry := shard.read(key):
                return entry.tensor, entry.note
            self.damaged += 1
            self._published.drop(key, shard)
        return None

    def _unpublished(self, key: str) -> Entry | None:
        with self._lock:
            found = (waiting.entries.get(key) for waiting in self._waiting.values())
            return next(filter(None, found), None)

    def put(self, key: str, tensor: Tensor, note: str = "", *, group: str = "") -> None:
        """Keeps a copy of a tensor. `group` is the heading under which sizes are listed and entries forgotten."""
        if not self.writable:
            return
        entry = Entry.of(key, group, _copy(tensor), note)
        with self._lock:
            self._waiting.setdefault(group, _Waiting()).add(key, entry)
        self._publish(lambda w: w.weight >= self.shard_bytes or time.monotonic() - w.since > PATIENCE)

    def flush(self) -> None:
        """All that waits goes to disk, where other processes see it."""
        self._publish(lambda _: True)

    def refresh(self) -> None:
        """Takes in what other processes have published or deleted; a miss does so by itself."""
        self._published.refresh()

    def _publish(self, due: Callable[[_Waiting], bool]) -> None:
        """Writes shards of the groups that are due; `get` finds their entries before, meanwhile and after."""
        if self._due(due):
            with self._publishing:
                try:
                    for group, entries in self._due(due).items():  # asked again: another thread may just have done it
                        publish(self.folder, group, entries)
                        self.refresh()
                        self._no_longer_waiting(group, entries)
                except OSError as error:
                    self._give_up(error)

    def _due(self, due: Callable[[_Waiting], bool]) -> dict[str, dict[str, Entry]]:
        with self._lock:
            return {group: dict(waiting.entries) for group, waiting in self._waiting.items() if due(waiting)}

    def _no_longer_waiting(self, group: str, entries: dict[str, Entry]) -> None:
        """What came in while the shard was written goes on waiting."""
        with self._lock:
            later = _Waiting()
            for key, entry in self._waiting.pop(group, later).entries.items():
                if entries.get(key) is not entry:
                    later.add(key, entry)
            if later.entries:
                self._waiting[group] = later

    def _give_up(self, error: OSError) -> None:
        with self._lock:
            self._waiting.clear()
            first, self.writable = self.writable, False
        if first:
            warnings.warn(f"prepared inputs are not kept: {self.folder}: {error.strerror or error}", stacklevel=4)

    def compact(self) -> int:
        """Merges small shards, deletes unreadable ones, and says how many files fewer there are.

        Readers lose nothing. While another process does so, or on a disk that does not let us, nothing is done.
        """
        self.flush()
        fewer = 0
        try:
            with self._alone(timeout=0):
                small = [shard for shard in self._published.shards() if shard.size < self.shard_bytes / 4]
                for group in sorted({shard.group for shard in small}):
                    mine = [shard for shard in small if shard.group == group]
                    fewer += self._published.merge(mine, self.shard_bytes) if len(mine) > 1 else 0
                fewer += self._published.delete_damaged()
        except Timeout:
            pass
        except OSError as error:
            self._give_up(error)
        return fewer

    @contextmanager
    def _alone(self, timeout: float) -> Iterator[None]:
        """One process at a time merges or deletes, else what one deletes could come back merged by another."""
        if self.folder.is_dir():
            with FileLock(self.folder / "cache.lock", timeout=timeout, mode=0o600):
                self.refresh()
                yield
        else:
            yield

    def forget(self, group: str) -> int:
        """Deletes the entries of a group, and says how many; OSError when the folder does not let us."""
        return self._delete(lambda name: name == group)

    def clear(self) -> int:
        """Deletes all entries and unreadable files, and says how many entries; OSError when the folder forbids it."""
        gone = self._delete(lambda _: True)
        self._published.delete_damaged()
        return gone

    def _delete(self, which: Callable[[str], bool]) -> int:
        self.flush()
        with self._alone(timeout=60):
            gone = [key for key, shard in self._published.index().items() if which(shard.group)]
            self._published.delete(shard for shard in self._published.shards() if which(shard.group))
        return len(gone)

    def entries(self) -> Iterator[Kept]:
        """All entries, without reading their numbers."""
        self.flush()
        self.refresh()
        return self._published.entries()

    def sizes(self) -> dict[str, CacheSizes]:
        """What each group takes on disk."""
        self.flush()
        self.refresh()
        return self._published.sizes()


def _copy(tensor: Tensor) -> Tensor:
    """A packed copy on the CPU."""
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _refuse_if_open_to_all(folder: Path) -> None:
    try:
        mode = folder.stat().st_mode
    except OSError:
        return
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        raise ValueError(
            f"the cache folder {folder} can be written by everybody, so its entries cannot be trusted: "
            f"chmod 700 {folder}, or choose another"
        )
