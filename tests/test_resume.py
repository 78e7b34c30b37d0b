"""However a run ends, `--resume` goes on with it, and the bits of the unbroken run come out."""

import json
import os
import shutil
import signal
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from corpora import Onlooker, as_flags, feature_config, feature_corpus, results, run
from emobraid import cli
from emobraid.training import state
from emobraid.training.signals import Interrupted

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))
import kill  # the same kills as the benchmark's, fewer

NEWEST, FORMER = "step-00000009", "step-00000008"  # at the end of three epochs of three steps, saved every two


class Killed(BaseException):
    """The process is gone: nothing handles this."""


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def config(corpus):
    return feature_config(corpus, save_every=2)


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, config):
    folder = tmp_path_factory.mktemp("unbroken") / "run"
    run(config, folder)
    return folder


def at(count, act):
    """An onlooker that acts after the `count`-th step."""
    return Onlooker(at_step=lambda standing: act() if standing.step == count else None)


def interrupt():
    signal.raise_signal(signal.SIGINT)


def vanish():
    raise Killed


@pytest.mark.parametrize("step", [1, 2, 3, 5, 9])
def test_ctrl_c_after_any_step_saves_and_the_resumed_run_has_the_same_bits(tmp_path, config, unbroken, step):
    with pytest.raises(Interrupted, match="stopped and saved; --resume continues") as stop:
        run(config, tmp_path / "run", reporter=at(step, interrupt))
    assert stop.value.exit_code == 130
    assert state.newest(tmp_path / "run" / "resume")[0].standing.step == step  # nothing is done twice
    told = Onlooker()
    run(config, tmp_path / "run", resume=True, reporter=told)
    assert f"resuming from step {step}, epoch {(step // 3) + 1}" in told.said
    assert results(tmp_path / "run") == results(unbroken)


