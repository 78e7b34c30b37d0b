"""The responder that needs no model: human-written lines, chosen by what was expressed, said, and said before."""

import random
import re
import secrets
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING

from emobraid.dialogue import themes, words
from emobraid.dialogue.activities import suggest
from emobraid.dialogue.choice import Choice
from emobraid.dialogue.history import NOTABLE, RECENT, History, Reply
from emobraid.dialogue.repertoire import banned, load

if TYPE_CHECKING:
    from emobraid.prediction import Prediction

UNSURE = 0.45  # confidence below which a reading is called a weak guess
CLOSE = 0.08  # two probabilities nearer than this are a tie
FIRM = 0.4  # confidence from which one modality's own reading may contradict another's
PAUSE = 3  # turns between two remarks on the course, or on voice and words that differ
HEARD = {"text": "your words", "audio": "your voice", "video": "your face"}
CARE = 10  # turns after a crisis without small talk
ALONE = ("bye", "identity", "data", "joke", "reading", "thanks")  # acts that are answered in one line
POLITE = ("greeting", "self", "memory", "ability", "opinion", "rude", "sorry", "laugh", "correction")
ONWARD = ("memory", "opinion", "laugh", "correction")  # of those, the ones that go on from what was said
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
        if (plain := themes.theme(said, emotion)) and plain.mood:
            emotion = plain.mood
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
        choose = Choice(rng, history.recent_replies())
        strategy, general = self.repertoire.strategies[emotion], self.repertoire.general
        act = words.act(said)
        if act in ALONE:
            return choose(self.repertoire.acts[act], shade=strategy.shade)
        if _in_care(history):
            return f"{choose(general['care'])} {choose(general['care_question'])}"
        theme = _theme(said, emotion, history)
        about = None if act in POLITE else self._about(theme, topic, emotion, prediction, history, choose)
        calmer = act is None and emotion == "neutral" and _was_heavy(history)
        first = self._foreign(said, choose) or self._first(act, emotion, prediction, choose, calmer=calmer)
        if history.turns and act is None and theme and about in theme.about and not _unsure(prediction):
            first = rng.choice([first, first, ""])  # the theme's own line says enough, at times
        if about is None and act is None and not calmer:
            about = choose(strategy.lines["plain"])
        support = act in (None, "advice", "short") and not calmer and rng.random() < (0.3 if theme else 0.5)
        parts = [first, about or "", choose(strategy.lines["support"]) if support else ""]
        return " ".join(filter(None, [*parts, self._question(act, theme, emotion, history, choose, calmer=calmer)]))

    def _about(
        self,
        theme: themes.Theme | None,
        topic: str | None,
        emotion: str,
        prediction: "Prediction | None",
        history: History,
        choose: Choice,
    ) -> str | None:
        """A line on the way of the conversation, on the theme, or on the topic; None where there is none."""
        if theme and theme.mood and (fresh := choose.fresh(theme.about)):
            return choose(fresh)
        if on_the_way := self._on_the_way(topic, prediction, history, choose):
            return on_the_way
        if theme and (fresh := choose.fresh(theme.about)):
            return choose(fresh)
        return choose(self.repertoire.strategies[emotion].lines["reflection"], topic=topic) if topic else None

    def _question(
        self,
        act: str | None,
        theme: themes.Theme | None,
        emotion: str,
        history: History,
        choose: Choice,
        *,
        calmer: bool,
    ) -> str:
        """One that fits the theme, else the way so far, else the emotion."""
        general = self.repertoire.general
        if act in POLITE:
            return choose(general["onward" if act in ONWARD and history.turns else "open"])
        if theme and (fresh := choose.fresh(theme.ask)):
            return choose(fresh)
        if act in (None, "short") and not calmer:
            return choose(self.repertoire.strategies[emotion].lines["question"])
        return choose(general["onward" if history.turns else "open"])

    def _first(
        self,
        act: str | None,
        emotion: str,
        prediction: "Prediction | None",
        choose: Choice,
        *,
        calmer: bool,
    ) -> str:
        general = self.repertoire.general
        if act:
            return choose(self.repertoire.acts[act])
        if prediction is None:
            return choose(general["unread"])
        if (differing := self._differing(prediction)) and not choose.used(general["mixed"], PAUSE):
            return choose(general["mixed"], **differing)
        if _unsure(prediction):
            return choose(general["unsure"], shade=self.repertoire.strategies[emotion].shade)
        if calmer:
            return choose(general["after"])
        return choose(self.repertoire.strategies[emotion].lines["opening"])

    def _foreign(self, said: str, choose: Choice) -> str:
        """Now and then, to who writes in another language: that the answers are English."""
        line = self.repertoire.foreign.get(words.foreign(said) or "", "")
        return "" if choose.used([line], RECENT) else line

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
        self, topic: str | None, prediction: "Prediction | None", history: History, choose: Choice
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
        """Three for those who ask, one where listening comes first or the guess is weak, else two; not in two turns
        running, and none to small talk, to an even first turn or a calm one after a heavy one."""
        wish, act = words.wish(said), words.act(said)
        asked = wish.asked or act == "advice"
        if (act not in (None, "advice") and not asked) or (prediction is None and not asked) or _in_care(history):
            return ()
        if not asked and (
            _just_offered(history) or (emotion == "neutral" and (_was_heavy(history) or not history.turns))
        ):
            return ()
        listening = emotion in BEFORE and emotion not in [p.emotion for p in history.course[-2:]]
        weak = prediction is not None and (_unsure(prediction) or bool(self._differing(prediction)))
        return suggest(emotion, wish, prediction, history, rng, count=3 if asked else 1 if listening or weak else 2)


def _in_care(history: History) -> bool:
    """Whether words of a crisis were answered a short while ago: no small talk then."""
    return any(turn.reply.source == "safety" for turn in history.turns[-CARE:])


def _theme(said: str, emotion: str, history: History) -> themes.Theme | None:
    """What is spoken of; where that is not clear, what was in the last two turns, if it is no passing matter."""
    before = (themes.theme(turn.said, emotion) for turn in reversed(history.turns[-2:]))
    return themes.theme(said, emotion) or next((t for t in before if t and t.stays and t.mood in ("", emotion)), None)


def _just_offered(history: History) -> bool:
    return bool(history.turns) and bool(history.turns[-1].reply.suggestions)


def _was_heavy(history: History) -> bool:
    return any(p.emotion in BEFORE for p in history.course[-2:])


def _unsure(prediction: "Prediction | None") -> bool:
    if prediction is None:
        return False
    first, second, *_ = sorted(prediction.probabilities.values(), reverse=True)
    return prediction.confidence < UNSURE or first - second < CLOSE
