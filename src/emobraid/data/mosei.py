"""CMU-MOSEI (Bagher Zadeh et al. 2018, ACL) as its authors publish it, and as MMSA's feature pickles hold it.

    DIR/CMU_MOSEI_Labels.csd                   sentiment and six emotions of every segment
    DIR/CMU_MOSEI_TimestampedWords.csd         ..._TimestampedWordVectors, ..._COVAREP, ..._VisualFacet42, ..._OpenFace2
    DIR/Raw/Transcript/Segmented/Combined/     words with punctuation
    DIR/Raw/Videos/Full/Combined/ID.mp4        DIR/Raw/Audio/Full/WAV_16000/ID.wav
    DIR/folds.json or cmu_mosei_std_folds.py   which video is in which split

    DIR/aligned_50.pkl, DIR/unaligned_50.pkl   instead of all that; sentiment only

Files may lie up to two folders deep. What a modality is read from follows from its encoder: `features` reads the .csd,
the others read words and media, cut by the labels' times.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.context import in_context
from emobraid.data.corpus import Cell, Clip, OwnLabel, Rows, Sample
from emobraid.data.csv import TEXT_LIMIT, confine
from emobraid.data.folds import Folds, find, random_folds, read_folds
from emobraid.data.mmsa import PICKLES, MmsaRows
from emobraid.data.mosei_files import LABELS, Files, Segment, read_segments
from emobraid.data.mosei_labels import Asked, Reading
from emobraid.data.mosei_sources import Sources, Video
from emobraid.data.turns import Turn, before

SHOWN = 5  # names in a note


def open_mosei(*, root: Path, config: ModelConfig, data: DataConfig, allow_outside: Path | None = None) -> Rows:
    """What reads the folder, by what lies there; ValueError when nothing of it does."""
    if "motion" in config.modalities:
        raise ValueError("CMU-MOSEI has no motion capture; take motion out of --modalities")
    if Files(root).labels:
        return MoseiRows(root=root, config=config, data=data, allow_outside=allow_outside)
    name = PICKLES[data.alignment]
    if path := find(root, name):
        return MmsaRows(path=path, config=config)
    there = [p.name for other in PICKLES.values() if (p := find(root, other))]
    hint = f"; {there[0]} is there: choose it with --alignment" if there else ""
    raise ValueError(f"{root}: neither {LABELS} nor {name} is there{hint}")


def refuse_other_mosei(trained: DataConfig, asked: DataConfig) -> None:
    """ValueError when a model is to be tested on other folds or features than it was trained with."""
    names = ["alignment", "video_features", "folds"] + ["split_seed"] * (trained.folds == asked.folds == "random")
    for name in names:
        if (own := getattr(trained, name)) != getattr(asked, name):
            why = "it has seen parts of this test" if name in ("folds", "split_seed") else "it knows no others"
            raise ValueError(f"this model was trained with --{name} {own}, {why}: give the same")


@dataclass(frozen=True, kw_only=True)
class MoseiRows:
    """A folder with the labels of CMU-MOSEI, and whatever else of it."""

    root: Path
    config: ModelConfig
    data: DataConfig
    allow_outside: Path | None = None

    def table(self, split: str) -> Path:
        """The file of labels: it holds those of all splits."""
        return self.files.labels or self.root / LABELS

    def read(self, split: str, *, labelled: bool) -> list[Sample]:
        sources = self._sources()
        by_video = {v: self.segments[v] for v in self.folds[split] if v in self.segments}
        samples = []
        for video, segments in by_video.items():
            asked = self._asked(segments) if labelled else [Asked()] * len(segments)
            made = self._video(sources, video, segments, asked)
            samples += [s for s, a in zip(made, asked, strict=True) if a.known or not labelled]
        return samples

    def labels(self, split: str) -> tuple[OwnLabel, ...]:
        return Reading(self.config).labels([s.rating.clamped() for s in self._rows(split)])

    def notes(self, split: str) -> tuple[str, ...]:
        rows = self._rows(split)
        return (
            *self._fold_notes(split),
            *_row_notes(rows),
            *Reading(self.config).notes([s.rating.clamped() for s in rows]),
        )

    @cached_property
    def files(self) -> Files:
        return Files(self.root)

    @cached_property
    def segments(self) -> Mapping[str, list[Segment]]:
        """By video, in order of time."""
        return read_segments(self.table("train"))

    @cached_property
    def folds(self) -> Folds:
        if self.data.folds == "random":
            return random_folds(self.segments, self.data.split_seed)
        return read_folds(self.root)

    def _rows(self, split: str) -> list[Segment]:
        return [s for video in self.folds[split] for s in self.segments.get(video, [])]

    def _asked(self, segments: list[Segment]) -> list[Asked]:
        return Reading(self.config).asked([s.rating.clamped() for s in segments])

    def _fold_notes(self, split: str) -> list[str]:
        told = []
        if self.data.folds == "random":
            told.append(f"folds are drawn by video with seed {self.data.split_seed}, they are not the published ones")
        inside = {video for videos in self.folds.values() for video in videos}
        if left := [video for video in self.segments if video not in inside]:
            count = sum(len(self.segments[video]) for video in left)
            told.append(f"{count} rows of {len(left)} videos are in no fold and left out")
        if gone := [video for video in self.folds[split] if video not in self.segments]:
            told.append(f"{len(gone)} videos of the fold have no labels: {_some(gone)}")
        return told

    def _sources(self) -> Sources:
        sources = Sources(self.files, self.config, self.data)
        if not any(sources.of(m) for m in self.config.modalities):
            lacking = ", ".join(sources.lacks(m) for m in self.config.modalities)
            raise ValueError(f"{self.root} has {lacking}; see --modalities and the encoders' settings")
        return sources

    def _video(self, sources: Sources, video: str, segments: list[Segment], asked: list[Asked]) -> list[Sample]:
        found = sources.video(video)
        texts = [found.text(s)[:TEXT_LIMIT] for s in segments]
        turns = [Turn(i, s.place, "", text) for i, (s, text) in enumerate(zip(segments, texts, strict=True))]
        cells: list[dict[str, Cell]] = [
            {m: self._cell(found, m, s, text) for m in self.config.modalities}
            for s, text in zip(segments, texts, strict=True)
        ]
        cells = in_context(cells, self.config.context_features)
        return [
            Sample(
                id=segment.name,
                table=f"{self.table('train').name} {video}",
                line=segment.place,
                group=video,
                context=before(turns, segment.place, self.config.context_turns),
                cells=own,
                sound_from_video=False,
                label=label,
                spread=spread,
                affect=segment.rating.clamped().affect,
                absent={m: found.absent(m) for m in self.config.modalities},
            )
            for segment, own, (label, spread) in zip(segments, cells, asked, strict=True)
        ]

    def _cell(self, found: Video, modality: str, segment: Segment, text: str) -> Cell:
        if getattr(self.config, f"{modality}_encoder") == "features":
            return found.features(modality, segment)
        if modality == "text":
            return text or None
        if (path := found.media(modality)) is None:
            return None
        inside = confine(path.absolute(), self.root, self.allow_outside)
        return Clip(inside, *segment.span)


def _row_notes(rows: list[Segment]) -> list[str]:
    told = []
    if early := sum(s.told[0] < 0 for s in rows):
        told.append(f"{early} rows begin before 0 s, read as 0")
    if beyond := [s.name for s in rows if s.rating.out_of_range]:
        told.append(f"{len(beyond)} rows have ratings out of range, read as the nearest in it: {_some(beyond)}")
    return told


def _some(names: list[str]) -> str:
    return ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
