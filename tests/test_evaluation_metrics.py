"""Scores against numbers worked out by hand, on fixtures where swapped arguments would show."""

import math

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from emobraid.evaluation import adaptive_ece, brier, classification, classwise_ece, ece, macro_f1, nll

#        class 0: 2 hit, 1 missed       class 1: 1 hit, 1 missed, 1 false   class 2: 1 hit, 1 false
TRUE = [0, 0, 0, 1, 1, 2]
SAID = [0, 0, 1, 1, 2, 2]
CLASSES = ("happy", "sad", "angry")


def certain(columns, width):
    return np.eye(width)[columns]


def two_way(confidences, right):
    """Rows of two classes that say class 0 with the given confidences, and labels that make them right or not."""
    confidences = np.array(confidences)
    return np.stack([confidences, 1 - confidences], axis=1), np.where(right, 0, 1)


def test_scores_are_what_counting_by_hand_gives():
    scores = classification(TRUE, certain(SAID, 3), CLASSES)
    assert scores.n == 6
    assert scores.accuracy == pytest.approx(4 / 6)
    assert scores.macro_precision == pytest.approx((1 + 1 / 2 + 1 / 2) / 3)
    assert scores.macro_recall == scores.uar == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)
    assert scores.macro_f1 == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    # happy: two of three before all others, the third level with them; said 0 of four rows, one of them so
    ranked = {"auroc": (2 * 3 + 1.5) / 9, "auprc": 2 / 3 * 1 + 1 / 3 * 3 / 6, "ece": 4 / 6 * 1 / 4}
    counted = {"precision": 1.0, "recall": 2 / 3, "f1": 0.8, "support": 3}
    assert scores.per_class["happy"] == pytest.approx(counted | ranked)
    ranked = {"auroc": 4.5 / 5, "auprc": 1 / 2, "ece": 2 / 6 * 1 / 2}
    counted = {"precision": 0.5, "recall": 1.0, "f1": 2 / 3, "support": 1}
    assert scores.per_class["angry"] == pytest.approx(counted | ranked)


def test_ranking_is_that_of_each_class_against_the_others():
    # sad: one true row before three of four others and level with one, one level with three and behind one
    scores = classification(TRUE, certain(SAID, 3), CLASSES)
    assert scores.per_class["sad"]["auroc"] == pytest.approx((3.5 + 1.5) / 8)
    assert scores.per_class["sad"]["auprc"] == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 6)
    assert scores.macro_auroc == pytest.approx((5 / 6 + 5 / 8 + 9 / 10) / 3)
    assert scores.macro_auprc == pytest.approx((5 / 6 + 5 / 12 + 1 / 2) / 3)
    assert scores.majority.macro_auroc == 0.5
    assert scores.majority.macro_auprc == pytest.approx((3 / 6 + 2 / 6 + 1 / 6) / 3)  # what a class's share is


def test_ranking_is_what_scikit_learn_says_of_probabilities():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 200)
    probabilities = rng.dirichlet(np.ones(4), 200) * 0.7 + 0.3 * np.eye(4)[true]
    scores = classification(true, probabilities, "abcd")
    assert scores.macro_auroc == pytest.approx(roc_auc_score(true, probabilities, multi_class="ovr"))
    assert scores.macro_auprc == pytest.approx(average_precision_score(np.eye(4)[true], probabilities, average="macro"))


def test_one_class_alone_cannot_be_ranked():
    scores = classification([0, 0], np.array([[0.9, 0.1], [0.6, 0.4]]), ("a", "b"))
    assert (scores.macro_auroc, scores.macro_auprc) == (None, None)
    assert (scores.majority.macro_auroc, scores.majority.macro_auprc) == (None, None)
    assert scores.per_class["a"]["auprc"] is None


def test_weighted_f1_weighs_by_the_true_classes():
    # weighing by the predicted ones, 2 each, would give the plain mean 0.6556
    assert classification(TRUE, certain(SAID, 3), CLASSES).weighted_f1 == pytest.approx((3 * 0.8 + 2 * 0.5 + 2 / 3) / 6)


def test_rows_of_the_confusion_matrix_are_the_true_class():
    confusion = classification(TRUE, certain(SAID, 3), CLASSES).confusion
    assert confusion.tolist() == [[2, 1, 0], [0, 1, 1], [0, 0, 1]]


def test_the_majority_baseline_always_says_the_commonest_true_class():
    baseline = classification(TRUE, certain(SAID, 3), CLASSES).majority
    assert baseline.label == "happy"
    assert baseline.accuracy == pytest.approx(3 / 6)
    assert baseline.uar == pytest.approx(1 / 3)
    assert baseline.macro_f1 == pytest.approx((2 / 3) / 3)  # precision 1/2, recall 1 for one class of three
    assert baseline.weighted_f1 == pytest.approx(3 / 6 * 2 / 3)


