"""Pickles give up their data and never get to run anything: a canary's folder stays empty."""

import os
import pickle
import re
import struct
from collections import OrderedDict, defaultdict
from pathlib import Path

import numpy as np
import pytest

import emobraid
from emobraid.data import safe_pickle
from emobraid.data.pickled_arrays import UnsafePickle
from emobraid.data.safe_pickle import read_pickle

DATA = {
    "text": ["a", "día", ""],
    "numbers": (1, -7, 300, 70_000, 2**70, 2.5, True, False, None),
    "bytes": b"xyz",
    "single": np.arange(24, dtype="f4").reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "big_endian": np.arange(3, dtype=">i4"),
    "words": np.array(["never", "ñ"]),
    "flags": np.array([True, False]),
    "nothing": np.zeros((0, 5), "f4"),
    "scalar": np.float32(0.5),
    "nested": {"deep": [{"down": (np.int64(3),)}]},
}


def written(folder, content, name="x.pkl"):
    path = folder / name
    path.write_bytes(content)
    return path


def refusal(folder, content):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        read_pickle(written(folder, content))
    message = str(caught.value)
    assert "\n" not in message
    return message


# what is read


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_plain_data_and_arrays_come_back_as_they_were_written(protocol, tmp_path):
    read = read_pickle(written(tmp_path, pickle.dumps(DATA, protocol=protocol)))
    assert read.keys() == DATA.keys()
    for name, value in DATA.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(read[name], value)
            assert read[name].dtype == value.dtype
        else:
            assert read[name] == value


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_an_array_of_objects_is_the_list_of_them(protocol, tmp_path):
    array = np.array(["one", None, 3], dtype=object)
    assert read_pickle(written(tmp_path, pickle.dumps({"x": array}, protocol=protocol))) == {"x": ["one", None, 3]}


def test_one_array_in_two_places_is_one_array(tmp_path):
    array = np.arange(3)
    first, second = read_pickle(written(tmp_path, pickle.dumps([array, array], protocol=4)))
    assert first is second


def test_arrays_are_views_into_the_file_that_nobody_can_write_to(tmp_path):
    (array,) = read_pickle(written(tmp_path, pickle.dumps([np.zeros(1000, "f4")], protocol=4)))
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1


def test_a_list_may_hold_itself_and_is_not_followed(tmp_path):
    endless = []
    endless.append(endless)
    read = read_pickle(written(tmp_path, pickle.dumps(endless, protocol=4)))
    assert read[0] is read


# what is refused. The canary of each hostile one would leave a file behind.


class Calls:
    """Pickles as a call of `what` with `arguments`."""

    def __init__(self, what, *arguments):
        self.what, self.arguments = what, arguments

    def __reduce__(self):
        return self.what, self.arguments


class WithState:
    def __init__(self, path):
        self.path = path


class Extended:
    def __reduce_ex__(self, protocol):
        return OrderedDict, (), None, None, iter([("a", 1)])


CANARY = "canary"
SHELL = f"touch {CANARY}"
HEAD = b"\x80\x04"


def text(word):
    return b"\x8c" + bytes([len(word)]) + word.encode()


def named(module, name):
    return text(module) + text(name) + b"\x93"


def call(module, name, *arguments):
    return HEAD + named(module, name) + b"(" + b"".join(text(a) for a in arguments) + b"tR."


def array_of(code="f4", *, shape=b"K\x01\x85", content=b"C\x04\0\0\0\0", version=b"K\x01", state=None):
    """An array by its parts, as protocol 4 would write it."""
    dtype = named("numpy", "dtype") + text(code) + b"\x89\x88\x87R"
    dtype += state or b"(K\x03" + text("<") + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\0tb"
    empty = named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x87R"
    return HEAD + empty + b"(" + version + shape + dtype + b"\x89" + content + b"tb."


