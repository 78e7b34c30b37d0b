"""Differences between models: intervals and p from whole speakers, Holm's correction, marks, seeds."""

import numpy as np
import pytest

from emobraid.evaluation import metrics
from emobraid.evaluation.counts import COUNTED, confusions
from emobraid.evaluation.predictions import Predictions
from emobraid.evaluation.significance import (
    Comparison,
    compare,
    compare_arrays,
    holm,
    mark,
    mean_and_std,
    two_sided,
)

TRUE = np.array([0, 0, 1, 1, 1, 3])  # nobody is truly a 2
SAID = np.array([[0, 1, 1, 1, 2, 3], [0, 0, 1, 1, 1, 3]])


def sure(columns, classes=2):
    """One model's probabilities (1, N, C) that put nearly all on `columns`."""
    return (np.eye(classes)[np.asarray(columns)] * 0.8 + 0.1)[None]


def table(columns, *, groups=(), ids=None, true=(0, 0, 1, 1)):
    n = len(true)
    logits = np.eye(2)[np.asarray(columns)] * 4.0
    names = tuple(ids or (f"u{i}" for i in range(n)))
    there = np.ones((n, 1), dtype=bool)
    return Predictions(names, ("no", "yes"), np.eye(2)[np.asarray(true)], {"text": logits}, there, ("text",), groups)


def test_counts_are_those_of_each_prediction_rows_true():
    first = confusions(TRUE, SAID, 4)[0]
    assert first.tolist() == [[1, 1, 0, 0], [0, 2, 1, 0], [0, 0, 0, 0], [0, 0, 0, 1]]


def test_scores_of_counts_are_worked_out_by_hand():
    found = {name: score(confusions(TRUE, SAID, 4)) for name, score in COUNTED.items()}
    # F1: class 0 2*1/(2+1), class 1 2*2/(3+3), class 3 2*1/(1+1); the class that nobody is does not count
    assert found["macro_f1"][0] == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)
    assert found["weighted_f1"][0] == pytest.approx((2 * 2 / 3 + 3 * 2 / 3 + 1) / 6)
    assert found["accuracy"][0] == pytest.approx(4 / 6)
    assert found["uar"][0] == pytest.approx((1 / 2 + 2 / 3 + 1) / 3)
    assert [score[1] for score in found.values()] == [1.0] * 4


def test_scores_of_counts_are_those_of_the_report():
    rng = np.random.default_rng(0)
    true, said = rng.integers(0, 3, 50), rng.integers(0, 4, (5, 50))
    for i, row in enumerate(said):
        expected = metrics.classification(true, np.eye(4)[row], list("abcd"))
        for name, score in COUNTED.items():
            assert score(confusions(true, said, 4))[i] == pytest.approx(getattr(expected, name), abs=1e-12)


def test_a_model_does_not_differ_from_itself():
    said = sure([0, 1, 1, 0])
    found = compare_arrays(np.array([0, 0, 1, 1]), said, said)
    assert (found.difference, found.low, found.high, found.p, found.resamples) == (0.0, 0.0, 0.0, 1.0, 10_000)


def test_always_right_against_always_wrong_has_the_smallest_p_there_is():
    true = np.array([0, 1] * 10)
    found = compare_arrays(true, sure(true), sure(1 - true), "accuracy", resamples=99)
    assert (found.first, found.second, found.difference) == (1.0, 0.0, 1.0)
    assert (found.low, found.high) == (1.0, 1.0)
    assert found.p == pytest.approx(2 / 100)
    turned = compare_arrays(true, sure(1 - true), sure(true), "accuracy", resamples=99)
    assert (turned.difference, turned.p) == (-1.0, found.p)


@pytest.mark.parametrize(
    ("differences", "p"),
    [([1, 1, 1, -1], 2 * 2 / 5), ([1] * 9, 2 / 10), ([0] * 9, 1.0), ([-1] * 18 + [0], 2 * 2 / 20)],
)
def test_p_is_twice_the_smaller_tail_with_one_added(differences, p):
    assert two_sided(np.array(differences)) == pytest.approx(p)


def test_two_speakers_who_disagree_tell_nothing():
    # speaker a: only the first model is right; b: only the second. Drawn are aa (+1), ab or ba (0), bb (-1)
    true = np.array([0, 1, 0, 1])
    found = compare_arrays(
        true, sure([0, 1, 1, 0]), sure([1, 0, 0, 1]), "accuracy", groups=["a", "a", "b", "b"], resamples=2000
    )
    assert (found.difference, found.low, found.high) == (0.0, -1.0, 1.0)
    assert found.p > 0.9
    assert (found.groups, found.unit, found.utterances) == (2, "groups", 4)
    assert found.note == "2 groups are few: the interval is too narrow"


