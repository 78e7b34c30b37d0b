"""The search for settings: where it may look, what it keeps, and that it goes on as if it had never stopped."""

import json
import tomllib
from dataclasses import replace

import pytest

from corpora import Onlooker, as_flags, feature_config, feature_corpus
from emobraid.cli import main
from emobraid.config import Config, ModelConfig
from emobraid.study.space import axes, axis, placed, usual
from emobraid.training.run import train
from emobraid.training.signals import Interrupted

optuna = pytest.importorskip("optuna", reason="a search needs the extra: pip install 'emobraid[search]'")

from emobraid.study import search as searching  # noqa: E402
from emobraid.study.search import Judge, Search  # noqa: E402

ROWS = {"train": 24, "val": 12, "test": 18}
SPACE = ("learning_rate=1e-4..1e-2", "fusion_depth=1..3")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = feature_corpus(tmp_path_factory.mktemp("corpus") / "data", rows=ROWS)
    (folder / "test.csv").unlink()  # a search must not miss it
    return folder


def search(corpus, folder, *, space=SPACE, **how):
    config = feature_config(corpus, **{"num_epochs": 1, **how.pop("changed", {})})
    return Search(config=config, axes=axes(space, config), folder=folder, **{"trials": 2, **how})


def proposals(folder):
    """What each trial that was trained to its end was given, by its score."""
    rows = (folder / "search.csv").read_text().splitlines()[1:]
    return sorted(rows)


# --- the space ---


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("learning_rate=1e-4..1e-2", {"low": 1e-4, "high": 1e-2, "whole": False, "log": True}),
        ("fusion_dropout=0..0.5", {"low": 0.0, "high": 0.5, "log": False}),
        ("fusion_depth = 1..3", {"low": 1.0, "high": 3.0, "whole": True, "log": False}),
        ("weight_decay=1..9", {"whole": False, "log": False}),  # not a whole number by nature
        ("fusion_type=early,mult", {"choices": ("early", "mult")}),
        ("fusion_hidden_size=64,128", {"choices": (64, 128)}),
        ("augment=true,false", {"choices": (True, False)}),
    ],
)
def test_an_axis_is_a_range_or_a_list(written, expected):
    found = axis(written)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("space", "told"),
    [
        (["learning_rat=1..2"], "'learning_rat' is not a setting to search, did you mean 'learning_rate'?"),
        (["seed=1,2"], "'seed' is not a setting to search"),
        (["learning_rate"], "is not NAME=LOW..HIGH or NAME=A,B,C"),
        (["learning_rate=1e-2..1e-4"], "needs a smaller and a larger number"),
        (["learning_rate=a..b"], "needs a smaller and a larger number"),
        (["fusion_dropout=0..2"], "fusion_dropout"),
        (["fusion_type=early,nothing"], "fusion_type"),
        (["learning_rate=1e-4..1e-2", "learning_rate=1,2"], "learning_rate is there twice"),
    ],
)
def test_what_is_no_axis_is_refused_in_one_line(space, told):
    with pytest.raises(ValueError, match=r"\w") as refused:
        axes(space, Config())
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_the_usual_space_lies_around_the_recipe_and_has_no_dropout_of_the_only_modality():
    found = {a.name: a for a in usual(Config())}
    assert (found["learning_rate"].low, found["learning_rate"].high) == pytest.approx((2e-5, 5e-4))
    assert "modality_dropout" in found
    alone = usual(replace(Config(), model=ModelConfig(modalities=("audio",))))
    assert "modality_dropout" not in {a.name for a in alone}


def test_values_go_to_their_section_and_are_checked_together():
    width, heads = axis("fusion_hidden_size=32,64"), axis("fusion_heads=2,8")
    config = placed(Config(), {width: 64, heads: 2, axis("patience=1..9"): 4}, "here")
    assert (config.model.fusion_hidden_size, config.model.fusion_heads, config.training.patience) == (64, 2, 4)
    with pytest.raises(ValueError, match="fusion_hidden_size must be a multiple of fusion_heads"):
        placed(Config(), {axis("fusion_hidden_size=33,64"): 33, heads: 8}, "here")


# --- trials ---


def test_a_search_leaves_a_recipe_that_trains_the_winner_again(tmp_path, corpus):
    folder = tmp_path / "search"
    table = search(corpus, folder, trials=3).run(Onlooker())
    assert len(table.rows) == 3
    scores = [float(row[1]) for row in table.rows]
    assert scores == sorted(scores, reverse=True)
    kept = [p for p in (folder / "trials").iterdir() if (p / "best_model").is_dir()]
    assert [f"trial {int(p.name)}" for p in kept] == [table.rows[0][0]]
    assert not list(folder.glob("trials/*/resume"))
    recipe = tomllib.loads((folder / "best.toml").read_text())
    assert "data_root" not in recipe["data"]
    found = placed(feature_config(corpus), {}, "")  # the same data, the found settings
    found = replace(found, model=replace(found.model, **recipe["model"] | {"modalities": found.model.modalities}))
    found = replace(found, training=replace(found.training, **recipe["training"]))
    outcome = train(found, tmp_path / "again", resume=False, overwrite=False, reporter=Onlooker())
    assert f"{100 * outcome.best_macro_f1:.1f}" == table.rows[0][1]
    assert (folder / "search.png").stat().st_size > 1_000


