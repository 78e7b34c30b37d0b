"""A camera and a microphone as one rolling utterance: the last seconds, with only what is new encoded.

Shapes: N samples, T frames, H x W pixels, S side of a face crop, D the fusion's width.
"""

from collections import deque

import numpy as np
import soxr
import torch
from torch import Tensor

from emobraid.app.together import Together
from emobraid.data.shelf import Input
from emobraid.decoding.blazeface import CLOSER, WHOLE
from emobraid.decoding.faces import Box, blazeface, closest, crop, near
from emobraid.encoders.base import Encoder, Utterance
from emobraid.media import SAMPLE_RATE
from emobraid.media.frames import evenly
from emobraid.recognizer import Prediction, Recognizer
from emobraid.stream import Stream

FACE_SECONDS = 2.4  # of face that a reading looks back on
VOICE_SECONDS = 3.0
VOICE_EVERY = 0.5  # seconds of new sound after which the voice is encoded again
WORDS_SECONDS = 12.0  # typed or heard words count this long
GONE = 1.5  # seconds without a picture (or a face in it), or without sound, until there is none
QUIET = 10 ** (-50 / 20)  # root mean square; a room in which nobody speaks lies below
SHORTEST = 0.4  # seconds of sound worth reading
LOOK_EVERY = 5  # frames; in between the box is held. The face moves little in a second
SEARCH_EVERY = 3  # frames, while there is no face


class FaceBox:
    """Where the face is in a running picture: looked for now and then, around its last place first, held between."""

    def __init__(self) -> None:
        self._detect = blazeface()
        self._box: Box | None = None
        self._frames = 0
        self._missed = 0

    def find(self, frame: np.ndarray) -> Box | None:
        """x, y, width, height in pixels of `frame` (H, W, 3) and the tilt, or None."""
        due = self._frames % (SEARCH_EVERY if self._box is None else LOOK_EVERY) == 0
        self._frames += 1
        if due:
            last, found = self._box, None
            if last is not None:
                found = closest(near(frame, last, self._detect), last)
            self._box = closest(self._searched(frame), None) if found is None else found
        return self._box

    def _searched(self, frame: np.ndarray) -> np.ndarray:
        """Boxes (N, 5); every fourth time in a row that there is none, small faces are looked for as well."""
        seen = self._detect(frame, WHOLE)
        self._missed = 0 if len(seen) else self._missed + 1
        return self._detect(frame, CLOSER) if self._missed % 4 == 1 else seen


