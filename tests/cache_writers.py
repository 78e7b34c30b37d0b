"""What other processes do to the cache in its tests. Imports little, as many such processes are started."""

import hashlib
import itertools
import os
import resource
import time
import warnings
from pathlib import Path

import torch

from emobraid.data.cache import FileHashes, TensorCache


def value_of(key):
    """What has to be under a key: everybody writes the same, and can tell a torn or foreign entry."""
    seed = hashlib.sha256(key.encode()).digest()
    return torch.frombuffer(bytearray(seed * (1 + seed[0] % 8)), dtype=torch.uint8).view(-1, 8)


def is_right(key, kept):
    return kept is not None and kept[1] == f"note of {key}" and torch.equal(kept[0], value_of(key))


def write(cache, key):
    cache.put(key, value_of(key), f"note of {key}", group=f"group {len(key) % 2}")


def write_and_check(folder: Path, me: int, keys: int) -> None:
    """Half of the keys are everybody's, half only mine; whatever others have written meanwhile must be right."""
    with TensorCache(folder, shard_bytes=4096) as cache:
        for i in range(keys):
            mine = f"shared {i}" if i % 2 else f"{me}: {i}"
            write(cache, mine)
            assert is_right(mine, cache.get(mine))
            for key in (f"{(me + 1) % 8}: {i - 1}", f"shared {(i * 7) % keys}"):
                kept = cache.get(key)
                assert kept is None or is_right(key, kept), key
            if i % 50 == 49:
                cache.compact()


def write_until_killed(folder: Path, start: int, started) -> None:
    fsync = os.fsync
    os.fsync = lambda handle: (fsync(handle), time.sleep(0.002))  # a slow disk, so that kills meet writes
    with TensorCache(folder, shard_bytes=2048) as cache:
        started.send(True)
        for i in itertools.count():
            write(cache, f"{start}: {i}" if i % 2 else f"shared {i % 100}")
            if i % 40 == 39:
                cache.compact()


def write_with_little_space(folder: Path, said) -> None:
    """No file may grow past 4 KiB, as on a disk that is full."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    cache = TensorCache(folder, shard_bytes=1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        cache.put("small", torch.zeros(8), "fits")
        for i in range(3):
            cache.put(f"large {i}", torch.zeros(4000), "does not")
        cache.close()
    said.send(([str(w.message) for w in caught], [key for key in ("small", "large 0") if cache.get(key)]))


def hash_all(folder: Path, files: list[Path], hashes: list[str]) -> None:
    with FileHashes(folder) as memory:
        for _ in range(5):
            assert [memory.of(file) for file in files] == hashes
