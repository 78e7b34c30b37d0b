"""Conversations of the API, each behind a cookie that only its owner has; in memory only, forgotten when idle."""

import asyncio
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from fastapi import Request, Response

from emobraid.app.gate import cookies
from emobraid.dialogue import BuiltIn, Conversation, Responder

COOKIE = "emobraid_session"


@dataclass
class Session:
    """One person's conversation. Whoever lets it answer holds its `lock`."""

    id: str
    conversation: Conversation
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    used: float = 0.0


class Sessions:
    """At most `most` conversations; one that rested for `idle` seconds is forgotten."""

    def __init__(self, responder: Callable[[], Responder] | None, *, most: int, idle: float) -> None:
        self.responder, self.most, self.idle = responder or BuiltIn, most, idle
        self._kept: OrderedDict[str, Session] = OrderedDict()  # the one used last comes last

    def __len__(self) -> int:
        return len(self._kept)

    def of(self, request: Request) -> Session:
        """The session whose cookie was sent. An unknown cookie never becomes one: its owner gets a new name."""
        self.sweep()
        sent = cookies(request.headers).get(COOKIE, "")
        session = self._kept.get(sent) or self._new()
        session.used = time.monotonic()
        self._kept.move_to_end(session.id)
        return session

    def _new(self) -> Session:
        while len(self._kept) >= self.most:
            self._drop(next(iter(self._kept)))
        name = secrets.token_urlsafe(16)  # 128 bits
        self._kept[name] = Session(name, Conversation(None, self.responder()))
        return self._kept[name]

    def forget(self, request: Request) -> bool:
        """Everything of the session whose cookie was sent; whether there was one."""
        return self._drop(cookies(request.headers).get(COOKIE, ""))

    def _drop(self, name: str) -> bool:
        session = self._kept.pop(name, None)
        if session is not None:
            session.conversation.forget()
        return session is not None

    def sweep(self) -> None:
        """Forget those that rested for too long."""
        now = time.monotonic()
        while self._kept and now - next(iter(self._kept.values())).used > self.idle:
            self._drop(next(iter(self._kept)))


def give_cookie(response: Response, session: Session, request: Request) -> None:
    response.set_cookie(
        COOKIE, session.id, path="/v1", httponly=True, samesite="strict", secure=request.url.scheme == "https"
    )
