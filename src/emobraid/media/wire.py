"""Messages between this process and a decoder: JSON and raw array bytes whose sizes the receiver checks, never pickles.

A child that a file has taken over must not be able to run code here.
"""

import json
import socket
import struct
import time
from collections.abc import Mapping
from typing import Any

import numpy as np


class ProtocolError(Exception):
    """The other side of the socket sent what it never should."""


def send(channel: socket.socket, header: Mapping[str, Any], *blocks: np.ndarray) -> None:
    """One message: a JSON header with its length before it, then the bytes of the arrays."""
    text = json.dumps(header).encode()
    channel.sendall(struct.pack("!I", len(text)) + text)
    for block in blocks:
        channel.sendall(np.ascontiguousarray(block).reshape(-1).view(np.uint8).data)


def receive(channel: socket.socket, until: float | None = None) -> dict[str, Any]:
    """The header of the next message; TimeoutError at `until` (monotonic clock), EOFError when the other is gone."""
    length = np.empty(1, ">u4")
    fill(channel, length, until)
    if length[0] > 1 << 20:
        raise ProtocolError(f"a header of {length[0]} bytes")
    text = np.empty(int(length[0]), np.uint8)
    fill(channel, text, until)
    try:
        header = json.loads(text.tobytes())
    except (ValueError, RecursionError) as error:
        raise ProtocolError("not JSON") from error
    if not isinstance(header, dict):
        raise ProtocolError("not a JSON object")
    return header


def fill(channel: socket.socket, block: np.ndarray, until: float | None = None) -> None:
    """Reads exactly the bytes of `block`, a contiguous array."""
    left = block.reshape(-1).view(np.uint8).data
    while left:
        if until is not None:
            channel.settimeout(max(until - time.monotonic(), 1e-3))
        count = channel.recv_into(left)
        if not count:
            raise EOFError
        left = left[count:]


def bounded(answer: Mapping[str, Any], key: str, most: int) -> int:
    count = answer.get(key)
    if type(count) is not int or not 0 <= count <= most:
        raise ProtocolError(f"{key} = {count!r}")
    return count


def one_line(text: object) -> str:
    """A child's words, as far as they may reach a terminal."""
    return "".join(c if c.isprintable() else " " for c in str(text or ""))[:300]
