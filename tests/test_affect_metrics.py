"""Scores of numbers: worked by hand, and beside scipy and scikit-learn, on fixtures that tell truth from prediction."""

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import f1_score, mean_absolute_error

from emobraid.evaluation import affect

TRUE = np.array([-2.0, -1.0, 0.0, 1.0, 3.0, 0.5])
READ = np.array([-3.5, 0.4, 0.2, 1.2, 2.5, 0.5])


def test_sentiment_as_worked_by_hand():
    found = affect.sentiment(TRUE, READ)
    assert found["mae"] == pytest.approx(3.8 / 6)  # -3.5 is not clipped to -3
    # has0: negative is true of two rows, of which one is found
    assert (found["acc2_has0"], found["acc2_non0"]) == pytest.approx((5 / 6, 4 / 5))
    assert found["f1_has0"] == pytest.approx((2 * 2 / 3 + 4 * 8 / 9) / 6)
    assert found["f1_non0"] == pytest.approx((2 * 2 / 3 + 3 * 6 / 7) / 5)
    assert found["acc7_rounded"] == pytest.approx(3 / 6)  # 2.5 is 2, 0.5 is 0, -3.5 is -3
    assert found["acc7_sdk"] == pytest.approx(2 / 6)  # 0.2 is 1, 1.2 is 2, 2.5 is 3
    assert found["acc5_rounded"] == pytest.approx(5 / 6)  # 3 and 2.5 are 2, -3.5 is -2; 0.4 is 0, not -1


def test_sentiment_as_libraries_count_it_with_the_truth_first():
    rng = np.random.default_rng(0)
    true = np.clip(np.round(rng.normal(0.4, 1.3, 300) * 3) / 3, -3, 3)
    read = 0.5 * true + rng.normal(0.5, 0.8, 300)
    found = affect.sentiment(true, read)
    assert found["mae"] == pytest.approx(mean_absolute_error(true, read))
    assert found["pearson"] == pytest.approx(pearsonr(true, read).statistic)
    assert found["f1_has0"] == pytest.approx(f1_score(true >= 0, read >= 0, average="weighted"))
    kept = true != 0
    assert found["f1_non0"] == pytest.approx(f1_score(true[kept] > 0, read[kept] > 0, average="weighted"))
    assert found["f1_has0"] != pytest.approx(f1_score(read >= 0, true >= 0, average="weighted"))


@pytest.mark.parametrize(
    ("value", "rounded", "sdk"),
    [
        (0.0, 0, 0),
        (1 / 3, 0, 1),
        (0.5, 0, 1),
        (1.5, 2, 2),
        (2.5, 2, 3),
        (1.0, 1, 1),
        (3.4, 3, 3),
        (-0.2, 0, -1),
        (-0.5, 0, -1),
        (-1.0, -1, -1),
        (-1.5, -2, -2),
        (-2.0, -2, -2),
        (-2.01, -2, -3),
        (-9.0, -3, -3),
    ],
)
def test_the_two_rules_of_seven_classes(value, rounded, sdk):
    assert affect.seven_rounded(np.array([value])).tolist() == [rounded]
    assert affect.seven_sdk(np.array([value])).tolist() == [sdk]


@pytest.mark.parametrize(("value", "five"), [(0.5, 0), (1.5, 2), (1.49, 1), (2.9, 2), (-0.51, -1), (-3.0, -2)])
def test_five_classes_end_at_two(value, five):
    assert affect.five_rounded(np.array([value])).tolist() == [five]


def test_concordance_punishes_a_wrong_scale_that_correlation_forgives():
    true, read = np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])
    assert affect.ccc(true, read) == pytest.approx(4 / 11)  # 2 * 4/3 over 2/3 + 8/3 + 4
    assert affect.pearson(true, read) == pytest.approx(1.0)
    assert affect.ccc(true, true) == pytest.approx(1.0)
    assert affect.ccc(true, true[::-1]) == pytest.approx(-1.0)


def test_concordance_is_over_all_rows_at_once_and_not_a_mean_over_parts():
    true, read = np.array([0.0, 1.0, 4.0, 5.0]), np.array([1.0, 0.0, 5.0, 4.0])
    whole = affect.ccc(true, read)
    halves = (affect.ccc(true[:2], read[:2]) + affect.ccc(true[2:], read[2:])) / 2
    assert whole == pytest.approx(2 * 3.75 / 8.5)
    assert halves == pytest.approx(-1.0)


def test_what_cannot_be_told_is_none():
    assert affect.ccc(np.ones(3), np.ones(3)) is None
    assert affect.pearson(np.array([1.0, 2.0]), np.ones(2)) is None
    assert affect.pearson(np.ones(1), np.ones(1)) is None
    assert affect.sentiment(np.zeros(2), np.ones(2))["acc2_non0"] is None
    with pytest.raises(ValueError, match="no utterance has a value"):
        affect.dimension(np.empty(0), np.empty(0))


def test_always_the_mean_stands_beside():
    found = affect.score("sentiment", TRUE, READ)
    assert found["constant"]["mae"] == pytest.approx(np.abs(TRUE - 0.25).mean())
    assert found["constant"]["pearson"] is None
    assert found["constant"]["ccc"] == 0.0
    assert found["constant"]["acc2_has0"] == pytest.approx(4 / 6)
    assert "acc7_sdk" not in affect.score("valence", TRUE, READ)


def test_every_figure_has_a_convention():
    found = affect.score("sentiment", TRUE, READ, ["a"] * 6)
    assert set(found) - {"n", "constant", "by_group"} == set(affect.CONVENTIONS)
    assert set(found["constant"]) == set(found) - {"constant", "by_group"}


def test_concordance_of_each_group_stands_beside_that_of_all_rows():
    rising = np.tile([1.0, 2.0, 3.0], 4)  # two thirds, and means of 2
    true = np.concatenate([rising, rising, [5.0] * 9, [9.0]])
    read = np.concatenate([2 * rising, rising[::-1], [5.0] * 9, [0.0]])
    found = affect.score("valence", true, read, ["b"] * 12 + ["a"] * 12 + ["few"] * 9 + [""])
    assert list(found["by_group"]) == ["a", "b", "few"]
    assert found["by_group"]["b"] == pytest.approx({"n": 12, "ccc": 4 / 11})
    assert found["by_group"]["a"] == pytest.approx({"n": 12, "ccc": -1.0})
    assert found["by_group"]["few"] == {"n": 9, "ccc": None}
    assert found["ccc_groups"] == pytest.approx((4 / 11 - 1) / 2)
    assert found["ccc"] == affect.ccc(true, read)
    assert found["constant"]["ccc_groups"] == 0.0
    assert "by_group" not in affect.score("valence", true, read, [""] * 34)
