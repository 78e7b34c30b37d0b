"""What the server takes and how much of it, in one table: the command line, the documents and the tests read it."""

import re
from dataclasses import dataclass

MB = 1_000_000


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the server listens, who may ask, and every limit. Each is an option of `emobraid serve`."""

    host: str = "127.0.0.1"
    """Address to listen on. Any other than this computer's own needs a token."""
    port: int = 8000
    """Port to listen on; 0 takes a free one."""
    token: str | None = None
    """Who asks must send it (Authorization: Bearer TOKEN). Better given as the variable EMOBRAID_TOKEN."""
    hosts: tuple[str, ...] = ()
    """Further names under which people reach the server, as in the Host header."""
    root_path: str = ""
    """The path under which a proxy shows the server, such as /emo."""
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    """Addresses of proxies that are believed when they say that a browser came by TLS (X-Forwarded-Proto)."""

    upload_mb: float = 25
    """Megabytes of a request's body; a longer one is refused (413) as it comes, not kept."""
    buffered_mb: float = 512
    """Megabytes of all bodies on their way at once; what would be more is told to come again (503)."""
    text_characters: int = 20_000
    """Characters of a text."""
    media_seconds: float = 600
    """Seconds of a sound or video, counted as it is decoded."""
    decode_seconds: float = 20
    """Seconds that decoding one file may take."""
    decoders: int = 2
    """Processes that decode uploads (1 to 8)."""

    queue: int = 32
    """Requests under way at once; one more is told to come again (503, Retry-After)."""
    request_seconds: float = 30
    """Seconds until a request that was taken is given up (504)."""
    timeline_seconds: float = 120
    """The same for /v1/timeline."""
    max_batch: int = 16
    """Requests that are encoded together."""
    max_wait_ms: float = 4
    """Milliseconds that the first request of a batch waits for others."""

    header_seconds: float = 10
    """Seconds a client may take to send a request's headers; then it is hung up on."""
    body_seconds: float = 60
    """Seconds for the body."""
    reader_seconds: float = 60
    """Seconds a client may take none of its answer."""
    drain_seconds: float = 10
    """Seconds that requests under way may take to end once the server is told to stop."""

    session_minutes: float = 30
    """Minutes after which a conversation that nobody goes on with is forgotten."""
    sessions: int = 1_000
    """Conversations kept at once, in memory only; the one idle longest makes room."""

    streams: int = 8
    """Live streams (WebSocket) at once."""
    stream_frames: float = 5
    """Pictures a second that a live stream's face is read from; more are left out."""
    stream_megapixels: float = 12
    """Size of a live stream's picture."""
    stream_every: float = 0.5
    """Seconds between live readings, at least."""

    def __post_init__(self) -> None:
        root = "/" + self.root_path.strip("/") if self.root_path.strip("/") else ""
        if not re.fullmatch(r"(/[\w.~-]+)*", root):
            raise ValueError(f"root_path is a path such as /emo, got {self.root_path!r}")
        object.__setattr__(self, "root_path", root)
        numbers = {n: v for n, v in vars(self).items() if isinstance(v, int | float) and n != "port"}
        for name, value in numbers.items():
            if not value > 0:
                raise ValueError(f"{name} must be more than 0, got {value}")
        if not 0 <= self.port <= 65_535:
            raise ValueError(f"port must be 0 to 65535, got {self.port}")
        if self.decoders > 8:
            raise ValueError(f"decoders must be 1 to 8, got {self.decoders}")

    @property
    def upload(self) -> int:
        """Bytes of a request's body."""
        return int(self.upload_mb * MB)

    @property
    def buffered(self) -> int:
        """Bytes of all bodies on their way."""
        return int(self.buffered_mb * MB)

    @property
    def local(self) -> bool:
        """Whether only this computer can reach the server."""
        return self.host in ("127.0.0.1", "localhost", "::1") or self.host.startswith("127.")
