"""Tensors kept on disk: the same comes back, from many processes at once, and damage is as if nothing had been kept."""

import errno
import fcntl
import multiprocessing
import os
import random
import stat
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from cache_writers import is_right, value_of, write, write_and_check, write_until_killed, write_with_little_space
from emobraid.data import cache as cache_module
from emobraid.data import shard_folder, shards
from emobraid.data.cache import CacheSizes, TensorCache, default_folder, key_of

KEY = key_of("sound", "audio")


@pytest.fixture
def cache(tmp_path):
    with TensorCache(tmp_path / "kept") as cache:
        yield cache


@pytest.fixture(scope="session")
def processes():
    """Processes that start from one with torch already loaded."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["emobraid.data.cache"])
    return context


def files(cache):
    return sorted(p for p in cache.folder.glob("*.shard.safetensors"))


def fill(cache, keys, *, group="", shards=1):
    """Entries of 25 floats, their own number 25 times, evenly over so many shards."""
    for i, key in enumerate(keys):
        cache.put(key, torch.full((5, 5), float(i)), f"note {i}", group=group)
        if (i + 1) % (len(keys) // shards) == 0:
            cache.flush()
    return keys


def numbers(cache, keys):
    """The number each entry holds; None where there is none."""
    kept = {key: cache.get(key) for key in keys}
    return [None if entry is None else int(entry[0].unique().item()) for entry in kept.values()]


def flip(file, at):
    content = bytearray(file.read_bytes())
    content[at] ^= 0xFF
    aside = file.with_suffix(".new")
    aside.write_bytes(content)
    aside.replace(file)


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize(
    "tensor",
    [
        torch.randn(5, 64),
        torch.arange(24).view(2, 12),
        torch.randint(0, 256, (3, 48, 48), dtype=torch.uint8),
        torch.zeros(0, 64),
        torch.randn(6, 4).T,
        torch.tensor([[float("nan"), float("inf")]]),
        torch.tensor(3.5),
        torch.tensor([[True, False]]),
        torch.randn(2, 3, dtype=torch.float64),
        torch.randn(2, 3).bfloat16(),
        torch.randn(2, 3, requires_grad=True),
    ],
    ids=["sound", "words", "frames", "missing", "not packed", "odd", "one", "bool", "double", "bf16", "gradient"],
)
def test_what_was_kept_comes_back_with_its_note(tensor, published, cache):
    cache.put(KEY, tensor, "silent: élan")
    if published:
        cache.flush()
    kept, note = (TensorCache(cache.folder) if published else cache).get(KEY)
    torch.testing.assert_close(kept, tensor.detach(), rtol=0, atol=0, equal_nan=True)
    assert kept.dtype == tensor.dtype
    assert kept.is_contiguous()
    assert note == "silent: élan"


def test_what_was_never_kept_is_none(cache):
    assert cache.get(KEY) is None
    cache.put(KEY, torch.zeros(1, 2))
    assert cache.get(key_of("other")) is None
    assert (KEY in cache, key_of("other") in cache) == (True, False)


def test_the_last_one_kept_counts(cache):
    for value, note in ((0.0, "old"), (1.0, "middle"), (2.0, "new")):
        cache.put(KEY, torch.full((2, 2), value), note)
        cache.flush()
    assert cache.get(KEY)[1] == TensorCache(cache.folder).get(KEY)[1] == "new"
    cache.compact()
    assert TensorCache(cache.folder).get(KEY)[1] == "new"


def test_a_note_may_hold_what_a_file_name_may(cache):
    cache.put(KEY, torch.zeros(1, 2), os.fsdecode(b"\xff.wav: silent"))
    cache.close()
    assert cache.get(KEY)[1] == "?.wav: silent"


def test_what_is_changed_after_it_was_kept_does_not_change_what_is_kept(cache):
    mine = torch.zeros(2, 2)
    cache.put(KEY, mine)
    mine.fill_(1)
    cache.get(KEY)[0].fill_(2)
    cache.flush()
    assert cache.get(KEY)[0].sum() == 0


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's list of mappings")
def test_a_kept_tensor_is_the_mapped_file_and_writing_to_it_never_reaches_the_disk(cache):
    def own_memory():
        status = Path("/proc/self/status").read_text()
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("RssAnon"))

    cache.put(KEY, torch.ones(4 << 20))
    cache.close()
    reader = TensorCache(cache.folder)
    before = own_memory()
    tensor, _ = reader.get(KEY)
    assert tensor.sum() == 4 << 20
    assert own_memory() - before < tensor.nbytes / 4  # every page was read, none was copied
    ranges = [
        line.split()[0] for line in Path("/proc/self/maps").read_text().splitlines() if files(cache)[0].name in line
    ]
    spans = [tuple(int(end, 16) for end in span.split("-")) for span in ranges]
    assert any(start <= tensor.data_ptr() < end for start, end in spans)
    tensor.zero_()
    assert TensorCache(cache.folder).get(KEY)[0].sum() == 4 << 20
    reader.close()
    del tensor
    assert str(files(cache)[0]) not in Path("/proc/self/maps").read_text()


def test_a_tensor_stays_good_when_the_cache_is_closed_and_its_file_gone(cache):
    fill(cache, ["a", "b"])
    tensor, _ = cache.get("b")
    cache.clear()
    cache.close()
    assert tensor.unique().tolist() == [1.0]


@pytest.mark.parametrize("place", [3, 30, 200, -30])
def test_a_changed_byte_makes_an_entry_as_none(place, cache):
    """In the length of the header, the name, the checksums or notes, and the numbers."""
    fill(cache, [KEY])
    flip(files(cache)[0], place)
    reader = TensorCache(cache.folder)
    assert reader.get(KEY) is None
    reader.put(KEY, torch.full((5, 5), 7.0))
    reader.flush()
    assert numbers(reader, [KEY]) == numbers(TensorCache(cache.folder), [KEY]) == [7]


def test_no_changed_byte_of_a_shard_gives_anything_but_the_truth_or_nothing(cache):
    cache.put("k", torch.tensor([1, 2], dtype=torch.uint8), "odd", group="g")
    cache.flush()
    (file,) = files(cache)
    whole = file.read_bytes()
    for at in range(len(whole)):
        for change in (0x01, 0x20, 0xFF):
            file.unlink()
            file.write_bytes(whole[:at] + bytes([whole[at] ^ change]) + whole[at + 1 :])
            kept = TensorCache(cache.folder).get("k")
            assert kept is None or (kept[0].tolist() == [1, 2] and kept[1] == "odd"), (at, change)


def test_damage_to_one_entry_leaves_the_others(cache):
    keys = fill(cache, ["a", "b", "c"])
    flip(files(cache)[0], -30)  # the last one's numbers
    reader = TensorCache(cache.folder)
    assert sorted(map(str, numbers(reader, keys))) == ["0", "1", "None"]
    assert reader.damaged == 1


@pytest.mark.parametrize("share", [0.0, 0.001, 0.1, 0.5, 0.999])
def test_a_truncated_shard_is_as_none_and_is_replaced(share, cache):
    fill(cache, [KEY])
    (file,) = files(cache)
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content[: int(len(content) * share)])
    reader = TensorCache(cache.folder)
    assert reader.get(KEY) is None
    reader.put(KEY, torch.full((5, 5), 3.0))
    assert reader.compact() == 1  # the truncated one
    assert len(files(reader)) == 1
    assert numbers(reader, [KEY]) == [3]


def test_a_sound_older_entry_stands_in_for_a_damaged_one(cache):
    for _ in range(2):
        fill(cache, [KEY])
    flip(files(cache)[-1], -30)
    assert numbers(TensorCache(cache.folder), [KEY]) == [0]


def test_who_found_damage_sees_what_another_has_made_again(cache):
    fill(cache, [KEY])
    flip(files(cache)[0], -30)
    reader, other = TensorCache(cache.folder), TensorCache(cache.folder)
    other.put(KEY, torch.full((5, 5), 4.0))
    other.close()
    assert numbers(reader, [KEY]) == [4]


def test_an_entry_is_checked_once(cache, monkeypatch):
    fill(cache, [KEY])
    checked = []
    check = shards._check
    monkeypatch.setattr(shards, "_check", lambda *about: checked.append(about[0]) or check(*about))
    assert numbers(cache, [KEY]) == numbers(cache, [KEY]) == [0]
    assert checked == [KEY]


def test_others_see_entries_when_a_shard_is_full_or_time_is_over_or_at_the_end(cache, monkeypatch):
    reader = TensorCache(cache.folder)
    fill(cache, ["a"], shards=1)
    assert numbers(reader, ["a"]) == [0]
    cache.put("b", torch.zeros(5, 5))
    assert (reader.get("b"), cache.get("b")[1]) == (None, "")
    monkeypatch.setattr(cache_module, "PATIENCE", -1.0)
    cache.put("c", torch.zeros(5, 5))
    assert numbers(reader, ["b", "c"]) == [0, 0]
    monkeypatch.undo()
    cache.put("d", torch.zeros(5, 5))
    assert reader.get("d") is None
    cache.shard_bytes = 1
    cache.put("e", torch.zeros(5, 5))
    assert numbers(reader, ["d", "e"]) == [0, 0]
    cache.shard_bytes = 1 << 20
    cache.put("f", torch.zeros(5, 5))
    cache.close()
    assert numbers(reader, ["f"]) == [0]


def test_what_threads_put_is_found_by_all_of_them_at_once(tmp_path):
    with TensorCache(tmp_path / "kept", shard_bytes=4096) as cache:

        def work(me):
            for i in range(100):
                write(cache, f"{me}: {i}")
                assert all(is_right(f"{me}: {j}", cache.get(f"{me}: {j}")) for j in range(max(0, i - 5), i + 1))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    assert sum(size.entries for size in cache.sizes().values()) == 800


@pytest.mark.parametrize(
    ("code", "call"),
    [(errno.ENOSPC, "fsync"), (errno.ENOSPC, "replace"), (errno.EROFS, "open"), (errno.EACCES, "open")],
)
def test_a_full_or_read_only_disk_costs_one_warning_and_leaves_nothing_behind(code, call, cache, monkeypatch):
    fill(cache, ["before", "and before"], shards=2)

    def refused(*_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, call, refused)
    cache.put(KEY, torch.zeros(1, 1))
    with pytest.warns(UserWarning, match=f"prepared inputs are not kept: .*{os.strerror(code)}") as caught:
        cache.flush()
    assert len(caught) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cache.put(KEY, torch.zeros(1, 1))
        assert cache.get(KEY) is None
        cache.compact()
        cache.close()
    assert numbers(cache, ["before", "and before"]) == [0, 1]
    assert {p.name for p in cache.folder.iterdir()} - {"cache.lock"} == {p.name for p in files(cache)}


def test_a_folder_that_cannot_be_made_costs_one_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    cache = TensorCache(tmp_path / "file" / "kept")
    cache.put(KEY, torch.zeros(1, 1))
    with pytest.warns(UserWarning, match="prepared inputs are not kept: .*Not a directory"):
        cache.close()
    assert (cache.get(KEY), cache.compact(), cache.clear(), cache.sizes()) == (None, 0, 0, {})


def test_files_that_may_not_grow_are_as_a_full_disk(tmp_path, processes):
    hear, say = processes.Pipe(duplex=False)
    child = processes.Process(target=write_with_little_space, args=(tmp_path / "kept", say))
    child.start()
    warned, kept = hear.recv()
    child.join()
    assert len(warned) == 1
    assert "File too large" in warned[0]
    assert kept == ["small"]
    assert len(list((tmp_path / "kept").iterdir())) == 1


def test_what_is_kept_is_for_its_owner_only(cache):
    fill(cache, [KEY, "other"], shards=2)
    cache.compact()
    for place in (cache.folder, *cache.folder.iterdir()):
        assert not stat.S_IMODE(place.stat().st_mode) & 0o077


def test_a_folder_that_everybody_may_write_to_is_refused(tmp_path):
    tmp_path.chmod(0o777)
    with pytest.raises(ValueError, match=f"chmod 700 {tmp_path}"):
        TensorCache(tmp_path)
    tmp_path.chmod(0o1777)  # as /tmp: nobody takes away what is another's
    TensorCache(tmp_path)


def test_opening_removes_what_dead_writers_left_and_nothing_of_living_ones(cache):
    fill(cache, [KEY])
    orphan, alive = (cache.folder / f"{name}.shard.aside" for name in ("orphan", "alive"))
    orphan.write_bytes(b"half a sh")
    with alive.open("wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        TensorCache(cache.folder)
        assert (orphan.exists(), alive.exists()) == (False, True)
    TensorCache(cache.folder)
    assert not alive.exists()
    assert numbers(cache, [KEY]) == [0]


def test_sizes_and_entries_are_listed_by_group(cache):
    fill(cache, ["a", "b"], group="audio/wav2vec2", shards=2)
    fill(cache, ["c"], group="video/vit")
    on_disk = [file.stat().st_size for file in files(cache)]
    assert cache.sizes() == {
        "audio/wav2vec2": CacheSizes(entries=2, bytes=sum(on_disk[:2]), shards=2),
        "video/vit": CacheSizes(entries=1, bytes=on_disk[2], shards=1),
    }
    assert sorted(cache.entries()) == [
        ("a", "audio/wav2vec2", "note 0", (5, 5), "F32", 100),
        ("b", "audio/wav2vec2", "note 1", (5, 5), "F32", 100),
        ("c", "video/vit", "note 0", (5, 5), "F32", 100),
    ]


@pytest.mark.parametrize(
    ("dtype", "name", "size"),
    [
        (torch.float16, "F16", 12),
        (torch.bfloat16, "BF16", 12),
        (torch.bool, "BOOL", 6),
        (torch.int64, "I64", 48),
        (torch.float8_e4m3fn, "F8_E4M3", 6),
    ],
)
def test_the_list_says_how_many_bytes_numbers_take(dtype, name, size, cache):
    cache.put("k", torch.zeros(2, 3).to(dtype))
    ((_, _, _, shape, kept_as, taken),) = cache.entries()
    assert (shape, kept_as, taken) == ((2, 3), name, size)


def test_a_forgotten_group_is_gone_for_all_and_from_the_disk(cache):
    fill(cache, ["a", "b"], group="audio", shards=2)
    fill(cache, ["c"], group="video")
    cache.put("waiting", torch.zeros(1), group="audio")
    reader = TensorCache(cache.folder)
    assert cache.forget("audio") == 3
    reader.refresh()
    for each in (cache, reader, TensorCache(cache.folder)):
        assert numbers(each, ["a", "b", "waiting", "c"]) == [None, None, None, 0]
    assert len(files(cache)) == 1
    assert (cache.clear(), files(cache)) == (1, [])


def test_small_shards_are_merged_while_a_reader_uses_them(cache):
    keys = fill(cache, [f"key {i}" for i in range(12)], group="audio", shards=12)
    more = fill(cache, [f"other {i}" for i in range(3)], group="video", shards=3)
    reader, sleeper = TensorCache(cache.folder), TensorCache(cache.folder)
    in_use, _ = reader.get("key 5")
    assert cache.compact() == 13
    assert len(files(cache)) == 2
    assert in_use.unique().tolist() == [5.0]
    reader.refresh()
    for each in (cache, reader, sleeper, TensorCache(cache.folder)):
        assert numbers(each, keys) == list(range(12))
        assert numbers(each, more) == [0, 1, 2]
    assert [entry.note for entry in cache.entries()][:3] == ["note 0", "note 1", "note 10"]
    assert cache.compact() == 0


def test_merging_leaves_large_shards_and_drops_damaged_entries(tmp_path):
    with TensorCache(tmp_path, shard_bytes=8192) as cache:
        cache.put("large", torch.ones(1000))
        cache.flush()
        fill(cache, ["a", "b"], shards=2)
        large, _, last = files(cache)
        flip(last, -30)
    with TensorCache(tmp_path, shard_bytes=8192) as cache:
        assert cache.compact() == 1
        assert large in files(cache)
        assert numbers(cache, ["a", "b", "large"]) == [0, None, 1]
        assert [entry.key for entry in cache.entries()] == ["large", "a"]


def test_merging_small_shards_does_not_bring_back_what_a_large_one_replaced(tmp_path):
    with TensorCache(tmp_path, shard_bytes=8192) as cache:
        fill(cache, [KEY, "other"], shards=2)
        cache.put(KEY, torch.full((1000,), 7.0))
        cache.flush()
        assert cache.compact() == 1
        assert numbers(TensorCache(tmp_path), [KEY, "other"]) == [7, 1]


def test_two_do_not_merge_at_once(cache):
    fill(cache, ["a", "b"], shards=2)
    with TensorCache(cache.folder)._alone(timeout=0):
        assert cache.compact() == 0
    assert cache.compact() == 1


def test_a_shard_that_goes_between_listing_and_opening_is_no_error(cache, monkeypatch):
    fill(cache, [KEY])
    listed = shard_folder._listed
    monkeypatch.setattr(shard_folder, "_listed", lambda folder: {*listed(folder), f"0{shards.ENDING}"})
    assert numbers(TensorCache(cache.folder), [KEY]) == [0]


def test_a_shard_that_cannot_be_mapped_now_is_read_when_it_can(cache, monkeypatch):
    def refuses(*_, **__):
        raise RuntimeError("unable to mmap: Cannot allocate memory")  # torch's

    fill(cache, [KEY])
    monkeypatch.setattr(shards, "safe_open", refuses)
    reader = TensorCache(cache.folder)
    assert (reader.get(KEY), reader.compact()) == (None, 0)
    monkeypatch.undo()
    reader.refresh()
    assert numbers(reader, [KEY]) == [0]


def test_a_cache_of_the_first_layout_is_left_alone(cache):
    old = cache.folder / KEY[:2] / f"{KEY}.safetensors"
    old.parent.mkdir(parents=True)
    old.write_bytes(b"of an older version")
    assert (cache.get(KEY), list(cache.entries()), cache.compact(), cache.clear()) == (None, [], 0, 0)
    assert old.exists()


@pytest.mark.parametrize(("how", "gone"), [("get", False), ("compact", True), ("clear", True)])
def test_shards_of_other_versions_are_not_read_and_go_when_one_asks_for_room(how, gone, cache, monkeypatch):
    monkeypatch.setattr(shards, "VERSION", "0")
    fill(cache, [KEY])
    monkeypatch.undo()
    reader = TensorCache(cache.folder)
    assert (reader.get(KEY), list(reader.entries())) == (None, [])
    {"get": lambda: reader.get(KEY), "compact": reader.compact, "clear": reader.clear}[how]()
    assert (not files(cache)) is gone


def test_eight_processes_and_two_hundred_keys_leave_every_entry_right(tmp_path, processes):
    folder = tmp_path / "kept"
    writers = [processes.Process(target=write_and_check, args=(folder, me, 200)) for me in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0] * 8
    keys = [f"{me}: {i}" for me in range(8) for i in range(0, 200, 2)] + [f"shared {i}" for i in range(1, 200, 2)]
    with TensorCache(folder) as cache:
        assert all(is_right(key, cache.get(key)) for key in keys)
        assert {entry.key for entry in cache.entries()} == set(keys)
        cache.compact()
        assert all(is_right(key, cache.get(key)) for key in keys)
        assert len(files(cache)) == 2
    assert not list(folder.glob("*.aside"))


@pytest.mark.slow
def test_a_hundred_kills_during_writes_leave_no_torn_entry(tmp_path, processes):
    folder = tmp_path / "kept"
    chance = random.Random(0)
    torn, sound = 0, set()
    for first in range(0, 100, 4):
        writers = []
        for me in range(first, first + 4):
            hear, say = processes.Pipe(duplex=False)
            writers.append((processes.Process(target=write_until_killed, args=(folder, me, say)), hear))
            writers[-1][0].start()
        for writer, hear in writers:
            hear.recv()
            time.sleep(chance.uniform(0, 0.04))
            writer.kill()
            writer.join()
            assert writer.exitcode == -9
        torn += len(list(folder.glob("*.aside")))
        with TensorCache(folder) as cache:
            assert not list(folder.glob("*.aside"))
            for key in {entry.key for entry in cache.entries()} - sound:
                assert is_right(key, cache.get(key)), key
                sound.add(key)
            assert cache.damaged == 0
            write(cache, f"after {first}")
    assert torn > 5  # or the kills did not meet writes
    assert len(sound) > 500
    with TensorCache(folder) as cache:
        assert cache.compact() > 0
        assert sound <= {entry.key for entry in cache.entries()}  # what was once published stays
        assert all(is_right(entry.key, cache.get(entry.key)) for entry in cache.entries())
        assert f"after {first}" in cache


def test_the_default_folder_is_in_the_users_cache(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_folder() == Path("/somewhere/emobraid")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert default_folder() == Path.home() / ".cache" / "emobraid"


def test_values_of_different_keys_differ():
    assert not torch.equal(value_of("a"), value_of("b"))
