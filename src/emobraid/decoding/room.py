"""How much memory one file may take, by what it is: a film as much as the child, a picture what its pixels need.

A page of text inside a picture can be packed to a thousandth, and a list of notes takes a decoder time that grows with
its square.
"""

import io
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from emobraid.decoding.tracks import Refused

PICTURES = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*", b"P5", b"P6")
A_PIXEL = 24  # bytes that decoding a picture takes for each: its planes, RGB, and a copy to look for faces in
NOTES, WORDS, CHUNKS = 100, 1 << 20, 100_000  # text chunks of a PNG, their bytes, and its chunks
TEXT = (b"tEXt", b"zTXt", b"iTXt")


def is_picture(head: bytes) -> bool:
    """Whether a file begins like a still picture, or one that moves a little."""
    return head.startswith(PICTURES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


@contextmanager
def within(file: io.FileIO, request: dict[str, Any]) -> Iterator[None]:
    """While a picture is read, no more than `picture_memory` on top of what is mapped now (Linux)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    if is_picture(os.pread(file.fileno(), 16, 0)):
        refuse_wordy(file.fileno())
        request["film_memory"] = request["memory"]
        request["memory"] = min(request["memory"], request["picture_memory"])
        _allow(request["memory"])
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def make_room(request: dict[str, Any], pixels: int) -> None:
    """A picture that says how large it is gets what that takes, at most what a film may have."""
    needed = A_PIXEL * pixels
    if needed > request["memory"] and "film_memory" in request:
        request["memory"] = min(needed, request["film_memory"])
        _allow(request["memory"])


def _allow(memory: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    statm = Path("/proc/self/statm")
    if statm.exists() and hard != resource.RLIM_INFINITY:
        mapped = int(statm.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (min(mapped + memory, hard), hard))


def refuse_wordy(file: int) -> None:
    """Refused when a PNG is mostly text."""
    at, notes, words, chunks = 8, 0, 0, 0
    if os.pread(file, 4, 0) != b"\x89PNG":
        return
    while len(head := os.pread(file, 8, at)) == 8 and head[4:] != b"IEND":
        size = int.from_bytes(head[:4], "big")
        chunks += 1
        if head[4:] in TEXT:
            notes, words = notes + 1, words + size
        if notes > NOTES or words > WORDS or chunks > CHUNKS:
            raise Refused("holds more text than picture; save it anew, without its notes")
        at += 12 + size
