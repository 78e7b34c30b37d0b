"""Where IEMOCAP's dialogues lie, and which of them are in which split.

IEMOCAP has ten actors in five pairs, one a session: leaving a session out leaves its speakers out.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from emobraid.data.mocap import PARTS

FOLDER = "IEMOCAP_full_release"
SESSIONS = range(1, 6)
DEFAULT_FOLD = "session5"
VAL_SHARE = 1 / 6  # of the dialogues of sessions 1 to 4 in the fold erc: 20 of 120


@dataclass(frozen=True)
class Dialogue:
    """One recorded dialogue; `root` is the folder of its session."""

    root: Path
    name: str

    @property
    def session(self) -> int:
        return int(self.name[4])

    @property
    def evaluation(self) -> Path:
        return evaluations(self.root) / f"{self.name}.txt"

    @property
    def transcription(self) -> Path:
        return self.root / "dialog" / "transcriptions" / f"{self.name}.txt"

    @property
    def film(self) -> Path:
        """dialog/avi/DivX/NAME.avi; in some sessions the folder is called Divx."""
        folders = [self.root / "dialog" / "avi" / divx for divx in ("DivX", "Divx")]
        return next((f for f in folders if f.is_dir()), folders[0]) / f"{self.name}.avi"

    def voice(self, turn: str) -> Path:
        return self.root / "sentences" / "wav" / self.name / f"{turn}.wav"

    def own_motion(self, turn: str) -> list[Path]:
        """A turn's own recordings, one for each part."""
        return [self.root / "sentences" / part / self.name / f"{turn}.txt" for part in PARTS]

    def motion(self) -> list[Path]:
        """Those of the whole dialogue, from which a turn's can be taken."""
        return [self.root / "dialog" / part / f"{self.name}.txt" for part in PARTS]


def evaluations(session: Path) -> Path:
    return session / "dialog" / "EmoEvaluation"


def home(root: Path) -> Path:
    """IEMOCAP_full_release, whether `root` is it or holds it."""
    return root / FOLDER if (root / FOLDER).is_dir() else root


@dataclass(frozen=True)
class Folds:
    """The splits of one fold: `session1` to `session5` leave that session out for the test and validate on the next
    one; `erc` tests on session 5, as work on conversations does, and validates on a sixth of the other dialogues, drawn
    with `seed`."""

    root: Path
    fold: str
    seed: int

    def table(self, split: str) -> Path:
        """The folder that says what is in a split; the release itself where it is part of several sessions."""
        sessions = self._sessions(split)
        return evaluations(self.session(sessions[0])) if len(sessions) == 1 else home(self.root)

    def dialogues(self, split: str) -> list[Dialogue]:
        """In order of their names; ValueError when a session is not there."""
        sessions = self._sessions(split)
        mine = [d for d in self._listed if d.session in sessions]
        if self.fold == "erc" and split != "test":
            mine = [d for d in mine if (d.name in self._drawn) == (split == "val")]
        return mine

    def about(self) -> str:
        if self.fold == "erc":
            drawn = f"{len(self._drawn)} dialogues of the others (split_seed {self.seed})"
            return f"fold erc: test is session 5, validation {drawn}"
        test, val = self._sessions("test")[0], self._sessions("val")[0]
        return f"fold {self.fold}: test is session {test}, validation session {val}, training the other three"

    def session(self, number: int) -> Path:
        return home(self.root) / f"Session{number}"

    def _sessions(self, split: str) -> list[int]:
        held = 5 if self.fold == "erc" else int(self.fold[-1])
        following = held % 5 + 1
        if self.fold == "erc":
            return [5] if split == "test" else [s for s in SESSIONS if s != 5]
        named = {"test": [held], "val": [following]}
        return named.get(split, [s for s in SESSIONS if s not in (held, following)])

    @cached_property
    def _listed(self) -> list[Dialogue]:
        return [d for number in SESSIONS for d in listed(self.session(number))]

    @cached_property
    def _drawn(self) -> frozenset[str]:
        names = sorted(d.name for d in self._listed if d.session != 5)
        count = max(1, round(VAL_SHARE * len(names)))
        return frozenset(random.Random(self.seed).sample(names, count))  # noqa: S311, nobody is to be surprised


def listed(session: Path, beside: Callable[[Path], None] = lambda _: None) -> list[Dialogue]:
    """The dialogues of a session; files that a Mac left (`._NAME.txt`) are told `beside`. ValueError without any."""
    if not (folder := evaluations(session)).is_dir():
        raise ValueError(f"{folder}: no such folder; data_root must be {FOLDER}, with Session1 to Session5, or hold it")
    found = []
    for path in sorted(folder.glob("*.txt")):
        if path.name.startswith("."):
            beside(path)
        elif path.name.startswith(f"Ses0{session.name[-1]}"):
            found.append(Dialogue(session, path.stem))
    if not found:
        raise ValueError(f"{folder}: no dialogue in it, such as Ses0{session.name[-1]}F_impro01.txt")
    return found
