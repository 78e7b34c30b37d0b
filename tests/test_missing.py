"""The missing-modality benchmark: frozen masks, the same gaps for all models, and what is made of them."""

import csv
import hashlib
import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from corpora import as_flags, feature_config, feature_corpus, run
from emobraid import checkpoint, cli
from emobraid.checkpoint import load_model
from emobraid.data.corpus import Corpus
from emobraid.data.csv import CsvRows
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import read_split
from emobraid.evaluation import missing_passes, missing_plots
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.missing import (
    ALL,
    FRAME_RATES,
    RATES,
    Plan,
    achieved,
    fingerprint,
    freeze,
    modality_mask,
    normalised_area,
    position_mask,
)
from emobraid.evaluation.missing_benchmark import benchmark
from emobraid.evaluation.missing_passes import NOTHING, gaps, noised, noisy_modalities, spread
from emobraid.evaluation.missing_report import markdown
from emobraid.evaluation.missing_scores import Contender, contender
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.report import evaluate_predictions
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.trainer import Trainer

TRIO = ("text", "audio", "video")
IDS = tuple(f"u{i}" for i in range(400))
FROZEN_MODALITIES = [[0, 1, 1], [1, 0, 1], [0, 1, 1], [0, 0, 1]]
FROZEN_POSITIONS = "100000101111"
FROZEN_HASH = "17a010ed09d9"
SMALL_PLAN = Plan(draws=2, frame_draws=1)


class Quiet:
    def say(self, line):
        """Nothing is shown."""

    def progress(self, task):
        return lambda done, of: None


def draw(rate, *, seed=0, number=0, ids=IDS, present=None, modalities=TRIO):
    there = np.ones((len(ids), len(modalities)), dtype=bool) if present is None else present
    return modality_mask(there, ids, modalities, rate=rate, draw=number, seed=seed)


# masks


def test_a_mask_is_what_the_bits_of_shake_256_say():
    def below(rate, name, modality):
        bits = hashlib.shake_256(f'["random", 7, 1, "{name}", "{modality}"]'.encode()).digest(4)
        return int.from_bytes(bits, "little") / 2**32 < rate

    mask = draw(0.3, seed=7, number=1, ids=IDS[:50])
    expected = np.array([[below(0.3, name, m) for m in TRIO] for name in IDS[:50]])
    spared = expected.all(axis=1)
    assert (mask == expected)[~spared].all()
    assert (~mask[spared]).sum(axis=1).tolist() == [1] * spared.sum()


def test_a_small_mask_is_this_one_on_every_machine():
    assert draw(0.5, ids=("a", "b", "c", "d")).astype(int).tolist() == FROZEN_MODALITIES
    hidden = position_mask(12, "a", "text", rate=0.5, draw=0, seed=0)
    assert "".join(map(str, hidden.astype(int))) == FROZEN_POSITIONS
    assert fingerprint([draw(0.5, ids=("a", "b", "c", "d")), hidden])[:12] == FROZEN_HASH


def test_the_same_seed_has_the_same_hash_and_another_seed_or_draw_another():
    lengths = {m: [4] * 10 for m in TRIO}
    present = np.ones((10, 3), dtype=bool)

    def hashes(seed):
        return freeze(IDS[:10], present, lengths, TRIO, Plan(draws=2, frame_draws=2, seed=seed)).sha256

    assert hashes(0) == hashes(0)
    assert set(hashes(0)) == {"random", "frames"}
    assert not set(hashes(0).values()) & set(hashes(1).values())
    assert fingerprint([draw(0.5, number=0)]) != fingerprint([draw(0.5, number=1)])


def test_the_hash_knows_shapes():
    assert fingerprint([np.zeros((2, 3), dtype=bool)]) != fingerprint([np.zeros((3, 2), dtype=bool)])


