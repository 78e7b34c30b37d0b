"""Names for what the cache keeps: hashes of settings and of media files, the latter remembered between runs."""

import hashlib
import os
import sqlite3
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from filelock import FileLock

SETTLED = 2.0  # seconds; the coarsest clock of a file system in use, FAT's


def content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class FileHashes:
    """Content hashes of files, remembered in the cache folder; a file that looks as it did is not opened again.

    It looks the same when place, size, inode and the times of its last writing and last change of any kind agree.
    As in git, a file written less than two seconds before it was hashed is not remembered: it could be written again
    without its time showing it. Safe with several threads and processes. A damaged memory is replaced, and where none
    can be had every file is hashed each time.
    """

    def __init__(self, folder: Path) -> None:
        self.path = Path(folder) / "hashes.sqlite"
        self._lock = threading.Lock()
        self._database = self._open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """What was remembered is on disk already; after this every file is hashed."""
        with self._lock:
            if self._database:
                self._database.close()
                self._database = None

    def of(self, path: Path) -> str:
        """The content hash of a file; OSError when it cannot be read."""
        place, now = os.path.abspath(path), time.time()
        about = os.stat(place)
        known = self._ask("SELECT hash FROM files WHERE place = ? AND looks = ?", (os.fsencode(place), _looks(about)))
        if known:
            return str(known[0][0])
        with open(place, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        # what was changed while it was read looks different from now on, so it is hashed again
        if now - about.st_mtime > SETTLED:
            self._ask("INSERT OR REPLACE INTO files VALUES (?, ?, ?)", (os.fsencode(place), _looks(about), digest))
        return digest

    def clear(self) -> None:
        """Forgets all files."""
        self._ask("DELETE FROM files")

    def _ask(self, question: str, values: Sequence[object] = ()) -> list[tuple[Any, ...]]:
        """The rows; none when the memory is busy for long, full or read-only, or had to be replaced."""
        with self._lock:
            if not self._database:
                return []
            try:
                return self._database.execute(question, values).fetchall()
            except sqlite3.OperationalError:
                return []
            except sqlite3.DatabaseError:
                self._database.close()
                self._database = self._open()
                return []

    def _open(self) -> sqlite3.Connection | None:
        """The database, a new one in the place of a damaged one, or None where there can be none."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            # alone: a file must not be taken away from under a process that has just made it anew
            with FileLock(self.path.with_suffix(".lock"), timeout=60, mode=0o600):
                try:
                    return self._connect()
                except sqlite3.OperationalError:
                    return None
                except sqlite3.DatabaseError:
                    for ending in ("", "-wal", "-shm"):
                        Path(f"{self.path}{ending}").unlink(missing_ok=True)
                    return self._connect()
        except (OSError, sqlite3.Error):
            return None

    def _connect(self) -> sqlite3.Connection:
        self.path.touch(mode=0o600)
        database = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
        try:
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("CREATE TABLE IF NOT EXISTS files (place BLOB PRIMARY KEY, looks TEXT, hash TEXT)")
            if database.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise sqlite3.DatabaseError("damaged")
        except sqlite3.Error:
            database.close()
            raise
        return database


def _looks(about: os.stat_result) -> str:
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ctime_ns} {about.st_ino}"
