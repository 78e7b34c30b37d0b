"""Which of IEMOCAP's sounds, films and recordings of markers are there."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from emobraid.data.audit.clips import Clip
from emobraid.data.audit.findings import Finding, State, counted
from emobraid.data.emo_evaluation import Evaluated
from emobraid.data.iemocap import marked
from emobraid.data.iemocap_folds import Dialogue
from emobraid.data.mocap import PARTS
from emobraid.media import Side

AGAIN = "unpack the release again; it is a missing modality until then"

Turns = Mapping[str, Sequence[Evaluated]]  # by dialogue


def file_findings(dialogues: Sequence[Dialogue], turns: Turns) -> list[Finding]:
    voices = [t.name for d in dialogues for t in turns[d.name] if not d.voice(t.name).is_file()]
    films = [d.film.name for d in dialogues if not d.film.is_file()]
    worn = [(d, t) for d in dialogues for t in turns[d.name] if marked(d, t)]
    gone = [(t, [p for p, file in zip(PARTS, _motion(d, t), strict=True) if not file.is_file()]) for d, t in worn]
    every = sum(len(turns[d.name]) for d in dialogues)
    files = [p for d in dialogues for p in (*(d.voice(t.name) for t in turns[d.name]), d.film) if p.is_file()]
    empty = [p.name for p in files if not p.stat().st_size]
    return [
        _files("sound", voices, every, "turns without sentences/wav"),
        _files("films", films, len(dialogues), "dialogues without dialog/avi"),
        _files("motion", [t.name for t, lost in gone if len(lost) == len(PARTS)], len(worn), "turns without markers"),
        counted(
            "parts of motion",
            [f"{t.name}: {', '.join(lost)}" for t, lost in gone if 0 < len(lost) < len(PARTS)],
            what="turns with some of three files",
            state="know",
            advice=f"{AGAIN.partition(';')[0]}; what is not there counts as not seen",
        ),
        counted("empty files", empty, what="files without content", advice=AGAIN),
    ]


def clips_of(dialogues: Sequence[Dialogue], turns: Turns) -> list[Clip]:
    """Every turn's sound, and its stretch of its speaker's half of the film."""
    clips = []
    for d in dialogues:
        for t in turns[d.name]:
            if (voice := d.voice(t.name)).is_file():
                clips.append(Clip(name=f"{t.name} voice", path=voice, seconds=t.end - t.start, seen=False))
            if d.film.is_file():
                side: Side = "left" if marked(d, t) else "right"
                face = Clip(name=f"{t.name} face", path=d.film, heard=False, start=t.start, end=t.end, side=side)
                clips.append(face)
    return clips


def _motion(place: Dialogue, turn: Evaluated) -> list[Path]:
    own = place.own_motion(turn.name)
    return own if any(file.is_file() for file in own) else place.motion()


def _files(check: str, missing: Sequence[str], of: int, what: str) -> Finding:
    """None at all is a choice, as the parts of the release come separately; some is damage."""
    state: State = "know" if len(missing) == of else "broken"
    return counted(check, list(missing), what=what, state=state, advice=AGAIN)
