"""What decoding every file of a corpus shows: unreadable, silent, faceless, of another length than the table says."""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emobraid.data.audit.findings import Finding, Progress, counted
from emobraid.media import SAMPLE_RATE, MediaError, MediaReader, Side

FRAMES, CROP = 5, 64  # enough to say whether there is a face at all
SLACK = 1.0  # seconds that a clip may be longer or shorter than its row says


@dataclass(frozen=True, kw_only=True)
class Clip:
    """A file to look into, under the name that findings call it by."""

    name: str
    path: Path
    seconds: float | None = None  # what the table says
    heard: bool = True  # it should have sound
    seen: bool = True  # it should show a face
    start: float = 0.0  # seconds, of the stretch that it should be seen in
    end: float | None = None
    side: Side | None = None  # half of its picture


@dataclass(frozen=True)
class Look:
    """What was seen in one clip; empty when it is as it should be."""

    unreadable: str = ""
    silent: str = ""
    faceless: str = ""
    length: str = ""


def look_into(clips: Sequence[Clip], *, workers: int, progress: Progress | None = None) -> dict[str, Look]:
    """Decode every clip, by name. Takes about as long as extracting the corpus."""
    looks = {}
    with MediaReader(workers=workers) as reader, ThreadPoolExecutor(workers) as pool:
        for done, (clip, look) in enumerate(zip(clips, pool.map(lambda c: _look(reader, c), clips), strict=True)):
            looks[clip.name] = look
            if progress:
                progress(done + 1, len(clips))
    return looks


def _look(reader: MediaReader, clip: Clip) -> Look:
    try:
        sound = reader.audio(clip.path) if clip.heard else None
        part: Mapping[str, Any] = {"start": clip.start, "end": clip.end, "side": clip.side}
        faces = reader.faces(clip.path, max_frames=FRAMES, size=CROP, **part) if clip.seen else None
    except MediaError as error:
        return Look(unreadable=str(error))
    silent = "" if sound is None or len(sound.samples) else sound.note
    faceless = "" if faces is None or len(faces.crops) else faces.note
    length = ""
    if sound is not None and len(sound.samples) and clip.seconds is not None:
        lasts = len(sound.samples) / SAMPLE_RATE
        if abs(lasts - clip.seconds) > SLACK:
            length = f"{lasts:.1f} s, the table says {clip.seconds:.1f} s"
    return Look(silent=silent, faceless=faceless, length=length)


def clip_findings(looks: Mapping[str, Look], known: Sequence[str] = ()) -> list[Finding]:
    """Findings on decoded clips; those of `known` unreadable ones are part of the corpus as it is published."""

    def places(what: str) -> list[str]:
        return [f"{name}: {reason}" for name, look in looks.items() if (reason := getattr(look, what))]

    new = [name for name, look in looks.items() if look.unreadable and name not in known]
    return [
        counted(
            "unreadable files",
            places("unreadable"),
            what="files",
            state="broken" if new else "know",
            advice="copy or unpack them again; --skip_unreadable trains on with that modality missing",
        ),
        counted(
            "silent files",
            places("silent"),
            what="files",
            state="know",
            advice="nothing: their audio is a missing modality",
        ),
        counted(
            "files without a face",
            places("faceless"),
            what="files",
            state="know",
            advice="nothing: their video is a missing modality",
        ),
        counted(
            "lengths",
            places("length"),
            what=f"files more than {SLACK:g} s off their row",
            state="know",
            advice="watch one or two: a clip cut at wrong times shows somebody else",
        ),
    ]
