"""What the page does when somebody does something. Every answer is for the tab that asked."""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from emobraid.app import recording_drawn, spool, talk
from emobraid.app.asr import Listener
from emobraid.app.dashboard import dashboard
from emobraid.app.languages import first_language
from emobraid.app.recording import courses
from emobraid.app.together import Together
from emobraid.app.visits import TEXT, TURNS, Beat, Visit, Visits, number
from emobraid.dialogue import BuiltIn, Conversation, Responder, look
from emobraid.media import MediaBytes
from emobraid.recognizer import Prediction, Recognizer

STREAMED = 0.15  # seconds between two looks of an answer on its way
UNEXPECTED = "Something went wrong on this computer ({}). Nothing was kept; try again."


class Actions:
    """The page's side that knows no Gradio: keys of tabs and plain values in, HTML and plain values out."""

    def __init__(
        self, recognizer: Callable[[], Recognizer], responder: Responder | None, listener: Listener | None
    ) -> None:
        self.recognizer, self.listener = recognizer, listener
        self.responder = responder or BuiltIn()
        self.visits = Visits(self._new_visit)
        self._reading: WeakKeyDictionary[Visit, object] = WeakKeyDictionary()  # what was uploaded last
        self._together: Together | None = None
        self._first = threading.Lock()

    def _new_visit(self) -> Visit:
        recognizer = self.recognizer()
        with self._first:
            self._together = self._together or Together(recognizer)
        return Visit(recognizer, Conversation(recognizer, self.responder), self.listener, self._together)

    def visit(self, key: str, language: str = "") -> Visit:
        """The visit of a tab; `language` is what its browser asks for (Accept-Language), which chooses help lines."""
        visit = self.visits.of(key)
        if tag := first_language(language):
            visit.conversation.speak(tag)
        return visit

    def dashboard(self, visit: Visit) -> str:
        settings = visit.recognizer.config.model
        course = visit.conversation.history.course
        return dashboard(visit.shown, visit.recognizer.labels, settings.modalities, course)

    def conversation(self, visit: Visit) -> tuple[str, str]:
        """The turns, and the course."""
        history = visit.conversation.history
        return talk.conversation(history), talk.course(history.course, history.summary)

    def everything(self, visit: Visit) -> tuple[str, str, str]:
        return self.dashboard(visit), *self.conversation(visit)

    def beat(self, visit: Visit, sent: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
        """A beat of camera and microphone: what the camera's frame shows, and the dashboard."""
        beat = Beat.of(sent)
        with visit.lock:
            if beat.turn > visit.ended:
                visit.take(beat, time.monotonic())
            heard = visit.dictation.said if visit.dictation else ""
            counted = sent.get("number")
            told = {"number": counted if type(counted) is int else 0, "box": visit.live.box, "heard": heard}
            return told, self.dashboard(visit)

    def rest(self, visit: Visit, sent: Mapping[str, Any]) -> str:
        """Camera and microphone were turned off, which ends the `turn` that was sent: the dashboard."""
        with visit.lock:
            visit.rest(number(sent, "turn", TURNS))
            return self.dashboard(visit)

    def say(self, visit: Visit, text: str) -> Iterator[tuple[str, str]]:
        """What somebody wrote: conversation and course, again and again while the answer comes."""
        said = checked(text) or (visit.dictation.turn() if visit.dictation else "")
        # words that tell of a crisis, or lie near one, are read by no model
        reading = None if look(said) else self._read_now(visit, said)
        if not said and reading is None:
            raise ValueError("Write something first, or turn on the camera or the microphone.")
        with visit.talking:
            version, history = visit.forgotten, visit.conversation.history
            reply, looked = "", 0.0
            for piece in visit.conversation.stream(said, reading):
                if visit.forgotten != version:
                    return
                reply += piece
                if time.monotonic() - looked > STREAMED:
                    looked = time.monotonic()
                    yield talk.conversation(history, said, reply), talk.course(history.course, history.summary)
            if visit.forgotten == version:
                self._show_words(visit, reading)
                yield self.conversation(visit)

    def _read_now(self, visit: Visit, said: str) -> Prediction | None:
        return visit.listen(said, time.monotonic()) if said else visit.see_and_hear(time.monotonic())

    def _show_words(self, visit: Visit, reading: Prediction | None) -> None:
        """With camera and microphone off, the dashboard shows what was written; else it goes on being live."""
        if reading is not None and visit.shown.source != "live":
            visit.show_file(reading, "what you wrote")

    def read(self, visit: Visit, path: str | None, text: str) -> Iterator[tuple[str, str]]:
        """A file, words, or both: the dashboard, and for a longer recording its course, again and again as it grows
        until there is something else to read. The file is deleted before it is read."""
        self._reading[visit] = this = object()
        version = visit.forgotten

        def gone() -> bool:
            return visit.forgotten != version or self._reading[visit] is not this

        given, file = _given(visit.recognizer.config.model.modalities, path, checked(text))
        reading = visit.recognizer.predict(**given)
        with visit.lock:
            if gone():
                return
            visit.show_file(reading, file.name if file else "what you wrote")
            shown = self.dashboard(visit)
        yield shown, recording_drawn.EMPTY
        if file:
            yield from ((shown, course) for course in self._over_time(visit, file, gone))

    def _over_time(self, visit: Visit, file: MediaBytes, gone: Callable[[], bool]) -> Iterator[str]:
        """The course of a longer recording; a sentence where that fails, as there is a reading of it already."""
        settings = visit.recognizer.config.model
        try:
            for course in courses(visit.recognizer, file, gone):
                yield recording_drawn.drawn(course, file.name, visit.recognizer.labels.names, settings.modalities)
        except Exception as error:
            yield recording_drawn.failed(sentence(error))

    def export(self, visit: Visit) -> dict[str, str]:
        """Name and content of the file that the browser makes."""
        content = json.dumps(visit.conversation.export(), ensure_ascii=False, indent=1)
        return {"name": "emobraid-conversation.json", "text": content}

    def forget(self, visit: Visit) -> tuple[str, str, str]:
        visit.forget()
        return self.everything(visit)


def _given(modalities: Sequence[str], path: str | None, said: str) -> tuple[dict[str, Any], MediaBytes | None]:
    """What to read by modality, and the file among it."""
    if path is None and not said:
        raise ValueError("Choose a file or write something first.")
    given: dict[str, Any] = {"text": said} if said and "text" in modalities else {}
    if path is None:
        return given, None
    file = MediaBytes(*spool.take(path))
    return {**given, "video" if "video" in modalities else "audio": file}, file


def checked(text: str | None) -> str:
    said = (text or "").strip()
    if len(said) > TEXT:
        raise ValueError(f"These are {len(said):,} characters; at most {TEXT:,} can be read. Send less at once.")
    return said


def sentence(error: Exception) -> str:
    """What a person reads instead of a traceback."""
    if isinstance(error, ValueError):
        told = " ".join(str(error).split())[:400]
        return told[:1].upper() + told[1:] + ("" if told.endswith((".", "!", "?")) else ".")
    if isinstance(error, MemoryError) or "allocate memory" in str(error):
        return "This is too large for this computer right now. Try again later, or with less."
    return UNEXPECTED.format(type(error).__name__)
