"""Pickles read without running anything: a small machine that knows plain data and numpy's arrays, and nothing else.

Python's own unpickler calls what a file tells it to call. This one cannot: it has no instruction that looks a name up.
Files are mapped, not loaded: bytes and arrays are read-only views into the file until somebody copies them.
"""

import mmap
from collections.abc import Callable, Mapping
from pathlib import Path
from struct import Struct
from struct import error as StructError
from typing import Any

from emobraid.data.pickled_arrays import INERT, NAMES, Arguments, Name, Unfinished, UnsafePickle, finished, made

STEPS = 5_000_000  # instructions; the largest published file that is read has far fewer
LARGEST_INT = 16  # bytes
LONGEST_NAME = 200  # characters
PROTOCOLS = range(2, 6)
_MARK = object()


def read_pickle(path: Path) -> Any:
    """The data in a file: dicts, lists, tuples, str, bytes (as memoryview), numbers, None, numpy arrays and scalars.

    A one-dimensional array of Python objects comes as a list. UnsafePickle (a ValueError) names the first thing that is
    none of these; a damaged file is a ValueError as well. Nothing in the file is imported, called or executed.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file")
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        return _Machine(memoryview(mapped)).run()
    except UnsafePickle as error:
        raise UnsafePickle(f"{path}: not read: {error}; only plain data and numpy's arrays are") from None
    except (ValueError, IndexError, KeyError, TypeError, OverflowError, StructError, OSError) as error:
        said = "it ends too early" if isinstance(error, IndexError) else " ".join(str(error).split())[:LONGEST_NAME]
        raise ValueError(f"{path}: no readable pickle: {said}") from None


class _Machine:
    """The stack, the memo and the place in the file."""

    def __init__(self, data: memoryview) -> None:
        self.data, self.place = data, 0
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(STEPS):
            code = chr(self.data[self.place])
            self.place += 1
            if code == ".":
                return self.pop()
            if code not in _STEPS:
                raise UnsafePickle(f"it holds the instruction {code!r} at byte {self.place - 1:,}")
            _STEPS[code](self)
        raise ValueError(f"more than {STEPS:,} instructions")

    def take(self, count: int) -> memoryview:
        """The next `count` bytes of the file."""
        if count > len(self.data) - self.place:
            raise ValueError("it ends too early")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self, form: Struct) -> Any:
        return form.unpack(self.take(form.size))[0]

    def line(self) -> str:
        """Text up to the end of the line."""
        near = bytes(self.data[self.place : self.place + LONGEST_NAME])
        text, end, _ = near.partition(b"\n")
        if not end:
            raise ValueError(f"a name of more than {LONGEST_NAME} characters")
        self.place += len(text) + 1
        return text.decode()

    def push(self, value: Any) -> None:
        self.stack.append(value)

    def top(self) -> Any:
        if not self.stack or self.stack[-1] is _MARK:
            raise ValueError("an instruction lacks its values")
        return self.stack[-1]

    def raw(self) -> Any:
        """The topmost value, whatever it is."""
        self.top()
        return self.stack.pop()

    def pop(self) -> Any:
        """The topmost value, which is plain data."""
        return _plain([self.raw()])[0]

    def since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while place >= 0 and self.stack[place] is not _MARK:
            place -= 1
        if place < 0:
            raise ValueError("an instruction lacks its mark")
        values = self.stack[place + 1 :]
        del self.stack[place:]
        return values

    def remember(self, key: int) -> None:
        value = self.memo[key] = self.top()
        if isinstance(value, Unfinished):
            value.key = key


def _plain(values: list[Any]) -> list[Any]:
    if not INERT.isdisjoint(map(type, values)):
        raise UnsafePickle("a name stands where data should be")
    return values


def _push_tuple(machine: _Machine, values: list[Any]) -> None:
    machine.push(tuple(values) if INERT.isdisjoint(map(type, values)) else Arguments(values))


def _extend(machine: _Machine, values: list[Any]) -> None:
    if type(target := machine.top()) is not list:
        raise UnsafePickle(f"it appends to a {type(target).__name__}")
    target.extend(_plain(values))


def _fill(machine: _Machine, values: list[Any]) -> None:
    if type(target := machine.top()) is not dict:
        raise UnsafePickle(f"it sets items of a {type(target).__name__}")
    if len(_plain(values)) % 2:
        raise ValueError("a key without a value")
    for key, value in zip(values[::2], values[1::2], strict=True):
        # nothing with a depth: hashing a tuple within a tuple, a million times over, ends the process
        if not isinstance(key, str | int | float | None):
            raise UnsafePickle(f"it has a {type(key).__name__} as a key")
        target[key] = value


def _values(machine: _Machine, count: int) -> list[Any]:
    """The `count` topmost values, the topmost last."""
    return [machine.raw() for _ in range(count)][::-1]


def _protocol(machine: _Machine) -> None:
    if (told := machine.take(1)[0]) not in PROTOCOLS:
        raise ValueError(f"protocol {told}; those from {PROTOCOLS[0]} to {PROTOCOLS[-1]} are read")


def _global(machine: _Machine, module: Any, name: Any) -> None:
    if not isinstance(module, str) or not isinstance(name, str) or (module, name) not in NAMES:
        raise UnsafePickle(f"it asks for {str(module)[:60]!r}.{str(name)[:60]!r}")
    machine.push(Name(NAMES[module, name]))


def _stack_global(machine: _Machine) -> None:
    name, module = machine.pop(), machine.pop()
    _global(machine, module, name)


def _reduce(machine: _Machine) -> None:
    arguments, name = machine.raw(), machine.raw()
    if not isinstance(name, Name) or not isinstance(arguments, tuple):
        raise UnsafePickle("it calls something that is no name of numpy's")
    machine.push(made(name.word, arguments))


def _build(machine: _Machine) -> None:
    state, thing = machine.raw(), machine.raw()
    if not isinstance(thing, Unfinished):
        raise UnsafePickle(f"it gives a {type(thing).__name__} a state")
    done = finished(thing, state)
    if thing.key is not None:
        machine.memo[thing.key] = done
    machine.push(done)


def _drop(machine: _Machine) -> None:
    machine.raw()


def _drop_to_mark(machine: _Machine) -> None:
    machine.since_mark()


def _recall(machine: _Machine, key: int) -> None:
    if key not in machine.memo:
        raise ValueError("it recalls what it has not told")
    machine.push(machine.memo[key])


def _whole(machine: _Machine, size: Struct) -> None:
    if not 0 <= (count := machine.number(size)) <= LARGEST_INT:
        raise ValueError(f"a whole number of {count} bytes; at most {LARGEST_INT} are read")
    machine.push(int.from_bytes(machine.take(count), "little", signed=True))


def _text(machine: _Machine, size: Struct) -> None:
    machine.push(str(machine.take(machine.number(size)), "utf-8", "replace"))


_ONE, _TWO, _FOUR, _EIGHT = (Struct(form) for form in ("<B", "<H", "<I", "<Q"))
_SIGNED, _FLOAT = Struct("<i"), Struct(">d")
_STEPS: Mapping[str, Callable[[_Machine], None]] = {
    "\x80": _protocol,
    "\x95": lambda m: m.number(_EIGHT),  # the size of a frame
    "(": lambda m: m.push(_MARK),
    "N": lambda m: m.push(None),
    "\x88": lambda m: m.push(True),
    "\x89": lambda m: m.push(False),
    "K": lambda m: m.push(m.number(_ONE)),
    "M": lambda m: m.push(m.number(_TWO)),
    "J": lambda m: m.push(m.number(_SIGNED)),
    "G": lambda m: m.push(m.number(_FLOAT)),
    "\x8a": lambda m: _whole(m, _ONE),
    "\x8b": lambda m: _whole(m, _SIGNED),
    "\x8c": lambda m: _text(m, _ONE),
    "X": lambda m: _text(m, _FOUR),
    "\x8d": lambda m: _text(m, _EIGHT),
    # views, not copies: the contents of arrays are most of a file
    "C": lambda m: m.push(m.take(m.number(_ONE))),
    "B": lambda m: m.push(m.take(m.number(_FOUR))),
    "\x8e": lambda m: m.push(m.take(m.number(_EIGHT))),
    "\x96": lambda m: m.push(m.take(m.number(_EIGHT))),
    ")": lambda m: m.push(()),
    "t": lambda m: _push_tuple(m, m.since_mark()),
    "\x85": lambda m: _push_tuple(m, _values(m, 1)),
    "\x86": lambda m: _push_tuple(m, _values(m, 2)),
    "\x87": lambda m: _push_tuple(m, _values(m, 3)),
    "]": lambda m: m.push([]),
    "l": lambda m: m.push(_plain(m.since_mark())),
    "a": lambda m: _extend(m, _values(m, 1)),
    "e": lambda m: _extend(m, m.since_mark()),
    "}": lambda m: m.push({}),
    "s": lambda m: _fill(m, _values(m, 2)),
    "u": lambda m: _fill(m, m.since_mark()),
    "0": _drop,
    "1": _drop_to_mark,
    "q": lambda m: m.remember(m.number(_ONE)),
    "r": lambda m: m.remember(m.number(_FOUR)),
    "\x94": lambda m: m.remember(len(m.memo)),
    "h": lambda m: _recall(m, m.number(_ONE)),
    "j": lambda m: _recall(m, m.number(_FOUR)),
    "c": lambda m: _global(m, m.line(), m.line()),
    "\x93": _stack_global,
    "R": _reduce,
    "b": _build,
}
