"""The shards of a folder: where each key is, what other processes have added or taken away, what takes how much."""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from emobraid.data.shards import ENDING, Entry, Kept, Shard, UnreadableShard, publish


@dataclass
class CacheSizes:
    """What one group takes on disk."""

    entries: int = 0
    bytes: int = 0
    shards: int = 0


class ShardFolder:
    """The shards of a folder and where each key is; safe with several threads, and none of it reads numbers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.RLock()
        self._shards: dict[str, Shard] = {}  # by the name of the file
        self._index: dict[str, Shard] = {}  # by key
        self._damaged: set[str] = set()  # names of files that cannot be read
        self._seen = -1  # when the folder had last changed as it was listed

    def refresh(self) -> None:
        """Takes in what other processes have published or deleted."""
        with self._lock:
            self._seen = _changed(self.folder)  # before listing: what appears meanwhile is seen next time
            names = _listed(self.folder)
            if self._shards.keys() - names:
                self._shards = {name: shard for name, shard in self._shards.items() if name in names}
                self._index = {key: shard for _, shard in sorted(self._shards.items()) for key in shard}
            for name in sorted(names - self._shards.keys() - self._damaged):
                try:
                    shard = self._shards[name] = Shard(self.folder / name)
                    self._index |= dict.fromkeys(shard, shard)
                except UnreadableShard:
                    self._damaged.add(name)
                except OSError:  # gone already, or not ours to read now; the next time may be better
                    continue

    def find(self, key: str) -> Shard | None:
        """The shard with the key; a miss looks again if the folder has changed."""
        with self._lock:
            if key not in self._index and _changed(self.folder) != self._seen:
                self.refresh()
            return self._index.get(key)

    def drop(self, key: str, shard: Shard) -> None:
        """Forgets a damaged entry; another shard may hold it unharmed."""
        with self._lock:
            shard.drop(key)
            self._index.pop(key, None)
            for other in self.shards():
                if key in other:
                    self._index[key] = other

    def shards(self) -> list[Shard]:
        """The youngest last."""
        with self._lock:
            return [shard for _, shard in sorted(self._shards.items())]

    def index(self) -> dict[str, Shard]:
        """A copy of what is where."""
        with self._lock:
            return dict(self._index)

    def entries(self) -> Iterator[Kept]:
        """All that is found now."""
        for key, shard in self.index().items():
            if about := shard.about(key):
                yield about

    def sizes(self) -> dict[str, CacheSizes]:
        """By group."""
        with self._lock:
            sizes = {shard.group: CacheSizes() for shard in self._shards.values()}
            for shard in self._shards.values():
                sizes[shard.group].shards += 1
                sizes[shard.group].bytes += shard.size
            for shard in self._index.values():
                sizes[shard.group].entries += 1
        return dict(sorted(sizes.items()))

    def release(self) -> None:
        """Lets the files go; the next `find` looks for them again."""
        with self._lock:
            self._shards, self._index, self._seen = {}, {}, -1

    def delete(self, shards: Iterable[Shard]) -> None:
        """Removes files, here and for all; OSError when the folder does not let us."""
        for shard in shards:
            shard.path.unlink(missing_ok=True)
        self.refresh()

    def delete_damaged(self) -> int:
        """Removes the files that cannot be read, and says how many."""
        with self._lock:
            names = self._damaged & _listed(self.folder)
            for name in names:
                (self.folder / name).unlink(missing_ok=True)
            self._damaged.clear()
        return len(names)

    def merge(self, shards: Sequence[Shard], limit: int) -> int:
        """Puts shards of one group together into new ones of about `limit` bytes; the old go after the new are there.

        Only sound entries are taken, and of several under one key the one that is found now. How many fewer there are.
        """
        fewer = 0
        together: list[Shard] = []
        entries: dict[str, Entry] = {}
        for shard in shards:
            together.append(shard)
            mine = (key for key in shard if self._index.get(key) is shard)
            entries |= {key: entry for key in mine if (entry := shard.read(key))}
            if shard is shards[-1] or sum(entry.weight for entry in entries.values()) >= limit:
                if entries:
                    publish(self.folder, shard.group, entries)
                self.delete(together)
                fewer += len(together) - bool(entries)
                together, entries = [], {}
        return fewer


def _listed(folder: Path) -> set[str]:
    try:
        return {name for name in os.listdir(folder) if name.endswith(ENDING)}
    except OSError:
        return set()


def _changed(folder: Path) -> int:
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return -1