def test_ten_speakers_with_ten_like_utterances_are_ten_pieces_of_evidence_not_a_hundred():
    # the first model is right for seven speakers of ten, the second for the three others
    speakers = [f"s{i // 10}" for i in range(100)]
    true = np.zeros(100, dtype=int)
    wrong = (np.arange(100) // 10 >= 7).astype(int)
    ours, theirs = sure(wrong), sure(1 - wrong)
    related = compare_arrays(true, ours, theirs, "accuracy", groups=speakers, resamples=2000)
    unrelated = compare_arrays(true, ours, theirs, "accuracy", resamples=2000)
    assert related.difference == unrelated.difference == pytest.approx(0.4)
    assert related.p > 0.1
    assert unrelated.p < 0.002
    assert related.high - related.low > 2 * (unrelated.high - unrelated.low)
    assert unrelated.unit == "utterances"
    assert "utterances were resampled" in unrelated.note


def test_a_row_without_a_speaker_is_a_speaker_of_its_own():
    true = np.array([0, 1, 0, 1])
    assert compare_arrays(true, sure(true), sure(true), groups=["a", "a", "", ""]).groups == 3


def test_a_function_is_resampled_as_the_counted_metric_of_the_same_meaning():
    rng = np.random.default_rng(1)
    true, ours, theirs = rng.integers(0, 2, 40), *(sure(rng.integers(0, 2, 40)) for _ in range(2))

    def accuracy(probabilities, labels):
        return float((probabilities.argmax(axis=1) == labels).mean())

    settings = {"groups": [f"s{i % 8}" for i in range(40)], "resamples": 300}
    counted, called = (compare_arrays(true, ours, theirs, m, **settings) for m in ("accuracy", accuracy))
    assert called.metric == "accuracy"
    assert (called.difference, called.low, called.high, called.p) == pytest.approx(
        (counted.difference, counted.low, counted.high, counted.p)
    )


def test_calibration_can_be_compared_too_with_fewer_resamples():
    true = np.array([0, 1] * 4)
    found = compare_arrays(true, sure(true), sure(1 - true), metrics.brier)
    # (1 - 0.9)^2 + 0.1^2 against 0.9^2 + (1 - 0.1)^2
    assert (found.metric, found.first, found.second) == ("brier", pytest.approx(0.02), pytest.approx(1.62))
    assert found.resamples == 2_000


def test_several_seeds_are_compared_by_their_mean():
    true = np.array([0, 0, 1, 1])
    ours = np.concatenate([sure([0, 0, 1, 1]), sure([0, 0, 0, 0])])
    found = compare_arrays(true, ours, sure([1, 0, 1, 1]), "accuracy", resamples=99)
    assert (found.first, found.second, found.difference) == pytest.approx((0.75, 0.75, 0.0))


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    rng = np.random.default_rng(2)
    true, ours, theirs = rng.integers(0, 2, 30), *(sure(rng.integers(0, 2, 30)) for _ in range(2))
    first, again, other = (compare_arrays(true, ours, theirs, resamples=500, seed=s) for s in (0, 0, 1))
    assert first == again != other


def test_tables_of_predictions_are_compared_by_their_own_groups():
    speakers = ("a", "a", "b", "b")
    found = compare(table([0, 0, 1, 1], groups=speakers), table([0, 1, 1, 1], groups=speakers), "accuracy")
    assert isinstance(found, Comparison)
    assert (found.difference, found.groups, found.unit) == (0.25, 2, "groups")
    several = compare([table([0, 0, 1, 1])] * 2, [table([0, 1, 1, 1]), table([0, 0, 1, 1])], "accuracy")
    assert (several.difference, several.unit) == (0.125, "utterances")


def test_multi_label_tables_are_compared_with_a_function_only():
    labels, there = np.array([[1.0, 1.0], [0.0, 0.0]]), np.ones((2, 1), dtype=bool)
    said = {"text": np.array([[4.0, -4.0], [-4.0, -4.0]])}
    read = Predictions(("a", "b"), ("x", "y"), labels, said, there, ("text",), kind="multi")

    def hits(probabilities, true):
        return float(((probabilities > 0.5) == true).mean())

    assert compare(read, read, hits, resamples=50).first == 0.75
    with pytest.raises(ValueError, match="for multi-label ones give a function"):
        compare(read, read)


@pytest.mark.parametrize(
    ("other", "metric", "message"),
    [
        (table([0, 0, 1, 1], ids=("v", "w", "x", "y")), "accuracy", "did not read the same utterances"),
        (table([0, 0, 1, 1], true=(0, 1, 1, 1)), "accuracy", "did not read the same utterances"),
        ([], "accuracy", "each side needs at least one model"),
        (table([0, 0, 1, 1]), "f1", "unknown metric 'f1', known: macro_f1, weighted_f1, accuracy, uar"),
    ],
)
def test_what_cannot_be_compared_is_said(other, metric, message):
    with pytest.raises(ValueError, match=message):
        compare(table([0, 0, 1, 1]), other, metric)


def test_one_speaker_is_nothing_to_resample():
    with pytest.raises(ValueError, match="all rows are of one speaker or dialogue"):
        compare(*[table([0, 0, 1, 1], groups=("a",) * 4)] * 2)


def test_holm_is_worked_out_by_hand():
    # in order: 0.005 * 4, 0.01 * 3, 0.03 * 2, and 0.04 * 1, which may not be below the one before
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("p", "said"), [(0.0099, "**"), (0.01, "*"), (0.0499, "*"), (0.05, "n.s."), (1.0, "n.s.")])
def test_marks(p, said):
    assert mark(p) == said


def test_mean_and_standard_deviation_over_seeds():
    assert mean_and_std([1.0, 2.0, 6.0]) == pytest.approx((3.0, 7**0.5))
    assert mean_and_std([0.5]) == (0.5, None)
    with pytest.raises(ValueError, match="no values"):
        mean_and_std([])
