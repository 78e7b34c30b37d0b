"""The responder that needs no model: human-written lines, chosen by what was expressed, said, and said before."""

import random
import re
import secrets
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from emobraid.dialogue import words
from emobraid.dialogue.activities import suggest
from emobraid.dialogue.history import NOTABLE, RECENT, History, Reply
from emobraid.dialogue.repertoire import banned, load

if TYPE_CHECKING:
    from emobraid.prediction import Prediction

UNSURE = 0.45  # confidence below which a reading is called a weak guess
CLOSE = 0.08  # two probabilities nearer than this are a tie
FIRM = 0.4  # confidence from which one modality's own reading may contradict another's
PAUSE = 3  # turns between two remarks on the course, or on voice and words that differ
HEARD = {"text": "your words", "audio": "your voice", "video": "your face"}
ALONE = ("bye", "identity", "data")  # acts that are answered in one line
BEFORE = ("sad", "angry", "fear", "disgust")  # emotions that are listened to before much is suggested


class BuiltIn:
    """Answers at once, offline, and never twice the same within ten turns.

    It keeps nothing: what it said is in the history it is given, so one BuiltIn may serve many conversations. With a
    `seed` the same conversation gets the same answers. `repertoire` is a folder of your own lines.
    """

    def __init__(self, seed: int | None = None, *, repertoire: Path | None = None) -> None:
        self.seed = secrets.randbits(32) if seed is None else seed
        self.repertoire = load(repertoire)

    def reply(self, said: str, prediction: "Prediction | None", history: History) -> Reply:
        """An answer to `said` after `history`; `prediction` is None where nothing was read."""
        rng = random.Random(f"{self.seed}/{history.count}/{said}")  # noqa: S311 a choice of words
        emotion = self.repertoire.emotion(prediction.emotion if prediction else "neutral")
        topic = words.topic(said)
        text = self._text(said, topic, emotion, prediction, history, rng)
        if banned(text):  # in the person's own words
            text = self._text(said, None, emotion, prediction, history, rng)
        offers = self._offers(said, emotion, prediction, history, rng)
        return Reply(text, self.repertoire.strategies[emotion].name, offers, "built-in")

    def stream(self, said: str, prediction: "Prediction | None", history: History) -> Iterator[str | Reply]:
        """The same reply, word by word."""
        reply = self.reply(said, prediction, history)
        yield from re.findall(r"\S+\s*", reply.text)
        yield reply

    def _text(
        self,
        said: str,
        topic: str | None,
        emotion: str,
        prediction: "Prediction | None",
        history: History,
        rng: random.Random,
    ) -> str:
        """Mostly: a first line, something on what was said or on the way here, a word of support, a question."""
        choose = _Choice(rng, history.recent_replies())
        lines = self.repertoire.strategies[emotion].lines
        act = words.act(said)
        if act in ALONE:
            return choose(self.repertoire.acts[act])
        parts = [self._first(act, emotion, prediction, choose)]
        about = self._on_the_way(topic, prediction, history, choose)
        if about is None:
            about = choose(lines["reflection"], topic=topic) if topic else choose(lines["plain"])
        parts += [about] if act is None or topic else []
        parts += [choose(lines["support"])] if rng.random() < 0.7 or act == "advice" else []
        return " ".join([*parts, choose(lines["question"])])

    def _first(self, act: str | None, emotion: str, prediction: "Prediction | None", choose: "_Choice") -> str:
        general = self.repertoire.general
        if act:
            return choose(self.repertoire.acts[act])
        if prediction is None:
            return choose(general["unread"])
        if (differing := self._differing(prediction)) and not choose.used(general["mixed"], PAUSE):
            return choose(general["mixed"], **differing)
        if _unsure(prediction):
            return choose(general["unsure"], shade=self.repertoire.strategies[emotion].shade)
        return choose(self.repertoire.strategies[emotion].lines["opening"])

    def _differing(self, prediction: "Prediction") -> dict[str, str]:
        """Two modalities whose own readings contradict each other, for the lines that say so."""
        shades = {
            HEARD[m]: self.repertoire.strategies[self.repertoire.emotion(r.emotion)].shade
            for m, r in prediction.per_modality.items()
            if r.confidence >= FIRM and m in HEARD
        }
        (first, shade), *rest = [*shades.items()] or [("", "")]
        other = next(((m, s) for m, s in rest if s != shade), None)
        return {"first": first, "shade_first": shade, "second": other[0], "shade_second": other[1]} if other else {}

    def _on_the_way(
        self, topic: str | None, prediction: "Prediction | None", history: History, choose: "_Choice"
    ) -> str | None:
        """A remark on the course of the conversation, when there is one to make and none was made just now."""
        general = self.repertoire.general
        remarks = [*general["eased"], *general["dipped"], *general["staying"], *general["returning"]]
        if choose.used(remarks, PAUSE):
            return None
        if topic and topic in [words.topic(t.said) for t in history.turns[-RECENT:-1]]:
            return choose(general["returning"], topic=topic)
        now = prediction.affect.get("valence") if prediction else None
        before = [p for p in history.course[-PAUSE:] if p.valence is not None]
        if prediction is None or now is None or len(before) < 2:
            return None
        change = now - fmean(p.valence or 0.0 for p in before)
        if abs(change) >= 2 * NOTABLE:
            return choose(general["eased" if change > 0 else "dipped"])
        lasting = len(before) == PAUSE and {p.emotion for p in before} == {prediction.emotion} and now <= -NOTABLE
        return choose(general["staying"]) if lasting else None

    def _offers(
        self, said: str, emotion: str, prediction: "Prediction | None", history: History, rng: random.Random
    ) -> tuple[str, ...]:
        """Three activities for those who ask, one where listening comes first or the guess is weak, else two."""
        wish = words.wish(said)
        if words.act(said) in ALONE or (prediction is None and not wish.asked):
            return ()
        listening = emotion in BEFORE and emotion not in [p.emotion for p in history.course[-2:]]
        weak = prediction is not None and (_unsure(prediction) or bool(self._differing(prediction)))
        count = 3 if wish.asked or words.act(said) == "advice" else 1 if listening or weak else 2
        return suggest(emotion, wish, prediction, history, rng, count=count)


class _Choice:
    """Picks lines that none of the recent replies holds."""

    def __init__(self, rng: random.Random, recent: Sequence[str]) -> None:
        self.rng, self.recent = rng, recent  # newest first

    def __call__(self, lines: Sequence[str], **filled: str) -> str:
        """One of `lines`, filled; where all were said lately, one of those said longest ago."""
        ages = {line: self._age(line) for line in lines}
        oldest = max(ages.values())
        return self.rng.choice([line for line, age in ages.items() if age == oldest]).format_map(filled)

    def used(self, lines: Sequence[str], turns: int) -> bool:
        """Whether one of `lines` was said in the last `turns` turns."""
        return any(self._age(line) < turns for line in lines)

    def _age(self, line: str) -> int:
        anchor = _anchor(line)
        return next((i for i, text in enumerate(self.recent) if anchor in text), RECENT)


@cache
def _anchor(line: str) -> str:
    """What stays the same of a line, whatever the topic."""
    return max(re.split(r"\{.*?\}", line), key=len)


def _unsure(prediction: "Prediction") -> bool:
    first, second, *_ = sorted(prediction.probabilities.values(), reverse=True)
    return prediction.confidence < UNSURE or first - second < CLOSE
