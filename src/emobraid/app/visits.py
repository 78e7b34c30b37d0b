"""Who is on the page: for every tab its own buffers, readings and conversation, in memory only."""

import base64
import binascii
import threading
import time
import weakref
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from emobraid.app.asr import Dictation, Listener
from emobraid.app.live import Live
from emobraid.app.smoothing import Smoothed, Smoother
from emobraid.app.together import Together
from emobraid.dialogue import Conversation
from emobraid.recognizer import Prediction, Recognizer

IDLE = 30 * 60.0  # seconds after which a visit that nobody goes on with is forgotten
WATCH = 30.0  # seconds between looks for them
MOST = 200  # visits at once; the one idle longest makes room
LARGEST = 640 * 480  # pixels of a live picture; the page sends 320 x 240
LOUDEST_RATE = 192_000
LONGEST = 2.0  # seconds of sound in one beat
FASTEST = 0.08  # seconds between pictures that are looked at; sooner ones are left out
TEXT = 20_000  # characters
TURNS = 2**31  # how often a page may turn camera and microphone on


@dataclass(frozen=True)
class Beat:
    """What a browser sends several times a second: a picture, the sound since the last one, or both."""

    frame: np.ndarray | None = None  # (H, W, 3) uint8 RGB
    sound: np.ndarray | None = None  # (N,) int16
    rate: int = 0
    turn: int = 1  # how often camera and microphone were turned on until then

    @classmethod
    def of(cls, sent: Mapping[str, Any]) -> "Beat":
        """ValueError for anything but raw pixels and samples of the sizes that were told; nothing is decoded here."""
        frame = sound = None
        rate = number(sent, "rate", LOUDEST_RATE)
        turn = number(sent, "turn", TURNS) or 1
        if sent.get("frame"):
            width, height = number(sent, "width", LARGEST), number(sent, "height", LARGEST)
            if not 0 < width * height <= LARGEST:
                raise ValueError(f"a live picture has at most {LARGEST} pixels")
            frame = np.frombuffer(raw(sent["frame"], 3 * width * height), np.uint8)
            if frame.size != 3 * width * height:
                raise ValueError("the picture is not as large as it was said to be")
            frame = frame.reshape(height, width, 3)
        if sent.get("sound") and rate >= 8_000:
            data = raw(sent["sound"], round(2 * LONGEST * rate))
            sound = np.frombuffer(data[: len(data) // 2 * 2], "<i2")
        return cls(frame, sound, rate, turn)


def number(sent: Mapping[str, Any], name: str, most: int) -> int:
    value = sent.get(name, 0)
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{name} must be a whole number up to {most}")
    return value


def raw(text: object, most: int) -> bytes:
    """Bytes out of base64, at most `most` of them."""
    if not isinstance(text, str) or len(text) > 4 * (most // 3 + 1):
        raise ValueError("more than was agreed")
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("not base64") from error


@dataclass
class Shown:
    """What the dashboard shows: the last reading, smoothed when it is live."""

    reading: Prediction | None = None
    fused: Smoothed | None = None
    alone: dict[str, Smoothed] = field(default_factory=dict)
    notes: dict[str, str] = field(default_factory=dict)  # why modalities are missing when nothing was read
    source: str = ""  # where it comes from: "live", or the name of a file
    costs: list[float] = field(default_factory=list)  # seconds that the last readings took on this side

    @property
    def cost(self) -> float:
        return median(self.costs) if self.costs else 0.0


class Visit:
    """One tab. Whoever uses its buffers holds `lock`, whoever its conversation `talking`.

    `forgotten` counts how often everything was forgotten, so that an answer on its way notices. A beat of the turn
    `ended`, or of one before it, comes too late.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        conversation: Conversation,
        listener: Listener | None = None,
        together: Together | None = None,
    ) -> None:
        # an answer is made piece by piece, by whichever thread is free: no lock that belongs to one of them
        self.lock, self.talking, self.forgotten = threading.RLock(), threading.Lock(), 0
        self.recognizer, self.conversation = recognizer, conversation
        self.live = Live(recognizer, together)
        self.dictation = Dictation(listener) if listener else None
        self.used = time.monotonic()
        self.ended = self._turn = 0
        self._last_frame = float("-inf")
        self._fresh()

    def _fresh(self) -> None:
        self.shown = Shown()
        self._fused = Smoother()
        self._alone: dict[str, Smoother] = {m: Smoother() for m in self.recognizer.model.config.modalities}

    def forget(self) -> None:
        """Buffers, readings and conversation. An answer on its way is dropped."""
        self.forgotten += 1
        with self.talking:
            self.conversation.forget()
        with self.lock:
            self.rest()
            self._fresh()

    def rest(self, turn: int = 0) -> None:
        """Camera and microphone were turned off: what came from them is let go, the last reading stays."""
        self.ended = max(self.ended, self._turn, turn)
        self.live.forget()
        if self.dictation:
            self.dictation.forget()
        if self.shown.source == "live":
            self.shown.source = "paused"

    def listen(self, text: str, at: float) -> Prediction | None:
        """Words that were typed, read together with the last seconds of camera and microphone."""
        with self.lock:
            self.live.say(text, at)
            return self.live.read(at)

    def see_and_hear(self, at: float) -> Prediction | None:
        """The last seconds of camera and microphone as they are."""
        with self.lock:
            return self.live.read(at)

    def take(self, beat: Beat, at: float) -> Shown:
        """One beat of the camera and microphone in, what is to be shown out."""
        started = time.perf_counter()
        self._turn = max(self._turn, beat.turn)
        if self.shown.source != "live":
            self._fresh()
            self.shown.source = "live"
        if beat.frame is not None and at - self._last_frame >= FASTEST:
            self._last_frame = at
            self.live.see(beat.frame, at)
        if beat.sound is not None and len(beat.sound):
            new = self.live.hear(beat.sound, beat.rate, at)
            self._dictate(self.live.sound.samples[len(self.live.sound.samples) - new :], at)
        self._show(self.live.read(at), at)
        self.shown.costs = [*self.shown.costs[-19:], time.perf_counter() - started]
        return self.shown

    def _dictate(self, samples: np.ndarray, at: float) -> None:
        if self.dictation is None:
            return
        self.dictation.hear(samples)
        if words := self.dictation.fresh():
            self.live.say(words, at)

    def _show(self, reading: Prediction | None, at: float) -> None:
        shown = self.shown
        shown.notes = dict(self.live.notes)
        shown.reading = reading
        if reading is None:
            self._fused.forget()
            shown.fused, shown.alone = None, {}
            return
        shown.fused = self._fused.add(reading.probabilities, at)
        shown.alone = {m: self._alone[m].add(r.probabilities, at) for m, r in reading.per_modality.items()}

    def show_file(self, reading: Prediction, name: str) -> Shown:
        """A reading of a file or of words, as it is: nothing to smooth."""
        self._fresh()
        self.shown.source, self.shown.reading = name, reading
        self.shown.fused = still(reading)
        self.shown.alone = {m: still(r) for m, r in reading.per_modality.items()}
        self.shown.notes = dict(reading.notes)
        return self.shown


def still(reading: Any) -> Smoothed:
    return Smoothed(emotion=reading.emotion, probabilities=dict(reading.probabilities))


class Visits:
    """The visits of this process, by the key of their tab. A key that is not known is a new, empty visit."""

    def __init__(self, new: Callable[[], Visit]) -> None:
        self._new, self._lock = new, threading.Lock()
        self._visits: OrderedDict[str, Visit] = OrderedDict()
        threading.Thread(target=_keep_watch, args=(weakref.ref(self),), daemon=True).start()

    def __len__(self) -> int:
        return len(self._visits)

    def of(self, key: str) -> Visit:
        """The visit of `key`, the most recently used one now."""
        with self._lock:
            visit = self._visits.pop(key, None) or self._new()
            visit.used = time.monotonic()
            self._visits[key] = visit
        self.sweep(most=MOST)
        return visit

    def end(self, key: str) -> None:
        """The tab was closed."""
        with self._lock:
            visit = self._visits.pop(key, None)
        if visit:
            visit.forget()

    def sweep(self, *, most: int = MOST) -> None:
        """Forget visits that rested too long, and the oldest of too many."""
        oldest, gone = time.monotonic() - IDLE, []
        with self._lock:
            while self._visits:
                key, visit = next(iter(self._visits.items()))
                if visit.used > oldest and len(self._visits) <= most:
                    break
                gone.append(self._visits.pop(key))
        for visit in gone:
            visit.forget()


def _keep_watch(visits: "weakref.ref[Visits]") -> None:
    """Idle visits are forgotten on time when nobody else comes, too."""
    while (there := visits()) is not None:
        there.sweep()
        del there
        time.sleep(WATCH)
