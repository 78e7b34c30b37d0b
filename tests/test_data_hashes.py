"""Hashes of files remembered between runs: a file that looks as it did is not opened, one that changed is."""

import hashlib
import multiprocessing
import os
import sqlite3
import sys
import time

import pytest

from cache_writers import hash_all
from emobraid.data.hashes import FileHashes, content_hash, key_of

OPENED: list[str] = []
LISTENING: list[bool] = []


def _hear(event, arguments):
    if LISTENING and event == "open":
        OPENED.append(os.fsdecode(arguments[0]) if isinstance(arguments[0], (str, bytes, os.PathLike)) else "")


sys.addaudithook(_hear)  # for good: a hook cannot be taken away


@pytest.fixture
def opened():
    """The files opened by Python while the test runs."""
    OPENED.clear()
    LISTENING.append(True)
    yield OPENED
    LISTENING.clear()


@pytest.fixture
def old_file(tmp_path):
    return written(tmp_path / "a.wav", b"sound")


def written(path, content, *, age=60.0):
    path.write_bytes(content)
    then = time.time() - age
    os.utime(path, (then, then))
    return path


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def hash_of(folder, path):
    with FileHashes(folder) as hashes:
        return hashes.of(path)


def test_a_key_tells_its_parts_apart():
    assert key_of("ab", "c") != key_of("a", "bc") != key_of("abc")
    assert key_of("a", "b") == key_of("a", "b") == sha256(b"a\0b")


def test_the_content_of_a_file_is_its_name(tmp_path):
    (tmp_path / "a").write_bytes(b"sound")
    (tmp_path / "b").write_bytes(b"sound")
    assert content_hash(tmp_path / "a") == content_hash(tmp_path / "b") == sha256(b"sound")
    assert hash_of(tmp_path, tmp_path / "a") == hash_of(tmp_path, tmp_path / "b") == sha256(b"sound")


def test_a_second_run_opens_no_file_whose_hash_it_knows(tmp_path, old_file, opened, monkeypatch):
    assert hash_of(tmp_path, old_file) == sha256(b"sound")
    assert opened.count(str(old_file)) == 1
    opened.clear()
    monkeypatch.chdir(tmp_path)
    assert hash_of(tmp_path, old_file) == hash_of(tmp_path, old_file.relative_to(tmp_path)) == sha256(b"sound")
    assert str(old_file) not in opened
    assert old_file.name not in opened


@pytest.mark.parametrize("how", ["longer", "written", "in place with its time set back", "put in its place"])
def test_a_changed_file_is_hashed_anew(how, tmp_path, old_file):
    about = old_file.stat()
    assert hash_of(tmp_path, old_file) == sha256(b"sound")
    if how == "put in its place":
        (tmp_path / "new").write_bytes(b"noise")
        (tmp_path / "new").replace(old_file)
    else:
        old_file.write_bytes(b"noises" if how == "longer" else b"noise")
    if how != "written":
        os.utime(old_file, ns=(about.st_atime_ns, about.st_mtime_ns))
    assert hash_of(tmp_path, old_file) == sha256(b"noises" if how == "longer" else b"noise")


def test_a_file_just_written_is_not_remembered(tmp_path, opened):
    """Written again within one tick of the clock it would look the same."""
    file = written(tmp_path / "a.wav", b"sound", age=1.0)
    hash_of(tmp_path, file)
    opened.clear()
    assert hash_of(tmp_path, file) == sha256(b"sound")
    assert str(file) in opened


def test_a_file_that_changes_while_it_is_read_is_hashed_again(tmp_path, old_file, monkeypatch):
    digest = hashlib.file_digest

    def slow(file, kind):
        found = digest(file, kind)
        written(old_file, b"noise", age=30.0)
        return found

    monkeypatch.setattr(hashlib, "file_digest", slow)
    hash_of(tmp_path, old_file)
    monkeypatch.undo()
    assert hash_of(tmp_path, old_file) == sha256(b"noise")


