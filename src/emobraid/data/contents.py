"""What utterances hold, as a hash of words, files and numbers: whatever is kept for later is kept under it.

Where things lie and what they are called does not count, so a corpus may move; a byte that changed does.
"""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import astuple
from functools import lru_cache
from pathlib import Path

from emobraid.config import Config
from emobraid.data.corpus import Cell, Clip, Sample
from emobraid.data.features import ArrayCell
from emobraid.data.hashes import content_hash
from emobraid.data.layouts import open_corpus, table_hash
from emobraid.data.mocap import MotionCell
from emobraid.media import MediaBytes


def contents(samples: Sequence[Sample], modalities: Collection[str]) -> str:
    """A sha256 over the rows: their names and speakers, what is asked of them, what their cells hold."""
    told = hashlib.sha256()
    for s in samples:
        asked = (s.id, s.group, s.speaker, s.context, s.label, s.spread, sorted(s.affect.items()), s.sound_from_video)
        cells = [(m, held(s.cells.get(m))) for m in sorted(modalities)]
        told.update(repr((asked, cells)).encode(errors="surrogatepass"))
    return told.hexdigest()


def corpus_contents(config: Config) -> str:
    """The same of a whole corpus as a study uses it: its training and validation rows, the inputs of its test split,
    and the table that holds the labels of that one, which stays sealed."""
    corpus, modalities = open_corpus(config.data, config.model), config.model.modalities
    parts = [contents(corpus.split(name), modalities) for name in ("train", "val")]
    if (table := corpus.rows.table("test")).exists():
        parts += [contents(corpus.inputs("test"), modalities), table_hash(table)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def held(cell: Cell) -> str:
    """What a cell holds; what cannot be read is told apart from what is not there."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"words {cell}"
    if isinstance(cell, MediaBytes):
        return hashlib.sha256(cell.content).hexdigest()
    if isinstance(cell, Clip):
        return f"{_file(cell.path)} {astuple(cell)[1:]}"
    if isinstance(cell, MotionCell):
        return f"{[_file(f) if f else '' for f in cell.files]} {cell.start} {cell.end}"
    return _values(cell) if isinstance(cell, ArrayCell) else _file(cell)


def _values(cell: ArrayCell) -> str:
    try:
        array = cell.load()
    except (ValueError, OSError):
        return "unreadable"
    return f"{array.shape} {array.dtype} {hashlib.sha256(array.tobytes()).hexdigest()}"


def _file(path: Path) -> str:
    try:
        about = path.stat()
        return _hashed(path, about.st_mtime_ns, about.st_ctime_ns, about.st_size)
    except OSError:
        return "unreadable"


@lru_cache(maxsize=1 << 16)
def _hashed(path: Path, mtime: int, ctime: int, size: int) -> str:
    """A file's content hash; its times and size make a changed file a new entry."""
    return content_hash(path)
