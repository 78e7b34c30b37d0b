"""What IEMOCAP's annotators wrote (`dialog/EmoEvaluation/*.txt`), and what was said (`dialog/transcriptions/*.txt`).

[6.2901 - 8.2357]   Ses01F_impro01_F000   neu   [2.5000, 2.5000, 2.5000]      start, end, turn, majority, V A D
C-E2:   Neutral;   ()                                                         an evaluator's categories
C-F1:   Neutral;   ()                                                         the actor's own
A-E3:   val 3; act 2; dom  2;   ()                                            an evaluator's numbers, 1 to 5
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from emobraid.data.csv import TEXT_LIMIT, BadRow
from emobraid.data.labels import to_common

TURN = re.compile(
    r"^\[(?P<start>\d+(?:\.\d+)?) - (?P<end>\d+(?:\.\d+)?)\]\s+(?P<name>\w+)\s+(?P<emotion>\w+)\s+"
    r"\[(?P<vad>[^\]]*)\]\s*$"
)
CATEGORIES = re.compile(r"^C-(?P<who>\w+):\s*(?P<said>[^(]*)")
NUMBERS = re.compile(r"^A-(?P<who>\w+):\s*(?P<said>[^(]*)")
SAID = re.compile(r"^(?P<name>\w+)\s+\[(?P<start>\d+(?:\.\d+)?)-(?P<end>\d+(?:\.\d+)?)\]:\s*(?P<text>.*)$")
#: of the recorded dialogue, speaker and number: Ses01F_impro01_F000
NAME = re.compile(r"^Ses0[1-5][FM]_\w+_[FM]\w*\d+$")
NUMBER = re.compile(r"^\d+(\.\d+)?$")
LARGEST = 16 << 20  # bytes
AXES = {"val": "valence", "act": "arousal", "dom": "dominance"}
#: how evaluators' forms call what the majority is called in three letters
FORMS: Mapping[str, str] = {
    "happiness": "hap",
    "sadness": "sad",
    "anger": "ang",
    "surprise": "sur",
    "fear": "fea",
    "disgust": "dis",
    "frustration": "fru",
    "excited": "exc",
    "neutral": "neu",
    "neutral state": "neu",
    "other": "oth",
}


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One turn, as it was judged."""

    line: int
    name: str
    start: float
    end: float
    emotion: str  # the majority's, in three letters; xxx: there was none
    affect: Mapping[str, float]  # mean of the evaluators, 1 to 5
    votes: dict[str, tuple[str, ...]] = field(default_factory=dict)  # by annotator, in three letters
    ratings: dict[str, dict[str, float]] = field(default_factory=dict)  # by annotator and axis

    @property
    def speaker(self) -> str:
        """Ses01F: the session, and who speaks; not the F or M of the dialogue, who wears the markers."""
        return self.name[:5] + letter(self.name)

    def shares(self) -> dict[str, float]:
        """Shares of the evaluators' votes by label; one who named two gave half a vote to each.

        What actors said of themselves (C-F1) is not counted, as it is not in the majority either.
        """
        judged = [votes for who, votes in self.votes.items() if who.startswith("E") and votes]
        shares: dict[str, float] = {}
        for votes in judged:
            for emotion in votes:
                shares[emotion] = shares.get(emotion, 0.0) + 1 / len(votes) / len(judged)
        return shares


class Said(NamedTuple):
    """One line of a transcription."""

    line: int
    name: str
    start: float
    text: str

    @property
    def speaker(self) -> str:
        return self.name[:5] + letter(self.name)


def letter(name: str) -> str:
    """F or M: who speaks in a turn."""
    return name.rpartition("_")[2][0]


def read_evaluation(path: Path) -> Iterator[Evaluated | BadRow]:
    """Every turn of a file in order; a BadRow for one that cannot be used. ValueError when the file cannot be read."""
    turn: Evaluated | None = None
    for line, text in lines_of(path):
        if text.startswith("["):
            if turn is not None:
                yield turn
            try:
                turn = _turn(line, text, path.stem)
            except ValueError as error:
                turn = None
                yield BadRow(id="", line=line, reason=str(error))
        elif turn is not None and (match := CATEGORIES.match(text)):
            turn.votes[match["who"]] = _categories(match["said"])
        elif turn is not None and (match := NUMBERS.match(text)):
            turn.ratings[match["who"]] = _numbers(match["said"])
    if turn is not None:
        yield turn


def read_transcription(path: Path) -> tuple[list[Said], list[int]]:
    """What was said in a dialogue, in order of time, and the lines that have no time and are left out."""
    said, without = [], []
    for line, text in lines_of(path):
        if (match := SAID.match(text)) and NAME.match(match["name"]):
            said.append(Said(line, match["name"], float(match["start"]), match["text"].strip()[:TEXT_LIMIT]))
        elif text:
            without.append(line)
    return sorted(said, key=lambda s: (s.start, s.line)), without


def lines_of(path: Path) -> Iterator[tuple[int, str]]:
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path}: {path.stat().st_size:,} bytes are no annotation")
        for number, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            yield number, text.strip()
    except OSError as error:
        raise ValueError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from None


def _turn(line: int, text: str, dialogue: str) -> Evaluated:
    """ValueError says what is wrong with the line."""
    if not (match := TURN.match(text)):
        raise ValueError("is not of the form [start - end] turn emotion [valence, arousal, dominance]")
    name, start, end = match["name"], float(match["start"]), float(match["end"])
    if not NAME.match(name) or name.rpartition("_")[0] != dialogue:
        raise ValueError(f"{name!r} is no turn of this dialogue, such as {dialogue}_F000")
    if end <= start:
        raise ValueError(f"{name} ends at {end:g} s, before or when it starts")
    to_common("iemocap", match["emotion"])  # says what is wrong with it
    values = match["vad"].split(",")
    if len(values) != len(AXES) or not all(NUMBER.match(v.strip()) for v in values):
        raise ValueError(f"[{match['vad']}] are not three numbers")
    affect = dict(zip(AXES.values(), map(float, values), strict=True))
    return Evaluated(line=line, name=name, start=start, end=end, emotion=match["emotion"], affect=affect)


def _categories(said: str) -> tuple[str, ...]:
    """`Neutral; Frustration;` -> neu, fru; a category that the form does not have is another emotion."""
    words = [w.strip().casefold() for w in said.split(";")]
    return tuple(dict.fromkeys(FORMS.get(w, "oth") for w in words if w))


def _numbers(said: str) -> dict[str, float]:
    """`val 3; act 2; dom  2;` by axis; one that was left empty is not there."""
    found = {}
    for part in said.split(";"):
        axis, _, value = part.strip().partition(" ")
        if axis in AXES and value.strip().isdecimal():
            found[AXES[axis]] = float(value)
    return found
