"""Speech to text, off unless asked for: a Whisper model on this disk, and when to ask it."""

from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
import torch

from emobraid.app.live import QUIET
from emobraid.encoders import hub
from emobraid.media import SAMPLE_RATE

STEP = SAMPLE_RATE // 4  # samples that are judged loud or quiet at once
PAUSE = 2  # quiet steps that end an utterance
SHORTEST, LONGEST = 3, 60  # steps of an utterance


class Listener(Protocol):
    """Whoever writes down speech. `name` is shown on the page."""

    name: str

    def write(self, samples: np.ndarray) -> str:
        """The words in samples (N,) float32 at 16 kHz."""
        ...


class Whisper:
    """A Whisper model (Radford et al. 2022, arXiv:2212.04356) from a folder, or from the hub's cache on this disk."""

    def __init__(self, name: str) -> None:
        from transformers import AutoFeatureExtractor, AutoTokenizer, WhisperForConditionalGeneration

        folder = hub.locate(name)
        self.name = name
        try:
            self._features = AutoFeatureExtractor.from_pretrained(folder, local_files_only=True)
            self._tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model = WhisperForConditionalGeneration.from_pretrained(folder, local_files_only=True).eval()
        except (OSError, ValueError, KeyError) as error:
            raise ValueError(f"{name}: not a Whisper model that can be loaded ({error})") from None

    @torch.no_grad()
    def write(self, samples: np.ndarray) -> str:
        """The words in samples (N,) float32 at 16 kHz, in the language that Whisper takes them for."""
        heard = self._features(samples, sampling_rate=SAMPLE_RATE, return_tensors="pt").input_features
        longest = self._model.config.max_target_positions - 4  # beside the tokens it starts with
        written = self._model.generate(heard, max_new_tokens=min(128, longest))
        return str(self._tokens.decode(written[0], skip_special_tokens=True)).strip()


class Speech:
    """Cuts running sound into utterances: something loud, up to a pause."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        self._rest = np.empty(0, np.float32)
        self._steps: list[np.ndarray] = []
        self._quiet = 0

    def add(self, samples: np.ndarray) -> np.ndarray | None:
        """Samples (N,) at 16 kHz that follow the last ones; the utterance that ended with them, or None."""
        self._rest = np.concatenate([self._rest, samples])
        ended = None
        while len(self._rest) >= STEP:
            step, self._rest = self._rest[:STEP], self._rest[STEP:]
            ended = self._step(step) if ended is None else np.concatenate([ended, step])
        return ended

    def _step(self, step: np.ndarray) -> np.ndarray | None:
        loud = step.std(dtype=np.float64) >= QUIET
        if not loud and not self._steps:
            return None
        self._steps.append(step)
        self._quiet = 0 if loud else self._quiet + 1
        if self._quiet < PAUSE and len(self._steps) < LONGEST:
            return None
        utterance, self._steps, self._quiet = self._steps, [], 0
        return np.concatenate(utterance) if len(utterance) - PAUSE >= SHORTEST else None


class Dictation:
    """One person's speech on its way to words: written down in the background, one utterance at a time for all."""

    _worker = ThreadPoolExecutor(1, thread_name_prefix="speech-to-text")

    def __init__(self, listener: Listener) -> None:
        self.listener, self.speech = listener, Speech()
        self.forget()

    def forget(self) -> None:
        self.speech.forget()
        self._said: list[str] = []  # since the last turn
        self._new: list[str] = []  # since they were last asked for
        self._visit = object()  # what was spoken before does not count any more

    def hear(self, samples: np.ndarray) -> None:
        """Samples (N,) at 16 kHz that follow the last ones."""
        if (utterance := self.speech.add(samples)) is not None:
            self._worker.submit(self._write, utterance, self._visit)

    def _write(self, utterance: np.ndarray, visit: object) -> None:
        words = self.listener.write(utterance)
        if words and visit is self._visit:
            self._said.append(words)
            self._new.append(words)

    def fresh(self) -> str:
        """Words that were written down since this was last asked."""
        new, self._new = self._new, []
        return " ".join(new)

    @property
    def said(self) -> str:
        """Everything since the last turn."""
        return " ".join(self._said)

    def turn(self) -> str:
        """The same, and a new turn begins."""
        said, self._said = self.said, []
        return said
