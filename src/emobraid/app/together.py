"""Several people read at the same time: their streams are encoded one after another, and fused side by side."""

import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from emobraid.recognizer import Prediction, Recognizer
from emobraid.stream import Stream

MOST = 16  # people in one pass


@dataclass
class _Turn:
    encoded: Mapping[str, Stream]
    notes: Mapping[str, str]
    reading: Future[Prediction] = field(default_factory=Future)


class Together:
    """One model, asked by many threads. Whoever finds it free reads for all who wait.

    A fusion is hundreds of small steps, whose cost hardly grows with the people in them. `encoding` is held by whoever
    encodes: taken at once by several threads, these steps would wait for the interpreter at each.
    """

    def __init__(self, recognizer: Recognizer) -> None:
        self.recognizer = recognizer
        self.encoding = threading.RLock()
        self._fusing, self._door = threading.Lock(), threading.Lock()
        self._waiting: list[_Turn] = []

    def read(self, encoded: Mapping[str, Stream], notes: Mapping[str, str]) -> Prediction:
        """As `Recognizer.read_encoded`, together with those who ask at the same time; it does not depend on them."""
        asked = _Turn(encoded, notes)
        with self._door:
            self._waiting.append(asked)
        with self._fusing:
            while not asked.reading.done():  # else somebody took it along
                with self._door:
                    taken, self._waiting = self._waiting[:MOST], self._waiting[MOST:]
                answer(taken, self._read)
        return asked.reading.result()

    def _read(self, taken: Sequence[_Turn]) -> list[Prediction]:
        return self.recognizer.read_all_encoded([(one.encoded, one.notes) for one in taken])


class Asked(Protocol):
    """Something to read, and where the reading is waited for."""

    @property
    def reading(self) -> Future[Prediction]: ...


A = TypeVar("A", bound=Asked)


def answer(asked: Sequence[A], read: Callable[[Sequence[A]], Sequence[Prediction]]) -> None:
    """Read all in one pass; when that fails one by one, so that one that cannot be read takes no other with it."""
    try:
        readings = read(asked)
    except Exception as error:
        if len(asked) == 1:
            asked[0].reading.set_exception(error)
            return
        for one in asked:
            answer([one], read)
        return
    for one, reading in zip(asked, readings, strict=True):
        one.reading.set_result(reading)
