"""uvicorn's protocols with an end to patience.

They have none of their own for who sends or reads one byte a minute, nor for who sends a megabyte in pieces of one
byte, each of which costs as much as a thousand.
"""

import asyncio
import socket
import time
from typing import Any, ClassVar, cast

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from emobraid.app.limits import ServerSettings

SLICE = 1 << 14  # bytes taken from a connection before others have their turn
LONG = 0.002  # seconds of this thread that a slice may take; an honest one takes a fortieth of that
REST = 9.0  # times as long as such a slice its connection is not listened to: its share is a tenth of the time
PIECES = 1000  # frames that a WebSocket message may come in
UNREAD = 1 << 20  # bytes of answers, such as those to pings, that may wait for who reads a WebSocket


def take_in_slices(transport: asyncio.Transport) -> None:
    """Small reads, for turns that are short, and answers that leave at once."""
    vars(transport)["max_size"] = SLICE  # asyncio's own transport reads as much at once, else 262,144
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in (socket.AF_INET, socket.AF_INET6):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def let_rest(protocol: "PatientProtocol | PatientSocket", since: float) -> None:
    """After a slice that took long its connection waits, so that the loop is there for others."""
    took = time.thread_time() - since
    if took > LONG and not protocol.transport.is_closing():
        protocol.transport.pause_reading()
        protocol.loop.call_later(REST * took, listen_again, protocol)


def listen_again(protocol: "PatientProtocol | PatientSocket") -> None:
    flow = protocol.flow if isinstance(protocol, PatientProtocol) else protocol
    if not protocol.transport.is_closing() and not flow.read_paused:
        protocol.transport.resume_reading()


class Gathered:
    """A transport that writes once a turn of the loop what uvicorn gives it in parts: head and body of an answer."""

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport, self._loop = transport, loop
        self._parts: list[bytes] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if data and not self._parts:
            self._loop.call_soon(self._flush)
        if data:
            self._parts.append(data)

    def _flush(self) -> None:
        parts, self._parts = self._parts, []
        if parts:
            self._transport.write(b"".join(parts))

    def get_write_buffer_size(self) -> int:
        return self._transport.get_write_buffer_size() + sum(map(len, self._parts))

    def close(self) -> None:
        self._flush()
        self._transport.close()


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
        take_in_slices(transport)
        super().connection_made(cast(asyncio.Transport, Gathered(transport, self.loop)))
        self._look()

    def data_received(self, data: bytes) -> None:
        since = time.thread_time()
        super().data_received(data)
        if self.transport.get_protocol() is self:
            let_rest(self, since)

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


class PatientSocket(WebSocketsSansIOProtocol):
    """A WebSocket that is read in turns, and whose messages come in pieces of some size."""

    def data_received(self, data: bytes) -> None:
        since = time.thread_time()
        super().data_received(data)
        if self.transport.get_write_buffer_size() > UNREAD:
            self.transport.abort()
        let_rest(self, since)

    def handle_cont(self, event: Any) -> None:
        if len(self.frames) >= PIECES:
            self.transport.abort()
            return
        super().handle_cont(event)


def protocol_for(settings: ServerSettings) -> type[PatientProtocol]:
    """The protocol class that uvicorn makes one of for each connection."""
    return type("Protocol", (PatientProtocol,), {"settings": settings})