HOSTILE = {
    "os.system": pickle.dumps(Calls(os.system, SHELL)),
    "os.system of protocol 2": pickle.dumps(Calls(os.system, SHELL), protocol=2),
    "eval": pickle.dumps(Calls(eval, f"open({CANARY!r}, 'w')")),
    "exec": pickle.dumps(Calls(exec, f"open({CANARY!r}, 'w')")),
    "open": pickle.dumps(Calls(open, CANARY, "w")),
    "__import__": pickle.dumps(Calls(__import__, "os")),
    "getattr": call("builtins", "getattr", "x", "y"),
    "subprocess": call("subprocess", "getoutput", SHELL),
    "posix": call("posix", "system", SHELL),
    "a call deep inside": pickle.dumps({"a": [{"b": (1, Calls(os.system, SHELL))}]}),
    "a call in an array of objects": pickle.dumps(np.array([Calls(os.system, SHELL)], dtype=object)),
    "a call as the state of an array": array_of(content=call("posix", "system", SHELL)[2:-1]),
    "numpy's load": call("numpy", "load", CANARY),
    "numpy's memmap": call("numpy", "memmap", CANARY),
    "numpy's runstring": call("numpy.testing._private.utils", "runstring", SHELL, "{}"),
    "numpy's f2py": call("numpy.f2py", "compile", SHELL),
    "a dotted name": call("numpy", "ndarray.tofile", CANARY),
    "codecs.open": call("_codecs", "open", CANARY, "w"),
    "codecs.decode": call("_codecs", "decode", "x", "zlib"),
    "encode with another codec": call("_codecs", "encode", "x", "rot13"),
    "the text form of a call": b"cposix\nsystem\n(S'" + SHELL.encode() + b"'\ntR.",
    "a name by lines": HEAD + b"cposix\nsystem\n(" + text(SHELL) + b"tR.",
    "an instance by lines": HEAD + b"(" + text(SHELL) + b"iposix\nsystem\n.",
    "an object": HEAD + b"(" + named("posix", "system") + text(SHELL) + b"o.",
    "a new object": HEAD + named("numpy", "ndarray") + b"K\x01\x85\x81.",
    "an instance of a class": pickle.dumps(WithState(CANARY)),
    "a class": pickle.dumps(Path),
    "a path": pickle.dumps(Path(CANARY)),
    "a persistent id": HEAD + b"PX\n.",
    "a persistent id on the stack": HEAD + text("x") + b"Q.",
    "an extension": HEAD + b"\x82\x01.",
    "a buffer from elsewhere": b"\x80\x05\x97.",
    "a set": pickle.dumps({1, 2}),
    "a default dict": pickle.dumps(defaultdict(list, a=[1])),
    "items of an ordered dict": pickle.dumps(Extended()),
    "a state for a dict": HEAD + b"}}b.",
    "a call of a string": HEAD + text("x") + b")R.",
    "a bare name": HEAD + named("numpy", "ndarray") + b".",
    "a name in a list": HEAD + b"]" + named("numpy", "dtype") + b"a.",
    "a name in a tuple in a list": HEAD + b"]" + named("numpy", "dtype") + b"\x85a.",
    "an array without its state": HEAD
    + named("numpy._core.multiarray", "_reconstruct") + named("numpy", "ndarray") + b"K\0\x85C\x01b\x87R.",
    "an array of a subclass": HEAD + named("numpy._core.multiarray", "_reconstruct") + b"NNN\x87R.",
    "ndarray called": HEAD + named("numpy", "ndarray") + b"K\x01\x85R.",
    "records": pickle.dumps(np.zeros(2, dtype=[("a", "f4")])),
    "dates": pickle.dumps(np.array(["2020-01-01"], dtype="M8[D]")),
    "objects in two dimensions": pickle.dumps(np.array([[None]], dtype=object)),
    "a tuple as a key": pickle.dumps({(1, 2): 3}),
    "a void type": array_of("V4"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_is_no_plain_data_is_refused_and_never_run(kind, tmp_path, monkeypatch):
    folder = tmp_path / "empty"
    folder.mkdir()
    monkeypatch.chdir(folder)
    path = written(tmp_path, HOSTILE[kind])
    with pytest.raises(UnsafePickle) as caught:
        read_pickle(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not read: ")
    assert message.endswith("; only plain data and numpy's arrays are")
    assert "\n" not in message
    assert list(folder.iterdir()) == []


def test_the_canary_sings_when_pythons_own_unpickler_reads_it(tmp_path, monkeypatch):
    """The hostile pickles above are real ones."""
    monkeypatch.chdir(tmp_path)
    pickle.loads(HOSTILE["os.system"])
    assert [p.name for p in tmp_path.iterdir()] == [CANARY]


def test_the_message_names_what_was_asked_for(tmp_path):
    assert "it asks for 'posix'.'system'" in refusal(tmp_path, HOSTILE["posix"])
    assert "it holds the instruction 'Q' at byte 5" in refusal(tmp_path, HOSTILE["a persistent id on the stack"])


DAMAGED = {
    "nothing": (b"", "empty file"),
    "no pickle at all": (b"\x80\x09x.", "protocol 9; those from 2 to 5 are read"),
    "cut off": (pickle.dumps(DATA, protocol=4)[:100], "it ends too early"),
    "cut off in the middle of a string": (HEAD + b"\x8c\x20abc", "it ends too early"),
    "no end": (HEAD + b"N", "it ends too early"),
    "nothing on the stack": (HEAD + b".", "an instruction lacks its values"),
    "no mark": (HEAD + b"Nt.", "an instruction lacks its mark"),
    "a mark where a value should be": (HEAD + b"(a.", "an instruction lacks its values"),
    "a size beyond the file": (HEAD + b"\x8e" + struct.pack("<Q", 2**62) + b"x.", "it ends too early"),
    "a number of a gigabyte": (HEAD + b"\x8b" + struct.pack("<i", 2**30) + b".", "at most 16 are read"),
    "a negative size": (HEAD + b"\x8b" + struct.pack("<i", -1) + b".", "at most 16 are read"),
    "an unknown memory": (HEAD + b"h\x07.", "it recalls what it has not told"),
    "an array larger than its bytes": (array_of(shape=b"J\xff\xff\xff\x7f\x85"), "an array of shape"),
    "an array smaller than its bytes": (array_of(shape=b"K\0\x85"), "an array of shape"),
    "a negative shape": (array_of(shape=b"J\xff\xff\xff\xff\x85"), "without a shape"),
    "a name without an end": (HEAD + b"c" + b"x" * 1000, "a name of more than 200 characters"),
    "a dict with half an item": (HEAD + b"}(Nu.", "a key without a value"),
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_one_line(kind, tmp_path):
    content, reason = DAMAGED[kind]
    message = refusal(tmp_path, content)
    assert ": no readable pickle: " in message
    assert reason in message


def test_a_file_of_endless_instructions_ends(tmp_path, monkeypatch):
    assert safe_pickle.STEPS == 5_000_000
    monkeypatch.setattr(safe_pickle, "STEPS", 1000)
    assert read_pickle(written(tmp_path, HEAD + b"N0" * 498 + b"N.")) is None
    assert "more than 1,000 instructions" in refusal(tmp_path, HEAD + b"N0" * 500 + b"N.")


def test_a_tuple_within_a_tuple_a_hundred_thousand_times_is_read_and_let_go(tmp_path):
    read = read_pickle(written(tmp_path, HEAD + b")" + b"\x85" * 100_000 + b"."))
    assert len(read) == 1


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ValueError, match=r"nothing\.pkl: no such file"):
        read_pickle(tmp_path / "nothing.pkl")


def test_the_package_never_imports_pythons_own_unpickler():
    loads = re.compile(r"^\s*(import|from)\s+(pickle|_pickle|dill|joblib|cloudpickle)\b", re.M)
    for path in Path(emobraid.__file__).parent.rglob("*.py"):
        assert not loads.search(path.read_text(encoding="utf-8")), path
