"""The responder that needs no language model: lines written by people, chosen by what was said, then by how.

Meaning comes first. An utterance is taken for one of the moves of a conversation (moves.py) by its sentence vector
(understanding.py); its lines answer the event in plain words and ask one question. What was not understood for sure
gets a line that is right after anything; the model's guess is named only where it is sure, and as a guess.
"""

import random
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from emobraid.dialogue import words
from emobraid.dialogue.activities import suggest
from emobraid.dialogue.banned import banned
from emobraid.dialogue.choice import Choice
from emobraid.dialogue.history import History, Reply
from emobraid.dialogue.moves import Move, moves, moves_with, situation_of
from emobraid.dialogue.net import Net
from emobraid.dialogue.slots import grave, slots
from emobraid.dialogue.strategies import foreign_line, plain_lines, planned, strategy
from emobraid.dialogue.understanding import Found, Understanding

if TYPE_CHECKING:
    from emobraid.prediction import Prediction

FIRM = 0.6  # confidence from which a guess may be named where words were not understood
CLOSE = 0.15  # and how far it must lie above the next one
STAYS = 4  # turns after which a situation that nothing speaks of any more is let go
CARE = 10  # turns after a crisis without cheer and without suggestions
NAMED = 4  # turns between two remarks on how something sounded
MOST_OF = 0.9  # share of the nearest utterances from which their mood is taken
BRIEF = 6  # words up to which a turn goes on with what was being said
LIKE_GOOD = 0.55  # ... where the answer is glad
LIKE = 0.42  # ... if the nearest is as like as this
# what short messages do (words.toml), and the move that answers it
ACTS = {
    "greeting": "hello",
    "thanks": "thanks_short",
    "bye": "goodbye",
    "sorry": "sorry_for_venting",
    "laugh": "haha",
    "identity": "bot_are_you_real",
    "data": "bot_privacy",
    "joke": "bot_tell_joke",
    "memory": "bot_do_you_remember",
    "reading": "bot_can_you_see_me",
    "ability": "bot_what_can_you",
    "self": "bot_how_are_you",
    "rude": "bot_insulted",
    "correction": "bot_wrong_reading",
}
PARTING = ("goodbye", "thanks_short", "thanks_for_listening")  # what is answered as ever, soon after a crisis too
FOREIGN = "foreign/"  # begins `about` of what was said in another language
ASKING = ("wants_advice", "what_can_i_do_now", "want_distraction", "something_to_cheer_me", "bored")