@pytest.mark.parametrize("rate", RATES)
def test_never_is_everything_that_was_there_dropped(rate):
    present = np.random.default_rng(0).random((400, 3)) < 0.6
    hidden = draw(rate, present=present)
    assert not (hidden & ~present).any()
    assert ((present & ~hidden).any(axis=1) == present.any(axis=1)).all()


def test_what_is_hidden_at_one_rate_is_hidden_at_every_higher_one():
    masks = [draw(rate) for rate in RATES]
    assert not masks[0].any()
    assert all((low <= high).all() for low, high in pairwise(masks))


@pytest.mark.parametrize(("rate", "expected"), [(0.1, 0.1 - 0.001 / 3), (0.7, 0.7 - 0.343 / 3), (1.0, 2 / 3)])
def test_the_achieved_rate_lacks_what_is_spared(rate, expected):
    shares = [achieved(draw(rate, number=n), np.ones((400, 3), dtype=bool)) for n in range(5)]
    assert np.mean(shares) == pytest.approx(expected, abs=0.015)


def test_each_modality_is_spared_as_often():
    kept = (~draw(1.0)).sum(axis=0)
    assert kept.sum() == 400
    assert kept.min() > 100


def test_an_utterances_gaps_do_not_depend_on_the_others_nor_on_other_modalities():
    mask = draw(0.4)
    assert (draw(0.4, ids=IDS[::-1])[::-1] == mask).all()
    turned = draw(0.4, modalities=TRIO[::-1])[:, ::-1]
    assert (turned == mask).all()


def test_positions_go_as_often_as_asked_all_at_one_and_none_at_zero():
    hidden = {rate: position_mask(5000, "u", "audio", rate=rate, draw=0, seed=0) for rate in (0.0, 0.3, 1.0)}
    assert not hidden[0.0].any()
    assert hidden[0.3].mean() == pytest.approx(0.3, abs=0.02)
    assert hidden[1.0].all()
    assert (position_mask(10, "u", "audio", rate=0.3, draw=0, seed=0) == hidden[0.3][:10]).all()


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_rate_outside_zero_to_one_is_refused(rate):
    with pytest.raises(ValueError, match="a rate is between 0 and 1"):
        draw(rate)


def test_the_area_is_the_mean_height():
    assert normalised_area([0, 0.5, 1], [1, 0.5, 0]) == 0.5
    assert normalised_area([0, 1, 3], [0, 1, 1]) == pytest.approx((0.5 + 2) / 3)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"frame_draws": -1}, {"seed": -1}, {"noise": True, "frame_draws": 0}])
def test_a_plan_that_cannot_be_is_refused(wrong):
    with pytest.raises(ValueError, match=r"draw|seed"):
        Plan(**wrong)


# answers


def spoken(*columns):
    return np.eye(3)[list(columns)] * 5.0


def hand_made(**changed):
    """Three utterances; what is said alone by ear is 0, by eye 1, by both 2. The third has no sound."""
    read = Predictions(
        ids=("x", "y", "z"),
        classes=("a", "b", "c"),
        labels=np.eye(3)[[0, 1, 2]],
        logits={"audio": spoken(0, 0, 0), "video": spoken(1, 1, 1), "audio+video": spoken(2, 2, 2)},
        present=np.array([[True, True], [True, True], [False, True]]),
        modalities=("audio", "video"),
    )
    return Contender("m", None, None, replace(read, **changed), 0)


def test_an_utterance_without_a_modality_is_answered_as_that_subset_answers():
    nothing, hear, see, none = [False, False], [False, True], [True, False], [True, True]
    given = hand_made()
    assert given.answers(np.array([nothing, hear, nothing]), ("audio", "video")).tolist() == [2, 0, 2]
    assert given.answers(np.array([see, none, see]), ("audio", "video")).tolist() == [1, NOTHING, 1]
    # the third has no sound: with its picture hidden there is nothing
    assert given.answers(np.array([hear, hear, hear]), ("audio", "video")).tolist() == [0, 0, NOTHING]


