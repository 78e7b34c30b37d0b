"""Studies side by side: the same results with any number of jobs, one line when a process dies, nobody left behind."""

import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial

import pytest
import torch

from corpora import Onlooker, as_flags, feature_config, feature_corpus, results
from emobraid.cli import main
from emobraid.data.shelf import Shelf
from emobraid.model import MultimodalEmotionModel
from emobraid.study.ablation import ablation
from emobraid.study.jobs import Task, TaskDied, jobs_for, run_tasks, threads
from emobraid.study.relay import portable
from emobraid.training.memory import OutOfMemory
from emobraid.training.signals import Interrupted

ROWS = {"train": 24, "val": 12, "test": 18}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data", rows=ROWS)


# --- work for processes of their own: found there by name ---


def give(value, reporter):
    reporter.say(f"{value} in process {os.getpid()} with {torch.get_num_threads()} threads")
    return value


def wait_for(path, reporter):
    while not path.exists():
        time.sleep(0.01)
    return path.name


def leave(path, reporter):
    path.touch()


def die(reporter, after=None):
    if after is not None:
        wait_for(after, reporter)
    os.kill(os.getpid(), signal.SIGKILL)


def fail(reporter):
    raise OutOfMemory("a step needs more than there is")


def linger(path, reporter):
    """Until it is asked to stop, which leaves a file; another one tells that it has begun."""
    begun(path).touch()
    try:
        while True:
            time.sleep(0.01)
    except Interrupted:
        path.touch()
        raise


def begun(path):
    return path.with_suffix(".begun")


def tasks(**work):
    return [Task(name=name, work=own) for name, own in work.items()]


def run(some, *, jobs=2, reporter=None):
    return {t.name: made for t, made in run_tasks(some, reporter or Onlooker(), jobs=jobs, threads=1)}


# --- what comes out ---


@pytest.mark.timeout(300)
def test_an_ablation_has_the_same_bits_one_by_one_and_side_by_side(tmp_path, corpus):
    config, tables = feature_config(corpus, num_epochs=2), {}
    for jobs in (1, 3):
        asked = {"fusions": ("early", "late", "hierarchical"), "seeds": (0, 1), "off": ()}
        table, _ = ablation(config, tmp_path / str(jobs), Onlooker(), **asked, jobs=jobs)
        tables[jobs] = [row[:7] for row in table.rows]  # behind these stands what a clock said
    assert tables[1] == tables[3]
    for trial in (tmp_path / "1" / "trials").iterdir():
        assert results(trial) == results(tmp_path / "3" / "trials" / trial.name)
    assert len({results(t)["metrics.jsonl"] for t in (tmp_path / "1" / "trials").iterdir()}) == 6  # none is a copy


def test_tasks_run_beside_each_other_in_one_thread_and_all_that_they_say_is_heard():
    watched = Onlooker()
    assert run(tasks(a=partial(give, 1), b=partial(give, 2)), reporter=watched) == {"a": 1, "b": 2}
    places = {line.split()[3] for line in watched.said}
    assert len(places) == 2
    assert str(os.getpid()) not in places
    assert all(line.endswith("with 1 threads") for line in watched.said)


def test_one_job_stays_in_this_process_and_leaves_the_threads_as_they_were():
    watched, before = Onlooker(), torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        run(tasks(a=partial(give, 1), b=partial(give, 2)), jobs=1, reporter=watched)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert watched.said == [f"{i} in process {os.getpid()} with 1 threads" for i in (1, 2)]


def test_a_task_begins_when_those_before_it_are_done_and_a_long_one_before_the_others(tmp_path):
    file = tmp_path / "there"
    some = [
        Task(name="last", work=partial(give, 3), after=("waits",)),
        Task(name="waits", work=partial(wait_for, file)),
        Task(name="leaves", work=partial(leave, file), long=True),
    ]
    assert list(run(some)) == ["leaves", "waits", "last"]


# --- what goes wrong ---


def test_a_process_that_is_killed_is_one_line_and_the_others_are_stopped_politely(tmp_path):
    stopped = tmp_path / "stopped"
    with pytest.raises(TaskDied, match=r"^b: its process was killed by signal 9; if memory was short, --jobs 1 needs"):
        run(tasks(a=partial(linger, stopped), b=partial(die, after=begun(stopped))))
    assert stopped.exists()


