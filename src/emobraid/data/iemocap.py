"""IEMOCAP (Busso et al. 2008, doi:10.1007/s10579-008-9076-6) as it is released, with its motion capture.

    DIR/Session1/dialog/EmoEvaluation/Ses01F_impro01.txt      who says when, and what the annotators saw in it
                 dialog/transcriptions/Ses01F_impro01.txt
                 dialog/avi/DivX/Ses01F_impro01.avi           both actors side by side, the one with markers left
                 sentences/wav/Ses01F_impro01/Ses01F_impro01_F000.wav
                 sentences/MOCAP_rotated, MOCAP_head, MOCAP_hand, or the same in dialog/

DIR is IEMOCAP_full_release, or the folder that holds it. A turn's face is the half of the film where its speaker sits,
in the turn's time; its motion is there where its speaker wears the markers, which one actor of a dialogue does.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.corpus import Cell, Clip, OwnLabel, Sample
from emobraid.data.csv import BadRow, confine
from emobraid.data.emo_evaluation import Evaluated, Said, letter, read_evaluation, read_transcription
from emobraid.data.iemocap_folds import DEFAULT_FOLD, Dialogue, Folds
from emobraid.data.labels import targets
from emobraid.data.mocap import MotionCell
from emobraid.data.turns import Turn, before
from emobraid.emotions import LabelSpace
from emobraid.media import Side

ABSENT = {
    "text": "no transcript",
    "audio": "no such file",
    "video": "no such film",
    "motion": "no such recording",
}
NO_MARKERS = "the speaker wears no markers"


class _Dialogue(NamedTuple):
    """A dialogue as it was read."""

    place: Dialogue
    turns: list[Evaluated]
    said: list[Said]
    without_time: int  # lines of the transcription


@dataclass(frozen=True, kw_only=True)
class IemocapRows:
    """The release, in one of its folds."""

    root: Path
    config: ModelConfig
    folds: Folds
    soft_labels: bool = False
    allow_outside: Path | None = None

    def table(self, split: str) -> Path:
        """The folder of annotations of the split's session; the release where it is part of several."""
        return self.folds.table(split)

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        self._refuse_features()
        dialogues = list(self._dialogues(split))
        samples = [s for d in dialogues for s in self._samples(d, split, labelled=labelled)]
        if not any(cell is not None for s in samples for cell in s.cells.values()):
            wanted = ", ".join(self.config.modalities)
            raise ValueError(f"{self.root}: no turn of {split} has any of {wanted}; are the files there?")
        if not labelled:
            return samples
        if not any(t.label for t in targets("iemocap", self.config.labels).values()):
            raise ValueError(f"the labels {', '.join(self.config.labels)} express none of IEMOCAP's; see --labels")
        return [s for s in samples if s.label is not None]

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        counts = Counter(turn.emotion for d in self._dialogues(split) for turn in d.turns)
        expressed = targets("iemocap", self.config.labels)
        return tuple(OwnLabel(name, counts[name], *target) for name, target in expressed.items() if counts[name])

    def notes(self, split: str) -> tuple[str, ...]:
        untimed = sum(d.without_time for d in self._dialogues(split))
        told = [self.folds.about()] if split != "val" else []
        told += [f"{untimed} lines of transcriptions have no time and are not read"] if untimed else []
        left_out = (own for own in self.labels(split) if own.read_as is None)
        return (*told, *(f"{own.rows} rows {own.name!r} left out: {own.reason}" for own in left_out))

    def _refuse_features(self) -> None:
        if features := [m for m in self.config.modalities if getattr(self.config, f"{m}_encoder") == "features"]:
            told = " or ".join(features)
            raise ValueError(f"IEMOCAP has no published {told} features here; use compact or pretrained")

    def _dialogues(self, split: str) -> Iterator[_Dialogue]:
        """ValueError names the line of what is wrong or there twice."""
        for place in self.folds.dialogues(split):
            turns = dict[str, Evaluated]()
            for turn in read_evaluation(place.evaluation):
                if isinstance(turn, BadRow):
                    raise ValueError(f"{place.evaluation} line {turn.line}: {turn.reason}")
                if turns.setdefault(turn.name, turn) is not turn:
                    first = turns[turn.name].line
                    twice = f"{turn.name} is there already, in line {first}"
                    raise ValueError(f"{place.evaluation} line {turn.line}: {twice}")
            transcribed = place.transcription.is_file()
            said, without = read_transcription(place.transcription) if transcribed else ([], [])
            yield _Dialogue(place, sorted(turns.values(), key=lambda t: (t.start, t.line)), said, len(without))

    def _samples(self, dialogue: _Dialogue, split: str, *, labelled: bool) -> Iterator[Sample]:
        expressed, space = targets("iemocap", self.config.labels), LabelSpace(self.config.labels)
        count = self.config.context_turns
        said = {s.name: s for s in dialogue.said}
        spoken = [Turn(s.start, s.line, s.speaker, s.text) for s in dialogue.said]
        for turn in dialogue.turns:
            words = said.get(turn.name)
            read_as = expressed[turn.emotion].label if labelled else None
            soft = labelled and self.soft_labels and split == "train"
            yield Sample(
                id=turn.name,
                table=dialogue.place.evaluation.name,
                line=turn.line,
                group=turn.speaker,
                speaker=turn.speaker if count else "",
                context=before(spoken, words.line, count) if words else (),
                cells=self._cells(dialogue.place, turn, words),
                sound_from_video=False,
                label=None if read_as is None else space.index(read_as),
                spread=self._spread(turn) if soft else None,
                affect={axis: (value - 3) / 2 for axis, value in turn.affect.items()} if labelled else {},
                absent=self._absent(dialogue.place, turn),
            )

    def _spread(self, turn: Evaluated) -> tuple[float, ...] | None:
        """The evaluators' votes over the model's classes; None when it has no class for any of them."""
        expressed, space = targets("iemocap", self.config.labels), LabelSpace(self.config.labels)
        row = [0.0] * len(space)
        for emotion, share in turn.shares().items():
            if (label := expressed[emotion].label) is not None:
                row[space.index(label)] += share
        return tuple(v / sum(row) for v in row) if sum(row) else None

    def _cells(self, place: Dialogue, turn: Evaluated, words: Said | None) -> dict[str, Cell]:
        found: dict[str, Cell] = {}
        for modality in self.config.modalities:
            if modality == "text":
                found[modality] = (words.text or None) if words else None
            elif modality == "audio":
                found[modality] = self._file(place.voice(turn.name))
            elif modality == "video":
                film = self._file(place.film)
                side: Side = "left" if marked(place, turn) else "right"
                found[modality] = Clip(film, turn.start, turn.end, side) if film else None
            else:
                found[modality] = self._motion(place, turn)
        return found

    def _motion(self, place: Dialogue, turn: Evaluated) -> MotionCell | None:
        if not marked(place, turn):
            return None
        own = tuple(map(self._file, place.own_motion(turn.name)))
        if any(own):
            return MotionCell(own)
        whole = tuple(map(self._file, place.motion()))
        return MotionCell(whole, turn.start, turn.end) if any(whole) else None

    def _absent(self, place: Dialogue, turn: Evaluated) -> dict[str, str]:
        reasons: dict[str, str] = {m: ABSENT[m] for m in self.config.modalities}
        if "motion" in reasons and not marked(place, turn):
            reasons["motion"] = NO_MARKERS
        return reasons

    def _file(self, path: Path) -> Path | None:
        """The file where it is; ValueError when it leads out of the release."""
        return confine(path.absolute(), self.root, self.allow_outside) if path.is_file() else None


def marked(place: Dialogue, turn: Evaluated) -> bool:
    """Whether the speaker is the one who wears the markers, whom the dialogue's name tells, and who sits left."""
    return place.name[5] == letter(turn.name)


def open_iemocap(*, root: Path, config: ModelConfig, allow_outside: Path | None, data: DataConfig) -> IemocapRows:
    """The release at `root` in the fold that `data` names."""
    folds = Folds(root, data.fold or DEFAULT_FOLD, data.split_seed)
    return IemocapRows(root=root, config=config, folds=folds, soft_labels=data.soft_labels, allow_outside=allow_outside)
