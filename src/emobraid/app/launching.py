"""Starting the page: which model, and how it may be reached."""

import os
import signal
from pathlib import Path
from typing import Any

from starlette.middleware import Middleware

from emobraid import checkpoint
from emobraid.app.limits import ServerSettings
from emobraid.data.cache import home
from emobraid.weights import shipped

MADE = Path("runs/sample/best_model")  # by `make run`
NO_MODEL = "there is no model yet: make one with `make run`, or give one with --model_path"


def find_model(given: Path | None) -> tuple[Path, bool | None]:
    """The model to show, and whether it learned from synthetic people (None: not known)."""
    if given is not None:
        return checkpoint.resolve(given), None
    if there := shipped():
        return next(iter(there.values())), None
    if MADE.is_dir():  # weights have terms of their own, and a package may come without them
        return MADE, True
    raise ValueError(NO_MODEL)


def guarded(settings: ServerSettings) -> list[Middleware]:
    """What stands before the page, outermost first: the proxy's ways; the gate; whose upload it is."""
    from emobraid.app.gate import Gate
    from emobraid.app.metrics import Metrics
    from emobraid.app.proxied import Proxied
    from emobraid.app.uploads import Uploads

    return [
        Middleware(Proxied, settings=settings),
        Middleware(Gate, settings=settings, metrics=Metrics()),
        Middleware(Uploads),
    ]


def mount_settings() -> dict[str, Any]:
    """How Gradio may serve the page, wherever it is mounted: local files stay where they are, nothing is recorded."""
    return {
        "allowed_paths": [],
        "blocked_paths": [str(p) for p in (Path.cwd(), home()) if p],
        "enable_monitoring": False,
        "run_history": False,
        "show_error": False,
        "max_file_size": "25mb",
        "footer_links": [],
        "ssr_mode": False,
        "pwa": False,
        "mcp_server": False,
    }


def launch_settings(settings: ServerSettings) -> dict[str, Any]:
    """How the page is launched by itself: on this computer alone, unless a token keeps strangers out."""
    return {
        **mount_settings(),
        "server_name": settings.host,
        "server_port": settings.port,
        "root_path": settings.root_path or None,
        "share": False,
        "strict_cors": True,
        "inbrowser": False,
        "quiet": True,
        "max_threads": 40,
        "app_kwargs": {"middleware": guarded(settings), "docs_url": None, "redoc_url": None, "openapi_url": None},
    }


def share_cores() -> None:
    """Half of the cores for the model, whose threads wait by spinning; the others answer, decode and draw."""
    import torch

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))


def demo(
    model_path: Path | None,
    settings: ServerSettings,
    *,
    llm_url: str | None = None,
    llm_model: str | None = None,
    asr: str | None = None,
) -> int:
    """Open the page and stay until Ctrl-C. ValueError or OSError when it cannot be started."""
    from emobraid.app.serving import tell, with_token
    from emobraid.dialogue import Llm
    from emobraid.recognizer import Recognizer

    if (llm_url is None) != (llm_model is None):
        raise ValueError("--llm_url and --llm_model belong together")
    settings = with_token(settings)
    folder, synthetic = find_model(model_path)
    share_cores()
    from emobraid.app.page import build

    responder = Llm(llm_url, llm_model) if llm_url and llm_model else None
    listener = None
    if asr:
        from emobraid.app.asr import Whisper

        listener = Whisper(asr)
    with Recognizer.from_pretrained(folder, workers=settings.decoders) as recognizer:
        page = build(recognizer, responder=responder, listener=listener, synthetic=synthetic)
        _, url, _ = page.launch(**launch_settings(settings), prevent_thread_lock=True)
        terms = f"; terms: {recognizer.terms}" if recognizer.terms else ""
        tell(f"{url}  (model: {folder}{terms}; Ctrl-C stops)", settings)
        former = signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends as Ctrl-C does: no answer is cut off
        try:
            page.block_thread()
        finally:
            signal.signal(signal.SIGTERM, former)
    return 0
