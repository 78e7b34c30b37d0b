"""The process of a task, and what it tells: everything that its reporter hears is heard by the study's own."""

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import copy
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import FrameType
from typing import Any, Self

import torch

from emobraid.config import Config
from emobraid.data.preparer import Progress
from emobraid.training.run import TrainingReporter
from emobraid.training.signals import Interrupted, StopRequests
from emobraid.training.state import Standing, Watcher

#: where there are forks, what takes seconds to import is imported once for all tasks
FORKS: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)
if FORKS.get_start_method() == "forkserver":
    FORKS.set_forkserver_preload(["emobraid.study.suite", "emobraid.training.display"])
OFTEN = 0.1  # seconds between two tellings of how far a task has come


class Relayed:
    """The reporter of a task: it sends on what it hears."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.bars = 0

    def say(self, line: str) -> None:
        self.connection.send(("say", line))

    def progress(self, task: str) -> Progress:
        self.bars += 1
        own, last = self.bars, [0.0]
        self.connection.send(("progress", own, task))

        def report(done: int, of: int) -> None:
            if done >= of or time.monotonic() - last[0] > OFTEN:
                last[0] = time.monotonic()
                self.connection.send(("progressed", own, done, of))

        return report

    @contextmanager
    def named(self, name: str) -> Iterator[Self]:
        yield self

    def watchers(self, config: Config, folder: Path, first_step: int, total_steps: int) -> Sequence[Watcher]:
        self.connection.send(("watchers", config, folder, first_step, total_steps))
        return [self]

    def step(self, standing: Standing, values: Mapping[str, float]) -> None:
        self.connection.send(("step", standing, dict(values)))

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None:
        self.connection.send(("epoch", standing, dict(values)))


class Told:
    """What a task tells, handed to a reporter of this process."""

    def __init__(self, reporter: TrainingReporter) -> None:
        self.reporter = reporter
        self.bars: dict[int, Progress] = {}
        self.watching: Sequence[Watcher] = ()

    def hear(self, kind: str, *told: Any) -> None:
        if kind == "say":
            self.reporter.say(*told)
        elif kind == "progress":
            self.bars[told[0]] = self.reporter.progress(told[1])
        elif kind == "progressed":
            self.bars[told[0]](*told[1:])
        elif kind == "watchers":
            self.watching = self.reporter.watchers(*told)
        else:
            for watcher in self.watching:
                getattr(watcher, kind)(*told)


def work_in_child(connection: Connection, work: Callable[[TrainingReporter], Any], threads: int | None) -> None:
    """Do a task's work and tell what it returned, or the error that it ended with."""
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl-C reaches the study alone, which asks its tasks to stop
    threading.Thread(target=_end_with_parent, daemon=True).start()
    for watched in StopRequests.WATCHED:
        signal.signal(watched, _stop)
    torch.set_num_threads(threads or torch.get_num_threads())
    try:
        told: tuple[str, Any] = ("done", work(Relayed(connection)))
    except KeyboardInterrupt:
        told = ("failed", Interrupted(signal.SIGINT))
    except Exception as error:
        told = ("failed", portable(error))
    connection.send(told)


def _stop(number: int, frame: FrameType | None) -> None:
    """Outside a training, which would save itself, nothing is lost by stopping at once."""
    raise Interrupted(number)


def _end_with_parent() -> None:
    """A task whose study was killed has nobody to work for."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os._exit(1)


def portable(error: Exception) -> Exception:
    """The error itself where it can be pickled, else its name and words; --debug shows where it was raised."""
    raised = "".join(traceback.format_exception(error))
    try:
        copied = copy(error)  # made again in the same way as from a pickle
        kept: Exception = error if str(copied) == str(error) else RuntimeError(f"{type(error).__name__}: {error}")
    except Exception:
        kept = RuntimeError(f"{type(error).__name__}: {error}")
    kept.add_note(raised)
    return kept