def test_an_error_comes_back_as_it_was_with_its_exit_code_and_where_it_was_raised():
    with pytest.raises(OutOfMemory, match="a step needs more than there is") as caught:
        run(tasks(a=fail, b=partial(give, 1)))
    assert "in fail" in caught.value.__notes__[0]
    assert Interrupted(15).__reduce__()[1] == (15,)


def test_an_error_that_cannot_be_made_again_is_told_by_name_and_words():
    class Odd(Exception):
        def __init__(self, one, two):
            super().__init__(f"{one} and {two}")

    told = portable(Odd("this", "that"))
    assert type(told) is RuntimeError
    assert str(told) == "Odd: this and that"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_study_that_is_asked_to_stop_saves_its_trials_and_goes_on_to_the_same_bits(tmp_path, corpus, number):
    config = feature_config(corpus, num_epochs=40, patience=40)
    flags = [*as_flags(config), "--fusions", "early", "late", "--switch_off", "--jobs", "2"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    study = start(parts, flags)
    until(lambda: all((parts / "trials" / f"{f}-0" / "metrics.jsonl").exists() for f in ("early", "late")), study)
    study.send_signal(number)
    _, told = study.communicate(timeout=60)
    assert study.returncode == 128 + number, told
    assert told.splitlines()[-1] == "emobraid: stopped and saved; --resume continues"
    assert "Traceback" not in told
    assert {p.name for p in (parts / "trials").iterdir()} == {"early-0", "late-0"}
    for place, jobs in ((parts, "2"), (whole, "1")):
        assert main(["train", "--mode", "ablation", "--output_dir", str(place), *flags[:-1], jobs]) == 0
    for name in ("early-0", "late-0"):
        assert results(parts / "trials" / name) == results(whole / "trials" / name)


@pytest.mark.timeout(120)
def test_a_study_that_is_killed_leaves_no_process_behind(tmp_path, corpus):
    config = feature_config(corpus, num_epochs=10_000, patience=10_000)
    study = start(tmp_path, [*as_flags(config), "--fusions", "early", "late", "--switch_off", "--jobs", "2"])
    writers = [tmp_path / "trials" / f"{f}-0" / ".trainer.json" for f in ("early", "late")]
    until(lambda: all(w.exists() and w.read_text() for w in writers), study)
    places = [int(w.read_text().split('"pid": ')[1].split(",")[0]) for w in writers]
    assert study.pid not in places
    study.kill()
    study.communicate()
    until(lambda: not any(map(alive, places)), None)


def start(out, flags):
    command = [sys.executable, "-m", "emobraid", "train", "--mode", "ablation", "--output_dir", str(out), *flags]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(there, process):
    for _ in range(9000):
        if there():
            return
        assert process is None or process.poll() is None, process.communicate()
        time.sleep(0.01)
    pytest.fail("it never came")


def alive(place):
    try:
        os.kill(place, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{place}/stat") as file:
        return file.read().split()[2] != "Z"


# --- how many ---


def test_small_models_have_one_thread_each_and_as_many_jobs_as_cores(corpus, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    config = feature_config(corpus, device="cpu")
    assert (threads(config), jobs_for(config, None), jobs_for(config, 2)) == (1, 3, 2)
    large = feature_config(corpus, device="cpu", modalities=["text", "audio"], text_encoder="pretrained")
    assert (threads(large), jobs_for(large, None), jobs_for(large, 2)) == (None, 1, 2)


def test_under_torchrun_trials_come_one_by_one(corpus, monkeypatch):
    config = feature_config(corpus, device="cpu")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert jobs_for(config, None) == 1
    with pytest.raises(ValueError, match="under torchrun the processes share each training"):
        jobs_for(config, 2)


# --- what several read at once ---


def test_who_reads_the_same_rows_waits_for_the_first_and_others_do_not(tmp_path, corpus):
    encoders = MultimodalEmotionModel(feature_config(corpus, audio_width=4, video_width=3).model).by_modality()
    shelves = [Shelf(tmp_path / "cache", encoders, max_frames=4) for _ in range(2)]
    said, entered = [], []

    def second():
        with shelves[1].alone("train", said.append):
            entered.append("train")

    waits = threading.Thread(target=second)
    with shelves[0].alone("train", said.append):
        with shelves[1].alone("val", said.append):
            entered.append("val")
        waits.start()
        waits.join(0.3)
        assert entered == ["val"]
    waits.join(10)
    assert entered == ["val", "train"]
    assert said == ["another process is reading the same files: waiting for what it keeps"]
