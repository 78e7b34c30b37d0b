"""Tasks of a study side by side, each in a process of its own, or one after the other in this one.

A task's result hangs on the task alone: torch computes with the same number of threads whatever the number of jobs.
"""

import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Self

import torch

from emobraid.config import Config
from emobraid.study.relay import FORKS, Told, work_in_child
from emobraid.training.run import TrainingReporter
from emobraid.training.signals import Interrupted, StopRequests


class TaskDied(RuntimeError):
    """The process of a task ended without a word, killed by somebody or for want of memory."""

    exit_code = 1


@dataclass(frozen=True, kw_only=True)
class Task:
    """Some of a study's work; `work` can be pickled, and so can what it returns."""

    name: str
    work: Callable[[TrainingReporter], Any]
    after: tuple[str, ...] = ()  # names of tasks whose results this one reads from disk
    long: bool = False  # begun before the others, so that it is not alone at the end
    kept: Path | None = None  # where this is, only reading is left, which needs no process


def usual_jobs(config: Config) -> int:
    """As many as there are cores; one where a task uses all of them, or the GPU, by itself."""
    if threads(config) is None or _launched_together():
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def jobs_for(config: Config, asked: int | None) -> int:
    """What was asked, or the usual; ValueError where `torchrun` already shares every training out."""
    if asked and asked > 1 and _launched_together():
        raise ValueError("jobs: under torchrun the processes share each training; leave --jobs out, or torchrun")
    return asked or usual_jobs(config)


def _launched_together() -> bool:
    return int(os.environ.get("WORLD_SIZE", "1")) > 1


def threads(config: Config) -> int | None:
    """Torch's threads in every task of a study. One suits small models, which gain nothing from a second; None, as many
    as there are, is for pretrained encoders and GPUs."""
    model = config.model
    large = any(getattr(model, f"{m}_encoder") == "pretrained" for m in model.modalities)
    gpu = config.training.device == "auto" and torch.cuda.is_available()
    return None if large or gpu else 1


@contextmanager
def computing_with(count: int | None) -> Iterator[None]:
    """Torch with so many threads inside the block; None leaves it as it is."""
    before = torch.get_num_threads()
    torch.set_num_threads(count or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def run_tasks(
    tasks: Sequence[Task], reporter: TrainingReporter, *, jobs: int, threads: int | None
) -> Iterator[tuple[Task, Any]]:
    """Each task with what it returned, as it ends. A task's error ends the others politely and is raised; Interrupted
    after a requested stop, TaskDied when a process is gone."""
    if jobs == 1 or len(tasks) == 1:
        for task in tasks:
            with computing_with(threads):
                made = task.work(reporter)
            yield task, made
        return
    with StopRequests() as stop, Crew(reporter, stop, threads) as crew:
        yield from crew.run(sorted(tasks, key=lambda t: not t.long), jobs)


@dataclass(frozen=True, kw_only=True)
class _Running:
    task: Task
    process: BaseProcess
    told: Told
    shown: AbstractContextManager[TrainingReporter]


class Crew:
    """The processes at work. None of them outlives the block, nor this process."""

    def __init__(self, reporter: TrainingReporter, stop: StopRequests, threads: int | None) -> None:
        self.reporter, self.stop, self.threads = reporter, stop, threads
        self.running: dict[Connection, _Running] = {}
        self.error: Exception | None = None  # the first that a task ended with
        self.asked = False  # they know that they are to stop

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for one in self.running.values():
            one.process.kill()
            one.process.join()
            one.shown.__exit__(None, None, None)

    def run(self, tasks: Sequence[Task], jobs: int) -> Iterator[tuple[Task, Any]]:
        queue, done = list(tasks), set[str]()
        while queue or self.running:
            ready = [t for t in queue if done.issuperset(t.after)]
            for task in (t for t in ready if t.kept and t.kept.is_file()):
                queue.remove(task)
                done.add(task.name)
                yield task, task.work(self.reporter)
            for task in [t for t in ready if t in queue][: jobs - len(self.running)]:
                queue.remove(task)
                self._start(task)
            for task, made in self._listen():
                done.add(task.name)
                yield task, made
            if self.error or self.stop.number is not None:
                queue = []
                self._ask_to_stop()
        if self.stop.number is not None:
            raise Interrupted(self.stop.number)
        if self.error:
            raise self.error

    def _start(self, task: Task) -> None:
        here, there = FORKS.Pipe(duplex=False)
        process = FORKS.Process(target=work_in_child, args=(there, task.work, self.threads), name=task.name)
        process.start()
        there.close()
        shown = self.reporter.named(task.name)
        self.running[here] = _Running(task=task, process=process, told=Told(shown.__enter__()), shown=shown)

    def _listen(self) -> Iterator[tuple[Task, Any]]:
        """Pass on what the tasks tell; those that are done, with what they returned."""
        for connection in wait(list(self.running), timeout=0.1):
            assert isinstance(connection, Connection)
            one = self.running[connection]
            try:
                kind, *told = connection.recv()
            except EOFError:
                self._gone(connection)
                self.error = self.error or self._died(one)
                continue
            if kind == "done":
                self._gone(connection)
                yield one.task, told[0]
            elif kind == "failed":
                self._gone(connection)
                self.error = self.error or told[0]
            else:
                one.told.hear(kind, *told)

    def _gone(self, connection: Connection) -> None:
        one = self.running.pop(connection)
        one.process.join()
        connection.close()
        one.shown.__exit__(None, None, None)

    def _died(self, one: _Running) -> TaskDied:
        code = one.process.exitcode
        how = f"killed by signal {-code}" if code is not None and code < 0 else f"gone with exit status {code}"
        hint = "; if memory was short, --jobs 1 needs less" if code == -signal.SIGKILL else ""
        return TaskDied(f"{one.task.name}: its process was {how}{hint}. What is done is kept: the same command goes on")

    def _ask_to_stop(self) -> None:
        """Once; whoever trains ends its step and saves."""
        if not self.asked:
            self.asked = True
            for one in self.running.values():
                one.process.terminate()
