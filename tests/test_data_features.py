"""Cells that point into array files; a damaged file or a pickle is one sentence, and is never unpickled."""

import os
import pickle
import re
import tracemalloc
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from emobraid.data import array_files
from emobraid.data.array_files import Kept
from emobraid.data.features import FeatureCell

GRID = np.arange(6.0, dtype=np.float32).reshape(2, 3)


def load(folder, cell):
    parsed = FeatureCell.parse(cell)
    return parsed.at(folder / parsed.path).load()


def refusal(folder, cell):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        load(folder, cell)
    assert "\n" not in str(caught.value)
    return str(caught.value).replace(f"{folder}{os.sep}", "")


@pytest.mark.parametrize(
    ("cell", "path", "name", "row"),
    [
        ("f.npz#audio[12]", "f.npz", "audio", 12),
        ("sub dir/clip_7.npz#frames", "sub dir/clip_7.npz", "frames", None),
        ("vector.npy", "vector.npy", None, None),
        ("x.safetensors#au.left", "x.safetensors", "au.left", None),
        ("x.safetensors#a[0]", "x.safetensors", "a", 0),
    ],
)
def test_a_cell_is_a_file_an_array_and_a_row(cell, path, name, row):
    parsed = FeatureCell.parse(cell)
    assert (str(parsed.path), parsed.name, parsed.row) == (path, name, row)


@pytest.mark.parametrize(
    "cell", ["a.wav", "a.npz#", "a.npz#x[-1]", "a.npz#x[1", "a.npz#x]", "#x", "a.pkl#x", "a.npz#x[y]"]
)
def test_other_cells_are_refused_with_the_form_wanted(cell):
    with pytest.raises(ValueError, match=r"is no feature cell; write file\.npz#array\[row\] \(\.npz, \.npy, "):
        FeatureCell.parse(cell)


def test_a_row_a_whole_array_and_the_only_array(tmp_path):
    np.savez(tmp_path / "two.npz", a=GRID, b=-GRID)
    np.savez_compressed(tmp_path / "one.npz", only=GRID)
    np.save(tmp_path / "vector.npy", GRID[0])
    assert load(tmp_path, "two.npz#b[1]").tolist() == [-3, -4, -5]
    assert load(tmp_path, "two.npz#a").tolist() == GRID.tolist()
    assert load(tmp_path, "one.npz").tolist() == GRID.tolist()
    assert load(tmp_path, "vector.npy").tolist() == [0, 1, 2]


def test_a_row_of_a_cube_is_a_sequence(tmp_path):
    np.savez(tmp_path / "f.npz", x=np.zeros((4, 5, 6)))
    assert load(tmp_path, "f.npz#x[3]").shape == (5, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64])
def test_safetensors_of_any_number_type_are_read(dtype, tmp_path):
    save_file({"x": torch.from_numpy(GRID).to(dtype)}, tmp_path / "f.safetensors")
    assert load(tmp_path, "f.safetensors#x[1]").tolist() == [3, 4, 5]


def test_a_changed_file_is_read_anew(tmp_path):
    np.save(tmp_path / "v.npy", GRID[0])
    assert load(tmp_path, "v.npy")[0] == 0
    np.save(tmp_path / "v.npy", GRID[1])
    os.utime(tmp_path / "v.npy", ns=(1, 1))
    assert load(tmp_path, "v.npy")[0] == 3


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("f.npz#c", "f.npz: no array 'c'; it holds a, s, t, cube"),
        ("f.npz", "f.npz: no array ''; it holds a, s, t, cube"),
        ("f.npz#a[2]", "f.npz: a has 2 rows, row 2 was asked for"),
        ("f.npz#s[0]", "f.npz: s has 0 rows, row 0 was asked for"),
        ("f.npz#s", "f.npz: s gives float32 of shape (); need numbers, (W) or (T, W)"),
        ("f.npz#t", "f.npz: t gives <U1 of shape (1,); need numbers, (W) or (T, W)"),
        ("f.npz#cube", "f.npz: cube gives float64 of shape (1, 1, 1); need numbers, (W) or (T, W)"),
        ("gone.npz#a", "gone.npz: no readable array file: [Errno 2] No such file or directory"),
    ],
)
def test_what_a_file_lacks_is_said(cell, message, tmp_path):
    np.savez(tmp_path / "f.npz", a=GRID, s=np.float32(1), t=np.array(["x"]), cube=np.zeros((1, 1, 1)))
    assert refusal(tmp_path, cell).startswith(message)


