"""MELD (Poria et al. 2019, arXiv:1810.02508) as its authors publish it: three tables, and a folder of clips for each.

    DIR/train_sent_emo.csv   DIR/train/train_splits/dia0_utt0.mp4
    DIR/dev_sent_emo.csv     DIR/dev/dev_splits_complete/
    DIR/test_sent_emo.csv    DIR/test/output_repeated_splits_test/

The tables may also lie in DIR/train, DIR/dev, DIR/test, and the folders of clips in DIR itself, as the archives unpack.
Numbers of dialogues begin anew in each split, and utterances are missing inside dialogues: order is by number, and
what makes a row is (split, dialogue, utterance).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from emobraid.config import ModelConfig
from emobraid.data.corpus import Cell, OwnLabel, Sample
from emobraid.data.csv import TEXT_LIMIT, BadRow, confine
from emobraid.data.labels import targets, to_common
from emobraid.data.tables import every_record
from emobraid.data.turns import Turn, before
from emobraid.emotions import LabelSpace

OWN_NAMES = {"train": "train", "val": "dev", "test": "test"}
CLIP_FOLDERS = {"train": "train_splits", "val": "dev_splits_complete", "test": "output_repeated_splits_test"}
COLUMNS = ("Utterance", "Speaker", "Emotion", "Dialogue_ID", "Utterance_ID")
NO_CLIP = "no such clip"


class Row(NamedTuple):
    """One line of a table, as it is written there."""

    line: int
    dialogue: int
    utterance: int
    speaker: str
    text: str
    emotion: str
    season: str
    episode: str
    start: str
    end: str

    @property
    def name(self) -> str:
        """As MELD calls its clips: dia12_utt3."""
        return f"dia{self.dialogue}_utt{self.utterance}"


@dataclass(frozen=True, kw_only=True)
class MeldRows:
    """The folder that holds MELD."""

    root: Path
    config: ModelConfig
    allow_outside: Path | None = None

    def table(self, split: str) -> Path:
        """DIR/dev_sent_emo.csv, or DIR/dev/dev_sent_emo.csv when that one is there."""
        own = OWN_NAMES[split]
        inside = self.root / own / f"{own}_sent_emo.csv"
        return inside if inside.is_file() else self.root / f"{own}_sent_emo.csv"

    def folder(self, split: str) -> Path | None:
        """Where the clips of a split lie; None when there is no such folder."""
        places = (self.root / OWN_NAMES[split] / CLIP_FOLDERS[split], self.root / CLIP_FOLDERS[split])
        return next((place for place in places if place.is_dir()), None)

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        rows, clips = self._rows(split), self._clips(split)
        if not labelled:
            return self._samples(split, rows, clips, [None] * len(rows))
        expressed, space = targets("meld", self.config.labels), LabelSpace(self.config.labels)
        read_as = [expressed[LabelSpace.key(r.emotion)].label for r in rows]
        if not any(read_as):
            raise ValueError(f"the labels {', '.join(self.config.labels)} express none of MELD's; see --labels")
        labels = [None if label is None else space.index(label) for label in read_as]
        samples = self._samples(split, rows, clips, labels)
        return [s for s in samples if s.label is not None]

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        counts = Counter(LabelSpace.key(r.emotion) for r in self._rows(split))
        expressed = targets("meld", self.config.labels)
        return tuple(OwnLabel(name, counts[name], *target) for name, target in expressed.items() if counts[name])

    def notes(self, split: str) -> tuple[str, ...]:
        left_out = (own for own in self.labels(split) if own.read_as is None)
        return tuple(f"{own.rows} rows {own.name!r} left out: {own.reason}" for own in left_out)

    def _shown(self) -> list[str]:
        """The model's modalities that come from clips."""
        return [m for m in self.config.modalities if m != "text"]

    def _rows(self, split: str) -> list[Row]:
        """By dialogue and utterance; ValueError names the line of what is wrong or there twice."""
        path = self.table(split)
        rows, lines = [], dict[tuple[int, int], int]()
        for row in read_table(path):
            if isinstance(row, BadRow):
                raise ValueError(f"{path} line {row.line}: {row.reason}")
            if (first := lines.setdefault((row.dialogue, row.utterance), row.line)) != row.line:
                raise ValueError(f"{path} line {row.line}: {row.name} is there already, in line {first}")
            rows.append(row)
        return sorted(rows, key=lambda r: (r.dialogue, r.utterance))

    def _clips(self, split: str) -> "Clips":
        if features := [m for m in self.config.modalities if getattr(self.config, f"{m}_encoder") == "features"]:
            raise ValueError(f"MELD has no published {' or '.join(features)} features here; use compact or pretrained")
        if not self._shown():
            return Clips()
        if folder := self.folder(split):
            there = {p.name: confine(p.absolute(), self.root, self.allow_outside) for p in sorted(folder.iterdir())}
            return Clips(there)
        reason = f"no folder {OWN_NAMES[split]}/{CLIP_FOLDERS[split]}"
        if "text" not in self.config.modalities:
            raise ValueError(f"{reason} in {self.root}; without clips MELD has text only")
        return Clips(reason=reason)

    def _samples(self, split: str, rows: list[Row], clips: "Clips", labels: Sequence[int | None]) -> list[Sample]:
        dialogues: dict[int, list[Turn]] = {}
        for r in rows:
            dialogues.setdefault(r.dialogue, []).append(Turn(r.utterance, r.line, r.speaker, r.text[:TEXT_LIMIT]))
        count, table = self.config.context_turns, self.table(split).name
        return [
            Sample(
                id=f"{OWN_NAMES[split]}_{r.name}",
                table=table,
                line=r.line,
                group=r.speaker,
                speaker=r.speaker if count else "",
                context=before(dialogues[r.dialogue], r.line, count),
                cells=self._cells(r, clips),
                sound_from_video=False,  # the audio cell is the clip itself
                label=label,
                absent=dict.fromkeys(self._shown(), clips.reason or NO_CLIP),
            )
            for r, label in zip(rows, labels, strict=True)
        ]

    def _cells(self, row: Row, clips: "Clips") -> dict[str, Cell]:
        clip = clips.there.get(f"{row.name}.mp4")
        return {m: (row.text[:TEXT_LIMIT] or None) if m == "text" else clip for m in self.config.modalities}


