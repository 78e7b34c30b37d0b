"""Ctrl-C and SIGTERM: the first asks the run to finish its step and save, the second stops at once."""

import signal
from types import FrameType
from typing import Self


class Interrupted(Exception):
    """The run was asked to stop and has saved itself."""

    def __init__(self, number: int) -> None:
        super().__init__("stopped and saved; --resume continues")
        self.exit_code, self.number = 128 + number, number

    def __reduce__(self) -> tuple[type[Self], tuple[int]]:
        """Sent between processes, it is made again from its number."""
        return type(self), (self.number,)


class StopRequests:
    """While active, `number` is the signal that asked for a stop, or None."""

    WATCHED = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.number: int | None = None

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            raise KeyboardInterrupt
        self.number = number

    def __enter__(self) -> Self:
        self._former = {s: signal.signal(s, self._note) for s in self.WATCHED}
        return self

    def __exit__(self, *_: object) -> None:
        for watched, handler in self._former.items():
            signal.signal(watched, handler)
