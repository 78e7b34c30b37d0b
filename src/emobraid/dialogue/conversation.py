"""A conversation: reads what was said, answers, and keeps both in memory until told to forget."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emobraid.dialogue.builtin import FOREIGN, BuiltIn
from emobraid.dialogue.help_lines import Help
from emobraid.dialogue.history import History, Reply, Responder, Turn

if TYPE_CHECKING:
    import numpy as np

    from emobraid.prediction import Prediction
    from emobraid.recognizer import Recognizer


class Conversation:
    """One person's conversation with a responder (BuiltIn unless given). Not to be shared between people or threads.

    What is said goes through the safety net first (safety.py). Words that tell of a crisis, and those that lie near
    one, are answered with fixed words, whatever the responder; no model reads them, and they are not in `export`.
    `locale` ("en-GB", "de") chooses the language and the numbers of that help, `help_lines` is a table of your own
    instead of ours.
    """

    def __init__(
        self,
        recognizer: "Recognizer | None",
        responder: Responder | None = None,
        *,
        locale: str = "en",
        seed: int | None = None,
        help_lines: Path | None = None,
    ) -> None:
        self.recognizer = recognizer
        self.responder = responder or BuiltIn(seed=seed)
        self.history = History()
        self._help = Help(locale, help_lines)

    def say(
        self,
        *,
        text: str | None = None,
        audio: "str | Path | np.ndarray | None" = None,
        video: "str | Path | np.ndarray | None" = None,
    ) -> Turn:
        """Read one utterance from any of the three and answer it; arguments and errors as for Recognizer.predict."""
        said = (text or "").strip()
        if not said and audio is None and video is None:
            raise ValueError("nothing was said: give text, audio or video")
        if turn := self._in_crisis(said):
            return turn
        return self.answer(said, self._read(said, audio, video))

    def answer(self, text: str, prediction: "Prediction | None") -> Turn:
        """Answer words whose reading was made elsewhere; None when there is none."""
        if turn := self._in_crisis(text):
            return turn
        return self._kept(text, prediction, self._responder().reply(text, prediction, self.history))

    def stream(self, text: str, prediction: "Prediction | None") -> Iterator[str]:
        """The pieces of the answer as they come; together they are the reply's text. At the end the turn is in the
        history; of a stream that is left early nothing is kept."""
        if turn := self._in_crisis(text):
            yield turn.reply.text
            return
        for piece in self._responder().stream(text, prediction, self.history):
            if isinstance(piece, Reply):
                turn = self._kept(text, prediction, piece)
                if reminder := turn.reply.text.removeprefix(piece.text):
                    yield reminder
            else:
                yield piece

    def speak(self, locale: str) -> None:
        """From now on help in a crisis is in the language of `locale`, with the numbers of its country."""
        self._help.speak(locale)

    def forget(self) -> None:
        """Nothing is left: no turn, no reading, no sign that there was a crisis."""
        self.history.clear()
        self._help.forget()

    def export(self) -> dict[str, Any]:
        """The conversation as plain JSON values, without turns that were answered with help in a crisis."""
        return self.history.to_json()

    def _read(self, said: str, audio: Any, video: Any) -> "Prediction | None":
        from emobraid.recognizer import NothingToRead

        if self.recognizer is None:
            raise ValueError("this conversation was made without a recognizer: use answer() with a reading")
        reads_text = "text" in self.recognizer.config.model.modalities
        if not reads_text and audio is None and video is None:
            return None
        try:
            return self.recognizer.predict(text=(said or None) if reads_text else None, audio=audio, video=video)
        except NothingToRead:
            if said:
                return None  # there are words to answer all the same
            raise

    def _responder(self) -> Responder:
        """After a crisis or a caution only fixed and human-written words, for some turns."""
        return self._calm if self._help.careful and not isinstance(self.responder, BuiltIn) else self.responder

    @property
    def _calm(self) -> BuiltIn:
        return BuiltIn()

    def _in_crisis(self, said: str) -> Turn | None:
        text = self._help.for_words(said, self.history)
        return self._add(Turn(said, None, Reply(text, self._help.answering, (), "safety"))) if text else None

    def _kept(self, said: str, prediction: "Prediction | None", reply: Reply) -> Turn:
        if reply.about.startswith(FOREIGN):  # what was said was not understood: a person may be needed all the same
            line = self._help.in_language(reply.about.removeprefix(FOREIGN))
            reply = replace(reply, text=f"{reply.text}\n\n{line}", suggestions=())
        elif reminder := self._help.reminder():
            reply = replace(reply, text=f"{reply.text}\n\n{reminder}", suggestions=())
        elif self._help.careful:
            reply = replace(reply, suggestions=())
        return self._add(Turn(said, prediction, reply))

    def _add(self, turn: Turn) -> Turn:
        self.history.add(turn)
        return turn