@dataclass(frozen=True)
class Clips:
    """The clips of a split by file name, or the reason why there are none."""

    there: Mapping[str, Path] = field(default_factory=dict)
    reason: str = ""


def read_table(path: Path) -> Iterator[Row | BadRow]:
    """Every line of a table; a BadRow for one that cannot be used. ValueError when the whole table cannot."""
    if not path.is_file():
        own = path.name.removesuffix("_sent_emo.csv")
        raise ValueError(f"{path}: no such file; MELD's folder holds {path.name}, or {own}/{path.name}")
    for line, cells in every_record(path):
        if isinstance(cells, str):
            yield BadRow(id="", line=line, reason=cells)
            continue
        if missing := [c for c in COLUMNS if c not in cells]:
            raise ValueError(f"{path}: found columns {', '.join(cells)}; missing {', '.join(missing)}")
        yield _parse(line, cells)


def _parse(line: int, cells: Mapping[str, str]) -> Row | BadRow:
    try:
        place = [_number(cells, column) for column in ("Dialogue_ID", "Utterance_ID")]
        to_common("meld", cells["Emotion"])  # says what is wrong with it
    except ValueError as error:
        return BadRow(id="", line=line, reason=str(error))
    times = (cells.get(c, "") for c in ("Season", "Episode", "StartTime", "EndTime"))
    return Row(line, place[0], place[1], cells["Speaker"], cells["Utterance"], cells["Emotion"], *times)


def _number(cells: Mapping[str, str], column: str) -> int:
    value = cells[column]
    # isdecimal: int() takes 1_0 and +1 as well, and those would name other clips than they seem to
    if not (value.isascii() and value.isdecimal()):
        raise ValueError(f"{column} {value!r} is not a number")
    return int(value)
