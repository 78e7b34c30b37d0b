"""What a thread has finished, on its way to the loop that waits for it."""

import asyncio
from collections import deque
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar
from weakref import WeakKeyDictionary

T = TypeVar("T")


class Outbox(Generic[T]):
    """As `asyncio.wrap_future`, but the loop is woken once for all that is finished until it comes: a batch is one call
    and not sixteen, for each of which the thread would have to hand over."""

    def __init__(self) -> None:
        self._shelves: WeakKeyDictionary[asyncio.AbstractEventLoop, Shelved[T]] = WeakKeyDictionary()

    async def waited(self, work: Future[T]) -> T:
        """Its outcome. It is cancelled when whoever waits is cancelled."""
        loop = asyncio.get_running_loop()
        shelf = self._shelves.setdefault(loop, Shelved())
        waiter: asyncio.Future[T] = loop.create_future()
        work.add_done_callback(lambda done: shelf.put(loop, done, waiter))
        try:
            return await waiter
        except asyncio.CancelledError:
            work.cancel()
            raise


class Shelved(Generic[T]):
    """What is finished and not delivered yet, for one loop."""

    def __init__(self) -> None:
        self._done: deque[tuple[Future[T], asyncio.Future[T]]] = deque()
        self._called = False

    def put(self, loop: asyncio.AbstractEventLoop, work: Future[T], waiter: asyncio.Future[T]) -> None:
        self._done.append((work, waiter))
        if not self._called:
            self._called = True
            with suppress(RuntimeError):  # the loop has ended, and nobody waits
                loop.call_soon_threadsafe(self._deliver)

    def _deliver(self) -> None:
        self._called = False  # before a look: what comes later calls again
        while self._done:
            work, waiter = self._done.popleft()
            if waiter.done():
                continue
            if work.cancelled():
                waiter.cancel()
            elif (error := work.exception()) is not None:
                waiter.set_exception(error)
            else:
                waiter.set_result(work.result())
