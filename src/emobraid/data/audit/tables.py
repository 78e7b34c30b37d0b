"""A linter for the CSV layout: everything that training would stumble over, and what may fool a result, with lines."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit.clips import Clip, clip_findings, look_into
from emobraid.data.audit.findings import Audit, Finding, Progress, counted, per_split
from emobraid.data.corpus import SPLITS, Cell
from emobraid.data.csv import WHOLE, CsvRows, column, parse_cell
from emobraid.data.features import FeatureCell
from emobraid.data.row_targets import number, read_targets, split_of, stretch_of
from emobraid.data.tables import every_record
from emobraid.emotions import LabelSpace


@dataclass(frozen=True, kw_only=True)
class Line:
    """One row, as far as it can be read."""

    split: str
    number: int
    table: str  # the file's name
    cells: Mapping[str, str]  # as written, by column
    found: Mapping[str, Cell]  # what the modalities' cells name
    labels: tuple[str, ...]  # the classes, or none

    @property
    def place(self) -> str:
        return f"{self.table} line {self.number}"

    @property
    def label(self) -> str:
        return "|".join(self.labels)


@dataclass
class Findings:
    """Places of all that is wrong, by kind."""

    tables: list[str] = field(default_factory=list)
    columns: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    labels: list[str] = field(default_factory=list)
    numbers: list[str] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)


def audit_tables(data: DataConfig, model: ModelConfig, *, media: bool, progress: Progress | None) -> Audit:
    seen = Findings()
    lines = [line for split in SPLITS for line in _lines(data, model, split, seen)]
    mend = "mend the rows; training stops at the first"
    findings = [
        counted("tables", seen.tables, what="tables that cannot be read", advice="data_root must hold all three"),
        counted("columns", seen.columns, what="tables without a column", advice="add it, or name fewer --modalities"),
        counted("bad rows", seen.rows, what="rows", advice=mend),
        counted("unknown labels", seen.labels, what="rows", advice=f"{mend}; or name your own classes with --labels"),
        counted("numbers", seen.numbers, what="cells that should be numbers", advice=mend),
        counted(
            "paths", seen.paths, what="paths out of the folder", advice="copy the files in, or use --allow_outside"
        ),
        counted("missing files", seen.files, what="files", advice="copy them in; --skip_unreadable trains on without"),
        counted("empty rows", seen.empty, what="rows without any modality", advice="delete them: nothing can be read"),
        _same_id(lines),
        _twice(lines),
        *_in_two_splits(lines),
        _labels(lines, model),
    ]
    if media and (clips := _clips(lines)):
        findings += clip_findings(look_into(clips, workers=data.workers, progress=progress))
    return Audit(dataset="csv", root=str(data.data_root), findings=tuple(findings))


def _lines(data: DataConfig, model: ModelConfig, split: str, seen: Findings) -> Iterator[Line]:
    path = CsvRows(root=data.data_root, config=model).table(split)
    if not path.is_file():
        seen.tables.append(f"{path.name}: no such file")
        return
    columns: dict[str, str] = {}
    try:
        for number, cells in every_record(path):
            if isinstance(cells, str):
                _once(seen.rows, f"{path.name} line {number}: {cells}")
                continue
            if path.name == WHOLE and not _is_of(split, path, number, cells, seen):
                continue
            columns = columns or _columns(path, cells, model, seen)
            line = Line(split=split, table=path.name, number=number, cells=cells, found={}, labels=())
            yield _line(data, model, line, columns, seen)
    except ValueError as error:
        seen.tables.append(str(error).replace(str(path), path.name))


def _columns(path: Path, cells: Mapping[str, str], model: ModelConfig, seen: Findings) -> dict[str, str]:
    """The columns of the model's modalities that are there; a clip's own sound stands in for a missing audio_path."""
    wanted: dict[str, str] = {m: column(m, model) for m in model.modalities}
    own_sound = {"audio", "video"} <= wanted.keys() and "features" not in (model.audio_encoder, model.video_encoder)
    lacking = [c for m, c in wanted.items() if c not in cells and not (m == "audio" and own_sound)]
    lacking += [c for c in ("emotion", *model.affect) if c not in cells]
    if lacking:
        _once(seen.columns, f"{path.name}: found columns {', '.join(cells)}; missing {', '.join(lacking)}")
    return {m: c for m, c in wanted.items() if c in cells}


def _line(data: DataConfig, model: ModelConfig, line: Line, columns: Mapping[str, str], seen: Findings) -> Line:
    found: dict[str, Cell] = {}
    for modality, name in columns.items():
        try:
            cell = parse_cell(modality, line.cells[name], model, data.data_root, data.allow_outside)
        except ValueError as error:
            # kept, so that the row does not count as empty as well
            found[modality] = line.cells[name]
            seen.paths.append(f"{line.place}: {error}")
            continue
        found[modality] = cell
        file = cell.path if isinstance(cell, FeatureCell) else cell
        if isinstance(file, Path) and not file.is_file():
            seen.files.append(
                f"{line.place}: {name} {line.cells[name]}: {'a folder' if file.is_dir() else 'no such file'}"
            )
    if columns and not any(cell is not None for cell in found.values()):
        seen.empty.append(line.place)
    _numbers(line, model, seen)
    return replace(line, found=found, labels=_labels_of(line, model, seen))


def _once(places: list[str], place: str) -> None:
    if place not in places:  # one table with a split column is looked through three times
        places.append(place)


def _is_of(split: str, path: Path, number: int, cells: Mapping[str, str], seen: Findings) -> bool:
    if "split" not in cells:
        _once(seen.columns, f"{path.name}: found columns {', '.join(cells)}; missing split")
        return split == "train"
    try:
        return split_of(cells) == split
    except ValueError as error:
        _once(seen.rows, f"{path.name} line {number}: {error}")
        return False


def _numbers(line: Line, model: ModelConfig, seen: Findings) -> None:
    try:
        stretch_of(line.cells)
    except ValueError as error:
        seen.numbers.append(f"{line.place}: {error}")
    for name in model.affect:
        try:
            if value := line.cells.get(name):
                number(name, value)
        except ValueError as error:
            seen.numbers.append(f"{line.place}: {error}")


def _labels_of(line: Line, model: ModelConfig, seen: Findings) -> tuple[str, ...]:
    space = LabelSpace(model.labels, model.label_kind)
    try:
        asked = read_targets(line.cells, space, ())
    except ValueError as error:
        seen.labels.append(f"{line.place}: {error}")
        return ()
    if asked.spread is not None:
        return tuple(name for name, there in zip(space.names, asked.spread, strict=True) if there)
    return () if asked.label is None else (space.names[asked.label],)


def _same_id(lines: list[Line]) -> Finding:
    by_id: dict[tuple[str, str], list[Line]] = {}
    for line in lines:
        if name := line.cells.get("id", ""):
            by_id.setdefault((line.split, name), []).append(line)
    places = [f"{name!r}: {_joined(same)}" for (_, name), same in by_id.items() if len(same) > 1]
    return counted("ids", places, what="ids of several rows", advice="name each row of a table once")


def _twice(lines: list[Line]) -> Finding:
    """Rows that name the same words and files; those of two splits are what a model has learnt by heart."""
    by_content: dict[tuple[str, ...], list[Line]] = {}
    for line in lines:
        content = tuple(str(cell or "") for cell in line.found.values())
        if any(content):
            by_content.setdefault(content, []).append(line)
    several = [same for same in by_content.values() if len(same) > 1]
    places = [f"{_joined(same)}{_labelled_otherwise(same)}" for same in several]
    leak = any(len({line.split for line in same}) > 1 for same in several)
    return counted(
        "duplicates",
        places,
        what="rows that are there several times",
        state="broken" if leak else "know",
        advice="keep one of each; one in two splits is a leak",
    )


def _labelled_otherwise(same: list[Line]) -> str:
    labels = sorted({line.label for line in same if line.label})
    return f", labelled {' and '.join(labels)}" if len(labels) > 1 else ""


def _in_two_splits(lines: list[Line]) -> Iterator[Finding]:
    advice = {
        "speaker": "results will not hold for new people: move all rows of a speaker into one split",
        "dialogue": "move all rows of a dialogue into one split: its turns tell of each other",
    }
    for name, say in advice.items():
        found: dict[str, Counter[str]] = {}
        for line in lines:
            if value := line.cells.get(name, ""):
                found.setdefault(value, Counter())[line.split] += 1
        places = [f"{value!r}: {per_split(counts)}" for value, counts in found.items() if len(counts) > 1]
        yield counted(f"{name}s", places, what=f"{name}s in several splits", state="know", advice=say)


def _labels(lines: list[Line], model: ModelConfig) -> Finding:
    counts = {split: Counter(name for line in lines if line.split == split for name in line.labels) for split in SPLITS}
    told = {name: "/".join(f"{c[name]:,}" for c in counts.values()) for name in model.labels}
    lacking = [f"{split}.csv: no row is {name}" for split, c in counts.items() for name in model.labels if not c[name]]
    return Finding(
        check="labels",
        state="know" if lacking else "fine",
        found=", ".join(f"{name} {numbers}" for name, numbers in told.items()),
        advice="a class without rows can be neither learnt nor scored",
        places=tuple(lacking),
        numbers={f"{split} {name}": c[name] for split, c in counts.items() for name in model.labels},
    )


def _clips(lines: list[Line]) -> list[Clip]:
    """Every media file once, under its first row's name."""
    clips: dict[Path, Clip] = {}
    for line in lines:
        files = {m: cell for m, cell in line.found.items() if isinstance(cell, Path) and cell.is_file()}
        own_sound = "audio_path" not in line.cells
        for modality, path in files.items():
            heard, seen = modality == "audio" or own_sound, modality == "video"
            clips.setdefault(path, Clip(name=f"{line.place} {modality}", path=path, heard=heard, seen=seen))
    return list(clips.values())


def _joined(same: list[Line]) -> str:
    return " and ".join(line.place for line in same)
