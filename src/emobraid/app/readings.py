"""From a request's words and files to a reading: taken or refused at once, decoded, batched, given up in time."""

import asyncio
from collections.abc import Awaitable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from fastapi import Request

from emobraid.app.batching import Batcher
from emobraid.app.limits import ServerSettings
from emobraid.app.metrics import Metrics
from emobraid.app.outbox import Outbox
from emobraid.app.refusals import ClientLeft, Refusal
from emobraid.app.standing_back import stand_back
from emobraid.data.corpus import Cell, Sample
from emobraid.data.preparer import Preparer
from emobraid.data.shelf import Input
from emobraid.media import Limits, MediaBytes, MediaReader
from emobraid.recognizer import Prediction, Recognizer

T = TypeVar("T")

SHARES = 4  # a file that others wait for may take this part of the time that it may take alone


class Readings:
    """One recognizer for many clients. All of them share its decoder processes and its one model thread."""

    def __init__(self, recognizer: Recognizer, settings: ServerSettings, metrics: Metrics) -> None:
        config = recognizer.config
        for m in config.model.modalities:
            if getattr(config.model, f"{m}_encoder") == "features":
                raise ValueError(f"this model reads feature files for {m}, not recordings; serve one that reads those")
        self.recognizer, self.settings, self.metrics = recognizer, settings, metrics
        limits = Limits(
            seconds=settings.media_seconds, deadline=settings.decode_seconds, share=settings.decode_seconds / SHARES
        )
        self.reader = MediaReader(workers=settings.decoders, limits=limits)
        encoders = recognizer.model.by_modality()
        frames, half = config.model.video_max_frames, config.data.half_features
        self.preparer = Preparer(encoders, self.reader, max_frames=frames, half=half)
        # twice as many as there are decoders: who holds one for long must see that others wait
        self._decoding = ThreadPoolExecutor(2 * settings.decoders, "emobraid-media", stand_back)
        self.long = ThreadPoolExecutor(1, "emobraid-timeline", stand_back)  # one at a time
        self._words = ThreadPoolExecutor(1, "emobraid-words", stand_back)  # never waits for somebody's film
        self._outbox: Outbox[Prediction] = Outbox()
        self.under_way = 0
        self.batcher = Batcher(
            recognizer,
            max_batch=settings.max_batch,
            max_wait=settings.max_wait_ms / 1000,
            metrics=metrics,
            under_way=lambda: self.under_way,
        )
        metrics.gauges["emobraid_requests_under_way"] = ("Requests that were taken.", lambda: self.under_way)
        metrics.gauges["emobraid_batch_waiting"] = ("Utterances that wait for the model.", self.batcher.waiting)

    def close(self) -> None:
        """Ends children and threads. What still waits is cancelled."""
        for pool in (self._decoding, self._words, self.long):
            pool.shutdown(wait=False, cancel_futures=True)
        self.reader.close()
        self.batcher.close()

    def refuse_when_full(self) -> None:
        """A Refusal when all places are taken: said before a body is read, it costs little."""
        if self.under_way >= self.settings.queue:
            raise Refusal(503, "the server is busy; try again in a moment", retry_after=1)

    @contextmanager
    def place(self) -> Iterator[None]:
        """One of the places for requests under way; a Refusal when all are taken."""
        self.refuse_when_full()
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def read(self, text: str | None, files: Mapping[str, MediaBytes], *, sound: bool = True) -> Prediction:
        """What an utterance expresses; NothingToRead and MediaError as from `Recognizer.predict`."""
        inputs = await self.prepared(text, files, sound=sound)
        return await self._outbox.waited(self.batcher.submit(inputs))

    async def prepared(self, text: str | None, files: Mapping[str, MediaBytes], *, sound: bool) -> dict[str, Input]:
        """Decoded and ready for the model."""
        known = self.recognizer.model.config.modalities
        given: dict[str, Cell] = {**files} if text is None else {"text": text, **files}
        for modality in given:
            if modality not in known:
                raise Refusal(422, f"this model reads {', '.join(known)}, not {modality}")
        own_sound = sound and "video" in files and "audio" not in files
        cells: dict[str, Cell] = {m: given.get(m) for m in known}
        sample = Sample(id="", group="", cells=cells, sound_from_video=own_sound, label=None)
        pool = self._decoding if files else self._words
        return await asyncio.get_running_loop().run_in_executor(pool, self._prepare, sample)

    def _prepare(self, sample: Sample) -> dict[str, Input]:
        return {m: self.preparer.prepared(m, sample) for m in sample.cells}


async def while_waited_for(request: Request, work: Awaitable[T], seconds: float) -> T:
    """The outcome of `work`. It is cancelled when the client leaves (ClientLeft), or after `seconds` (a Refusal)."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_departure(request))
    try:
        await asyncio.wait({task, gone}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        if gone.done():
            raise ClientLeft
        raise Refusal(504, f"no answer within {seconds:g} s; send less, or try again later", retry_after=5)
    finally:
        for unfinished in (task, gone):
            unfinished.cancel()
        await asyncio.wait({task, gone})


async def _departure(request: Request) -> None:
    """Ends when the client has left: behind the body, nothing else can come."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
