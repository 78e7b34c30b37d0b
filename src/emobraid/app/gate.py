"""What stands before every route: who may ask, how much, how it is told, and what a browser must not do with it.

Pure ASGI, because a body has to be counted as it comes: what was buffered first has cost its memory already.
"""

import asyncio
import contextlib
import hmac
import re
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs, urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, RedirectResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from emobraid.app.bounds import BodyCount
from emobraid.app.limits import ServerSettings
from emobraid.app.metrics import Metrics
from emobraid.app.refusals import ClientLeft, Refusal, answer, of_any

TOKEN_COOKIE = "emobraid_token"  # noqa: S105  a name
HEALTH = ("/livez", "/readyz")
OWN = (*HEALTH, "/metrics", "/openapi.json", "/v1/")
ELSEWHERE = (
    "a page of another origin asked for this; only the server's own pages may. Behind a proxy, let it pass on the name "
    "that the browser asked for (nginx: proxy_set_header Host $http_host)"
)
MOMENT = 0.02  # seconds that the answer to a refused short body waits for its end
LINGER = 2.0  # seconds that a refused body is read and thrown away, so that its sender gets to read why

#: for what this API answers: nothing in it is a page
STRICT = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'; object-src 'none'"
#: for the page, whose own scripts and styles are inline
PAGE = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; "
    "worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'self'; form-action 'self'; object-src 'none'"
)
SAFE_HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(self), geolocation=()",
}