def test_a_model_of_fewer_modalities_does_not_mind_gaps_in_others():
    one = hand_made(modalities=("video",), logits={"video": spoken(1, 1, 1)}, present=np.ones((3, 1), dtype=bool))
    hidden = np.array([[True, False], [False, True], [True, True]])
    assert one.answers(hidden, ("audio", "video")).tolist() == [1, NOTHING, NOTHING]


# the benchmark on trained models


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def runs(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("runs")
    run(feature_config(corpus, seed=3), folder / "both")
    run(feature_config(corpus, seed=3, modalities=["video"], audio_encoder="compact"), folder / "eye")
    return folder


def made_ready(corpus, folder, name):
    model, config, _ = load_model(folder / name / "best_model")
    config = replace(config, data=feature_config(corpus).data)
    opened = Corpus(CsvRows(root=corpus, config=config.model))
    split = read_split(model.by_modality(), opened.open_test(), config, "test", Quiet())
    known = read_split(model.by_modality(), opened.split("train"), config, "train", Quiet()).labels
    return contender(name, model, split, predict_split(model, split), known)


@pytest.fixture(scope="module")
def both(corpus, runs):
    return made_ready(corpus, runs, "both")


@pytest.fixture(scope="module")
def eye(corpus, runs):
    return made_ready(corpus, runs, "eye")


@pytest.fixture(scope="module")
def found(both, eye):
    return benchmark([both, eye], Plan(draws=3, frame_draws=2, noise=True))


def rows_of(found, model, protocol, part=None):
    return [r for r in found["rows"] if (r["model"], r["protocol"]) == (model, protocol) and part in (None, r["part"])]


def test_at_rate_zero_the_scores_are_those_of_the_plain_evaluation(found, both):
    plain = evaluate_predictions(both.read, {})["all"]
    starts = [rows_of(found, "both", "random")[0], *(rows_of(found, "both", "frames", p)[0] for p in ("audio", ALL))]
    for row in [*starts, rows_of(found, "both", "noise", ALL)[0], rows_of(found, "both", "fixed")[-1]]:
        assert (row["macro_f1"], row["weighted_f1"], row["accuracy"]) == (
            pytest.approx((plain["macro_f1"], plain["weighted_f1"], plain["accuracy"]), abs=1e-12)
        )
        assert (row["n"], row["guessed"], row["macro_f1_std"] or 0) == (plain["n"], 0, 0)


def test_fixed_subsets_are_those_of_the_plain_evaluation(found, both):
    plain = evaluate_predictions(both.read, {})["subsets"]
    fixed = rows_of(found, "both", "fixed")
    assert [r["part"] for r in fixed] == ["audio", "video", "audio+video"]
    for row in fixed:
        assert (row["macro_f1"], row["n"]) == (pytest.approx(plain[row["part"]]["macro_f1"]), plain[row["part"]]["n"])


def test_random_gaps_are_answered_as_the_model_itself_answers_the_gapped_streams(both):
    hidden = modality_mask(both.read.present, both.read.ids, both.modalities, rate=0.6, draw=0, seed=0)
    assert hidden.any()
    streams = both.split.batch(range(len(both.split))).streams
    gapped = {
        m: Stream(s.values, s.mask & ~torch.from_numpy(hidden[:, [i]])) for i, (m, s) in enumerate(streams.items())
    }
    with torch.no_grad():
        logits = both.model(gapped).logits
    readable = both.read.present.any(axis=1)
    said = both.answers(hidden, both.modalities)
    assert said[readable].tolist() == logits.argmax(dim=1).numpy()[readable].tolist()
    assert (said[~readable] == NOTHING).all()


def test_where_every_position_is_hidden_the_modality_is_missing_and_nothing_left_is_a_guess(found, both):
    true, rows = both.read.true, both.read.rows(both.read.full)
    end = rows_of(found, "both", "frames", ALL)[-1]
    assert (end["rate"], end["achieved"], end["guessed"], end["n"]) == (1.0, 1.0, rows.sum(), rows.sum())
    assert end["accuracy"] == np.mean(true[rows] == both.guess)
    assert found["protocol"]["constant"]["accuracy"] == end["accuracy"]
    without = rows_of(found, "both", "frames", "audio")[-1]
    said = np.where(both.read.present[:, 1], both.read.logits["video"].argmax(axis=1), both.guess)
    assert without["accuracy"] == np.mean((said == true)[rows])
    assert without["guessed"] == (~both.read.present[rows, 1]).sum()


def test_just_below_one_the_frame_protocol_runs_the_model_on_what_is_left(both):
    lengths = [len(t) for t in both.split.tensors["video"]]
    # of the pictures, only; sound has one position and would be whole or missing
    damage = gaps(both.split, seed=0)
    said = missing_passes.read_spoilt(both.model, both.split, damage, ["video"], levels=[0.9], draws=1, batch_size=5)
    kept = [
        ~position_mask(n, i, "video", rate=0.9, draw=0, seed=0) for n, i in zip(lengths, both.read.ids, strict=True)
    ]
    tensors = {"audio": both.split.tensors["audio"]}
    tensors["video"] = tuple(t[torch.from_numpy(k)] for t, k in zip(both.split.tensors["video"], kept, strict=True))
    # vectors know no place in time here, so frames that are hidden are frames that never were
    read = predict_split(both.model, PreparedSplit(both.split.samples, tensors, both.split.labels))
    there = read.readable(read.full)
    assert said["video", 0.9, 0][there].tolist() == read.logits[read.full].argmax(axis=1)[there].tolist()
    assert (said["video", 0.9, 0][~there] == NOTHING).all()


def test_gaps_hide_positions_and_change_nothing_else(both):
    rows = range(2, 7)
    streams = both.split.batch(rows).streams
    before = {m: Stream(s.values.clone(), s.mask.clone()) for m, s in streams.items()}
    spoilt = gaps(both.split, seed=4)(rows, streams, 0.5, 1)
    for m, stream in streams.items():
        assert torch.equal(stream.values, before[m].values)
        assert torch.equal(stream.mask, before[m].mask)
        assert torch.equal(spoilt[m].values, stream.values)
        for k, i in enumerate(rows):
            length = len(both.split.tensors[m][i])
            hidden = position_mask(length, both.split.samples[i].id, m, rate=0.5, draw=1, seed=4)
            assert spoilt[m].mask[k, :length].tolist() == (~hidden).tolist()
            assert not spoilt[m].mask[k, length:].any()


def test_noise_is_in_spreads_of_the_stream_and_leaves_what_it_was_given(both):
    assert noisy_modalities(both.model, both.split) == ("audio", "video")
    rows = range(12)
    streams = both.split.batch(rows).streams
    before = streams["video"].values.clone()
    add = noised(both.split, ("video",), seed=0)
    one, again, two, other = (add(rows, streams, level, d) for level, d in ((1.0, 0), (1.0, 0), (2.0, 0), (1.0, 1)))
    assert torch.equal(streams["video"].values, before)
    assert one["audio"] is streams["audio"]
    assert torch.equal(one["video"].values, again["video"].values)
    assert not torch.equal(one["video"].values, other["video"].values)
    mask = streams["video"].mask
    added = ((one["video"].values - before) / spread(both.split.tensors["video"]))[mask]
    assert abs(added.mean()) < 0.2
    assert added.std() == pytest.approx(1.0, abs=0.15)
    twice = (two["video"].values - before)[mask]
    assert torch.allclose(twice, 2 * (one["video"].values - before)[mask], atol=1e-5)


def test_a_spread_is_by_column_and_of_pictures_by_all_pixels():
    vectors = (torch.tensor([[0.0, 10.0], [2.0, 10.0]]), torch.zeros(0, 2), torch.tensor([[4.0, 40.0]]))
    assert spread(vectors).tolist() == pytest.approx([(8 / 3) ** 0.5, 200**0.5])
    pictures = (torch.tensor([[[0, 100], [0, 100]]], dtype=torch.uint8),)
    assert spread(pictures).tolist() == 50.0


def test_noisy_pictures_stay_pictures():
    class Seen:
        id = "x"

    pictures = torch.full((2, 3, 3), 250, dtype=torch.uint8)
    pictures[0] = 5
    split = PreparedSplit((Seen(),), {"video": (pictures,)}, torch.zeros(1, 2))
    streams = {"video": Stream(pictures[None], torch.ones(1, 2, dtype=torch.bool))}
    noisy = noised(split, ("video",), seed=0)(range(1), streams, 2.0, 0)["video"].values
    assert noisy.dtype == torch.uint8
    assert {0, 255} <= set(noisy.flatten().tolist())


def test_a_model_beside_is_scored_on_the_same_rows_and_guesses_where_it_has_nothing(found, both, eye):
    own, main = rows_of(found, "eye", "fixed"), rows_of(found, "both", "fixed")
    assert [r["n"] for r in own] == [r["n"] for r in main]
    assert own[0]["guessed"] == own[0]["n"]
    blind = ~both.read.present[:, 1]
    assert own[2]["guessed"] == (blind & both.read.rows(both.read.full)).sum()
    assert own[1]["guessed"] == 0
    heard = rows_of(found, "eye", "frames", "audio")
    assert {r["macro_f1"] for r in heard} == {own[2]["macro_f1"]}
    assert [r["part"] for r in rows_of(found, "eye", "noise")] == ["video"] * 5 + [ALL] * 5


def test_the_guess_is_the_commonest_class_of_training(both):
    known = torch.tensor([[0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [float("nan")] * 3])
    assert contender("x", both.model, both.split, both.read, known).guess == 2
    with pytest.raises(ValueError, match="no training row has a label"):
        contender("x", both.model, both.split, both.read, known[3:])


def test_the_summary_is_made_of_the_rows(found):
    told, fixed = found["models"]["both"], rows_of(found, "both", "fixed")
    assert told["whole"] == fixed[2]["macro_f1"]
    assert told["incomplete"] == pytest.approx((fixed[0]["macro_f1"] + fixed[1]["macro_f1"]) / 2)
    assert told["worst"] == min(r["macro_f1"] for r in fixed)
    assert told["worst_subset"] == min(fixed, key=lambda r: r["macro_f1"])["part"]
    curve = rows_of(found, "both", "random")
    assert [r["rate"] for r in curve] == list(RATES)
    each = [[r["each_macro_f1"][d] for r in curve] for d in range(3)]
    areas = [np.trapezoid(scores, RATES) / 0.7 for scores in each]
    assert told["random_area"]["mean"] == pytest.approx(np.mean(areas))
    assert told["random_area"]["std"] == pytest.approx(np.std(areas, ddof=1))
    assert set(told["frames_area"]) == {"audio", "video", ALL}
    assert [r["rate"] for r in rows_of(found, "both", "frames", ALL)] == list(FRAME_RATES)


def test_the_same_plan_finds_the_same_and_another_seed_other_masks(both):
    first, again = (benchmark([both], SMALL_PLAN) for _ in range(2))
    assert first == again
    other = benchmark([both], replace(SMALL_PLAN, seed=1))
    assert other["protocol"]["masks"]["random"] != first["protocol"]["masks"]["random"]
    assert other["protocol"]["masks"]["frames"] != first["protocol"]["masks"]["frames"]


def test_few_draws_are_told_and_frames_can_be_left_out(both):
    told = benchmark([both], Plan(draws=1, frame_draws=0))
    assert {r["protocol"] for r in told["rows"]} == {"fixed", "random"}
    assert told["protocol"]["notes"] == ["1 draws of the random protocol; 10 are the custom"]
    assert told["models"]["both"]["random_area"]["std"] is None


def test_one_modality_alone_has_nothing_to_lose_at_random(eye):
    told = benchmark([eye], SMALL_PLAN)
    assert len({r["macro_f1"] for r in rows_of(told, "eye", "random")}) == 1
    assert {r["part"] for r in rows_of(told, "eye", "frames")} == {"video"}
    assert told["models"]["eye"]["incomplete"] is None
    assert "eye reads video alone" in " ".join(told["protocol"]["notes"])


def test_models_that_cannot_stand_beside_each_other_are_told_apart(both, eye):
    def refused(others, message, plan=SMALL_PLAN):
        with pytest.raises(ValueError, match=message):
            benchmark(others, plan)

    refused([eye, both], "both reads audio, eye does not; give it as --model_path")
    refused([both, both], "different names, got both, both")
    moved = replace(both.read, ids=("other", *both.read.ids[1:]))
    refused([both, replace(both, name="x", read=moved)], "x and both did not read the same utterances")
    named = replace(both.read, classes=("p", "q", "r"))
    refused([both, replace(both, name="x", read=named)], "x has other classes than both: p, q, r")
    unlabelled = replace(both.read, labels=np.full(both.read.labels.shape, np.nan))
    refused([replace(both, read=unlabelled)], "nothing to score")
    multi = replace(both.read, kind="multi")
    with pytest.raises(ValueError, match=r"x: .* scores exclusive classes, this model is multi-label"):
        contender("x", both.model, both.split, multi, both.split.labels)


# the command, its files, its picture


def robustness(corpus, runs, output, *more):
    data = as_flags(feature_config(corpus), "data")
    places = ["--model_path", str(runs / "both" / "best_model"), "--output_dir", str(output)]
    return cli.main(["evaluate", "--robustness", *places, "--draws", "2", "--frame_draws", "1", *data, *more])


def test_the_command_writes_the_tables_and_the_ledgers_of_all_models(corpus, runs, tmp_path, capsys):
    beside = ["--beside", f"eye={runs / 'eye' / 'best_model'}", "--no_pictures"]
    assert robustness(corpus, runs, tmp_path / "out", *beside) == 0
    shown = capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "robustness.json").read_text())
    assert list(kept["models"]) == ["both", "eye"]
    assert kept["protocol"]["split"] == "test"
    assert kept["protocol"]["masks"]["random"][:12] in shown
    with (tmp_path / "out" / "robustness.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    assert len(table) == len(kept["rows"])
    assert float(table[0]["macro_f1"]) == kept["rows"][0]["macro_f1"]
    assert table[0]["rate"] == ""
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [f"robustness.{x}" for x in ("csv", "json", "md")]
    for name, row in (("both", 2), ("eye", 2)):
        line = json.loads((runs / name / "ledger.jsonl").read_text().splitlines()[-1])
        assert line["study"] == "missing modalities"
        assert line["macro_f1"] == rows_of(kept, name, "fixed")[row]["macro_f1"]
    assert robustness(corpus, runs, tmp_path / "again", *beside) == 0
    for name in ("json", "csv", "md"):
        first, again = ((tmp_path / where / f"robustness.{name}").read_bytes() for where in ("out", "again"))
        assert first == again


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--draws", "3"], "--draws is a setting of the missing-modality benchmark; give --robustness too"),
        (["--beside", "x=y"], "--beside is a setting of the missing-modality benchmark"),
        (["--robustness", "--beside", "y"], "--beside 'y': give NAME=PATH, each name once"),
        (["--robustness", "--beside", "r=x", "r=y"], "--beside 'r=y': give NAME=PATH, each name once"),
        (["--robustness", "--draws", "0"], "draws: at least 1 is needed"),
    ],
)
def test_flags_that_make_no_sense_are_refused_before_anything_is_opened(flags, message, capsys):
    assert cli.main(["evaluate", "--model_path", "nowhere/best_model", *flags]) == 2
    assert message in capsys.readouterr().err