def damaged(folder, kind):
    """A file that is no whole array file, of one kind."""
    np.savez_compressed(folder / "good.npz", x=np.random.default_rng(0).normal(size=(50, 9)))
    good = (folder / "good.npz").read_bytes()
    np.save(folder / "good.npy", GRID)
    save_file({"x": torch.ones(2, 3)}, folder / "good.safetensors")
    name, content = {
        "empty.npz": ("f.npz", b""),
        "half.npz": ("f.npz", good[: len(good) // 2]),
        "flipped.npz": ("f.npz", good[:900] + bytes(255 - b for b in good[900:920]) + good[920:]),
        "text.npz": ("f.npz", b"hello"),
        "half.npy": ("f.npy", (folder / "good.npy").read_bytes()[:-4]),
        "half.safetensors": ("f.safetensors", (folder / "good.safetensors").read_bytes()[:-4]),
        "empty.safetensors": ("f.safetensors", b""),
    }[kind]
    (folder / name).write_bytes(content)
    return name


@pytest.mark.parametrize(
    "kind", ["empty.npz", "half.npz", "flipped.npz", "text.npz", "half.npy", "half.safetensors", "empty.safetensors"]
)
def test_a_damaged_file_is_one_sentence(kind, tmp_path):
    name = damaged(tmp_path, kind)
    assert refusal(tmp_path, name).startswith(f"{name}: no readable array file: ")


class Trap:
    def __reduce__(self):
        return os.mkdir, ("sprung",)


@pytest.mark.parametrize("kind", ["bare", "npy", "npz"])
def test_a_pickle_is_never_opened(kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    trap = np.array([Trap()], dtype=object)
    if kind == "bare":
        (tmp_path / "f.npy").write_bytes(pickle.dumps(Trap()))
    elif kind == "npy":
        np.save(tmp_path / "f.npy", trap)
    else:
        np.savez(tmp_path / "f.npz", x=trap)
    message = refusal(tmp_path, "f.npz" if kind == "npz" else "f.npy")
    assert "no readable array file" in message
    assert "unsafely" not in message
    assert not (tmp_path / "sprung").exists()


# --- files that promise more than they hold, or hold more than anybody needs ---


def npy_head(shape, *, descr="<f4", version=1):
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode() + b"\n"
    size = len(head).to_bytes(2 if version == 1 else 4, "little")
    return b"\x93NUMPY" + bytes([version, 0]) + size + head


def packed(path, members, kind=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", kind) as archive:
        for name, parts in members.items():
            with archive.open(name, "w", force_zip64=True) as member:
                for part in parts:
                    member.write(part)


@pytest.mark.parametrize("shape", [(10**9,), (10**5, 10**4), (10**18, 10**18), (10**300,)])
@pytest.mark.parametrize("version", [1, 2])
def test_a_header_that_promises_more_than_the_file_holds_costs_nothing(tmp_path, shape, version):
    (tmp_path / "f.npy").write_bytes(npy_head(shape, version=version) + bytes(100))
    packed(tmp_path / "f.npz", {"x.npy": [npy_head(shape, version=version), bytes(100)]})
    for name in ("f.npy", "f.npz"):
        with most_memory(100 << 20):
            assert re.match(
                rf"{name}: (f|x|no readable array file: (f|x)) (takes|should hold) ", refusal(tmp_path, name)
            )


def test_a_header_of_gigabytes_is_not_read(tmp_path):
    start = b"\x93NUMPY\x02\x00" + (4_000_000_000).to_bytes(4, "little")
    packed(tmp_path / "f.npz", {"x.npy": [start, *[bytes(1 << 20)] * 200]})
    with most_memory(100 << 20):
        assert "the header of x is damaged" in refusal(tmp_path, "f.npz")


def test_an_archive_that_unfolds_to_far_more_is_refused_before(tmp_path, monkeypatch):
    monkeypatch.setattr(array_files, "LARGEST", 1 << 27)  # 2 GB, but packing takes long
    count = 60 << 20  # of 4 bytes
    packed(tmp_path / "f.npz", {"x.npy": [npy_head((count,)), *[bytes(1 << 24)] * (4 * count >> 24)]})
    assert (tmp_path / "f.npz").stat().st_size < 1 << 20
    with most_memory(20 << 20):
        assert "x takes 0.2 GB in memory, the limit is 0.125 GB; split it" in refusal(tmp_path, "f.npz")


def test_of_an_archive_only_the_array_that_is_named_is_read(tmp_path):
    packed(
        tmp_path / "f.npz", {"big.npy": [npy_head((64 << 20,)), bytes(256 << 20)], "x.npy": [npy_head((2,)), bytes(8)]}
    )
    with most_memory(100 << 20):
        assert load(tmp_path, "f.npz#x").tolist() == [0, 0]


def test_a_sparse_file_is_bounded_as_well(tmp_path):
    with (tmp_path / "f.npy").open("wb") as file:
        file.write(npy_head((1 << 30,)))
        file.truncate(5 << 30)
    assert "f takes 4.0 GB in memory" in refusal(tmp_path, "f.npy")


def test_many_arrays_are_not_all_named(tmp_path):
    np.savez(tmp_path / "f.npz", **{f"a{i}": GRID for i in range(500)})
    assert refusal(tmp_path, "f.npz#b").endswith("a8, a9 and 490 more")


def told(folder, cell):
    """The shape that is read, or why nothing is."""
    try:
        return str(load(folder, cell).shape)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("kind", [zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_every_packing_is_read_and_its_damage_told(tmp_path, kind):
    head, content = npy_head((2, 3)), GRID.tobytes()
    packed(tmp_path / "f.npz", {"x.npy": [head, content]}, kind)
    assert load(tmp_path, "f.npz").tolist() == GRID.tolist()
    whole = (tmp_path / "f.npz").read_bytes()
    for at in range(60, len(whole), 7):
        (tmp_path / "g.npz").write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        assert told(tmp_path, "g.npz").startswith((f"{tmp_path / 'g.npz'}: ", "(2, 3)"))
        os.unlink(tmp_path / "g.npz")


@contextmanager
def most_memory(most):
    """What numpy and Python allocate meanwhile stays below `most` bytes."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < most
    finally:
        tracemalloc.stop()


def test_arrays_that_were_read_last_are_kept_as_far_as_they_fit():
    kept = Kept(100)
    for i in range(4):
        kept.put((Path("f"), i, ""), "x", np.zeros(40, np.uint8))
    assert [kept.get((Path("f"), i, "")) is not None for i in range(4)] == [False, False, True, True]
    kept.put((Path("f"), 9, ""), "x", np.zeros(101, np.uint8))
    assert kept.get((Path("f"), 9, "")) is None


def test_plain_arrays_beside_pickled_ones_are_read_and_pickled_ones_never(tmp_path):
    names = np.array([{"who": "a"}, None], dtype=object)
    np.savez(tmp_path / "f.npz", audio=np.ones((2, 3)), names=names)
    assert FeatureCell.parse(f"{tmp_path}/f.npz#audio[1]").load().tolist() == [1.0, 1.0, 1.0]
    assert FeatureCell(tmp_path / "f.npz", None, 1).load().tolist() == [1.0, 1.0, 1.0]  # the only plain one
    with pytest.raises(ValueError, match="names is an array of Python objects, which are never read; save numbers"):
        FeatureCell.parse(f"{tmp_path}/f.npz#names[0]").load()
