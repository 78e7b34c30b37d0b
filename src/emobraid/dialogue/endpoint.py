"""The wire to an OpenAI-compatible server: pieces of its answer as they come, or Broken at once.

Spoken with httpx: huggingface_hub's InferenceClient refuses even a server on this machine in offline mode, and sends
the user's stored hub token to whatever server it is given.
"""

import json
import queue
import threading
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import httpx

LONGEST = 1 << 20  # bytes of one answer on the wire
LINE = 1 << 16  # bytes of one event


class Broken(Exception):
    """The server gave no answer that can be used; the message says why."""


def ready() -> None:
    """ValueError when the client library is missing: better now than in the first answer."""
    try:
        import httpx  # noqa: F401
    except ImportError:
        raise ValueError("a language model is spoken to with httpx: pip install httpx") from None


def pieces(
    url: str, request: dict[str, Any], api_key: str | None, *, timeout: float, first: float, stall: float
) -> Generator[str]:
    """The text of the answer piece by piece. Broken when the server refuses, breaks off, sends something else, or is
    slower than `first` (to the first piece), `stall` (to each next) or `timeout` (in all), in seconds."""
    coming: queue.Queue[str | Exception | None] = queue.Queue(maxsize=1024)
    stop = threading.Event()
    # a thread of its own, as a read on a socket can only be bounded from outside when bytes keep trickling in
    reader = threading.Thread(
        target=_read, args=(url, request, api_key, max(first, stall), coming, stop), name="llm", daemon=True
    )
    reader.start()
    end = time.monotonic() + timeout
    wait = first
    try:
        while True:
            try:
                piece = coming.get(timeout=max(0.0, min(wait, end - time.monotonic())))
            except queue.Empty:
                raise Broken("it was too slow") from None
            if isinstance(piece, Exception):
                raise Broken(str(piece)) from piece
            if piece is None:
                return
            yield piece
            wait = stall
    finally:
        stop.set()


def _read(
    url: str,
    request: dict[str, Any],
    api_key: str | None,
    patience: float,
    coming: "queue.Queue[str | Exception | None]",
    stop: threading.Event,
) -> None:
    import httpx

    headers = {"Authorization": f"Bearer {api_key}"} if api_key else {}
    try:
        # no proxy, no redirect: only the server that the operator named
        with (
            httpx.Client(timeout=patience, follow_redirects=False, trust_env=False) as client,
            client.stream("POST", url, json=request, headers=headers) as response,
        ):
            response.raise_for_status()
            for piece in _contents(response):
                if stop.is_set():
                    return
                coming.put(piece, timeout=patience)
        coming.put(None, timeout=patience)
    except queue.Full:
        return  # nobody listens any more
    except Exception as error:
        if not stop.is_set():
            coming.put(error, timeout=patience)


def _contents(response: "httpx.Response") -> Iterator[str]:
    if response.headers.get("content-type", "").startswith("application/json"):
        whole = b"".join(_bounded(response))  # a server that does not stream
        yield json.loads(whole)["choices"][0]["message"]["content"]
        return
    for line in _lines(_bounded(response)):
        if not line.startswith(b"data:"):
            continue  # comments, event names, empty lines
        data = line[5:].strip()
        if data == b"[DONE]":
            return
        choice = json.loads(data)["choices"][:1]
        if choice and (content := choice[0]["delta"].get("content")):
            yield content
        if choice and choice[0].get("finish_reason"):
            return
    raise Broken("it broke off")


def _bounded(response: "httpx.Response") -> Iterator[bytes]:
    size = 0
    for chunk in response.iter_bytes():
        size += len(chunk)
        if size > LONGEST:
            raise Broken("it sent too much")
        yield chunk


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE:
            raise Broken("it sent a line without an end")
        yield from lines
    yield rest
