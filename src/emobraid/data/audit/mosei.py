"""CMU-MOSEI beside what was published: counts, folds, times, ratings, and which of its files hold which videos."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit.clips import Clip, clip_findings, look_into
from emobraid.data.audit.findings import Audit, Finding, Progress, counted, per_split
from emobraid.data.audit.mosei_times import time_findings
from emobraid.data.audit.pickles import pickle_findings
from emobraid.data.corpus import SPLITS
from emobraid.data.csd import open_csd
from emobraid.data.folds import Folds, find, random_folds, read_folds
from emobraid.data.mmsa import PICKLES
from emobraid.data.mosei_files import (
    FEATURES,
    SOUNDS,
    TRANSCRIPTS,
    VIDEOS,
    WORDS,
    Files,
    Segment,
    every_segment,
    read_transcript,
    said_in,
)
from emobraid.data.mosei_labels import EMOTIONS, SENTIMENTS
from emobraid.data.origin import EXPECTED_FILE

AGAIN = "download the file again"


@dataclass(frozen=True, kw_only=True)
class Release:
    """What there should be."""

    videos: int
    rows: Mapping[str, int]
    no_fold: int

    @classmethod
    def of(cls, root: Path) -> "Release":
        """CMU-MOSEI as it was counted, or what a made-up corpus says of itself."""
        if (path := find(root, EXPECTED_FILE)) is None:
            return PUBLISHED
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            rows = {split: int(told["rows"][split]) for split in SPLITS}
            return cls(videos=int(told["videos"]), rows=rows, no_fold=int(told["no_fold"]))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is damaged: delete it to compare with CMU-MOSEI as published") from None


#: counted in the released table of labels with the SDK's standard folds
PUBLISHED = Release(videos=3293, rows={"train": 16327, "val": 1871, "test": 4662}, no_fold=399)


@dataclass
class _Read:
    """What the labels and folds hold, good and bad."""

    segments: dict[str, list[Segment]] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    folds: Folds = field(default_factory=dict)
    no_folds: list[str] = field(default_factory=list)


def audit_mosei(data: DataConfig, model: ModelConfig, *, media: bool, progress: Progress | None) -> Audit:
    files, findings = Files(data.data_root), list[Finding]()
    if files.labels:
        read = _read(files.labels, data)
        findings += [
            counted("labels", read.bad, what="videos that cannot be read", advice=AGAIN),
            *_against_release(read, Release.of(data.data_root), data),
            *time_findings(read.segments),
            _ratings(read),
            *(_computational(files, name, read) for name in (WORDS, *FEATURES.values())),
            *_raw(files, read, media=media, workers=data.workers, progress=progress),
        ]
    pickles = [path for name in PICKLES.values() if (path := find(data.data_root, name))]
    for path in pickles:
        findings += pickle_findings(path)
    if not findings:
        lacking = [str(files.root / name) for name in ("CMU_MOSEI_Labels.csd", *PICKLES.values())]
        findings.append(counted("files", lacking, what="files missing", advice="data_root must hold one of them"))
    return Audit(dataset="mosei", root=str(data.data_root), findings=tuple(findings))


def _read(labels: Path, data: DataConfig) -> _Read:
    read = _Read()
    try:
        for segment in every_segment(labels):
            if isinstance(segment, str):
                read.bad.append(segment)
            else:
                read.segments.setdefault(segment.video, []).append(segment)
    except ValueError as error:
        read.bad.append(str(error))
    try:
        random = data.folds == "random"
        read.folds = random_folds(read.segments, data.split_seed) if random else read_folds(data.data_root)
    except ValueError as error:
        read.no_folds.append(str(error))
    return read


def _against_release(read: _Read, release: Release, data: DataConfig) -> list[Finding]:
    rows = {split: sum(len(read.segments.get(v, [])) for v in read.folds.get(split, ())) for split in SPLITS}
    inside = {v for videos in read.folds.values() for v in videos}
    left = {v: len(some) for v, some in read.segments.items() if v not in inside}
    gone = [f"{split} {v}" for split, videos in read.folds.items() for v in videos if v not in read.segments]
    right = rows == release.rows or data.folds == "random"
    return [
        counted("folds", read.no_folds, what="folds that cannot be used", advice="mend or fetch the file of folds"),
        Finding(
            check="videos",
            state="fine" if len(read.segments) == release.videos else "broken",
            found=f"{len(read.segments):,}",
            expected=f"{release.videos:,}",
            advice=f"videos are missing or added: {AGAIN}",
            numbers={"videos": len(read.segments)},
        ),
        Finding(
            check="rows",
            state="fine" if right else "broken",
            found=per_split(rows),
            expected="" if data.folds == "random" else per_split(release.rows),
            advice=f"rows are missing or added: {AGAIN}, or the folds are others",
            numbers=rows,
        ),
        Finding(
            check="in no fold",
            state="know" if left and not read.no_folds else "fine",
            found=f"{sum(left.values()):,} rows of {len(left):,} videos",
            expected=f"{release.no_fold:,} rows",
            advice="nothing: the published folds leave them out, and so does training",
            places=() if read.no_folds else tuple(f"{v}: {n} rows" for v, n in left.items()),
            numbers={"rows": sum(left.values()), "videos": len(left)},
        ),
        counted(
            "folds without labels",
            gone,
            what="videos of a fold",
            state="know",
            advice="nothing: two published test videos have no labels",
        ),
    ]


def _ratings(read: _Read) -> Finding:
    every = [s.rating.clamped() for some in read.segments.values() for s in some]
    counts = Counter(name for rating in every for name in rating.present or ())
    signs = Counter(rating.polarity for rating in every)
    several = sum(len(rating.present or ()) > 1 for rating in every)
    told = ", ".join(f"{name} {counts[name]:,}" for name in EMOTIONS)
    return Finding(
        check="ratings",
        state="fine",
        found=f"{told}; several at once {several:,}; sentiment " + "/".join(f"{signs[name]:,}" for name in SENTIMENTS),
        numbers={name: counts[name] for name in EMOTIONS} | {name: signs[name] for name in SENTIMENTS},
    )


def _computational(files: Files, name: str, read: _Read) -> Finding:
    """Which rated videos a file has; a file that is not there is only to be known."""
    if (path := files.csd(name)) is None:
        advice = "nothing, unless you want to train on it"
        return Finding(check=name, state="know", found="not there", advice=advice)
    try:
        csd = open_csd(path)
        there = set(csd.videos)
        bad = [track for _, track in csd.tracks() if isinstance(track, str)]
    except ValueError as error:
        return counted(name, [str(error)], what="files that cannot be read", advice=AGAIN)
    lacking = [v for v in read.segments if v not in there]
    return Finding(
        check=name,
        state="broken" if bad else "know" if lacking else "fine",
        found=f"{len(there):,} videos, {len(lacking):,} rated ones missing, {len(bad):,} unreadable",
        advice=AGAIN if bad else "nothing: there, the modality is missing",
        places=(*bad, *(f"{v}: not in the file" for v in lacking)),
        numbers={"videos": len(there), "missing": len(lacking), "unreadable": len(bad)},
    )


def _raw(files: Files, read: _Read, *, media: bool, workers: int, progress: Progress | None) -> list[Finding]:
    folders = {"transcripts": (TRANSCRIPTS, "txt"), "films": (VIDEOS, "mp4"), "sounds": (SOUNDS, "wav")}
    there = {check: folder for check, (inside, _) in folders.items() if (folder := files.folder(inside))}
    if not there:
        return [Finding(check="raw", state="know", found="none: published features only", advice="nothing")]
    findings, clips = [], list[Clip]()
    for check, (inside, suffix) in folders.items():
        folder = there.get(check)
        paths = {v: folder / f"{v}.{suffix}" for v in read.segments} if folder else {}
        lacking = [f"{v}.{suffix}" for v, path in paths.items() if not path.is_file() or not path.stat().st_size]
        absent = [] if folder else [f"no folder {inside}"]
        findings.append(
            counted(
                check,
                absent or lacking,
                what="folders missing" if absent else "files missing or empty",
                state="know" if absent else "broken",
                advice="unpack the archive again; until then the modality is missing there",
            )
        )
        if check != "transcripts":
            clips += [
                Clip(name=f"{check} {v}", path=path, seen=check == "films")
                for v, path in paths.items()
                if path.is_file() and path.stat().st_size
            ]
    if "transcripts" in there:
        findings.append(_unsaid(there["transcripts"], read))
    if media and clips:
        findings += clip_findings(look_into(clips, workers=workers, progress=progress))
    return findings


def _unsaid(folder: Path, read: _Read) -> Finding:
    unsaid = []
    for video, segments in read.segments.items():
        path = folder / f"{video}.txt"
        lines = read_transcript(path) if path.is_file() else []
        unsaid += [s.name for s in segments if path.is_file() and said_in(s, lines) is None]
    return counted(
        "segments without a line",
        unsaid,
        what="rated segments whose times no line of the transcript has",
        state="know",
        advice="nothing: their words are taken from the word file, if it is there",
    )
