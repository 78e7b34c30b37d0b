"""One array out of a .npz, .npy or .safetensors file, within bounds: what a header promises costs nothing until it is
known that the file holds it."""

import io
import lzma
import math
import os
import struct
import threading
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from zipfile import BadZipFile, ZipFile, ZipInfo

import numpy as np
import torch
from numpy.lib import format as npy
from safetensors import SafetensorError, safe_open

GB = 1 << 30
LARGEST = 2 * GB  # bytes of one array
KEPT = GB  # bytes of arrays that were read last, kept for the next row of the same
HEADER = 10_000  # bytes of an array's header, as numpy's own bound
NAMED = 10  # arrays that a message names

#: what a damaged file may raise
UNREADABLE = (OSError, ValueError, EOFError, BadZipFile, zlib.error, lzma.LZMAError, RuntimeError, SafetensorError)


class NotThere(ValueError):
    """The file can be read, and does not hold what was asked for, or more of it than can be taken."""


class Kept:
    """The arrays that were read last, as many as fit."""

    def __init__(self, most: int) -> None:
        self.most, self._bytes = most, 0
        self._arrays: OrderedDict[tuple[Path, int, str], tuple[str, np.ndarray]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: tuple[Path, int, str]) -> tuple[str, np.ndarray] | None:
        with self._lock:
            if key in self._arrays:
                self._arrays.move_to_end(key)
            return self._arrays.get(key)

    def put(self, key: tuple[Path, int, str], name: str, array: np.ndarray) -> None:
        with self._lock:
            if array.nbytes > self.most or key in self._arrays:
                return
            self._arrays[key] = name, array
            self._bytes += array.nbytes
            while self._bytes > self.most:
                self._bytes -= self._arrays.popitem(last=False)[1][1].nbytes


_KEPT = Kept(KEPT)


def array_in(path: Path, name: str | None) -> tuple[str, np.ndarray]:
    """The array `name` of a file, or its only one, and what it is called there. NotThere, or one of UNREADABLE."""
    key = (path, path.stat().st_mtime_ns, name or "")
    if (found := _KEPT.get(key)) is not None:
        return found
    read = {".safetensors": _safetensors, ".npz": _npz}.get(path.suffix, _npy)
    found = read(path, name)
    _KEPT.put(key, *found)
    return found


def chosen(name: str | None, there: Sequence[str]) -> str:
    """The array that is meant; NotThere says which there are."""
    wanted = name or (there[0] if len(there) == 1 else "")
    if wanted not in there:
        more = f" and {len(there) - NAMED} more" if len(there) > NAMED else ""
        raise NotThere(f"no array {wanted!r}; it holds {', '.join(there[:NAMED])}{more}")
    return wanted


def refuse_large(name: str, size: int) -> None:
    if size > LARGEST:
        raise NotThere(
            f"{name} takes {size / GB:.1f} GB in memory, the limit is {LARGEST / GB:g} GB; split it into several files"
        )


def _safetensors(path: Path, name: str | None) -> tuple[str, np.ndarray]:
    with safe_open(path, "pt") as file:
        wanted = chosen(name, list(file.keys()))
        refuse_large(wanted, path.stat().st_size if len(file.keys()) == 1 else _bytes_of(file, wanted))
        tensor: torch.Tensor = file.get_tensor(wanted)
    # by way of torch: numpy knows no bfloat16
    return wanted, (tensor.float() if tensor.is_floating_point() else tensor).numpy()


def _bytes_of(file: safe_open, name: str) -> int:
    return 8 * math.prod(file.get_slice(name).get_shape())


def _npy(path: Path, name: str | None) -> tuple[str, np.ndarray]:
    with path.open("rb") as file:
        if file.read(4) == b"PK\x03\x04":  # an archive under another name
            raise ValueError("it begins like an archive; name it .npz")
        file.seek(0)
        wanted = chosen(name, [path.stem])
        _check_header(file, wanted, os.fstat(file.fileno()).st_size)
        file.seek(0)
        return wanted, _read(file)


def _npz(path: Path, name: str | None) -> tuple[str, np.ndarray]:
    with path.open("rb") as file, ZipFile(file) as archive:
        members = {i.filename.removesuffix(".npy"): i for i in archive.infolist()}
        objects = {n for n, i in members.items() if (name is None or n == name) and _of_objects(archive, i)}
        if objects and len(objects) == len(members):
            raise ValueError("it holds nothing but Python objects; save numbers")
        if name in objects:
            raise NotThere(f"{name} is an array of Python objects, which are never read; save numbers")
        wanted = chosen(name, [n for n in members if n not in objects])
        with archive.open(members[wanted]) as packed:
            _check_header(packed, wanted, members[wanted].file_size)
        with archive.open(members[wanted]) as packed:
            return wanted, _read(packed)


def _of_objects(archive: ZipFile, member: ZipInfo) -> bool:
    """Whether an array of an archive holds pickled objects, by its header; a damaged one is told where it is read."""
    try:
        with archive.open(member) as packed:
            version = npy.read_magic(packed)
            width = 2 if version == (1, 0) else 4
            start = packed.read(width)
            length = int.from_bytes(start, "little")
            return length <= HEADER and _shape(packed, version, start, length)[1].hasobject
    except UNREADABLE:
        return False


def _read(file: IO[bytes]) -> np.ndarray:
    array: np.ndarray = np.load(file, allow_pickle=False)
    return array


def _check_header(file: IO[bytes], name: str, size: int) -> None:
    """NotThere when the array is too large, ValueError when there are fewer than its bytes among `size`."""
    version = npy.read_magic(file)
    width = 2 if version == (1, 0) else 4
    start = file.read(width)
    length = int.from_bytes(start, "little")
    if len(start) < width or length > HEADER:
        raise ValueError(f"the header of {name} is damaged")
    shape, dtype = _shape(file, version, start, length)
    promised = math.prod(shape) * dtype.itemsize
    refuse_large(name, promised)
    there = size - npy.MAGIC_LEN - width - length
    if not dtype.hasobject and promised > there:
        raise ValueError(f"{name} should hold {promised:,} bytes and has {max(there, 0):,}: it is damaged or cut off")


def _shape(file: IO[bytes], version: tuple[int, int], start: bytes, length: int) -> tuple[tuple[int, ...], np.dtype]:
    text = io.BytesIO(start + file.read(length))
    read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, _, dtype = read(text)
    except (SyntaxError, TypeError, struct.error, RecursionError) as error:
        raise ValueError(f"the header is damaged ({error})") from None
    return tuple(map(int, shape)), dtype