def test_a_search_that_was_stopped_tries_what_it_would_have_tried(tmp_path, corpus):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    changed = {"num_epochs": 2}
    search(corpus, whole, trials=3, changed=changed).run(Onlooker())

    def stop_at(step):
        def stop(standing):
            if standing.step == step:
                raise Interrupted(2)

        return Onlooker(at_step=stop)

    for step in (4, 5):  # twice in the same trial
        with pytest.raises(Interrupted):
            search(corpus, parts, trials=3, changed=changed).run(stop_at(step))
    watched = Onlooker()
    search(corpus, parts, trials=3, changed=changed).run(watched)
    assert any("resuming from step" in line for line in watched.said)
    numberless = [[row.partition(",")[2] for row in proposals(folder)] for folder in (whole, parts)]
    assert sorted(numberless[0]) == sorted(numberless[1])
    assert len(list((parts / "trials").iterdir())) == 3


def test_a_search_that_is_over_only_tells_and_more_trials_may_be_asked_for(tmp_path, corpus, monkeypatch):
    folder = tmp_path / "search"
    first = search(corpus, folder).run(Onlooker())
    with monkeypatch.context() as patched:
        patched.setattr(searching, "train", lambda *a, **k: pytest.fail("trained again"))
        assert search(corpus, folder).run(Onlooker()).rows == first.rows
    more = search(corpus, folder, trials=3).run(Onlooker())
    assert set(first.rows) < set(more.rows)
    with pytest.raises(ValueError, match="holds a search with other settings"):
        search(corpus, folder, space=("fusion_depth=1..2",)).run(Onlooker())


def test_time_that_is_over_begins_no_further_trial(tmp_path, corpus):
    watched = Onlooker()
    with pytest.raises(ValueError, match="no trial was trained to its end"):
        search(corpus, tmp_path / "s", minutes=1e-9).run(watched)
    assert any("minutes are over after 0 trials" in line for line in watched.said)


def test_values_that_do_not_go_together_are_passed_over(tmp_path, corpus):
    watched = Onlooker()
    space = ("fusion_hidden_size=30,32", "fusion_heads=2,4")  # 30 is no multiple of 4
    table = search(corpus, tmp_path / "s", space=space, trials=8).run(watched)
    ended = [row[2] for row in table.rows]
    assert {"", "not trained"} == set(ended)
    assert any("must be a multiple of fusion_heads" in line for line in watched.said)


def test_a_trial_that_falls_behind_the_median_ends_early():
    study = optuna.create_study(direction="maximize", pruner=optuna.pruners.MedianPruner(0, 0))
    for scores in ((0.5, 0.6), (0.7, 0.8)):
        trial = study.ask()
        for epoch, score in enumerate(scores):
            Judge(trial).epoch(type("Standing", (), {"epoch": epoch}), {"val_macro_f1": score})
        study.tell(trial, scores[-1])
    standing = type("Standing", (), {"epoch": 0})
    with pytest.raises(optuna.TrialPruned):
        Judge(study.ask()).epoch(standing, {"val_macro_f1": 0.59})  # the median of the first epochs is 0.6
    Judge(study.ask()).epoch(standing, {"val_macro_f1": 0.61})
    Judge(study.ask()).epoch(standing, {"val_belonging": 9.0})  # a stage without labels has no such score


# --- the command ---


def test_the_command_searches_and_says_what_it_wrote(tmp_path, corpus, capsys):
    folder = tmp_path / "s"
    flags = as_flags(feature_config(corpus, num_epochs=1))
    assert main(["search", *flags, "--trials", "1", "--output_dir", str(folder), "--space", *SPACE]) == 0
    told = capsys.readouterr().out
    assert "macro-F1 on validation" in told
    assert f"--config {folder}/best.toml" in told
    log = [json.loads(line) for line in (folder / "trials" / "000" / "metrics.jsonl").read_text().splitlines()]
    assert any("val_macro_f1" in line for line in log)


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["--trials", "0"], "trials must be at least 1"),
        (["--space", "learning_rate"], "is not NAME=LOW..HIGH"),
        (["--data_root", "nowhere"], "nowhere"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(tmp_path, corpus, capsys, flags, told):
    own = as_flags(feature_config(corpus, num_epochs=1))
    assert main(["search", *own, "--output_dir", str(tmp_path / "s"), *flags]) == 2
    said = capsys.readouterr().err
    assert told in said
    assert said.count("\n") == 1
    assert not (tmp_path / "s").exists()