def test_models_that_cannot_be_compared_are_refused_before_the_test_split_is_opened(corpus, runs, tmp_path, capsys):
    data = as_flags(feature_config(corpus), "data")
    eye, both = (runs / name / "best_model" for name in ("eye", "both"))
    flags = ["--model_path", str(eye), "--beside", f"both={both}", "--output_dir", str(tmp_path / "out"), *data]
    assert cli.main(["evaluate", "--robustness", *flags]) == 2
    told = capsys.readouterr()
    assert told.err.startswith("emobraid: both reads audio, eye does not; give both as --model_path")
    assert "test:" not in told.out + told.err
    files = checkpoint.read(both)
    multi = files["config.toml"].decode().replace('label_kind = "exclusive"', 'label_kind = "multi"').encode()
    checkpoint.publish(tmp_path / "many" / "best_model", {**files, "config.toml": multi})
    assert cli.main(["evaluate", "--robustness", "--model_path", str(tmp_path / "many" / "best_model"), *data]) == 2
    assert "many is multi-label; the missing-modality benchmark scores exclusive" in capsys.readouterr().err


def test_markdown_has_a_row_for_all_scenarios_and_keeps_its_columns(found):
    odd = json.loads(json.dumps(found).replace('"eye"', '"e|e"'))
    text = markdown(odd)
    tables = [block for block in text.split("\n\n") if block.startswith("|")]
    assert len(tables) == 5
    for block in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}) == 1
    assert f"| ({rows_of(found, 'eye', 'fixed')[0]['macro_f1']:.3f}) |" in text
    assert found["protocol"]["masks"]["frames"][:12] in text


