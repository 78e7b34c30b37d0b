"""The metrics log: one JSON object a line. It holds no times, so two runs of one seed have the same bytes."""

import json
import os
from pathlib import Path
from typing import Any


class MetricsLog:
    """Append-only; on resume it is cut back to where the saved state left it."""

    def __init__(self, path: Path, keep_bytes: int) -> None:
        path.touch()
        if path.stat().st_size < keep_bytes:
            raise ValueError(f"{path} is shorter than at the last save: put it back to resume, or start anew")
        os.truncate(path, keep_bytes)
        self._file = path.open("ab")

    def write(self, **values: Any) -> None:
        self._file.write(json.dumps(values).encode() + b"\n")
        self._file.flush()

    def sync(self) -> int:
        """Put everything on disk; its size in bytes."""
        os.fsync(self._file.fileno())
        return self._file.tell()

    def close(self) -> None:
        self._file.close()


class NoLog:
    """What a process writes that is not the one to write."""

    def __init__(self, path: Path, keep_bytes: int) -> None:
        self._bytes = keep_bytes

    def write(self, **values: Any) -> None: ...

    def sync(self) -> int:
        return self._bytes

    def close(self) -> None: ...