class RunningSound:
    """The last VOICE_SECONDS of a microphone at 16 kHz, whatever rate the browser sends."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.samples = np.empty(0, np.float32)
        self._rate, self._resample = 0, soxr.ResampleStream(SAMPLE_RATE, SAMPLE_RATE, 1)

    def add(self, chunk: np.ndarray, rate: int) -> int:
        """Samples (N,) int16 at `rate`; returns how many came out at 16 kHz."""
        if rate != self._rate:
            self.clear()
            self._rate, self._resample = rate, soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")
        new = self._resample.resample_chunk(chunk.astype(np.float32) / 32768)
        self.samples = np.concatenate([self.samples, new])[-round(VOICE_SECONDS * SAMPLE_RATE) :]
        return len(new)

    @property
    def loudness(self) -> float:
        """Root mean square about the mean, full scale = 1."""
        return float(self.samples.std(dtype=np.float64)) if len(self.samples) else 0.0


class Live:
    """What one person shows, says and types right now. `at` is seconds of a clock that never goes back.

    Not for two threads at once; those of several people may share a `together`. Reads with any model whose face and
    voice come from raw media; a modality that the model reads from feature files only is missing, and `notes` says so.
    """

    def __init__(self, recognizer: Recognizer, together: Together | None = None) -> None:
        self.recognizer, self.together = recognizer, together or Together(recognizer)
        self.encoders: dict[str, Encoder] = recognizer.model.by_modality()
        self.frames = recognizer.config.model.video_max_frames
        self.sound, self.face = RunningSound(), FaceBox()
        self.forget()

    def forget(self) -> None:
        """Nothing seen, heard or said is left."""
        self.sound.clear()
        self.face = FaceBox()
        self.box: tuple[float, ...] | None = None  # x, y, width, height as parts of the picture
        self._crops: deque[tuple[float, Tensor]] = deque()
        self._seen = self._heard = self._said = float("-inf")
        self._new_sound = 0
        self._encoded: dict[str, Stream] = {}
        self.notes: dict[str, str] = {}

    def reads(self, modality: str) -> bool:
        """Whether this model takes `modality` from a camera, microphone or keyboard."""
        settings = self.recognizer.config.model
        return modality in self.encoders and getattr(settings, f"{modality}_encoder", "features") != "features"

    def see(self, frame: np.ndarray, at: float) -> None:
        """One picture (H, W, 3) uint8 RGB; what remains of it is a crop of the face, for FACE_SECONDS."""
        if not self.reads("video"):
            self._seen = at
            return
        box = self.face.find(frame)
        height, width = frame.shape[:2]
        self.box = None if box is None else tuple(float(v) for v in box[:4] / [width, height, width, height])
        self.show(None if box is None else crop(frame, box, self.encoders["video"].crop), at)

    def show(self, face: np.ndarray | None, at: float) -> None:
        """A face (S, S, 3) uint8 RGB that was cut out of a picture; None when there was none in it."""
        self._seen = at
        if face is not None:
            prepared = Input(self.encoders["video"].prepare(face[None]))
            self._crops.append((at, self.recognizer.preparer.finished("video", prepared).tensor))
            self._encoded.pop("video", None)
        while self._crops and self._crops[0][0] < at - FACE_SECONDS:
            self._crops.popleft()

    def hear(self, chunk: np.ndarray, rate: int, at: float) -> int:
        """A piece of sound (N,) int16 at `rate`, which goes on where the last one ended; samples it made at 16 kHz."""
        if at - self._heard > GONE:
            self.sound.clear()
        self._heard = at
        new = self.sound.add(chunk, rate)
        self._new_sound += new
        if self._new_sound >= VOICE_EVERY * SAMPLE_RATE:
            self._new_sound = 0
            self._encoded.pop("audio", None)
        return new

    def say(self, text: str, at: float) -> None:
        """Words; they count for WORDS_SECONDS, or until the next ones."""
        if self.reads("text"):
            self._said = at
            prepared = Input(self.encoders["text"].prepare(Utterance(text)))
            with self.together.encoding:
                self._encoded["text"] = self._encode("text", prepared)

    def read(self, at: float) -> Prediction | None:
        """What the last seconds express; None when there is nothing to read, and `notes` says why."""
        self.notes = {m: why for m in self.encoders if (why := self._missing(m, at))}
        if len(self.notes) == len(self.encoders):
            return None
        with self.together.encoding:
            encoded = {m: self._stream(m) for m in self.encoders}
        return self.together.read(encoded, self.notes)

    def _missing(self, modality: str, at: float) -> str:
        if not self.reads(modality):
            return "this model reads it from feature files only"
        return {"text": self._no_words, "audio": self._no_voice, "video": self._no_face}[modality](at)

    def _no_words(self, at: float) -> str:
        stream = self._encoded.get("text")
        return "not given" if at - self._said > WORDS_SECONDS or stream is None or not stream.mask.any() else ""

    def _no_voice(self, at: float) -> str:
        if at - self._heard > GONE:
            return "not given"
        if len(self.sound.samples) < SHORTEST * SAMPLE_RATE:
            return "listening ..."
        return "quiet: nobody seems to speak" if self.sound.loudness < QUIET else ""

    def _no_face(self, at: float) -> str:
        if at - self._seen > GONE:
            return "not given"
        return "" if self._crops and at - self._crops[-1][0] <= GONE else "no face in the picture"

    def _stream(self, modality: str) -> Stream:
        """The modality at the fusion's width (1, T, D), encoded again only when there is something new."""
        if modality in self.notes:
            return self._encode(modality, Input(self.encoders[modality].absent()))
        if modality not in self._encoded:
            whole = self._face() if modality == "video" else self._voice()
            self._encoded[modality] = self._encode(modality, whole)
        return self._encoded[modality]

    def _encode(self, modality: str, prepared: Input) -> Stream:
        finished = prepared if modality == "video" else self.recognizer.preparer.finished(modality, prepared)
        return self.recognizer.encode(modality, finished.tensor)

    def _face(self) -> Input:
        chosen = evenly(np.array([at for at, _ in self._crops]), self.frames)
        return Input(torch.cat([self._crops[i][1] for i in chosen]))

    def _voice(self) -> Input:
        return Input(self.encoders["audio"].prepare(self.sound.samples))
