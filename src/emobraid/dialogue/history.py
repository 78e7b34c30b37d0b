"""What was said and answered in one conversation, and the way its readings went. It lives in memory only."""

from collections import deque
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from emobraid.prediction import Prediction

KEPT = 500  # turns; older ones are let go, so that an endless conversation stays small
RECENT = 12  # turns within which nothing is said twice
NOTABLE = 0.25  # a change of valence or arousal (each -1..1) that is worth a word


@dataclass(frozen=True)
class Reply:
    """An answer. `strategy` is what it tries to do, `suggestions` are activities on offer, `source` who wrote it,
    `about` what it took the words for ("laid_off"; empty where it did not understand)."""

    text: str
    strategy: str
    suggestions: tuple[str, ...]
    source: Literal["built-in", "llm", "safety"]
    about: str = ""


@dataclass(frozen=True)
class Turn:
    """What was said, the model's guess of what it expressed (None: nothing was read), and the answer."""

    said: str
    prediction: "Prediction | None"
    reply: Reply


@dataclass(frozen=True)
class Point:
    """One reading on the way; valence and arousal (-1..1) are None where the model has no such place."""

    turn: int
    emotion: str
    confidence: float
    valence: float | None
    arousal: float | None


class Responder(Protocol):
    """Whoever answers. `history` holds the turns before this one; the reading is never changed by the answer."""

    def reply(self, said: str, prediction: "Prediction | None", history: "History") -> Reply: ...

    def stream(self, said: str, prediction: "Prediction | None", history: "History") -> Iterator[str | Reply]:
        """The pieces of the reply, then the Reply whose text they add up to."""
        ...


class History:
    """The turns of one conversation, oldest first, at most 500 of them."""

    def __init__(self) -> None:
        self._turns: deque[Turn] = deque(maxlen=KEPT)
        self._gone = 0

    def __len__(self) -> int:
        return len(self._turns)

    @property
    def turns(self) -> tuple[Turn, ...]:
        return tuple(self._turns)

    def add(self, turn: Turn) -> None:
        self._gone += len(self._turns) == KEPT
        self._turns.append(turn)

    def clear(self) -> None:
        self._turns.clear()
        self._gone = 0

    @property
    def count(self) -> int:
        """Turns so far, those let go included."""
        return self._gone + len(self._turns)

    @property
    def course(self) -> tuple[Point, ...]:
        """The reading of every turn that had one."""
        return tuple(
            _point(self._gone + i, turn.prediction) for i, turn in enumerate(self._turns) if turn.prediction is not None
        )

    def recent_replies(self) -> list[str]:
        """The texts of the last replies, newest first."""
        return [turn.reply.text for turn in reversed(list(self._turns)[-RECENT:])]

    @property
    def summary(self) -> str:
        """One sentence on the emotional course; a guess, like the readings it rests on."""
        course = self.course
        if not course:
            return "There is no reading yet."
        named = _in_words([p.emotion for p in course])
        if len(course) == 1:
            return f"One reading so far: the model's guess is that it expressed {named}."
        return f"In {len(course)} readings the model's guesses went through {named}{self._trend()}."

    def _trend(self) -> str:
        changes = [
            f"{axis} {'rose' if change > 0 else 'fell'}"
            for axis in ("valence", "arousal")
            if abs(change := self.change(axis)) >= NOTABLE
        ]
        return f"; between the first half and the second, {' and '.join(changes)}" if changes else "; it stayed even"

    def change(self, axis: str) -> float:
        """How far `axis` ("valence" or "arousal") moved from the first half of the readings to the second."""
        values = [v for p in self.course if (v := getattr(p, axis)) is not None]
        if len(values) < 2:
            return 0.0
        half = len(values) // 2
        return fmean(values[half:]) - fmean(values[:half])

    def to_json(self) -> dict[str, Any]:
        """Plain values. Turns that were answered with help in a crisis are left out: such a file may be found."""
        kept = [t for t in self._turns if t.reply.source != "safety"]
        return {
            "turns": [
                {
                    "said": t.said,
                    "prediction": t.prediction.to_json() if t.prediction else None,
                    "reply": asdict(t.reply) | {"suggestions": list(t.reply.suggestions)},
                }
                for t in kept
            ],
            "course": [asdict(p) for p in self.course],
            "summary": self.summary,
        }


def _point(turn: int, prediction: "Prediction") -> Point:
    affect = prediction.affect
    return Point(turn, prediction.emotion, prediction.confidence, affect.get("valence"), affect.get("arousal"))


def _in_words(emotions: list[str]) -> str:
    """happy, then sad, then happy: the order without the repeats; the last five of them."""
    steps = [e for i, e in enumerate(emotions) if i == 0 or e != emotions[i - 1]]
    return ("... then " if len(steps) > 5 else "") + ", then ".join(steps[-5:])
