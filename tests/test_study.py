"""Studies: trials that are kept, tables that say what they compare, and a suite that survives being killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import pytest

from corpora import Onlooker, as_flags, feature_config, feature_corpus
from emobraid.cli import main
from emobraid.config import FewShotConfig
from emobraid.evaluation.missing import Plan
from emobraid.study.ablation import ablation, parts, references, without
from emobraid.study.robustness import DROPOUT, PLAIN, ROBUST, STANDARD, contenders, robustness
from emobraid.study.suite import Suite
from emobraid.study.tables import Table, percent
from emobraid.study.teaching import shipped_lessons, teaching
from emobraid.study.trial import Trial, run_trial
from emobraid.training.signals import Interrupted

ROWS = {"train": 24, "val": 12, "test": 18}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data", rows=ROWS)


def quick(corpus, **changed):
    return feature_config(corpus, **{"num_epochs": 1, **changed})


# --- tables ---


def test_a_table_is_the_same_in_every_form(tmp_path):
    table = Table(title="T", columns=("", "a_b"), rows=(("x | y", "50 %"), ("z", "")), notes=("one & two",))
    table.save(tmp_path, "t")
    assert (
        tmp_path / "t.md"
    ).read_text() == "### T\n\n|  | a_b |\n| --- | ---: |\n| x \\| y | 50 % |\n| z |  |\n\n- one & two\n"
    latex = (tmp_path / "t.tex").read_text()
    assert r"x | y & 50 \% \\" in latex
    assert r" & a\_b \\" in latex
    with (tmp_path / "t.csv").open(newline="") as file:
        assert list(csv.reader(file)) == [["", "a_b"], ["x | y", "50 %"], ["z", ""]]


def test_seeds_are_told_by_mean_and_sample_deviation():
    assert percent([0.5]) == "50.0"
    assert percent([0.1, 0.3]) == "20.0 ± 14.1"  # both ten points from the mean: 10 * sqrt(2)


# --- trials ---


def test_a_trial_that_is_done_is_never_repeated_and_one_that_was_stopped_goes_on(tmp_path, corpus, monkeypatch):
    trial = Trial(name="late", config=quick(corpus, num_epochs=2), folder=tmp_path / "late-0")

    def stop(standing):
        if standing.step == 4:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        run_trial(trial, Onlooker(at_step=stop))
    watched = Onlooker()
    first = run_trial(trial, watched)
    assert any("resuming from step" in line for line in watched.said)
    monkeypatch.setattr("emobraid.study.trial.train", lambda *a, **k: pytest.fail("trained again"))
    again = run_trial(trial, Onlooker())
    assert again.figures == first.figures
    assert again.predictions.ids == first.predictions.ids
    assert (again.predictions.logits["audio"] == first.predictions.logits["audio"]).all()
    other = replace(trial, config=quick(corpus, num_epochs=2, learning_rate=0.5))
    with pytest.raises(ValueError, match="holds a trial with other settings"):
        run_trial(other, Onlooker())


def test_every_opening_of_the_test_split_is_in_the_trials_ledger(tmp_path, corpus):
    trial = Trial(name="late", config=quick(corpus), folder=tmp_path / "late-0")
    run_trial(trial, Onlooker())
    run_trial(trial, Onlooker())
    assert len((tmp_path / "late-0" / "ledger.jsonl").read_text().splitlines()) == 1


# --- ablation ---


def test_what_is_switched_off_is_off_and_nothing_else_changes(corpus):
    config = quick(corpus)
    assert parts(config) == ("audio", "video", "modality_dropout", "augment")
    assert without(config, "audio").model.modalities == ("video",)
    assert without(config, "modality_dropout").training.modality_dropout == 0
    assert without(config, "augment").training.augment is False
    assert replace(without(config, "augment"), training=config.training) == config
    assert parts(quick(corpus, modalities=["audio"])) == ("augment",)
    with pytest.raises(ValueError, match="cannot switch off 'text'; these settings have audio, video"):
        without(config, "text")


def test_a_part_switched_off_is_compared_with_its_own_fusion_and_a_fusion_with_the_first():
    names = ["early", "late", "late without audio", "mult without audio"]
    assert list(references(names)) == [("late", "early"), ("late without audio", "late")]


def test_the_ablation_has_a_line_for_every_trial_with_score_difference_and_cost(tmp_path, corpus):
    table, results = ablation(
        quick(corpus), tmp_path, Onlooker(), fusions=("early", "late"), seeds=(0, 1), off=("audio",)
    )
    assert [row[0] for row in table.rows] == ["early", "late", "early without audio", "late without audio"]
    early, late, *_ = table.rows
    assert early[1] == percent([r.figures["all"]["macro_f1"] for r in results["early"]])
    assert early[4] == ""
    assert late[4].endswith("(early)")
    assert late[5].split()[1] in ("n.s.", "*", "**")
    assert early[6] == f"{results['early'][0].parameters:,}"
    assert all(float(row[8]) > 0 for row in table.rows)
    assert {r.seed for r in results["late"]} == {0, 1}


def test_the_command_runs_the_ablation_and_writes_it_in_three_forms(tmp_path, corpus, capsys):
    flags = as_flags(quick(corpus))
    out = tmp_path / "out"
    command = ["train", "--mode", "ablation", *flags, "--output_dir", str(out), "--fusions", "early", "late"]
    assert main([*command, "--switch_off"]) == 0
    assert "Fusions at equal budget" in capsys.readouterr().out
    assert {p.name for p in out.glob("ablation.*")} == {"ablation.md", "ablation.tex", "ablation.csv"}
    assert main(["train", *flags, "--output_dir", str(tmp_path / "x"), "--seeds", "1", "2"]) == 2
    assert "seeds, fusions, switch_off and jobs are for --mode ablation and all" in capsys.readouterr().err
    assert main([*command, "--switch_off", "text"]) == 2
    assert "cannot switch off 'text'" in capsys.readouterr().err


# --- students, robustness ---


def test_students_are_trained_with_the_teacher_and_alone_from_the_same_seeds(tmp_path, corpus):
    config = quick(
        corpus, fusion_type="hierarchical", encoder_dim=32, fusion_hidden_size=64, audio_width=4, video_width=3
    )
    trial = Trial(name="hierarchical", config=config, folder=tmp_path / "teacher")
    teacher = run_trial(trial, Onlooker())
    table, results = teaching(
        config, teacher, trial.best, tmp_path, Onlooker(), lessons=shipped_lessons(), sizes=("tiny",), seeds=(0, 1)
    )
    assert [row[0] for row in table.rows] == ["teacher", "tiny", "tiny alone"]
    assert results["tiny"][0].parameters == results["tiny alone"][0].parameters < teacher.parameters
    logs = [(tmp_path / "trials" / f"{name}-0" / "metrics.jsonl").read_text() for name in ("tiny", "tiny-alone")]
    assert ["logit" in json.loads(log.splitlines()[0]) for log in logs] == [True, False]
    share = 100 * results["tiny"][0].parameters / teacher.parameters
    assert table.rows[1][2] == f"{share:.1f} %"
    assert (tmp_path / "distillation.png").read_bytes().startswith(b"\x89PNG")


def test_robust_training_is_compared_on_the_same_gaps_with_plain_dropout_and_single_modalities(tmp_path, corpus):
    config = quick(corpus)
    named = contenders(config, baselines=True)
    assert list(named) == [STANDARD, DROPOUT, ROBUST, PLAIN, "audio alone", "video alone"]
    assert named[PLAIN].training.modality_dropout == 0
    assert named[DROPOUT].training.modality_dropout == named[ROBUST].training.modality_dropout > 0
    assert named[DROPOUT].training.consistency_weight == 0 < named[ROBUST].training.consistency_weight
    plan = Plan(draws=2, frame_draws=1)
    table, sums = robustness(config, tmp_path, Onlooker(), plan=plan)
    assert [row[0] for row in table.rows] == list(named)
    assert float(table.rows[0][1]) == pytest.approx(100 * sums[STANDARD][0]["whole"], abs=0.05)
    again, _ = robustness(config, tmp_path, Onlooker(), plan=plan)
    assert again == table


# --- the suite ---

PLAN = Plan(draws=2, frame_draws=1)
SHOTS = FewShotConfig(shots=(1, 2), episodes=3, dev_episodes=1, queries=1, adaptation_steps=2, methods=("class_mean",))


def timeless(summary: str) -> list[str]:
    """A summary without what a clock says."""
    rows = []
    for line in summary.splitlines():
        cells = line.split("|")
        timed = [i for i, cell in enumerate(cells) if cell.strip() in ("ms", "training s")]
        rows.append((timed, cells))
    kept, skipped = [], []
    for timed, cells in rows:
        skipped = timed or (skipped if len(cells) > 2 else [])
        kept.append("|".join(c for i, c in enumerate(cells) if i not in skipped))
    return kept


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, corpus):
    suite = Suite(
        config=quick(corpus, num_epochs=2), folder=tmp_path_factory.mktemp("whole"), plan=PLAN, few_shot=SHOTS
    )
    return timeless(suite.run(Onlooker()).read_text())


#: what is there once each of the five stages has begun
BEGUN = ("trials/late-0", "trials/mult-0", "few_shot", "trials/tiny-0", "trials/robust-0")
#: with two jobs the stages overlap: the first and the third, then the fifth and the second
BEGUN_TOGETHER = ("few_shot", "trials/mult-0")


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("jobs", "landmarks"), [(1, BEGUN), (2, BEGUN_TOGETHER)])
def test_a_suite_that_is_killed_in_each_stage_ends_with_the_same_summary(tmp_path, corpus, unbroken, jobs, landmarks):
    config = quick(corpus, num_epochs=2)
    script = tmp_path / "suite.py"
    script.write_text(
        "if __name__ == '__main__':\n"
        "    import sys\n"
        "    from pathlib import Path\n"
        "    sys.path[:0] = eval(sys.argv[1])\n"
        "    from corpora import Onlooker, feature_config\n"
        "    from emobraid.study.suite import Suite\n"
        "    from test_study import PLAN, SHOTS\n"
        "    config = feature_config(Path(sys.argv[2]), num_epochs=2)\n"
        "    suite = Suite(config=config, folder=Path(sys.argv[3]), plan=PLAN, few_shot=SHOTS, jobs=int(sys.argv[4]))\n"
        "    suite.run(Onlooker())\n"
    )
    parts = tmp_path / "parts"
    command = [sys.executable, str(script), repr([p for p in sys.path if p]), str(corpus), str(parts), str(jobs)]
    for landmark in landmarks:
        child = subprocess.Popen(command, cwd=os.path.dirname(__file__), stderr=subprocess.DEVNULL)
        until = time.monotonic() + 90
        while not (parts / landmark).exists() and child.poll() is None and time.monotonic() < until:
            time.sleep(0.01)
        assert child.poll() is None, f"ended before {landmark}"
        child.send_signal(signal.SIGKILL)
        child.wait()
    resumed = Suite(config=config, folder=parts, plan=PLAN, few_shot=SHOTS, jobs=jobs).run(Onlooker())
    assert timeless(resumed.read_text()) == unbroken
    for title in ("Standard training", "All fusions", "Few-shot learning", "Distillation", "Robustness"):
        assert f"## {title}" in resumed.read_text()
    links = [part.partition(")")[0] for part in resumed.read_text().split("](")[1:]]
    assert links
    assert all((parts / link).is_file() for link in links)


def test_shots_that_the_corpus_is_too_small_for_are_fewer_and_said(tmp_path, corpus):
    suite = Suite(config=quick(corpus), folder=tmp_path, few_shot=replace(SHOTS, shots=(500,)))
    watched = Onlooker()
    suite.few_shots(watched)
    (fewer,) = [line for line in watched.said if "Instead: shots 3; " in line]
    assert "need 500 shots" in fewer


def test_a_stage_that_the_corpus_is_too_small_for_is_told_and_the_others_stand(tmp_path):
    single = feature_corpus(tmp_path / "data", rows={"train": 3, "val": 3, "test": 3})  # no class has a second row
    suite = Suite(config=quick(single), folder=tmp_path, few_shot=replace(SHOTS, shots=(500,)))
    watched = Onlooker()
    told = suite._kept("Few-shot learning", suite.few_shots(watched))
    assert told.startswith("## Few-shot learning\n\nNot run: ")
    assert "500" in told
    assert any(line.startswith("passed over: ") for line in watched.said)


def test_the_suite_starts_from_any_settings_but_its_own_modes(tmp_path, corpus, capsys):
    flags = [*as_flags(quick(corpus)), "--output_dir", str(tmp_path)]
    assert main(["train", "--mode", "all", *flags, "--fusions", "early"]) == 2
    assert "--mode all compares all fusions" in capsys.readouterr().err
    assert main(["train", "--mode", "all", *flags, "--label_weight", "0.1"]) == 2
    assert "chooses the teacher itself" in capsys.readouterr().err
