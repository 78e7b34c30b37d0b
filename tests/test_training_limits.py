"""Too little memory, and folders that cannot be written: told in one line, in time, with nothing lost."""

import pytest
import torch

from corpora import Onlooker, feature_config, feature_corpus, results, run
from emobraid.training import run as running
from emobraid.training.memory import OutOfMemory


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


def full_at(step):
    """More memory is asked for after `step` than any machine has."""

    def ask(standing):
        if standing.step == step:
            torch.empty(2**55)

    return Onlooker(at_step=ask)


@pytest.mark.parametrize(
    ("changed", "advice"),
    [
        ({"batch_size": 8}, "8 utterances a step; try --accumulate 2 or --batch_size 4 in a new run"),
        ({"batch_size": 8, "accumulate": 8}, "8 utterances a step; try --batch_size 4 in a new run"),
        ({"batch_size": 1}, "1 utterances a step; take a smaller model"),
    ],
)
def test_a_step_that_does_not_fit_says_what_would(tmp_path, corpus, changed, advice):
    config = feature_config(corpus, num_epochs=1, **changed)
    with pytest.raises(OutOfMemory) as told:
        run(config, tmp_path / "run", reporter=full_at(2))
    assert f"out of memory at step 2 with {advice}" in str(told.value)
    assert "\n" not in str(told.value)
    assert told.value.exit_code == 1


def test_what_was_saved_before_memory_ran_out_goes_on_to_the_same_bits(tmp_path, corpus):
    config = feature_config(corpus, num_epochs=2, save_every=2)
    run(config, tmp_path / "whole")
    with pytest.raises(OutOfMemory):
        run(config, tmp_path / "run", reporter=full_at(3))
    run(config, tmp_path / "run", resume=True)
    assert results(tmp_path / "run") == results(tmp_path / "whole")


def test_other_errors_of_a_step_pass_as_they_are(tmp_path, corpus):
    def fail(_):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match=r"^shapes do not fit$"):
        run(feature_config(corpus, num_epochs=1), tmp_path / "run", reporter=Onlooker(at_step=fail))


@pytest.mark.parametrize("where", ["run", "new/deep/run"])
def test_a_folder_that_cannot_be_written_is_refused_before_any_data_is_read(tmp_path, corpus, monkeypatch, where):
    monkeypatch.setattr(running, "read_split", lambda *a, **k: pytest.fail("data were read"))
    monkeypatch.setattr("os.access", lambda path, mode: False)  # root may write anywhere
    with pytest.raises(PermissionError, match=r"^cannot write to .*run: .* may not be written to; choose another"):
        run(feature_config(corpus), tmp_path / where)
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path, corpus):
    (tmp_path / "taken").write_text("here")
    with pytest.raises(NotADirectoryError, match=r"^cannot write to .*run: .*taken is a file$"):
        run(feature_config(corpus), tmp_path / "taken" / "run")
