"""`emobraid serve`: the HTTP API, and the page beside it, until told to stop."""

import logging
import os
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI

from emobraid.app.launching import find_model, share_cores
from emobraid.app.limits import ServerSettings
from emobraid.app.protocol import PatientSocket, protocol_for
from emobraid.app.proxied import EndingStreams, Proxied
from emobraid.app.server import create_app
from emobraid.dialogue import BuiltIn, Llm, Responder
from emobraid.recognizer import Recognizer

TOKEN = "EMOBRAID_TOKEN"  # noqa: S105  the name of a variable
LARGEST_MESSAGE = 16 << 20  # bytes of a WebSocket message: a picture of 12 megapixels, well compressed
#: seconds after which the model's thread must hand over to the one that answers, which may wait that long after each of
#: its system calls; Python's own is 0.005
SWITCH = 0.00005
PINGS = 20.0  # seconds between pings, and until an unanswered one ends a WebSocket


def serve(
    model_path: Path | None,
    settings: ServerSettings,
    *,
    llm_url: str | None = None,
    llm_model: str | None = None,
    page: bool = True,
) -> int:
    """Serve the model in a folder; returns the exit code. ValueError or OSError when it cannot be started."""
    settings = with_token(settings)
    folder, synthetic = find_model(model_path)
    responder = responder_of(llm_url, llm_model)
    share_cores()
    app = create_app(lambda: Recognizer.from_pretrained(folder), settings, responder=responder)
    if page:
        from emobraid.app.page import mount

        app = mount(app, synthetic=synthetic)
    with listening(settings) as sock:
        port = sock.getsockname()[1]
        tell(f"http://{shown(settings.host)}:{port}  (the model is being loaded; Ctrl-C stops)", settings)
        return run(app, settings, sock)


def responder_of(llm_url: str | None, llm_model: str | None) -> Callable[[], Responder]:
    """Who answers in a new conversation; ValueError when a language model is named by half."""
    if (llm_url is None) != (llm_model is None):
        raise ValueError("--llm_url and --llm_model belong together")
    if llm_url is None or llm_model is None:
        return BuiltIn
    url, model = llm_url, llm_model
    Llm(url, model)  # says at once what is wrong with them
    return lambda: Llm(url, model)


def with_token(settings: ServerSettings) -> ServerSettings:
    """The settings with the token of the environment; ValueError when others could come in without one."""
    settings = replace(settings, token=settings.token or os.environ.get(TOKEN) or None)
    if not settings.local and settings.token is None:
        raise ValueError(
            f"--host {settings.host} lets other computers in, so a token is needed: set {TOKEN}, or give --token"
        )
    return settings


def tell(line: str, settings: ServerSettings) -> None:
    print(line, flush=True)
    if not settings.local:
        print(
            f"emobraid: warning: {settings.host} is open to other computers; use it behind TLS only, and tell people "
            "that emotions are read (EU AI Act, Art. 50(3))",
            file=sys.stderr,
            flush=True,
        )


def shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def listening(settings: ServerSettings) -> socket.socket:
    """A socket at the address; OSError says what to do when it is taken."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        return socket.create_server((settings.host, settings.port), family=family, backlog=512)
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise OSError(f"cannot listen on {where} ({error.strerror or error}); choose another with --port") from None


def run(app: FastAPI, settings: ServerSettings, sock: socket.socket) -> int:
    """Answer until a signal comes; those under way get `drain_seconds` to end."""
    server = uvicorn.Server(uvicorn_config(EndingStreams(app, lambda: server.should_exit), settings))
    service = app.state.service

    def stop() -> None:
        server.should_exit = True

    service.on_failure = stop
    former = signal.signal(signal.SIGTERM, _pass)  # uvicorn raises the signal again when all is done
    logging.getLogger("uvicorn").setLevel(logging.ERROR)
    sys.setswitchinterval(SWITCH)
    try:
        server.run(sockets=[sock])
    finally:
        signal.signal(signal.SIGTERM, former)
    if service.failure is not None:
        raise service.failure
    return 0


def _pass(_number: int, _frame: FrameType | None) -> None:
    """Do nothing: it was heeded already."""


def uvicorn_config(app: Any, settings: ServerSettings) -> uvicorn.Config:
    return uvicorn.Config(
        Proxied(app, settings),
        loop="asyncio",  # whose reads can be made smaller
        http=protocol_for(settings),
        ws=PatientSocket,
        ws_max_size=LARGEST_MESSAGE,
        ws_per_message_deflate=False,  # pictures and sound do not shrink, and a few bytes could unfold to the largest
        ws_ping_interval=PINGS,
        ws_ping_timeout=PINGS,
        lifespan="on",
        log_config=None,
        access_log=False,  # its lines hold addresses with all that people write into them
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=max(1, round(settings.drain_seconds)),
    )
