"""Prepared inputs kept on disk: the same comes back, and damage is as if nothing had been kept."""

import hashlib
import os
import stat
import warnings
from pathlib import Path

import pytest
import torch

from emobraid.data.cache import PreparedCache, content_hash, default_folder, key_of

KEY = key_of("sound", "audio")


@pytest.fixture
def cache(tmp_path):
    return PreparedCache(tmp_path / "kept")


def entry(cache):
    (file,) = (p for p in cache.folder.rglob("*") if p.is_file())
    return file


@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(5, 64),
        torch.arange(24).view(2, 12),
        torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8),
        torch.zeros(0, 64),
        torch.randn(6, 4).T,
        torch.tensor([[float("nan"), float("inf")]]),
    ],
    ids=["sound", "words", "frames", "missing", "not contiguous", "no numbers"],
)
def test_what_was_kept_comes_back_with_its_note(tensor, cache):
    cache.put(KEY, tensor, "silent: élan")
    kept, note = PreparedCache(cache.folder).get(KEY)
    torch.testing.assert_close(kept, tensor, rtol=0, atol=0, equal_nan=True)
    assert kept.dtype == tensor.dtype
    assert note == "silent: élan"


def test_what_was_never_kept_is_none(cache):
    assert cache.get(KEY) is None
    cache.put(KEY, torch.zeros(1, 2), "")
    assert cache.get(key_of("other")) is None


def test_the_last_one_kept_counts(cache):
    cache.put(KEY, torch.zeros(2, 2), "old")
    cache.put(KEY, torch.ones(3, 2), "new")
    kept, note = cache.get(KEY)
    assert (kept.shape, note) == ((3, 2), "new")
    assert entry(cache).exists()


@pytest.mark.parametrize("place", ["header", "numbers"])
def test_a_changed_byte_makes_an_entry_as_none(place, cache):
    cache.put(KEY, torch.arange(100.0)[:, None], "")
    file = entry(cache)
    content = bytearray(file.read_bytes())
    content[4 if place == "header" else -10] ^= 0xFF
    file.write_bytes(content)
    assert cache.get(KEY) is None


@pytest.mark.parametrize("content", [b"", b"\0" * 7, b"not a tensor file at all"])
def test_a_file_that_is_no_entry_is_as_none(content, cache):
    cache.put(KEY, torch.zeros(1, 1), "")
    entry(cache).write_bytes(content)
    assert cache.get(KEY) is None


def test_half_an_entry_is_as_none_and_is_replaced(cache):
    cache.put(KEY, torch.ones(50, 4), "whole")
    content = entry(cache).read_bytes()
    entry(cache).write_bytes(content[: len(content) // 2])
    assert cache.get(KEY) is None
    cache.put(KEY, torch.ones(50, 4), "again")
    assert cache.get(KEY)[1] == "again"


def test_a_folder_that_cannot_be_written_costs_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = PreparedCache(tmp_path / "file" / "kept")
    with pytest.warns(UserWarning, match="prepared inputs are not kept: .*Not a directory"):
        cache.put(KEY, torch.zeros(1, 1), "")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, torch.zeros(1, 1), "")
    assert cache.get(KEY) is None


def test_a_full_disk_costs_one_warning_and_leaves_nothing_behind(cache, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.warns(UserWarning, match="No space left on device"):
        cache.put(KEY, torch.zeros(1, 1), "")
    assert not [p for p in cache.folder.rglob("*") if p.is_file()]


def test_what_is_kept_is_for_its_owner_only(cache):
    cache.put(KEY, torch.zeros(1, 1), "")
    assert not stat.S_IMODE(entry(cache).stat().st_mode) & 0o077


def test_a_key_tells_its_parts_apart():
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")
    assert key_of("a", "b") == key_of("a", "b") == hashlib.sha256(b"a\0b").hexdigest()


def test_the_content_of_a_file_is_its_name(tmp_path):
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").write_bytes(b"sound")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") == hashlib.sha256(b"sound").hexdigest()


def test_the_default_folder_is_in_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/emobraid")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "emobraid"
