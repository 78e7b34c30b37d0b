"""The mission's CSV layout: rows of text, audio_path, video_path, emotion; an empty cell is a missing modality."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from emobraid.config import ModelConfig
from emobraid.data.features import FeatureCell
from emobraid.emotions import LabelSpace

SPLITS = ("train", "val", "test")
TEXT_LIMIT = 20_000  # characters of an utterance

#: what a modality's cell holds: words, a media file, a place in an array file, or nothing
Cell = str | Path | FeatureCell | None


class SealedSplit(PermissionError):
    """The training side asked for the test split."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One utterance as its table names it; nothing is decoded yet."""

    id: str
    table: str = ""  # "train.csv", for messages
    line: int = 0
    group: str  # speaker, or dialogue; empty when unknown
    cells: Mapping[str, Cell]  # by modality
    sound_from_video: bool  # the table has no audio column: the clip's own sound track is its audio
    label: int | None


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """A folder in the mission's layout. `split` gives train and val; the test split opens for evaluation only."""

    root: Path
    config: ModelConfig
    allow_outside: Path | None = None

    def split(self, name: str) -> list[Sample]:
        """The rows of train or val; SealedSplit for test, so that nothing can be selected on it."""
        if name == "test":
            raise SealedSplit("the test split is sealed: only evaluation opens it")
        if name not in SPLITS:  # "./test" would open it too
            raise ValueError(f"unknown split {name!r}, known: {', '.join(SPLITS)}")
        return self._read(name)

    def open_test(self) -> list[Sample]:
        """The rows of the test split. For `evaluation` alone, which writes each opening into the run's ledger."""
        return self._read("test")

    def _read(self, name: str) -> list[Sample]:
        path = self.root / f"{name}.csv"
        if not path.is_file():
            wanted = ", ".join(f"{s}.csv" for s in SPLITS)
            raise ValueError(f"{path}: no such file; data_root must hold {wanted}")
        return list(read_rows(path, self.config, allow_outside=self.allow_outside))


def column(modality: str, config: ModelConfig) -> str:
    """The column of a modality: text, or <modality>_path."""
    published = getattr(config, f"{modality}_encoder") == "features"
    return "text" if modality == "text" and not published else f"{modality}_path"


def read_rows(path: Path, config: ModelConfig, *, allow_outside: Path | None = None) -> Iterator[Sample]:
    """Every row of a labelled table; ValueError names the file, the line and what is wrong with it."""
    for row in _rows(path, config, allow_outside, labelled=True):
        if isinstance(row, BadRow):
            raise ValueError(f"{path} line {row.line}: {row.reason}")
        yield row


def read_unlabelled(
    path: Path, config: ModelConfig, *, allow_outside: Path | None = None
) -> Iterator["Sample | BadRow"]:
    """Every row of a table to be predicted, in order; labels are not needed, and a bad row does not stop the others."""
    yield from _rows(path, config, allow_outside, labelled=False)


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """A row that cannot be used, and why."""

    id: str
    line: int
    reason: str


def _rows(path: Path, config: ModelConfig, outside: Path | None, *, labelled: bool) -> Iterator[Sample | BadRow]:
    columns: dict[str, str] = {m: column(m, config) for m in config.modalities}
    labels = LabelSpace(config.labels)
    sound_from_video = False
    for number, (line, row) in enumerate(_records(path)):
        if number == 0:
            compact = config.video_encoder == config.audio_encoder == "compact"
            sound_from_video = compact and {"audio", "video"} <= columns.keys() and columns["audio"] not in row
            _check_columns(path, list(row), columns, labelled=labelled, sound_from_video=sound_from_video)
        name = row.get("id") or f"{path.stem}-{line}"
        try:
            cells: dict[str, Cell] = {
                m: _cell(m, row.get(c) or "", config, path.parent, outside) for m, c in columns.items()
            }
            label = labels.index(row["emotion"]) if labelled and row["emotion"] else None
        except ValueError as error:
            yield BadRow(id=name, line=line, reason=str(error))
            continue
        yield Sample(
            id=name,
            table=path.name,
            line=line,
            group=row.get("speaker") or row.get("dialogue") or "",
            cells=cells,
            sound_from_video=sound_from_video,
            label=label,
        )


def _check_columns(
    path: Path, found: list[str], columns: Mapping[str, str], *, labelled: bool, sound_from_video: bool
) -> None:
    """Training needs every column; a table to be predicted needs one modality's."""
    wanted = [c for m, c in columns.items() if not (m == "audio" and sound_from_video)]
    missing = [c for c in wanted if c not in found]
    if labelled and (missing or "emotion" not in found):
        missing += ["emotion"] * ("emotion" not in found)
        raise ValueError(f"{path}: found columns {', '.join(found)}; missing {', '.join(missing)}")
    if len(missing) == len(wanted):
        raise ValueError(f"{path}: found columns {', '.join(found)}; need one of {', '.join(columns.values())}")


def _records(path: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, cells by column) with names stripped; bad encoding or quoting is one ValueError."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            empty = True
            for row in reader:
                if None in row:
                    raise ValueError(f"{path} line {reader.line_num}: more cells than columns; quote texts with commas")
                empty = False
                yield reader.line_num, {(k or "").strip(): (v or "").strip() for k, v in row.items()}
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not UTF-8 at byte {error.start}; save the table as UTF-8") from None
    except (csv.Error, OSError) as error:
        raise ValueError(f"{path}: cannot be read as a CSV table: {error}") from None
    if empty:
        raise ValueError(f"{path}: there are no rows in it")


def _cell(modality: str, value: str, config: ModelConfig, folder: Path, allow_outside: Path | None) -> Cell:
    if not value:
        return None
    published = getattr(config, f"{modality}_encoder") == "features"
    if modality == "text" and not published:
        return value[:TEXT_LIMIT]
    if published:
        cell = FeatureCell.parse(value)
        return cell.at(confine(cell.path, folder, allow_outside))
    return confine(value, folder, allow_outside)


def confine(value: str | Path, folder: Path, allow_outside: Path | None) -> Path:
    """`value` as a path inside `folder` (links resolved), or inside `allow_outside`; ValueError otherwise.

    The message is the same whether the file exists or not.
    """
    text = str(value)
    home = folder.resolve()
    allowed = [home, *([allow_outside.resolve()] if allow_outside else [])]
    try:
        path = (home / text).resolve()
    except (OSError, ValueError, RuntimeError):
        raise ValueError(f"{text!r} is not a usable path") from None
    if not any(path.is_relative_to(root) for root in allowed):
        raise ValueError(f"path {text!r} leads outside {folder}; use --allow_outside DIR to permit another folder")
    return path