def test_a_stop_asked_for_while_validating_is_kept_until_the_epoch_is_saved(tmp_path, config, unbroken):
    at_first = Onlooker(at_epoch=lambda standing: interrupt() if standing.epoch == 0 else None)
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", reporter=at_first)
    saved, _ = state.newest(tmp_path / "run" / "resume")
    assert (saved.standing.step, saved.standing.epoch, saved.standing.batch) == (3, 1, 0)
    run(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(unbroken)


def test_sigterm_is_a_stop_with_its_own_exit_code(tmp_path, config, unbroken):
    with pytest.raises(Interrupted) as stop:
        run(config, tmp_path / "run", reporter=at(4, lambda: signal.raise_signal(signal.SIGTERM)))
    assert stop.value.exit_code == 143
    run(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(unbroken)


@pytest.mark.parametrize("step", [1, 3, 7])
def test_steps_after_the_last_save_are_repeated_and_logged_once(tmp_path, config, unbroken, step):
    with pytest.raises(Killed):
        run(config, tmp_path / "run", reporter=at(step, vanish))
    with (tmp_path / "run" / "metrics.jsonl").open("ab") as log:
        log.write(b'{"step": 8, "epo')  # half a line
    run(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(unbroken)


@pytest.mark.parametrize("operation", ["rename", "fsync"])
def test_a_run_that_dies_while_it_saves_can_be_resumed(tmp_path, config, unbroken, operation, monkeypatch):
    real, calls = getattr(os, operation), []

    def counted(*args):
        calls.append(args)
        return real(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, operation, counted)
        run(config, tmp_path / "whole")
    every = 17 if operation == "fsync" else 4
    for last in range(1, len(calls), every):
        done = []

        def dying(*args, last=last, done=done):
            done.append(args)
            if len(done) > last:
                raise Killed
            return real(*args)

        folder = tmp_path / str(last)
        with monkeypatch.context() as patch:
            patch.setattr(os, operation, dying)
            with pytest.raises(Killed):
                run(config, folder)
        run(config, folder, resume=True)
        assert results(folder) == results(unbroken), f"died at {operation} {last} of {len(calls)}"


def test_a_finished_run_may_be_resumed_and_stays_as_it_is(tmp_path, config, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    run(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(unbroken)


def test_early_stopping_is_remembered(tmp_path, corpus):
    hopeless = feature_config(corpus, learning_rate=1e-30, num_epochs=9, patience=2)
    outcome = run(hopeless, tmp_path / "run")
    assert outcome.steps == 9  # epochs 1 and 2 were no better than epoch 0
    assert run(hopeless, tmp_path / "run", resume=True).steps == 9


def damage(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("how", ["flipped", "truncated", "without manifest"])
def test_a_damaged_state_is_named_and_the_one_before_it_taken(tmp_path, config, unbroken, how):
    shutil.copytree(unbroken, tmp_path / "run")
    newest = tmp_path / "run" / "resume" / NEWEST
    weights = newest / "model.safetensors"
    if how == "flipped":
        damage(weights)
    elif how == "truncated":
        weights.write_bytes(weights.read_bytes()[:-1])
    else:
        (newest / "manifest.json").unlink()
    told = Onlooker()
    run(config, tmp_path / "run", resume=True, reporter=told)
    named = (
        "no readable manifest.json" if how == "without manifest" else "model.safetensors does not match its checksum"
    )
    assert any(line.startswith(f"passed over: {newest}: ") and named in line for line in told.said)
    assert "resuming from step 8, epoch 3" in told.said
    assert results(tmp_path / "run") == results(unbroken)
    assert state.newest(tmp_path / "run" / "resume")[1] == []  # the damaged one has been replaced


def test_the_newest_state_is_the_one_of_the_highest_step_whatever_the_clock_says(unbroken, tmp_path):
    shutil.copytree(unbroken / "resume", tmp_path / "resume")
    os.utime(tmp_path / "resume" / NEWEST, (1, 1))
    os.utime(tmp_path / "resume" / NEWEST / "manifest.json", (1, 1))
    assert sorted(p.name for p in (tmp_path / "resume").iterdir()) == [FORMER, NEWEST]
    assert state.newest(tmp_path / "resume")[0].standing.step == 9


def test_when_no_state_is_whole_the_run_is_refused_not_begun_anew(tmp_path, config, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    for step in (NEWEST, FORMER):
        damage(tmp_path / "run" / "resume" / step / "standing.json")
    told = Onlooker()
    with pytest.raises(ValueError, match="no saved state is whole, nothing to resume; --overwrite starts anew"):
        run(config, tmp_path / "run", resume=True, reporter=told)
    assert sum("standing.json does not match" in line for line in told.said) == 2
    assert results(tmp_path / "run") == results(unbroken)


def test_a_log_that_was_cut_is_refused_not_filled_with_nothing(tmp_path, config, unbroken):
    shutil.copytree(unbroken, tmp_path / "run")
    os.truncate(tmp_path / "run" / "metrics.jsonl", 100)
    with pytest.raises(ValueError, match=r"metrics\.jsonl is shorter than at the last save"):
        run(config, tmp_path / "run", resume=True)
    assert (tmp_path / "run" / "metrics.jsonl").stat().st_size == 100


def test_what_killed_saves_left_behind_is_removed_by_the_next_save(tmp_path, config, unbroken):
    with pytest.raises(Killed):
        run(config, tmp_path / "run", reporter=at(5, vanish))
    resume = tmp_path / "run" / "resume"
    for left in ("step-00000001.writing", "step-00000002.former", "step-00000007"):
        shutil.copytree(resume / "step-00000004", resume / left)
    damage(resume / "step-00000007" / "model.safetensors")
    run(config, tmp_path / "run", resume=True)
    assert sorted(p.name for p in resume.iterdir()) == [FORMER, NEWEST]
    assert results(tmp_path / "run") == results(unbroken)


def test_other_settings_than_the_run_began_with_are_refused_by_name(tmp_path, config, unbroken, corpus):
    for changed, told in (
        ({"fusion_type": "early"}, "model.fusion_type was late in this run and is early now"),
        ({"encoder_dim": 16}, "model.encoder_dim was 8 in this run and is 16 now"),
        ({"labels": ["happy", "sad"]}, "model.labels was"),
        ({"modalities": ["audio"]}, "model.modalities was"),
        ({"seed": 7}, "training.seed was 0 in this run and is 7 now"),
        ({"batch_size": 4}, "training.batch_size was 8 in this run and is 4 now"),
        ({"learning_rate": 0.5}, "training.learning_rate was 0.01 in this run and is 0.5 now"),
    ):
        with pytest.raises(ValueError, match=f"^{told}"):
            run(feature_config(corpus, **{"save_every": 2, **changed}), unbroken, resume=True)


@pytest.mark.parametrize(("table", "split"), [("train.csv", "training"), ("val.csv", "validation")])
def test_a_run_does_not_go_on_with_other_data(tmp_path, config, corpus, table, split):
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", reporter=at(4, interrupt))
    moved = tmp_path / "moved"
    shutil.copytree(corpus, moved)
    here = replace(config, data=replace(config.data, data_root=moved))
    rows = (moved / table).read_text().splitlines()
    (moved / table).write_text("\n".join([rows[0], *rows[2:], ""]))
    with pytest.raises(ValueError, match=f"the {split} split is not what it was when the run in .* began"):
        run(here, tmp_path / "run", resume=True)
    (moved / table).write_text("\n".join([*rows, ""]))
    run(here, tmp_path / "run", resume=True)


def test_resuming_needs_no_settings_but_the_data(tmp_path, config, unbroken, corpus, capsys):
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", reporter=at(4, interrupt))
    flags = ["--data_root", str(corpus), "--output_dir", str(tmp_path / "run"), "--resume"]
    assert cli.main(["train", *flags]) == 0
    assert "resuming from step 4, epoch 2" in capsys.readouterr().err
    assert results(tmp_path / "run") == results(unbroken)


# --- real processes ---


@pytest.fixture(scope="module")
def longer(corpus):
    """Flags of a run that lasts long enough to be caught."""
    return as_flags(feature_config(corpus, save_every=2, num_epochs=12, patience=12))


@pytest.fixture(scope="module")
def longer_unbroken(tmp_path_factory, longer):
    return kill.finish(longer, tmp_path_factory.mktemp("longer") / "run")


def caught(flags, folder):
    """A training process that has taken its fifth step."""
    process = kill.start(flags, folder)
    until = time.monotonic() + 60
    while not (folder / "metrics.jsonl").is_file() or (folder / "metrics.jsonl").read_bytes().count(b"\n") < 5:
        assert process.is_alive(), kill.told(folder)
        assert time.monotonic() < until
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_to_a_training_process_saves_it(tmp_path, longer, longer_unbroken, number, code):
    folder = tmp_path / "run"
    process = caught(longer, folder)
    os.kill(process.pid, number)
    process.join()
    assert process.exitcode == code
    assert kill.told(folder).splitlines()[-1] == "emobraid: stopped and saved; --resume continues"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    saved, damaged = state.newest(folder / "resume")
    assert saved.standing.step == lines[-1]["step"] < 36
    assert damaged == []
    assert kill.finish(longer, folder) == longer_unbroken
    assert f"resuming from step {saved.standing.step}" in kill.told(folder)


def test_a_live_trainer_keeps_others_out_and_a_killed_one_does_not(tmp_path, longer, longer_unbroken, capsys):
    folder = tmp_path / "run"
    process = caught(longer, folder)
    os.kill(process.pid, signal.SIGSTOP)
    capsys.readouterr()
    assert cli.main(["train", *longer, "--output_dir", str(folder), "--resume"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f'emobraid: {folder} is in use by another training: {{"pid": {process.pid}, "since": "')
    process.kill()
    process.join()
    assert (folder / ".lock").exists()
    assert kill.finish(longer, folder) == longer_unbroken


def test_three_kills_at_random_moments_change_no_bit(tmp_path, corpus):
    flags = as_flags(feature_config(corpus, save_every=2, num_epochs=5))
    kills, same = kill.trial(flags, tmp_path, kills=3, seed=5)
    assert len(kills) == 3
    assert all(same)
