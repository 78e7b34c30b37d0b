"""CSV tables as people have them: one bad line costs that line, other separators are read, other files are named."""

import csv
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from emobraid.config import MODALITIES

#: by which a table of ours is known when cells are not separated by commas
KNOWN = {"text", "emotion", "id", "speaker", "dialogue", *(f"{m}_path" for m in MODALITIES)}
SEPARATORS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
LONGEST = 1_000  # lines of one row, whose quoted cells may hold line breaks
SPOILT = 0.1  # share of undecodable lines, above which a table is in another encoding as a whole

#: how files begin that are no tables
OTHERS = {
    b"PK\x03\x04": "an Excel workbook (.xlsx) or another zip archive; save it as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook (.xls); save it as CSV",
    b"RIFF": "a WAV or AVI file; --audio and --video take those",
    b"\x89PNG": "a picture (PNG); --video takes pictures",
    b"\xff\xd8\xff": "a picture (JPEG); --video takes pictures",
    b"OggS": "a sound file (Ogg); --audio takes those",
    b"fLaC": "a sound file (FLAC); --audio takes those",
    b"ID3": "a sound file (MP3); --audio takes those",
    b"%PDF": "a PDF; save its table as CSV",
    b"\x1f\x8b": "compressed (gzip); unpack it first",
    b"\xff\xfe": "UTF-16, not UTF-8; save the table as UTF-8",
    b"\xfe\xff": "UTF-16, not UTF-8; save the table as UTF-8",
    b"\x80": "a pickle, which can run code; save its table as CSV",
}


class Layout(NamedTuple):
    """How a table is written: what is between cells, its columns, the line that names them, what is odd about it."""

    separator: str
    columns: tuple[str, ...]
    head: int  # lines up to the first row
    note: str


def records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, cells by column) of every row, stripped; the first bad line is one ValueError."""
    for line, row in every_record(path):
        if isinstance(row, str):
            raise ValueError(f"{path} line {line}: {row}")
        yield line, row


def good_records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows that can be read; the others are somebody else's to tell."""
    return ((line, row) for line, row in every_record(path) if not isinstance(row, str))


def every_record(path: Path) -> Iterator[tuple[int, dict[str, str] | str]]:
    """As `records`, but a bad line is the reason in words and does not stop the others.

    The number is that of a row's last line, of a bad row its first. Rows without anything in any cell, which
    spreadsheets leave behind, are passed over.
    """
    lines, spoilt = _lines(path)
    layout = _layout(path, lines)
    at, empty = layout.head, True
    while at < len(lines):
        if at in spoilt:
            at, empty = at + 1, False
            yield at, f"not UTF-8 at byte {spoilt[at - 1]}; save the table as UTF-8"
            continue
        row, used = _row(lines, at, layout.separator)
        cells = row if isinstance(row, str) else _cells(row, layout.columns)
        if isinstance(cells, str):  # what follows its first line may be rows of their own
            at, empty = at + 1, False
            yield at, cells
            continue
        at += used
        if cells is not None:
            empty = False
            yield at, cells
    if empty:
        raise ValueError(f"{path}: there are no rows in it")


def layout_of(path: Path) -> Layout:
    """How a table is written; ValueError for one that is none, or names a column twice."""
    return _layout(path, _lines(path)[0])


def _lines(path: Path) -> tuple[list[str], dict[int, int]]:
    """The lines with their ends, and by place the byte at which one is not UTF-8; ValueError for what is no table."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as a CSV table: {error}") from None
    for head, kind in OTHERS.items():
        if content.startswith(head):
            raise ValueError(f"{path}: no CSV table but {kind}")
    content = content.removeprefix(b"\xef\xbb\xbf")
    try:
        return list(io.StringIO(content.decode(), newline="")), {}
    except UnicodeDecodeError as error:
        first = error.start
    lines, spoilt, start = list(io.StringIO(content.decode(errors="surrogateescape"), newline="")), {}, 0
    for place, line in enumerate(lines):
        encoded = line.encode(errors="surrogateescape")
        try:
            encoded.decode()
        except UnicodeDecodeError as error:
            spoilt[place] = start + error.start
        start += len(encoded)
    if 0 in spoilt or b"\0" in content or len(spoilt) > SPOILT * len(lines):
        raise ValueError(f"{path}: not UTF-8 at byte {first}; save the table as UTF-8")
    return lines, spoilt


def _layout(path: Path, lines: list[str]) -> Layout:
    head, separators, note = 0, list(SEPARATORS), ""
    if lines and (said := re.match(r'"?sep=(.)"?[,;\t]*\s*$', lines[0])):  # Excel's own first line
        head, separators = 1, [said[1]]
    while head < len(lines) and not lines[head].strip():
        head += 1
    if head == len(lines):
        raise ValueError(f"{path}: there are no rows in it")
    found: dict[str, list[str]] = {}
    for separator in separators:
        row, _ = _row(lines, head, separator)
        if not isinstance(row, str):
            found[separator] = [name.strip() for name in row]
    known = [s for s, names in found.items() if KNOWN & set(names)] or list(found)
    if not known:
        raise ValueError(f"{path}: cannot be read as a CSV table: {row}")
    separator = known[0]
    columns = found[separator]
    if twice := [name for name, count in Counter(filter(None, columns)).items() if count > 1]:
        raise ValueError(f"{path}: column {twice[0]} is there twice; take one of them out, or rename it")
    if separator != ",":
        note = f"{path.name}: cells are separated by {SEPARATORS.get(separator, repr(separator))}"
    return Layout(separator, tuple(columns), head + _row(lines, head, separator)[1], note)


def _row(lines: list[str], at: int, separator: str) -> tuple[list[str] | str, int]:
    """The cells of the row that begins at a line, or what is wrong with it, and how many lines it takes."""
    reader = csv.reader(islice(lines, at, at + LONGEST), strict=True, delimiter=separator)
    try:
        return next(reader, []), reader.line_num
    except csv.Error as error:
        if "field larger" in str(error):
            return f"a cell is longer than {csv.field_size_limit():,} characters", 1
        return "a quote is not closed, or is followed by something; write quotes inside a quoted cell twice", 1


def _cells(row: list[str], columns: tuple[str, ...]) -> dict[str, str] | str | None:
    """Cells by column; None for a row of nothing; in words why it has too many."""
    cells = [cell.strip() for cell in row]
    if not any(cells):
        return None
    if any(cells[len(columns) :]):
        return "more cells than columns; quote texts with commas"
    padded = cells + [""] * (len(columns) - len(cells))
    return dict(zip(columns, padded, strict=False))


def found_file(path: Path, root: Path) -> Path:
    """`path`, or the one file inside `root` whose name differs in case, in how accents are written or in backslashes.

    Names come from other systems: Windows writes backslashes and heeds no case, macOS takes accents apart.
    """
    if path.exists() or not path.is_relative_to(root):
        return path
    here = root
    for part in re.split(r"[\\/]", str(path.relative_to(root))):
        if (here / part).exists():
            here /= part
            continue
        alike = [p for p in here.iterdir() if _plain(p.name) == _plain(part)] if here.is_dir() else []
        if len(alike) != 1:
            return path
        here = alike[0]
    return here


def _plain(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
