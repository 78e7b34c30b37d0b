"""IEMOCAP beside what was published: dialogues, turns, labels, words, voices, films, motion, speakers of the splits."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit.clips import clip_findings, look_into
from emobraid.data.audit.findings import Audit, Finding, Progress, counted, per_split
from emobraid.data.audit.iemocap_files import clips_of, file_findings
from emobraid.data.corpus import SPLITS
from emobraid.data.csv import BadRow
from emobraid.data.emo_evaluation import Evaluated, Said, read_evaluation, read_transcription
from emobraid.data.iemocap_folds import DEFAULT_FOLD, SESSIONS, Dialogue, Folds, home, listed
from emobraid.data.labels import LABEL_SETS, TAXONOMIES, mapping
from emobraid.data.origin import EXPECTED_FILE
from emobraid.emotions import LabelSpace

NAMES = tuple(TAXONOMIES["iemocap"].labels)
SETS = {"4-way": "iemocap_4", "5-way": "iemocap_5", "6-way": "iemocap_6", "common seven": "common"}
AGAIN = "unpack the release again"
WORDS = 4  # a text longer than this is said twice for a reason


@dataclass(frozen=True, kw_only=True)
class Release:
    """What there should be: turns by session, and by label where that is known."""

    dialogues: int
    turns: Mapping[str, int]
    labels: Mapping[str, int]

    @classmethod
    def of(cls, root: Path) -> "Release":
        """The full release, or what a made-up one says of itself."""
        path = home(root) / EXPECTED_FILE
        if not path.is_file():
            return FULL
        try:
            told = json.loads(path.read_text(encoding="utf-8"))["labels"]
            sessions = {f"Session{n}": Counter({k: int(v) for k, v in told[f"Session{n}"].items()}) for n in SESSIONS}
        except (ValueError, KeyError, TypeError, AttributeError):
            raise ValueError(f"{path} is damaged: delete it to compare with the full release") from None
        labels = sum(sessions.values(), Counter[str]())
        turns = {name: counts.total() for name, counts in sessions.items()}
        return cls(dialogues=2 * len(turns), turns=turns, labels={name: labels[name] for name in NAMES})


#: as the release is counted; of hap and exc 1,636 together are the 4-way happy, and ang + hap + exc + sad + neu 5,531
FULL = Release(
    dialogues=151,
    turns=dict(zip((f"Session{n}" for n in SESSIONS), (1819, 1811, 2136, 2103, 2170), strict=True)),
    labels=dict(zip(NAMES, (1103, 595, 1041, 1084, 1708, 1849, 40, 107, 2, 3, 2507), strict=True)),
)


@dataclass
class Found:
    """What the release holds, and places of what is wrong with it."""

    dialogues: list[Dialogue] = field(default_factory=list)
    turns: dict[str, list[Evaluated]] = field(default_factory=dict)  # by dialogue
    said: dict[str, dict[str, Said]] = field(default_factory=dict)  # by dialogue and turn
    unread: list[str] = field(default_factory=list)
    mac: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    untimed: list[str] = field(default_factory=list)

    @property
    def every(self) -> list[Evaluated]:
        return [turn for turns in self.turns.values() for turn in turns]


def audit_iemocap(data: DataConfig, model: ModelConfig, *, media: bool, progress: Progress | None) -> Audit:
    release, found = Release.of(data.data_root), _read(data.data_root)
    findings = [
        counted("folders", found.unread, what="files and folders that cannot be read", advice=AGAIN),
        counted("bad rows", found.bad, what="turns", advice=f"{AGAIN}; the first of them stops training"),
        counted("duplicates", found.twice, what="turns twice", advice="keep one of each; training stops at the second"),
        counted("mac files", found.mac, what="._ files", state="know", advice="nothing: they are not read"),
        *_against_release(found, release),
        _classes(found, release),
        _agreement(found),
        *_words(found),
        *file_findings(found.dialogues, found.turns),
        *_speakers(data, found),
    ]
    if media:
        clips = clips_of(found.dialogues, found.turns)
        findings += clip_findings(look_into(clips, workers=data.workers, progress=progress))
    return Audit(dataset="iemocap", root=str(data.data_root), findings=tuple(findings))


def _read(root: Path) -> Found:
    found = Found()
    for number in SESSIONS:
        try:
            found.dialogues += listed(home(root) / f"Session{number}", lambda p: found.mac.append(p.name))
        except ValueError as error:
            found.unread.append(str(error))
    for place in found.dialogues:
        turns = dict[str, Evaluated]()
        try:
            for turn in read_evaluation(place.evaluation):
                if isinstance(turn, BadRow):
                    found.bad.append(f"{place.evaluation.name} line {turn.line}: {turn.reason}")
                elif turns.setdefault(turn.name, turn) is not turn:
                    found.twice.append(f"{place.evaluation.name} line {turn.line}: {turn.name}")
            if place.transcription.is_file():
                said, without = read_transcription(place.transcription)
                found.said[place.name] = {s.name: s for s in said}
                found.untimed += [f"{place.transcription.name} line {line}" for line in without]
        except ValueError as error:
            found.unread.append(str(error))
        found.turns[place.name] = list(turns.values())
    return found


def _against_release(found: Found, release: Release) -> list[Finding]:
    turns = {f"Session{n}": 0 for n in SESSIONS}
    for place in found.dialogues:
        turns[place.root.name] += len(found.turns[place.name])
    labels = Counter(LabelSpace.key(t.emotion) for t in found.every)
    off = [f"{n}: {labels[n]:,}, expected {release.labels[n]:,}" for n in NAMES if labels[n] != release.labels[n]]
    return [
        Finding(
            check="turns",
            state="fine" if turns == release.turns and len(found.dialogues) == release.dialogues else "broken",
            found=f"{len(found.dialogues):,} dialogues, {per_split(turns)}",
            expected=f"{release.dialogues:,} dialogues, {per_split(release.turns)}",
            advice=f"turns are missing or added: {AGAIN}",
            numbers={"dialogues": len(found.dialogues), **turns},
        ),
        Finding(
            check="labels",
            state="broken" if off else "fine",
            found=", ".join(f"{name} {labels[name]:,}" for name in NAMES),
            expected="the same" if not off else f"{len(off)} others",
            advice=f"labels were changed: {AGAIN}",
            places=tuple(off),
            numbers={name: labels[name] for name in NAMES},
        ),
    ]


def _classes(found: Found, release: Release) -> Finding:
    """How many turns the usual sets of classes leave."""
    labels = Counter(LabelSpace.key(t.emotion) for t in found.every)
    kept = {title: [n for n, c in mapping("iemocap", LABEL_SETS[name]).items() if c] for title, name in SETS.items()}
    counts = {title: sum(labels[n] for n in names) for title, names in kept.items()}
    due = {title: sum(release.labels[n] for n in names) for title, names in kept.items()}
    return Finding(
        check="classes",
        state="fine" if counts == due else "broken",
        found=per_split(counts),
        expected=per_split(due),
        advice="see labels; happy counts 648 in some papers, which is another tabulation than the majority's 595",
        numbers=counts,
    )


def _agreement(found: Found) -> Finding:
    judged = [t for t in found.every if t.shares()]
    agreed = sum(max(t.shares().values()) > 1 - 1e-6 for t in judged)
    lacking = [t.name for t in found.every if not t.shares()]
    return Finding(
        check="evaluators",
        state="know" if lacking else "fine",
        found=f"all agree in {agreed:,} of {len(judged):,} turns",
        advice="turns without evaluators' lines train on the majority's label with --soft_labels too",
        places=tuple(lacking),
        numbers={"agreed": agreed, "judged": len(judged), "without": len(lacking)},
    )


def _words(found: Found) -> list[Finding]:
    without = [t.name for name, turns in found.turns.items() for t in turns if t.name not in found.said.get(name, {})]
    texts = {s.name: " ".join(s.text.casefold().split()) for said in found.said.values() for s in said.values()}
    sessions: dict[str, set[str]] = {}
    for name, text in texts.items():
        sessions.setdefault(text, set()).add(name[:5])
    long = [t.name for t in found.every if len(texts.get(t.name, "").split()) > WORDS]
    shared = [name for name in long if len(sessions[texts[name]]) > 1]
    return [
        counted(
            "transcripts", without, what="turns without", advice=f"{AGAIN}; their text is a missing modality until then"
        ),
        counted(
            "lines without time",
            found.untimed,
            what="lines of transcriptions",
            state="know",
            advice="nothing: they are no turns, and are not read",
        ),
        counted(
            "words in other sessions",
            shared,
            what=f"turns of more than {WORDS} words",
            state="know",
            advice="all pairs played the same scripts: text that is known by heart counts in every fold; say so",
        ),
    ]


def _speakers(data: DataConfig, found: Found) -> list[Finding]:
    if len({d.session for d in found.dialogues}) < len(SESSIONS):
        return []
    folds = Folds(data.data_root, data.fold or DEFAULT_FOLD, data.split_seed)
    by_split = {s: {t.speaker for d in folds.dialogues(s) for t in found.turns[d.name]} for s in SPLITS}
    shared = {split: sorted(by_split[split] & by_split["train"]) for split in ("val", "test")}
    return [
        counted(
            f"speakers of {split} in train",
            places,
            what="speakers",
            state="know",
            advice="the fold erc validates on people that it trains on: only its test says something of new people",
        )
        for split, places in shared.items()
    ]
