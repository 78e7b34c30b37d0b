"""Requests that wait are encoded together, by length, in one thread; what each gets does not depend on the others."""

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from emobraid.app.metrics import Metrics
from emobraid.app.standing_back import stand_back
from emobraid.app.together import answer
from emobraid.data.shelf import Input
from emobraid.recognizer import NothingToRead, Prediction, Recognizer, require_something

Inputs = Mapping[str, Input]  # by modality

ALIKE = 2.0  # the longest input of a batch is at most so many times its shortest: beyond that, padding costs more
ANY = 1 << 30  # utterances that may come, where nobody knows
SLACK = 16  # positions by which short ones may differ in any case


@dataclass
class Job:
    """One utterance, prepared, on its way to a reading."""

    inputs: Inputs
    reading: Future[Prediction] = field(default_factory=Future)

    @property
    def length(self) -> int:
        return sum(len(x.tensor) for x in self.inputs.values())


class Batcher:
    """The one thread that the model runs in. `submit` from anywhere; a cancelled job is passed over.

    `under_way` says how many utterances may come or are here: for others that are not there nobody waits.
    """

    def __init__(
        self,
        recognizer: Recognizer,
        *,
        max_batch: int,
        max_wait: float,
        metrics: Metrics,
        under_way: Callable[[], int] = lambda: ANY,
    ) -> None:
        self.recognizer, self.max_batch, self.max_wait, self.metrics = recognizer, max_batch, max_wait, metrics
        self.under_way = under_way
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="emobraid-model", daemon=True)
        self._thread.start()

    def submit(self, inputs: Inputs) -> Future[Prediction]:
        """A reading of prepared inputs, to come; NothingToRead when there is nothing in them."""
        job = Job(inputs)
        self._jobs.put(job)
        return job.reading

    def waiting(self) -> int:
        return self._jobs.qsize()

    def close(self) -> None:
        """Ends after what was submitted before."""
        self._jobs.put(None)
        self._thread.join()

    def _run(self) -> None:
        stand_back()
        open_ = True
        while open_:
            jobs, open_ = self._next()
            jobs = [job for job in jobs if job.reading.set_running_or_notify_cancel()]
            for batch in alike(self._through_stems(jobs)):
                answer(batch, self._read)

    def _next(self) -> tuple[list[Job], bool]:
        """The jobs of the next batch, and whether more may come: the first one waits for others, not for long."""
        jobs: list[Job] = []
        until = 0.0
        while len(jobs) < self.max_batch:
            try:
                job = self._jobs.get(timeout=self._patience(len(jobs), until))
            except queue.Empty:
                break
            if job is None:
                return jobs, False
            until = until or time.monotonic() + self.max_wait
            jobs.append(job)
        return jobs, True

    def _patience(self, here: int, until: float) -> float | None:
        """Seconds to wait for one more; None is until there is one."""
        if not here:
            return None
        return max(until - time.monotonic(), 0) if self.under_way() > here else 0

    def _through_stems(self, jobs: Sequence[Job]) -> list[Job]:
        """Those of the jobs that have something to read, through the frozen parts of the encoders."""
        there = []
        for job in jobs:
            try:
                require_something(job.inputs)
                there.append(job)
            except NothingToRead as error:
                job.reading.set_exception(error)
        try:
            made = {
                m: self.recognizer.preparer.through_stem(m, [job.inputs[m] for job in there])
                for m in self.recognizer.model.config.modalities
            }
        except Exception as error:
            for job in there:
                job.reading.set_exception(error)
            return []
        return [Job({m: made[m][i] for m in made}, job.reading) for i, job in enumerate(there)]

    def _read(self, batch: Sequence[Job]) -> list[Prediction]:
        self.metrics.batch.add(len(batch))
        return self.recognizer.read_many([job.inputs for job in batch])


def alike(jobs: Sequence[Job]) -> Iterator[list[Job]]:
    """Batches of jobs of like length, shortest first."""
    batch: list[Job] = []
    for job in sorted(jobs, key=lambda job: job.length):
        if batch and job.length > ALIKE * batch[0].length + SLACK:
            yield batch
            batch = []
        batch.append(job)
    if batch:
        yield batch
