"""Where uploads lie until they are read: a private folder, in memory where the system has one, gone at the end."""

import atexit
import functools
import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

PREFIX = "emobraid-page-"
SETTINGS = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_RUN_HISTORY": "False",
}


def roots() -> Iterable[Path]:
    """Folders for temporary files, memory first."""
    return [p for p in (Path("/dev/shm"), Path(tempfile.gettempdir())) if p.is_dir() and os.access(p, os.W_OK)]  # noqa: S108


@functools.cache
def spool() -> Path:
    """This process's folder (mode 0700). It is made, and told to Gradio, before Gradio is imported; what processes that
    are gone have left behind is deleted."""
    sweep()
    place = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=next(iter(roots()))))
    os.environ.update({**SETTINGS, "GRADIO_TEMP_DIR": str(place)})
    atexit.register(_end, place, os.getpid())
    return place


def sweep() -> None:
    """Delete the folders of processes that are gone."""
    for left in (p for root in roots() for p in root.glob(f"{PREFIX}*")):
        number = left.name.removeprefix(PREFIX).partition("-")[0]
        if number.isdecimal() and not Path(f"/proc/{number}").exists() and _ours(left):
            shutil.rmtree(left, ignore_errors=True)


def _ours(place: Path) -> bool:
    about = place.lstat()
    return about.st_uid == os.getuid() and not place.is_symlink()


def _end(place: Path, process: int) -> None:
    if process == os.getpid():  # not in a child that was forked
        shutil.rmtree(place, ignore_errors=True)


def take(path: str) -> tuple[str, bytes]:
    """Name and content of an uploaded file, which is deleted; ValueError for a path outside the spool."""
    place = Path(path).resolve()
    if not place.is_relative_to(spool().resolve()):
        raise ValueError("this is not a file that was uploaded here")
    try:
        return place.name, place.read_bytes()
    except OSError:
        raise ValueError("the file is no longer here; upload it again") from None
    finally:
        remove(place)


def remove(place: Path) -> None:
    """Delete an upload, the folder it lay in, and the empty files that Gradio makes beside it."""
    place.unlink(missing_ok=True)
    home = spool().resolve()
    if place.parent != home and place.parent.is_relative_to(home):
        shutil.rmtree(place.parent, ignore_errors=True)
    just_now = time.time() - 5  # an upload that has only begun is empty as well
    for empty in home.glob("tmp*"):
        if empty.is_file() and not empty.stat().st_size and empty.stat().st_mtime < just_now:
            empty.unlink(missing_ok=True)


def held() -> int:
    """Bytes that lie in the spool now."""
    return sum(p.stat().st_size for p in spool().rglob("*") if p.is_file())
