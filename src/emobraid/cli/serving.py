"""`emobraid demo` and `emobraid serve`: the page and the HTTP API."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import tyro

from emobraid.app import require_demo
from emobraid.app.limits import ServerSettings


@dataclass(kw_only=True)
class Demo:
    """Open the page in which people try a model: camera, microphone, files and words, live, and a conversation.

    Listens on this computer alone unless told otherwise; --host 0.0.0.0 lets others in and needs a token. Nothing is
    stored, logged or sent anywhere. docs/demo.md tells all about it.

    Example: emobraid demo --model_path checkpoints/best_model.pth --port 7860
    """

    model_path: Path | None = None
    """The folder that training wrote; without it the model that ships, emobraid/compact."""
    port: int = 7860
    """Port to listen on."""
    host: str = "127.0.0.1"
    """Address to listen on. Any other than this computer's own needs a token."""
    token: str | None = None
    """Who opens the page must know it (http://HOST:PORT/?token=TOKEN). Better given as the variable EMOBRAID_TOKEN."""
    hosts: tuple[str, ...] = ()
    """Further names under which people reach the page."""
    root_path: str = ""
    """The path under which a proxy shows the page, such as /emo."""
    proxies: tuple[str, ...] = ServerSettings.proxies
    """Addresses of proxies that are believed when they say that a browser came by TLS (X-Forwarded-Proto)."""
    llm_url: str | None = None
    """An OpenAI-compatible server that writes the replies, such as http://127.0.0.1:11434/v1. It reads nothing."""
    llm_model: str | None = None
    """Its model."""
    asr: str | None = None
    """A Whisper model that writes down speech: a folder, or a hub id that was fetched. Default: none."""


def demo(args: Demo) -> int:
    require_demo()
    from emobraid.app.launching import demo as run

    names = ("host", "port", "token", "hosts", "root_path", "proxies")
    settings = ServerSettings(**{name: getattr(args, name) for name in names})
    return run(args.model_path, settings, llm_url=args.llm_url, llm_model=args.llm_model, asr=args.asr)


@dataclass(kw_only=True)
class Serve:
    """Answer over HTTP: /v1/predict, /v1/timeline, /v1/chat, /v1/stream, and the page beside them.

    Listens on this computer alone unless told otherwise; --host 0.0.0.0 lets others in and needs a token. Nothing that
    is sent is written to a disk or a log. docs/server.md tells all about it.

    Example: emobraid serve --model_path checkpoints/best_model --port 8000
    """

    model_path: Path | None = None
    """The folder that training wrote; without it the model that ships, emobraid/compact."""
    no_page: bool = False
    """Serve the API alone, without the page."""
    llm_url: str | None = None
    """An OpenAI-compatible server that writes the replies, such as http://127.0.0.1:11434/v1. It reads nothing."""
    llm_model: str | None = None
    """Its model."""
    server: Annotated[ServerSettings, tyro.conf.OmitArgPrefixes] = field(default_factory=ServerSettings)


def serve(args: Serve) -> int:
    require_demo()
    from emobraid.app.serving import serve as run

    return run(args.model_path, args.server, llm_url=args.llm_url, llm_model=args.llm_model, page=not args.no_page)
