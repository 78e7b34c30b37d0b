"""The processes that decode: one that dies costs one file, and none outlives its reader or is believed blindly."""

import gc
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

import media_fixtures as made
from emobraid.media import Limits, MediaError, MediaReader
from emobraid.media.child import environment
from emobraid.media.wire import ProtocolError, bounded, receive, send
from media_fixtures import child_of, put

reader, victim, short = made.reader, made.victim, made.short


def children() -> set[psutil.Process]:
    living = psutil.Process().children()
    return {child for child in living if child.status() != psutil.STATUS_ZOMBIE}


def test_a_child_that_is_killed_costs_one_file(victim, short):
    child = child_of(victim, short)
    child.suspend()
    threading.Timer(0.1, child.kill).start()
    with pytest.raises(MediaError, match=r"short\.wav: the decoder died on it \(SIGKILL\)"):
        victim.audio(short)
    assert len(victim.audio(short).samples) == 1600


def test_a_child_that_hangs_is_replaced(victim, short):
    child = child_of(victim, short)
    child.suspend()
    with pytest.raises(MediaError, match=r"short\.wav: decoding took more than 4 s"):
        victim.audio(short)
    assert not child.is_running()
    assert len(victim.audio(short).samples) == 1600


def test_ctrl_c_ends_the_child_and_the_next_file_works(victim, short):
    # a shell that starts us in the background has Ctrl-C ignored
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    child = child_of(victim, short)
    child.suspend()
    threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        victim.audio(short)
    signal.signal(signal.SIGINT, former)
    assert not child.is_running()
    assert len(victim.audio(short).samples) == 1600


def test_close_ends_the_children_and_a_call_that_waits_for_one(short):
    reader = MediaReader()
    child = child_of(reader, short)
    child.suspend()
    threading.Timer(0.1, reader.close).start()
    with pytest.raises(MediaError, match="closed while reading"):
        reader.audio(short)
    assert not child.is_running()
    with pytest.raises(ValueError, match="closed"):
        reader.audio(short)


def test_a_reader_that_is_forgotten_leaves_no_child(short):
    reader = MediaReader()
    child = child_of(reader, short)
    del reader
    gc.collect()
    assert not child.is_running()


def test_a_parent_that_is_killed_leaves_no_child(tmp_path):
    path = made.flac(tmp_path / "a.flac", 60, claimed=0)
    script = f"""
import psutil
from pathlib import Path
from emobraid.media import MediaReader
reader = MediaReader()
reader.audio(Path({str(path)!r}))
print(psutil.Process().children()[0].pid, flush=True)
while True:
    reader.audio(Path({str(path)!r}))
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    until = time.monotonic() + 10
    while child.is_running() and child.status() != psutil.STATUS_ZOMBIE and time.monotonic() < until:
        time.sleep(0.02)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE


def test_threads_share_a_reader_without_mixing_answers(tmp_path):
    paths = [put(tmp_path, f"{n}.wav", made.wav(made.tone(0.1 * n, 16_000))) for n in range(1, 9)]
    before = children()
    with MediaReader(workers=2) as reader, ThreadPoolExecutor(4) as threads:
        lengths = list(threads.map(lambda path: len(reader.audio(path).samples), paths * 3))
        assert len(children() - before) == 2
    assert lengths == [1600 * n for n in range(1, 9)] * 3
    assert children() == before


def test_a_reader_works_on_in_a_fork_and_leaves_the_parents_child_alone(reader, tmp_path, short):
    reader.audio(short)
    before = children()
    if not (fork := os.fork()):
        try:
            (tmp_path / "answer").write_text(str(len(reader.audio(short).samples)))
            reader.close()
        finally:
            os._exit(0)
    os.waitpid(fork, 0)
    assert (tmp_path / "answer").read_text() == "1600"
    assert children() == before
    assert len(reader.audio(short).samples) == 1600


def test_a_reader_can_be_sent_to_another_process():
    copy = pickle.loads(pickle.dumps(MediaReader(workers=2, limits=Limits(seconds=5))))
    assert (copy.workers, copy.limits, copy.face_model) == (2, Limits(seconds=5), None)


def test_a_child_never_loads_torch(reader, short):
    child = child_of(reader, short)
    assert not [m.path for m in child.memory_maps() if "torch" in m.path]
    assert [m.path for m in child.memory_maps() if "libavcodec" in m.path]


def test_a_child_gets_no_secrets(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert "hf_secret" not in environment().values()


@pytest.mark.parametrize("message", [b"\xff\xff\xff\xff", b"\x00\x00\x00\x02[]", b"\x00\x00\x00\x02no"])
def test_an_answer_that_is_no_answer_is_refused(message):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(message)
        with pytest.raises(ProtocolError):
            receive(ours, time.monotonic() + 1)


@pytest.mark.parametrize("count", [-1, 11, 3.0, "3", True, None])
def test_a_count_that_no_honest_child_sends_is_refused(count):
    assert bounded({"samples": 10}, "samples", 10) == 10
    with pytest.raises(ProtocolError):
        bounded({"samples": count}, "samples", 10)


def test_what_is_sent_is_received():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, {"samples": 3})
        assert receive(theirs, time.monotonic() + 1) == {"samples": 3}
        with pytest.raises(TimeoutError):
            receive(theirs, time.monotonic() + 0.01)


def test_a_file_that_takes_long_gives_way_to_those_who_wait(short):
    with MediaReader(limits=Limits(deadline=30, share=0.5)) as reader, ThreadPoolExecutor(2) as pool:
        child = child_of(reader, short)
        child.suspend()
        slow = pool.submit(reader.audio, short)
        with pytest.raises(TimeoutError):
            slow.result(1.5)  # while nobody waits it may take longer
        quick = pool.submit(reader.audio, short)
        with pytest.raises(MediaError, match=r"short\.wav: decoding took more than 0\.5 s while others waited"):
            slow.result(10)
        assert len(quick.result(30).samples) == 1600
