"""The mission's CSV layout: rows of text, audio_path, video_path, emotion; an empty cell is a missing modality.

Three tables, or one `data.csv` whose column `split` says where a row belongs.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from emobraid.config import ModelConfig
from emobraid.data.context import by_dialogue
from emobraid.data.corpus import SPLITS, Cell, OwnLabel, Sample
from emobraid.data.features import FeatureCell
from emobraid.data.mocap import motion_cell
from emobraid.data.row_targets import RowTargets, clipped, read_targets, split_of, stretch_of
from emobraid.data.tables import every_record, found_file, good_records, layout_of
from emobraid.data.turns import Turn, before
from emobraid.emotions import LabelSpace

TEXT_LIMIT = 20_000  # characters of an utterance
WHOLE = "data.csv"  # all splits in one


@dataclass(frozen=True, kw_only=True)
class CsvRows:
    """A folder with train.csv, val.csv and test.csv, or with data.csv."""

    root: Path
    config: ModelConfig
    allow_outside: Path | None = None

    def table(self, split: str) -> Path:
        own, whole = self.root / f"{split}.csv", self.root / WHOLE
        return whole if whole.is_file() and not own.is_file() else own

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        path = self.table(split)
        if not path.is_file():
            wanted = ", ".join(f"{s}.csv" for s in SPLITS)
            raise ValueError(f"{path}: no such file; data_root must hold {wanted}, or {WHOLE} with a column split")
        only = split if path.name == WHOLE else ""
        outside = self.allow_outside
        rows = list(read_rows(path, self.config, allow_outside=outside, labelled=labelled, only=only))
        if not rows:
            raise ValueError(f"{path}: no row has split {split}")
        return rows

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        """Nothing: our tables are written in the model's own labels."""
        return ()

    def notes(self, split: str) -> tuple[str, ...]:
        """What separates the cells, where that is no comma."""
        note = layout_of(self.table(split)).note
        return (note,) if note else ()


def column(modality: str, config: ModelConfig) -> str:
    """The column of a modality: text, or <modality>_path."""
    published = getattr(config, f"{modality}_encoder") == "features"
    return "text" if modality == "text" and not published else f"{modality}_path"


def read_rows(
    path: Path, config: ModelConfig, *, allow_outside: Path | None = None, labelled: bool = True, only: str = ""
) -> Iterator[Sample]:
    """Every row of a table (or those of the split `only`), with its label or without; ValueError names the file, the
    line and what is wrong there."""
    rows = _rows(path, config, allow_outside, labelled=labelled, only=only)
    for row in _in_dialogues(path, rows, config.context_features):
        if isinstance(row, BadRow):
            raise ValueError(f"{path} line {row.line}: {row.reason}")
        yield row


def read_unlabelled(
    path: Path, config: ModelConfig, *, allow_outside: Path | None = None
) -> Iterator["Sample | BadRow"]:
    """Every row of a table to be predicted, in order; labels are not needed, and a bad row does not stop the others."""
    yield from _in_dialogues(path, _rows(path, config, allow_outside, labelled=False), config.context_features)


@dataclass(frozen=True, kw_only=True)
class BadRow:
    """A row that cannot be used, and why."""

    id: str
    line: int
    reason: str


