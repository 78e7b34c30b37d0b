"""What stands before the gate where a proxy stands before the server: its path, its TLS, and cookies of one's own.

Behind it all else works as if the server were asked directly: paths without the proxy's prefix, cookies by their plain
names. What goes out gets the prefix, the port in its cookies' names, and Secure where the browser came by TLS.
"""

import asyncio
import re
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emobraid.app.limits import ServerSettings

OURS = "emobraid_"  # how the names of our cookies begin
TLS = {"http": "https", "ws": "wss"}


class Proxied:
    """ASGI middleware, outermost. Only proxies in `settings.proxies` are believed that a browser came by TLS."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app, self.root, self.proxies = app, settings.root_path, set(settings.proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        scope = dict(scope)
        if (scope.get("client") or ("",))[0] in self.proxies:
            said = Headers(scope=scope).get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
            scope["scheme"] = TLS.get(scope["scheme"], scope["scheme"]) if said in ("https", "wss") else scope["scheme"]
        # a proxy may take its prefix off, or leave it on
        if self.root and (scope["path"] == self.root or scope["path"].startswith(self.root + "/")):
            scope["path"] = scope["path"][len(self.root) :] or "/"
            scope["raw_path"] = (scope.get("raw_path") or b"")[len(self.root.encode()) :] or b"/"
        # two servers on one host share its cookies: the port tells whose one is
        own = f"_{(scope.get('server') or ('', 0))[1]}"
        scope["headers"] = [(k, _plain(v, own) if k == b"cookie" else v) for k, v in scope["headers"]]
        secure = scope["scheme"] in TLS.values()

        async def outward(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.accept"):
                self._dress(message, own, secure=secure)
            await send(message)

        await self.app(scope, receive, outward)

    def _dress(self, message: Message, own: str, *, secure: bool) -> None:
        headers = [(k, self._cookie(v, own, secure=secure) if k.lower() == b"set-cookie" else v)
                   for k, v in message.get("headers", [])]  # fmt: skip
        message["headers"] = headers
        place = MutableHeaders(scope=message)
        if self.root and re.match(r"/(?!/)", place.get("location", "")):
            place["location"] = self.root + place["location"]

    def _cookie(self, told: bytes, own: str, *, secure: bool) -> bytes:
        text = told.decode("latin-1")
        if not text.startswith(OURS):
            return told
        name, _, rest = text.partition("=")
        if self.root:
            rest = re.sub(r"(?i)(; *path=)/?", rf"\1{self.root}/", rest, count=1)
        if secure and not re.search(r"(?i); *secure\b", rest):
            rest += "; Secure"
        return f"{name}{own}={rest}".encode("latin-1")


def _plain(sent: bytes, own: str) -> bytes:
    """A Cookie header with our cookies of this port by their plain names, and without ours of any other."""
    kept = []
    for part in sent.decode("latin-1").split(";"):
        name, equals, value = part.strip().partition("=")
        if name.startswith(OURS):
            if not name.endswith(own):
                continue
            name = name.removesuffix(own)
        kept.append(f"{name}{equals}{value}")
    return "; ".join(kept).encode("latin-1")


class EndingStreams:
    """ASGI middleware: answers of the page that never end by themselves end once the server is `stopping`."""

    ENDLESS = ("/heartbeat", "/queue/data")
    LOOK = 0.25  # seconds between looks

    def __init__(self, app: ASGIApp, stopping: Callable[[], bool]) -> None:
        self.app, self.stopping = app, stopping

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        endless = scope["type"] == "http" and any(part in scope["path"] for part in self.ENDLESS)
        await self.app(scope, self._until_stopped(receive) if endless else receive, send)

    def _until_stopped(self, receive: Receive) -> Receive:
        async def told() -> Message:
            coming = asyncio.ensure_future(receive())
            try:
                while not self.stopping():
                    if (await asyncio.wait({coming}, timeout=self.LOOK))[0]:
                        return coming.result()
                return {"type": "http.disconnect"}
            finally:
                coming.cancel()

        return told
