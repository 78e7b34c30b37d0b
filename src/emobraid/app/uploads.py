"""Uploads belong to who sent them: another browser that learns a path does not get the file."""

import json
import secrets
from collections import OrderedDict
from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from urllib.parse import unquote

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "emobraid_visit"
SERVED, UPLOAD = ("/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy="), "/gradio_api/upload"
MOST = 10_000  # uploads whose owner is remembered


class Uploads:
    """ASGI middleware for a page made with Gradio, which by itself gives an upload to whoever knows its path.

    Every browser gets a random cookie (128 bits, HttpOnly, SameSite=Strict); only the one that uploaded a file may
    fetch it, everything else under /file= is refused, addresses on other hosts included.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._owners: OrderedDict[str, str] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = visitor(Headers(scope=scope))
        cookie = sent or secrets.token_hex(16)
        path = unquote(scope["path"])
        for served in SERVED:
            if served in path and not self._may(cookie, path.partition(served)[2]):
                await PlainTextResponse("this file is not yours", status_code=403)(scope, receive, send)
                return
        visit = _Visit(send, self._owners, cookie, new=not sent, upload=path.endswith(UPLOAD))
        await self.app(scope, receive, visit.send)

    def _may(self, cookie: str, asked: str) -> bool:
        owner = self._owners.get(str(Path(asked)), "")
        return secrets.compare_digest(owner, cookie)


class _Visit:
    """One answer on its way out: a newcomer gets a cookie, and who uploaded which paths is written down."""

    def __init__(self, send: Send, owners: OrderedDict[str, str], cookie: str, *, new: bool, upload: bool) -> None:
        self._send, self._owners = send, owners
        self.cookie, self.new, self.upload = cookie, new, upload
        self._body = b""

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start" and self.new:
            told = f"{COOKIE}={self.cookie}; Path=/; HttpOnly; SameSite=Strict"
            MutableHeaders(scope=message).append("Set-Cookie", told)
        elif message["type"] == "http.response.body" and self.upload:
            self._body += message.get("body", b"")
            if not message.get("more_body"):
                self._remember()
        await self._send(message)

    def _remember(self) -> None:
        try:
            paths = json.loads(self._body)
        except ValueError:
            return  # a refusal
        for path in paths if isinstance(paths, list) else []:
            self._owners[str(Path(str(path)))] = self.cookie
        while len(self._owners) > MOST:
            self._owners.popitem(last=False)


def visitor(headers: Mapping[str, str]) -> str:
    """The cookie of a browser that was here before; empty for any other."""
    jar: SimpleCookie = SimpleCookie()
    try:
        jar.load(headers.get("cookie", ""))
    except CookieError:
        return ""
    sent = jar[COOKIE].value if COOKIE in jar else ""
    return sent if len(sent) == 32 and sent.isalnum() else ""