class BuiltIn:
    """Answers at once, offline, and never twice the same within ten turns.

    It keeps nothing: what it said is in the history it is given, so one BuiltIn may serve many conversations. With a
    `seed` the same conversation gets the same answers. `repertoire` is a folder of your own lines (moves.py): files
    of the names of ours take their place, others are added.
    """

    def __init__(self, seed: int | None = None, *, repertoire: Path | None = None) -> None:
        self.seed = secrets.randbits(32) if seed is None else seed
        self.moves: Mapping[str, Move] = moves_with(repertoire) if repertoire else moves()
        self._own = repertoire is not None

    @cached_property
    def understanding(self) -> Understanding:
        """Made when the first words come: it loads the sentence encoder."""
        return Understanding.of(self.moves) if self._own else Understanding.shipped()

    def reply(self, said: str, prediction: "Prediction | None", history: History) -> Reply:
        """An answer to `said` after `history`; `prediction` is None where nothing was read."""
        rng = random.Random(f"{self.seed}/{history.count}/{said}")  # noqa: S311 a choice of words
        choose = Choice(rng, history.recent_replies())
        if language := words.foreign(said) or self._unread(said):
            line = foreign_line(language)
            return Reply(line, strategy("neutral").name, (), "built-in", f"{FOREIGN}{language}")
        found = self.understanding.find(said, situation=situation(history, self.moves))
        move = self._move(said, found)
        about = move.id if move else ""
        if in_care(history) and about not in PARTING:
            text = f"{choose(plain_lines('care'))} {choose(plain_lines('care_question'))}"
            return Reply(text, strategy("sad").name, (), "built-in", about)
        emotion = _emotion(said, move, prediction)
        text = self._text(said, move, found, prediction, history, choose)
        offers = self._offers(said, move, emotion, prediction, history, rng)
        return Reply(text, strategy(emotion).name, offers, "built-in", about)

    def stream(self, said: str, prediction: "Prediction | None", history: History) -> Iterator[str | Reply]:
        """The same reply, word by word."""
        reply = self.reply(said, prediction, history)
        yield from re.findall(r"\S+\s*", reply.text)
        yield reply

    def _move(self, said: str, found: Found | None) -> Move | None:
        """What was done by `said`; None where that is not sure, or where a good move stands beside grave words."""
        name = ACTS.get(words.act(said) or "", "")
        if name in self.moves and not _news(found):
            return self.moves[name]
        if found is None or not found.sure:
            return None
        return None if found.move.mood == "good" and grave(said) else found.move

    def _text(
        self,
        said: str,
        move: Move | None,
        found: Found | None,
        prediction: "Prediction | None",
        history: History,
        choose: Choice,
    ) -> str:
        filled = slots(said)
        if move and move.reply and choose.fresh(move.reply):
            return _say(move.reply, filled, choose)
        here = situation(history, self.moves)
        if move and move.reflect and (move.id != here or not move.opens):
            return f"{_say(move.reflect, filled, choose)} {_say(move.ask, filled, choose)}"
        if said.rstrip().endswith("?"):
            return choose(plain_lines("asked"))
        stays = move if move and move.reflect else self.moves.get(here) if found and found.belongs else None
        if stays and (told := choose.fresh(stays.ask) or choose.fresh(stays.offer)):  # more of what is spoken of
            first = "bad" if stays.mood == "bad" and _heavy(said, found) else "follow"
            return f"{choose(plain_lines(first))} {_say(told, filled, choose)}"
        if history.turns and len(said.split()) <= BRIEF:
            return choose(plain_lines("brief"))
        return self._plain(said, found, prediction, choose)

    def _plain(self, said: str, found: Found | None, prediction: "Prediction | None", choose: Choice) -> str:
        """An answer that is right after anything, in the mood of what lies near, with one question."""
        mood = self._mood(said, found)
        line = self._sounded(said, prediction, choose) if mood == "plain" else ""
        return f"{line or choose(plain_lines(mood))} {choose(plain_lines(f'{mood}_question'))}"

    def _mood(self, said: str, found: Found | None) -> str:
        """The mood of words that were not understood: that of most of what lies near, good only without grave words."""
        if found is None or found.likeness < LIKE:
            return "plain"
        if found.bad >= MOST_OF:
            return "bad"
        return "good" if found.good >= MOST_OF and found.likeness >= LIKE_GOOD and not grave(said) else "plain"

    def _sounded(self, said: str, prediction: "Prediction | None", choose: Choice) -> str:
        """How it sounded, as a guess: only a firm one, of no happy sound beside grave words, and not in every turn."""
        if prediction is None or len(prediction.probabilities) < 2 or not said.strip() or grave(said):
            return ""
        first, second, *_ = sorted(prediction.probabilities.values(), reverse=True)
        emotion = planned(prediction.emotion)
        if first < FIRM or first - second < CLOSE or emotion == "neutral":
            return ""
        every = [
            line for name in ("sad", "angry", "fear", "surprise", "disgust", "happy") for line in plain_lines(name)
        ]
        return "" if choose.used(every, NAMED) else choose(plain_lines(emotion))

    def _unread(self, said: str) -> str:
        """ "other" for words of a language that nothing here reads."""
        return "" if Net.shipped().reads(said) else "other"

    def _offers(
        self,
        said: str,
        move: Move | None,
        emotion: str,
        prediction: "Prediction | None",
        history: History,
        rng: random.Random,
    ) -> tuple[str, ...]:
        """Three activities for those who ask; else one now and then, in a good or plain turn, never in a first one."""
        if grave(said) or in_care(history) or (move and move.to_program and move.id not in ASKING):
            return ()
        wish = words.wish(said)
        asked = wish.asked or (move is not None and move.id in ASKING)
        recent = [t for t in history.turns[-3:] if t.reply.suggestions or grave(t.said)]
        if not asked and (len(history) < 2 or recent or _troubled(move, history, self.moves)):
            return ()
        if not asked and (move is None or move.mood not in ("good", "plain") or not move.after):
            return ()
        return suggest(emotion, wish, prediction, history, rng, count=3 if asked else 1)


def situation(history: History, known: Mapping[str, Move]) -> str:
    """What is spoken of: the situation that a move of the last turns belongs to; empty when that is long ago."""
    for turn in reversed(history.turns[-STAYS:]):
        if _help(turn.reply):
            return ""
        about = situation_of(turn.reply.about)
        if about in known and known[about].opens:
            return about
    return ""


def in_care(history: History) -> bool:
    """Whether words of a crisis were answered a short while ago: no cheer and no suggestions then."""
    return any(_help(turn.reply) for turn in history.turns[-CARE:])


def _help(reply: Reply) -> bool:
    return reply.source == "safety" and reply.strategy == "help"


def _say(lines: Sequence[str], filled: Mapping[str, str], choose: Choice) -> str:
    """One of `lines` whose slots are all filled, first of all one that takes up the person's own words."""
    able = [line for line in lines if set(re.findall(r"\{(\w+)\}", line)) <= set(filled)]
    own = [line for line in choose.fresh(able) if "{" in line]
    text = choose(own or able or lines, **filled)
    text = text[:1].upper() + text[1:]
    return text if not banned(text) else choose([line for line in able if "{" not in line] or ["I hear you."])


def _news(found: Found | None) -> bool:
    """Whether words that greet or thank also tell of something."""
    return found is not None and found.sure and (found.move.opens or bool(found.move.after))


def _heavy(said: str, found: Found | None) -> bool:
    return grave(said) or (found is not None and found.bad >= MOST_OF)


def _emotion(said: str, move: Move | None, prediction: "Prediction | None") -> str:
    """Whose strategy answers: that of what was said; where it tells nothing, that of a firm reading."""
    if move and not (move.emotion == "neutral" and move.mood in ("bad", "mixed")):
        return move.emotion
    guess = planned(prediction.emotion) if prediction and prediction.confidence >= FIRM else "neutral"
    if move and move.mood == "bad":
        return guess if guess not in ("happy", "surprise", "neutral") else "sad"
    return "neutral" if guess == "happy" and grave(said) else guess


def _troubled(move: Move | None, history: History, known: Mapping[str, Move]) -> bool:
    """Whether what is spoken of is bad: listening comes before suggestions."""
    here = known.get(situation(history, known))
    return (move is not None and move.mood == "bad") or (here is not None and here.mood == "bad")