class Gate:
    """Refuses strangers and bodies that are too large, gives every request an id and every answer safe headers.

    `early` may answer or refuse what can be told at once, so that in a flood it costs no more than it must.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        metrics: Metrics,
        early: Callable[[Scope], dict[str, str] | None] = lambda _: None,
    ) -> None:
        self.app, self.settings, self.metrics, self.early = app, settings, metrics, early
        self.buffered = 0  # bytes of all bodies on their way
        self.names = {"127.0.0.1", "localhost", "::1", settings.host.lower(), *map(str.lower, settings.hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        request_id = secrets.token_hex(8)
        scope.setdefault("state", {})["request_id"] = request_id
        visit = Visit(scope, receive, send, self, request_id)
        try:
            if (redirect := self._take_token(scope)) is not None:
                await redirect(scope, receive, visit.send)
                return
            self._admit(scope)
            visit.check_length()
            if (told := self.early(scope)) is not None:
                await JSONResponse(told)(scope, visit.receive, visit.send)
                return
            await self.app(scope, visit.receive, visit.send)
        except (ClientLeft, ClientDisconnect):
            self.metrics.left += 1
        except Exception as error:
            await visit.refuse(of_any(error, request_id))
        finally:
            visit.end()

    def _admit(self, scope: Scope) -> None:
        headers = Headers(scope=scope)
        if scope["path"] in HEALTH:
            return  # whoever watches the server may know it by any name, and learns nothing
        host = headers.get("host", "")
        if self.settings.local and (name := _name(host)) not in self.names:
            raise Refusal(403, f"this server is not called {name!r}; --hosts names what else it may be called")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc.lower() != host.lower():
            raise Refusal(403, ELSEWHERE)
        if self.settings.token is not None and not self._has_token(headers):
            raise Refusal(401, "a token is needed: send the header Authorization: Bearer TOKEN")

    def _has_token(self, headers: Headers) -> bool:
        scheme, _, sent = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            sent = cookies(headers).get(TOKEN_COOKIE, "")
        return self._is_token(sent.strip())

    def _is_token(self, sent: str) -> bool:
        return hmac.compare_digest(sent.encode(errors="replace"), (self.settings.token or "").encode())

    def _take_token(self, scope: Scope) -> RedirectResponse | None:
        """A browser that comes with ?token=TOKEN gets a cookie for it, and an address without it."""
        if self.settings.token is None or scope["type"] != "http" or scope["method"] != "GET":
            return None
        [sent] = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[:1]
        if not sent or not self._is_token(sent):
            return None
        # one slash: two would name another host
        redirect = RedirectResponse("/" + scope["path"].lstrip("/\\"), status_code=303)
        redirect.set_cookie(TOKEN_COOKIE, sent, httponly=True, samesite="strict", secure=scope["scheme"] == "https")
        return redirect


class Visit:
    """One request on its way through the gate: its body counted, its answer given headers."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, gate: Gate, request_id: str) -> None:
        self.scope, self.gate, self.request_id = scope, gate, request_id
        self._receive, self._send = receive, send
        self.bytes = 0
        self._count: BodyCount | None = None
        self.ended = scope["type"] != "http"  # whether the body has been received
        self.started = False
        self.excess: Refusal | None = None
        self.since = time.perf_counter()
        self.status = 0

    def check_length(self) -> None:
        """A body that is announced as too long is refused before any of it is read."""
        length = Headers(scope=self.scope).get("content-length", "")
        if length.isdecimal() and (len(length) > 15 or int(length) > self.gate.settings.upload):
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal(413, f"the request is larger than {self.gate.settings.upload_mb:g} MB; send less")

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self.ended = not message.get("more_body", False)
            self.bytes += size
            self.gate.buffered += size
            if self.bytes > self.gate.settings.upload:
                self.excess = self._too_large()
            elif self.gate.buffered > self.gate.settings.buffered:
                self.excess = Refusal(503, "too much is being sent at once; try again", retry_after=1)
            else:
                self._look_into(message.get("body", b""))
            if self.excess:
                raise self.excess
        return message

    def _look_into(self, chunk: bytes) -> None:
        """A body may be short enough and still hold more than can be looked at in good time."""
        if self._count is None:
            most, page = self.gate.settings.text_characters, not self.scope["path"].startswith(OWN)
            self._count = BodyCount(Headers(scope=self.scope), most, page=page)
        try:
            self._count.add(chunk)
        except Refusal as refusal:
            self.excess = refusal

    async def send(self, message: Message) -> None:
        if self.excess and not self.started:  # whatever a part behind us made of the refusal, this is what is told
            raise self.excess
        if message["type"] == "http.response.start":
            self.started, self.status = True, message["status"]
            self._dress(MutableHeaders(scope=message))
        elif message["type"] == "websocket.accept":
            self.started, self.status = True, 101
            self._dress(MutableHeaders(scope=message))
        await self._send(message)

    def _dress(self, headers: MutableHeaders) -> None:
        headers["X-Request-ID"] = self.request_id
        own = self.scope["path"].startswith(OWN)
        for name, value in {**SAFE_HEADERS, "Content-Security-Policy": STRICT if own else PAGE}.items():
            headers.setdefault(name, value)
        if own:
            headers.setdefault("Cache-Control", "no-store")

    async def refuse(self, refusal: Refusal) -> None:
        if self.started:
            return  # half an answer cannot be taken back; the connection ends
        if self.scope["type"] == "websocket":
            self.status = 403
            await self._send({"type": "websocket.close", "code": 1008, "reason": refusal.sentence[:100]})
            return
        self.excess = None
        if not self.ended and self._is_short():  # most likely it is here already, and the connection can stay
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._throw_away(), MOMENT)
        response = answer(refusal, self.request_id)
        if not self.ended:
            response.headers["Connection"] = "close"
        start: Message = {"type": "http.response.start", "status": refusal.status, "headers": response.raw_headers}
        await self.send(start)
        await self._send({"type": "http.response.body", "body": response.body, "more_body": not self.ended})
        if not self.ended:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._throw_away(), LINGER)
            await self._send({"type": "http.response.body", "body": b""})

    async def _throw_away(self) -> None:
        while (message := await self._receive())["type"] == "http.request" and message.get("more_body"):
            pass
        self.ended = True

    def _is_short(self) -> bool:
        length = Headers(scope=self.scope).get("content-length", "")
        return length.isdecimal() and len(length) < 6 and self.bytes == 0

    def end(self) -> None:
        self.gate.buffered -= self.bytes
        self.gate.metrics.answered(self.scope, self.status, time.perf_counter() - self.since, self.request_id)


def cookies(headers: Headers) -> dict[str, str]:
    """Names and values of the cookies that were sent."""
    jar: SimpleCookie = SimpleCookie()
    with contextlib.suppress(CookieError):
        jar.load(headers.get("cookie", ""))
    return {name: morsel.value for name, morsel in jar.items()}


def _name(host: str) -> str:
    """The name in a Host header, without its port."""
    found = re.fullmatch(r"\[([0-9a-f:.]+)\](:\d+)?|([^:]*)(:\d+)?", host.lower())
    return (found[1] or found[3] or "") if found else host