def test_a_class_absent_from_the_labels_is_not_available_and_left_out_of_the_macro_means():
    scores = classification([0, 0, 1], certain([0, 3, 1], 4), ("a", "b", "never", "only said"))
    absent = {"precision": None, "recall": None, "f1": None, "auroc": None, "auprc": None, "support": 0}
    assert scores.per_class["never"] == absent | {"ece": 0.0}
    assert scores.per_class["only said"] == pytest.approx(absent | {"ece": 1 / 3})  # one of three rows, and wrongly
    assert scores.macro_f1 == pytest.approx((2 / 3 + 1) / 2)
    assert scores.uar == pytest.approx((1 / 2 + 1) / 2)
    assert scores.macro_precision == 1.0
    assert scores.weighted_f1 == pytest.approx((2 * 2 / 3 + 1) / 3)
    assert scores.confusion[0].tolist() == [1, 0, 0, 1]
    assert scores.majority.uar == 1 / 2


def test_a_class_that_is_never_said_has_precision_zero():
    scores = classification([0, 1], certain([0, 0], 2), ("a", "b"))
    row = {"precision": 0.0, "recall": 0.0, "f1": 0.0, "auroc": 0.5, "auprc": 0.5, "ece": 0.5, "support": 1}
    assert scores.per_class["b"] == row
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_early_stopping_sees_the_same_macro_f1_as_the_report():
    assert macro_f1(TRUE, SAID, 3) == pytest.approx((0.8 + 0.5 + 2 / 3) / 3)
    assert macro_f1([0, 0, 1], [0, 3, 1], 4) == pytest.approx((2 / 3 + 1) / 2)


def test_ece_weighs_the_gap_of_each_of_fifteen_bins_by_its_rows():
    # bins end at .6, .9333 and 1: {.56, .58} half right, {.9} right, {.95} wrong
    probabilities, true = two_way([0.56, 0.58, 0.9, 0.95], [True, False, True, False])
    assert ece(probabilities, true) == pytest.approx(2 / 4 * 0.07 + 1 / 4 * 0.1 + 1 / 4 * 0.95)


def test_a_confidence_on_the_edge_of_two_bins_belongs_to_the_lower_one():
    probabilities = np.array([[0.5, 0.3, 0.2], [0.6, 0.2, 0.2]])
    # in one bin the two would all but cancel: |1/2 - .55|
    assert ece(probabilities, [0, 1], bins=2) == pytest.approx((0.5 + 0.6) / 2)


def test_adaptive_ece_bins_by_count_where_equal_widths_would_see_nothing():
    probabilities, true = two_way([0.9, 0.6, 0.8, 0.7], [True, True, True, False])
    assert ece(probabilities, true, bins=2) == pytest.approx(0.0)
    assert adaptive_ece(probabilities, true, bins=2) == pytest.approx((0.15 + 0.15) / 2)


def test_adaptive_ece_does_not_depend_on_the_order_of_equal_confidences():
    for right in ([True, True, False, False], [True, False, True, False]):
        assert adaptive_ece(*two_way([0.7] * 4, right), bins=2) == pytest.approx(0.2)


def test_adaptive_ece_with_fewer_rows_than_bins_takes_each_row_for_itself():
    assert adaptive_ece(*two_way([0.6, 0.9], [True, False])) == pytest.approx((0.4 + 0.9) / 2)


def test_classwise_ece_is_the_mean_over_the_columns_of_all_classes():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.7, 0.3, 0.0]])
    # in two bins: .7 against 1/2; .25 against 1/2; .05 against 0, a class that no row has
    assert classwise_ece(probabilities, [0, 1], bins=2) == pytest.approx((0.2 + 0.25 + 0.05) / 3)
    # in fifteen .2 and .3 lie apart, and so do .1 and 0
    assert classwise_ece(probabilities, [0, 1]) == pytest.approx((0.2 + (0.2 + 0.7) / 2 + 0.1 / 2) / 3)
    assert ece(probabilities, [0, 1]) == pytest.approx(0.2)


def test_brier_and_nll_are_what_the_formulas_give():
    probabilities = np.array([[0.7, 0.2, 0.1], [0.2, 0.5, 0.3]])
    assert brier(probabilities, [0, 2]) == pytest.approx((0.09 + 0.04 + 0.01 + 0.04 + 0.25 + 0.49) / 2)
    assert nll(probabilities, [0, 2]) == pytest.approx(-(math.log(0.7) + math.log(0.3)) / 2)


def test_a_wholly_wrong_certainty_costs_much_but_stays_finite():
    probabilities = np.array([[1.0, 0.0]])
    assert brier(probabilities, [1]) == 2.0
    assert 700 < nll(probabilities, [1]) < 710  # -log of the smallest normal float


@pytest.mark.parametrize("score", [ece, adaptive_ece, classwise_ece, brier, nll])
@pytest.mark.parametrize(
    ("labels", "said"), [([], "no labelled utterance"), ([0], "1 labels"), ([0, 3], "0 to 3"), ([-1, 0], "-1 to 0")]
)
def test_labels_that_do_not_fit_are_refused(score, labels, said):
    probabilities = np.full((2 if labels else 0, 3), 1 / 3)
    with pytest.raises(ValueError, match=said):
        score(probabilities, labels)
    with pytest.raises(ValueError, match=said):
        classification(labels, probabilities, CLASSES)


def test_macro_f1_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no labelled utterance"):
        macro_f1([], [], 3)
