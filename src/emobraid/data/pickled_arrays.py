"""How numpy writes arrays into pickles, understood without calling anything that a file names.

The names that numpy uses are recognised and never looked up; what they stand for is done here, over views of the file.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any, NamedTuple

import numpy as np

CODE = re.compile(r"[biufSU]\d{1,6}|O8")  # of the types that are read: numbers, booleans, text, lists of objects
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")
NAMES: Mapping[tuple[str, str], str] = {
    ("numpy", "ndarray"): "ndarray",
    ("numpy", "dtype"): "dtype",
    ("_codecs", "encode"): "encode",
    ("__builtin__", "bytes"): "no bytes",  # how protocol 2 writes b""
    **{(module, "_reconstruct"): "array" for module in _MULTIARRAY},
    **{(module, "scalar"): "scalar" for module in _MULTIARRAY},
    **{(module, "_frombuffer"): "view" for module in _NUMERIC},
}


class UnsafePickle(ValueError):
    """The file holds something that is no plain data."""


class Name(NamedTuple):
    """One of NAMES."""

    word: str


class Type(NamedTuple):
    """A type of array; None: of Python objects."""

    dtype: np.dtype[Any] | None


class Arguments(tuple[Any, ...]):
    """A tuple with one of these things in it: of use to numpy's own instructions only."""

    __slots__ = ()


@dataclass(eq=False)
class Unfinished:
    """An array, or a type by its code, before its state came; `key` is its place in the memo."""

    what: str
    key: int | None = None


INERT = frozenset((Name, Type, Arguments, Unfinished))  # never part of what is returned


def made(name: str, arguments: tuple[Any, ...]) -> Any:
    """What a call of one of NAMES would give."""
    if name not in _MAKERS:
        raise UnsafePickle(f"it calls {name}")
    try:
        return _MAKERS[name](*arguments)
    except TypeError:
        raise UnsafePickle(f"it calls numpy's {name} otherwise than numpy does") from None


def finished(thing: Unfinished, state: Any) -> Any:
    """An array or a type with its state."""
    if not isinstance(state, tuple):
        raise UnsafePickle("it gives an array a state that numpy does not")
    try:
        return _array(*state) if thing.what == "array" else _type(thing.what, *state)
    except TypeError:
        raise UnsafePickle("it gives an array a state that numpy does not") from None


def _encode(text: Any, encoding: Any = "utf-8", /) -> memoryview:
    if not isinstance(text, str) or encoding != "latin1":
        raise UnsafePickle(f"it encodes as {str(encoding)[:20]!r}")
    return memoryview(text.encode("latin1"))


def _no_bytes() -> memoryview:
    return memoryview(b"")


def _empty(kind: Any, shape: Any, code: Any, /) -> Unfinished:
    if not isinstance(kind, Name) or kind.word != "ndarray":
        raise UnsafePickle("it has an array that is none of numpy's own")
    return Unfinished("array")


def _code(code: Any, align: Any = False, copy: Any = True, /) -> Unfinished:
    if not isinstance(code, str) or not CODE.fullmatch(code):
        raise UnsafePickle(f"it has an array of {str(code)[:20]!r}")
    return Unfinished(code)


def _type(code: str, version: Any, order: Any, subarray: Any, names: Any, fields: Any, *_: Any) -> Type:
    if version != 3 or order not in ("<", ">", "|", "=") or (subarray, names, fields) != (None, None, None):
        raise UnsafePickle("it has an array of records")
    if code == "O8":
        return Type(None)
    dtype = np.dtype(code).newbyteorder(order)
    if not dtype.itemsize:
        raise UnsafePickle(f"it has an array of {code!r}")
    return Type(dtype)


def _array(version: Any, shape: Any, kind: Any, fortran: Any, content: Any, /) -> Any:
    if isinstance(kind, Type) and kind.dtype is None:
        return _objects(shape, content)
    return _view(content, kind, shape, "F" if fortran else "C")


def _objects(shape: Any, content: Any) -> list[Any]:
    """An array of objects is the list of them: they are plain data, as everything in the file."""
    if type(content) is not list or shape != (len(content),):
        raise UnsafePickle("it has an array of objects with more than one dimension")
    return content


def _view(content: Any, kind: Any, shape: Any, order: Any, /) -> np.ndarray:
    """A read-only array over the bytes in the file; it cannot be larger than they are."""
    if not isinstance(kind, Type) or kind.dtype is None or not isinstance(content, memoryview):
        raise UnsafePickle("it has an array that is none of numpy's own")
    if not isinstance(shape, tuple) or len(shape) > 16 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError("an array without a shape")
    if prod(shape) * kind.dtype.itemsize != len(content):
        raise ValueError(f"an array of shape {shape} with {len(content):,} bytes")
    if kind.dtype.kind == "b":  # any other byte than 0 and 1 would be neither
        return np.not_equal(np.frombuffer(content, np.uint8), 0).reshape(shape, order="F" if order == "F" else "C")
    return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if order == "F" else "C")


def _scalar(kind: Any, content: Any, /) -> Any:
    return _view(content, kind, (1,), "C")[0]


_MAKERS: Mapping[str, Callable[..., Any]] = {
    "encode": _encode,
    "no bytes": _no_bytes,
    "array": _empty,
    "dtype": _code,
    "scalar": _scalar,
    "view": _view,
}
