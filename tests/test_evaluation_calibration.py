"""Temperatures against optima that have a closed form."""

import math

import numpy as np
import pytest

from emobraid.evaluation import Predictions, fit_temperature, fit_temperatures

LN3 = math.log(3)  # the logit of 0.75


def test_the_temperature_makes_the_confidence_equal_the_accuracy():
    # every row says class 0 with logit 2 ln 3 (90 %), and three of four are right: softmax(2 ln 3 / T) = .75 at T = 2
    assert fit_temperature(np.tile([2 * LN3, 0.0], (4, 1)), [0, 0, 0, 1]) == pytest.approx(2.0, rel=1e-3)


def test_too_humble_logits_are_sharpened():
    assert fit_temperature(np.tile([LN3 / 4, 0.0], (4, 1)), [0, 0, 0, 1]) == pytest.approx(0.25, rel=1e-3)


def test_without_an_error_a_next_row_that_might_be_wrong_keeps_the_temperature_finite():
    # N = 2, so the target is 1 - 1/4 = .75, reached where 4 ln 3 / T = ln 3
    assert fit_temperature(np.array([[4 * LN3, 0.0], [0.0, 4 * LN3]]), [0, 1]) == pytest.approx(4.0, rel=1e-3)


def test_a_temperature_stays_inside_its_bounds():
    coin = fit_temperature(np.tile([5.0, 0.0], (4, 1)), [0, 1, 0, 1])  # the optimum is infinite
    assert 19.9 < coin <= 20.0
    tiny = fit_temperature(np.tile([LN3 / 1000, 0.0], (4, 1)), [0, 0, 0, 1])  # the optimum is 0.001
    assert 0.05 <= tiny < 0.0502


@pytest.mark.parametrize("labels", [[], [1], [1, 1, 1]])
def test_too_little_to_learn_from_leaves_the_logits_alone(labels):
    assert fit_temperature(np.tile([3.0, 0.0], (len(labels), 1)), labels) == 1.0


def validation(text_rows, *, unlabelled=0):
    """40 rows, all with audio, the first `text_rows` with text; three of four are right, logits differ by subset."""
    present = np.array([[i < text_rows, True] for i in range(40)])
    labels = np.tile([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], (10, 1))
    labels[:unlabelled] = np.nan
    logits = {s: np.tile([k * LN3, 0.0], (40, 1)) for s, k in (("text", 4), ("audio", 2), ("text+audio", 3))}
    return Predictions(tuple(str(i) for i in range(40)), ("happy", "sad"), labels, logits, present, ("text", "audio"))


def test_every_subset_gets_its_own_temperature():
    fitted = fit_temperatures(validation(text_rows=32))
    assert list(fitted) == ["text", "audio", "text+audio"]
    assert fitted == pytest.approx({"text": 4.0, "audio": 2.0, "text+audio": 3.0}, rel=1e-3)


def test_a_subset_with_fewer_than_thirty_scored_rows_borrows_the_temperature_of_all():
    fitted = fit_temperatures(validation(text_rows=29))
    assert fitted["text"] == fitted["text+audio"] == pytest.approx(3.0, rel=1e-3)
    assert fitted["audio"] == pytest.approx(2.0, rel=1e-3)
    unlabelled = fit_temperatures(validation(text_rows=33, unlabelled=4))
    assert unlabelled["text"] == unlabelled["text+audio"]