@pytest.mark.parametrize("models", [("both", "eye"), ("both",)])
def test_the_picture_carries_the_models_and_the_figures(found, models, tmp_path, monkeypatch):
    pytest.importorskip("matplotlib")
    from matplotlib.text import Text

    drawn = []
    monkeypatch.setattr(missing_plots, "_save", lambda figure, path: drawn.append(figure))
    shown = {**found, "models": {m: found["models"][m] for m in models}}
    shown["rows"] = [r for r in found["rows"] if r["model"] in models]
    missing_plots.robustness(shown, tmp_path / "robustness.png")
    texts = {t.get_text() for t in drawn[0].findobj(Text)}
    assert {"always the commonest class", "audio + video (12)", *models} <= texts
    best = rows_of(found, "both", "fixed")[-1]["macro_f1"]
    assert f"{best:.2f}" in texts
    assert ("all together" in texts) == (len(models) == 1)


def test_the_trainer_tells_it_of_validation(corpus, tmp_path):
    config = feature_config(corpus)
    torch.manual_seed(0)
    model = MultimodalEmotionModel(replace(config.model, audio_width=4, video_width=3))
    opened = Corpus(CsvRows(root=corpus, config=config.model))
    splits = [read_split(model.by_modality(), opened.split(s), config, s, Quiet()) for s in ("train", "val")]
    trainer = Trainer(model, *splits, config, tmp_path, loss_weights={}, on_best=lambda *_: None)
    rows = trainer.evaluate_robustness(draws=2, frame_draws=1)
    plain = evaluate_predictions(predict_split(model, splits[1]), {})["subsets"]
    fixed = {r["part"]: r for r in rows if r["protocol"] == "fixed"}
    assert {s: (r["n"], r["macro_f1"]) for s, r in fixed.items()} == {
        s: (found["n"], pytest.approx(found["macro_f1"])) for s, found in plain.items()
    }
    assert {r["protocol"] for r in rows} == {"fixed", "random", "frames"}
    assert json.loads(json.dumps(rows)) == rows == trainer.evaluate_robustness(draws=2, frame_draws=1)
    other = trainer.evaluate_robustness(draws=2, frame_draws=1, seed=1)
    assert [r["achieved"] for r in rows] != [r["achieved"] for r in other]
