"""MELD beside what was published: counts, labels, dialogues, times, overlaps of the splits, clips."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit.clips import Clip, clip_findings, look_into
from emobraid.data.audit.findings import Audit, Finding, Progress, counted, per_split
from emobraid.data.audit.overlap import overlap_findings
from emobraid.data.audit.times import seconds, time_findings
from emobraid.data.csv import BadRow
from emobraid.data.labels import TAXONOMIES
from emobraid.data.meld import CLIP_FOLDERS, OWN_NAMES, MeldRows, Row, read_table
from emobraid.data.origin import EXPECTED_FILE
from emobraid.emotions import LabelSpace

NAMES = tuple(TAXONOMIES["meld"].labels)

Tables = Mapping[str, Sequence[Row]]  # by MELD's own name of the split: train, dev, test


@dataclass(frozen=True, kw_only=True)
class Release:
    """What there should be: rows by split and label, and the clips known to be bad as they are published."""

    labels: Mapping[str, Mapping[str, int]]
    missing: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def rows(self) -> dict[str, int]:
        return {split: sum(counts.values()) for split, counts in self.labels.items()}

    @classmethod
    def of(cls, root: Path) -> "Release":
        """MELD 1.0, or what a made-up corpus says of itself."""
        if not (root / EXPECTED_FILE).is_file():
            return MELD_1
        try:
            labels = json.loads((root / EXPECTED_FILE).read_text(encoding="utf-8"))["labels"]
            return cls(labels={s: {name: int(labels[s][name]) for name in NAMES} for s in OWN_NAMES.values()})
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{root / EXPECTED_FILE} is damaged: delete it to compare with MELD 1.0") from None


def _counts(*numbers: int) -> dict[str, int]:
    return dict(zip(("neutral", "joy", "surprise", "anger", "sadness", "disgust", "fear"), numbers, strict=True))


#: counted in the released tables; the bad clips are those that users of the released media report
MELD_1 = Release(
    labels={
        "train": _counts(4710, 1743, 1205, 1109, 683, 271, 268),
        "dev": _counts(470, 163, 150, 153, 111, 22, 40),
        "test": _counts(1256, 402, 281, 345, 208, 68, 50),
    },
    missing=("dev dia110_utt7",),
    unreadable=("train dia125_utt3",),
)


@dataclass
class _Read:
    """What the three tables hold, good rows and bad."""

    tables: dict[str, list[Row]] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)


def audit_meld(data: DataConfig, model: ModelConfig, *, media: bool, progress: Progress | None) -> Audit:
    rows = MeldRows(root=data.data_root, config=model, allow_outside=data.allow_outside)
    release, read = Release.of(data.data_root), _read(rows)
    again = "unpack the archive again, or take the tables from the authors' repository"
    findings = [
        counted("tables", read.unread, what="tables that cannot be read", advice=again),
        counted("bad rows", read.bad, what="rows", advice=f"{again}; the first of them stops training"),
        *_against_release(read.tables, release, again),
        _duplicates(read.tables),
        _gaps(read.tables),
        *time_findings(read.tables),
        *overlap_findings(read.tables),
        *_clips(rows, read.tables, release, media=media, workers=data.workers, progress=progress),
    ]
    return Audit(dataset="meld", root=str(data.data_root), findings=tuple(findings))


def _read(rows: MeldRows) -> _Read:
    read = _Read()
    for split, own in OWN_NAMES.items():
        path, good = rows.table(split), list[Row]()
        try:
            for row in read_table(path):
                if isinstance(row, BadRow):
                    read.bad.append(f"{path.name} line {row.line}: {row.reason}")
                else:
                    good.append(row)
        except ValueError as error:
            read.unread.append(str(error))
        read.tables[own] = good
    return read


def _against_release(tables: Tables, release: Release, advice: str) -> list[Finding]:
    rows = {own: len(table) for own, table in tables.items()}
    counts = {own: Counter(LabelSpace.key(r.emotion) for r in table) for own, table in tables.items()}
    off = [
        f"{own} {name}: {counts[own][name]:,}, expected {release.labels[own][name]:,}"
        for own in counts
        for name in NAMES
        if counts[own][name] != release.labels[own][name]
    ]
    told = {name: "/".join(f"{c[name]:,}" for c in counts.values()) for name in NAMES}
    return [
        Finding(
            check="rows",
            state="fine" if rows == release.rows else "broken",
            found=per_split(rows),
            expected=per_split(release.rows),
            advice=f"rows are missing or added: {advice}",
            numbers=rows,
        ),
        Finding(
            check="labels",
            state="broken" if off else "fine",
            found=", ".join(f"{name} {numbers}" for name, numbers in told.items()),
            expected="the same" if not off else f"{len(off)} others",
            advice=f"labels were changed: {advice}",
            places=tuple(off),
            numbers={f"{own} {name}": c[name] for own, c in counts.items() for name in NAMES},
        ),
    ]


def _duplicates(tables: Tables) -> Finding:
    places = []
    for own, table in tables.items():
        first: dict[str, int] = {}
        for row in table:
            if first.setdefault(row.name, row.line) != row.line:
                places.append(f"{own} {row.name}: lines {first[row.name]} and {row.line}")
    return counted("duplicates", places, what="rows twice", advice="keep one of each; training stops at the second")


def _gaps(tables: Tables) -> Finding:
    places, dialogues = [], dict[str, int]()
    for own, table in tables.items():
        numbers: dict[int, set[int]] = {}
        for row in table:
            numbers.setdefault(row.dialogue, set()).add(row.utterance)
        lacking = {d: sorted(set(range(max(there))) - there) for d, there in numbers.items()}
        lacking = {d: gone for d, gone in lacking.items() if gone}
        dialogues[own] = len(lacking)
        places += [f"{own} dia{d}: utterances {', '.join(map(str, gone))} missing" for d, gone in lacking.items()]
    return Finding(
        check="dialogue gaps",
        state="know" if places else "fine",
        found=f"in {per_split(dialogues)} dialogues",
        advice="nothing: turns are ordered by number, and context skips what is not there",
        places=tuple(places),
        numbers=dialogues,
    )


def _clips(
    rows: MeldRows, tables: Tables, release: Release, *, media: bool, workers: int, progress: Progress | None
) -> list[Finding]:
    missing: list[str] = []
    extra: list[str] = []
    empty: list[str] = []
    without: list[str] = []
    clips: list[Clip] = []
    for split, own in OWN_NAMES.items():
        folder = rows.folder(split)
        if folder is None:
            without.append(f"{own}/{CLIP_FOLDERS[split]}")
            continue
        # what a Mac leaves beside each file of an archive is no clip
        there = {p.name: p for p in sorted(folder.iterdir()) if not p.name.startswith(".")}
        wanted = {f"{r.name}.mp4": r for r in tables[own]}
        missing += [f"{own} {r.name}" for name, r in wanted.items() if name not in there]
        extra += [f"{own} {name}" for name in there if name not in wanted]
        found = [(r, there[name]) for name, r in wanted.items() if name in there]
        empty += [f"{own} {r.name}" for r, path in found if not path.is_file() or not path.stat().st_size]
        clips += [Clip(name=f"{own} {r.name}", path=path, seconds=seconds(r)) for r, path in found]
    findings = [_folders(without), *_files(missing, extra, empty, release)] if len(without) < 3 else [_folders(without)]
    if media and clips:
        findings += clip_findings(look_into(clips, workers=workers, progress=progress), release.unreadable)
    return findings


def _folders(without: list[str]) -> Finding:
    if len(without) == len(OWN_NAMES):
        return Finding(
            check="clips",
            state="know",
            found="none: text only",
            advice=f"to read voices and faces, unpack the archives so that {', '.join(without)} are there",
            places=tuple(without),
        )
    advice = "unpack the archive of that split: its voices and faces are missing modalities until then"
    return counted("clips", without, what="folders missing", advice=advice)


def _files(missing: list[str], extra: list[str], empty: list[str], release: Release) -> list[Finding]:
    return [
        counted(
            "missing clips",
            missing,
            what="clips",
            state="broken" if set(missing) - set(release.missing) else "know",
            advice="unpack the archive again (MELD itself lacks dev dia110_utt7); their voice and face are missing",
        ),
        counted(
            "extra clips",
            extra,
            what="files in no table",
            state="know",
            advice="nothing: they have no label and are not read",
        ),
        counted("empty files", empty, what="files without content", advice="unpack the archive again"),
    ]
