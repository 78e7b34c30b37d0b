"""uvicorn's HTTP protocol with an end to patience: it has none of its own for who sends or reads one byte a minute."""

import asyncio
from typing import Any, ClassVar

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from emobraid.app.limits import ServerSettings


class PatientProtocol(H11Protocol):
    """Hangs up when headers, body or the reading of an answer take longer than `settings` allow."""

    settings: ClassVar[ServerSettings] = ServerSettings()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        patience = self.settings
        times = (patience.header_seconds, patience.body_seconds, patience.reader_seconds)
        self.patience = {"headers": times[0], "body": times[1], "reader": times[2]}
        self._pulse = min(1.0, min(times) / 4)
        self._waits_for = ""
        self._since = 0.0
        self._unread = 0  # bytes of an answer that wait for their reader
        self._watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._watch is not None:
            self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        """Once a pulse: what do we wait for, and since when?"""
        now = self.loop.time()
        unread = self.transport.get_write_buffer_size()
        waits_for = self._awaited(unread)
        if waits_for != self._waits_for or (waits_for == "reader" and unread < self._unread):
            self._waits_for, self._since = waits_for, now
        self._unread = unread
        if waits_for and now - self._since > self.patience[waits_for]:
            self.transport.abort()  # close() would wait for its reader
            return
        if self.transport.get_protocol() is self:  # else a WebSocket, which has pings
            self._watch = self.loop.call_later(self._pulse, self._look)

    def _awaited(self, unread: int) -> str:
        """Who keeps us waiting; nobody while we work, or between requests, where uvicorn's keep-alive counts."""
        if unread:
            return "reader"
        if self.conn.their_state is h11.SEND_BODY:
            return "body"
        fresh = self.cycle is None or self.conn.trailing_data[0]
        return "headers" if self.conn.their_state is h11.IDLE and fresh else ""


def protocol_for(settings: ServerSettings) -> type[PatientProtocol]:
    """The protocol class that uvicorn makes one of for each connection."""
    return type("Protocol", (PatientProtocol,), {"settings": settings})
