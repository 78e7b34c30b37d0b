"""Files opened here and handed to a decoder as descriptors, so that what was checked is what is read."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from emobraid.media.kinds import MediaBytes, MediaError, shown


@contextmanager
def regular_file(path: Path | MediaBytes) -> Iterator[int]:
    """A descriptor of `path`; MediaError for anything but a regular file, before it is opened."""
    name = shown(path)
    if isinstance(path, MediaBytes):
        with in_memory(path) as file:
            yield file
        return
    try:
        refuse_special(os.stat(path).st_mode, name)
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        broken = "a link to a file that does not exist" if os.path.islink(path) else "no such file"
        raise MediaError(f"{name}: {broken}") from None
    except OSError as error:
        raise MediaError(f"{name}: {(error.strerror or 'cannot be opened').lower()}") from None
    except MediaError:
        raise
    except ValueError:  # a NUL in the name
        raise MediaError(f"{name}: not a file name") from None
    try:
        refuse_special(os.fstat(file).st_mode, name)  # it may have been swapped since
        if not os.fstat(file).st_size:
            raise MediaError(f"{name}: empty file (0 bytes)")
        yield file
    finally:
        os.close(file)


@contextmanager
def in_memory(media: MediaBytes) -> Iterator[int]:
    """A descriptor of content that never lies on a disk, where the system has such (Linux)."""
    if not media.content:
        raise MediaError(f"{media.name}: empty file (0 bytes)")
    anonymous = os.memfd_create("media") if hasattr(os, "memfd_create") else None
    with open(anonymous, "wb", 0) if anonymous is not None else tempfile.TemporaryFile(buffering=0) as file:
        left = memoryview(media.content)
        while left:
            left = left[file.write(left) :]
        yield file.fileno()


def refuse_special(mode: int, name: str) -> None:
    kinds = {stat.S_IFDIR: "folder", stat.S_IFIFO: "named pipe", stat.S_IFSOCK: "socket"}
    if not stat.S_ISREG(mode):
        raise MediaError(f"{name}: a {kinds.get(stat.S_IFMT(mode), 'device')}, not a regular file")