@pytest.mark.parametrize("content", [b"not a database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000, b""])
def test_a_damaged_memory_is_replaced(content, tmp_path, old_file, opened):
    hash_of(tmp_path, old_file)
    (tmp_path / "hashes.sqlite").write_bytes(content)
    assert hash_of(tmp_path, old_file) == sha256(b"sound")
    opened.clear()
    assert hash_of(tmp_path, old_file) == sha256(b"sound")
    assert str(old_file) not in opened


def test_damage_while_it_is_open_is_no_error(tmp_path, old_file):
    others = [written(tmp_path / f"{i}.wav", b"%d" % i) for i in range(50)]
    with FileHashes(tmp_path) as hashes:
        for file in others:
            hashes.of(file)
    with FileHashes(tmp_path) as hashes:
        for name in ("hashes.sqlite", "hashes.sqlite-wal"):
            size = (tmp_path / name).stat().st_size
            with (tmp_path / name).open("r+b") as file:
                file.write(b"\xff" * size)
        assert hashes.of(old_file) == sha256(b"sound")
        assert [hashes.of(file) for file in others] == [sha256(b"%d" % i) for i in range(50)]
    assert [hash_of(tmp_path, file) for file in others] == [sha256(b"%d" % i) for i in range(50)]


def test_damage_found_late_costs_what_was_remembered_and_no_more(tmp_path, old_file, opened):
    class Damaged:
        def execute(self, *_):
            raise sqlite3.DatabaseError("database disk image is malformed")

        def close(self):
            pass

    hashes = FileHashes(tmp_path)
    hashes.close()
    hashes._database = Damaged()
    assert hashes.of(old_file) == sha256(b"sound")
    opened.clear()
    assert hashes.of(old_file) == sha256(b"sound")
    assert str(old_file) not in opened
    hashes.close()


def test_without_a_place_for_the_memory_files_are_hashed(tmp_path, old_file):
    (tmp_path / "hashes.sqlite").mkdir()
    assert hash_of(tmp_path, old_file) == sha256(b"sound")
    assert hash_of(old_file / "below a file", old_file) == sha256(b"sound")
    hashes = FileHashes(tmp_path / "other")
    hashes.close()
    assert hashes.of(old_file) == sha256(b"sound")


def test_what_is_forgotten_is_hashed_again(tmp_path, old_file, opened):
    with FileHashes(tmp_path) as hashes:
        hashes.of(old_file)
        hashes.clear()
        opened.clear()
        hashes.of(old_file)
    assert str(old_file) in opened


def test_a_name_that_is_not_text_and_a_file_that_is_not_there(tmp_path):
    odd = written(tmp_path / os.fsdecode(b"\xff.wav"), b"sound")
    assert hash_of(tmp_path, odd) == hash_of(tmp_path, odd) == sha256(b"sound")
    with pytest.raises(FileNotFoundError):
        hash_of(tmp_path, tmp_path / "nowhere.wav")


def test_the_memory_is_for_its_owner_only(tmp_path, old_file):
    with FileHashes(tmp_path / "kept") as hashes:
        hashes.of(old_file)
        names = {p.name: p.stat().st_mode & 0o077 for p in (tmp_path / "kept").glob("hashes.*")}
    assert names.pop("hashes.lock", 0) == 0  # some systems keep it
    assert names == {"hashes.sqlite": 0, "hashes.sqlite-wal": 0, "hashes.sqlite-shm": 0}


def test_eight_processes_share_one_memory(tmp_path):
    files = [written(tmp_path / f"{i}.wav", b"%d" % i) for i in range(40)]
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["emobraid.data.cache"])
    hashes = [sha256(b"%d" % i) for i in range(40)]
    hashers = [context.Process(target=hash_all, args=(tmp_path / "kept", files, hashes)) for _ in range(8)]
    for hasher in hashers:
        hasher.start()
    for hasher in hashers:
        hasher.join()
    assert [hasher.exitcode for hasher in hashers] == [0] * 8
    with sqlite3.connect(tmp_path / "kept" / "hashes.sqlite") as database:
        assert sorted(row[0] for row in database.execute("SELECT hash FROM files")) == sorted(hashes)
    database.close()