def _rows(
    path: Path, config: ModelConfig, outside: Path | None, *, labelled: bool, only: str = ""
) -> Iterator[Sample | BadRow]:
    columns: dict[str, str] = {m: column(m, config) for m in config.modalities}
    space = LabelSpace(config.labels, config.label_kind)
    header = layout_of(path).columns
    both = config.video_encoder != "features" and config.audio_encoder != "features"
    sound_from_video = both and {"audio", "video"} <= columns.keys() and columns["audio"] not in header
    check_columns(path, list(header), columns, labelled=labelled, sound_from_video=sound_from_video)
    asked_for = [*(config.affect if labelled else ()), *(["split"] if only else [])]
    if missing := [c for c in asked_for if c not in header]:
        raise ValueError(f"{path}: found columns {', '.join(header)}; missing {', '.join(missing)}")
    turns = dialogues(path, header, only) if config.context_turns else {}
    for line, row in every_record(path):
        if isinstance(row, str):
            yield BadRow(id=f"{path.stem}-{line}", line=line, reason=row)
            continue
        if only and _split_of(path, line, row) != only:
            continue
        name = row.get("id") or f"{path.stem}-{line}"
        try:
            cells: dict[str, Cell] = {
                m: parse_cell(m, row.get(c) or "", config, path.parent, outside) for m, c in columns.items()
            }
            cells = clipped(cells, stretch_of(row))
            asked = read_targets(row, space, config.affect) if labelled else RowTargets()
        except ValueError as error:
            yield BadRow(id=name, line=line, reason=str(error))
            continue
        yield Sample(
            id=name,
            table=path.name,
            line=line,
            group=row.get("speaker") or row.get("dialogue") or "",
            speaker=row.get("speaker", "") if turns else "",
            context=before(turns.get(row.get("dialogue", ""), []), line, config.context_turns),
            cells=cells,
            sound_from_video=sound_from_video,
            label=asked.label,
            spread=asked.spread,
            affect=asked.affect,
        )


def _in_dialogues(path: Path, rows: Iterator[Sample | BadRow], count: int) -> Iterator[Sample | BadRow]:
    """The rows with the features of `count` utterances before each in its dialogue."""
    if not count:
        yield from rows
        return
    read, told = list(rows), dict(good_records(path))
    if missing := [c for c in ("dialogue", "turn") if c not in layout_of(path).columns]:
        raise ValueError(f"{path}: context_features needs columns dialogue and turn; missing {', '.join(missing)}")
    places = {
        n: (d, _turn(path, n, row["turn"])) if (d := row["dialogue"]) else (f"line {n}", 0.0) for n, row in told.items()
    }
    found = by_dialogue({s.line: s.cells for s in read if isinstance(s, Sample)}, places, count)
    yield from (replace(s, cells=found[s.line]) if isinstance(s, Sample) else s for s in read)


def _turn(path: Path, line: int, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise ValueError(f"{path} line {line}: turn {value!r} is not a number") from None


def _split_of(path: Path, line: int, row: Mapping[str, str]) -> str:
    try:
        return split_of(row)
    except ValueError as error:
        raise ValueError(f"{path} line {line}: {error}") from None


def dialogues(path: Path, header: Collection[str], only: str = "") -> dict[str, list[Turn]]:
    """The turns of every dialogue of a table (or of the split `only`), in their order; ValueError when it has no
    dialogues or no turns."""
    if missing := [c for c in ("text", "dialogue", "turn") if c not in header]:
        raise ValueError(f"{path}: context_turns needs columns dialogue and turn; missing {', '.join(missing)}")
    turns: dict[str, list[Turn]] = {}
    for line, row in good_records(path):
        if not row["dialogue"] or (only and _split_of(path, line, row) != only):
            continue
        turn = _turn(path, line, row["turn"])
        turns.setdefault(row["dialogue"], []).append(Turn(turn, line, row.get("speaker", ""), row["text"][:TEXT_LIMIT]))
    return {name: sorted(rows) for name, rows in turns.items()}


def check_columns(
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


def parse_cell(modality: str, value: str, config: ModelConfig, folder: Path, allow_outside: Path | None) -> Cell:
    """What a cell of a table in `folder` names; ValueError when it cannot be that."""
    if not value:
        return None
    published = getattr(config, f"{modality}_encoder") == "features"
    if modality == "text" and not published:
        return value[:TEXT_LIMIT]
    if published or modality == "motion":
        cell = motion_cell(value) if modality == "motion" else FeatureCell.parse(value)
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
        path = found_file((home / text).resolve(), home).resolve()
    except (OSError, ValueError, RuntimeError):
        raise ValueError(f"{text!r} is not a usable path") from None
    if not any(path.is_relative_to(root) for root in allowed):
        raise ValueError(f"path {text!r} leads outside {folder}; use --allow_outside DIR to permit another folder")
    return path
