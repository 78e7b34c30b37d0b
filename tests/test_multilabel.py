"""Scores and thresholds of labels that do not exclude each other."""

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, log_loss, roc_auc_score

from emobraid.evaluation import multilabel
from emobraid.evaluation.calibration import fit_decision_temperature, fit_temperatures, fit_thresholds
from emobraid.evaluation.predictions import Predictions

CLASSES = ("happy", "sad", "fear", "joy")


def table(rows=200, seed=0):
    """Class 0 common, 1 rare, 2 never, 3 always; probabilities that lean towards the truth."""
    rng = np.random.default_rng(seed)
    true = rng.random((rows, 4)) < [0.6, 0.1, 0.0, 1.0]
    return true, np.clip(0.35 * true + rng.random((rows, 4)) * 0.6, 0, 1)


def test_weighted_accuracy_as_worked_by_hand_is_the_balanced_one():
    true, said = np.array([1, 1, 0, 0, 0], bool), np.array([1, 0, 1, 0, 0], bool)
    assert multilabel.weighted_accuracy(true, said) == pytest.approx((1 * 3 / 2 + 2) / 6)
    assert multilabel.weighted_accuracy(true, said) == pytest.approx(balanced_accuracy_score(true, said))
    assert multilabel.weighted_accuracy(true, np.zeros(5, bool)) == 0.5  # plain accuracy rewards it with 0.6
    assert multilabel.weighted_accuracy(np.ones(5, bool), said) is None


def test_scores_are_scikit_learns_over_the_classes_that_occur():
    true, probabilities = table()
    cuts = np.array([0.5, 0.7, 0.5, 0.2])
    found = multilabel.multilabel(true, probabilities, cuts, CLASSES)
    said = probabilities >= cuts
    kept = [0, 1, 3]
    assert found.macro_f1 == pytest.approx(f1_score(true[:, kept], said[:, kept], average="macro"))
    assert found.micro_f1 == pytest.approx(f1_score(true, said, average="micro"))
    assert found.macro_auroc == pytest.approx(roc_auc_score(true[:, :2], probabilities[:, :2], average="macro"))
    precision = average_precision_score(true[:, :2], probabilities[:, :2], average="macro")
    assert found.macro_auprc == pytest.approx(precision)
    balanced = [balanced_accuracy_score(true[:, k], said[:, k]) for k in (0, 1)]
    assert found.mean_wacc == pytest.approx(np.mean(balanced))
    assert found.exact_match == pytest.approx((true == said).all(axis=1).mean())
    assert found.per_class["fear"]["f1"] is None
    assert found.per_class["joy"]["auroc"] is None
    assert found.per_class["joy"]["auprc"] is None
    assert found.per_class["sad"]["threshold"] == 0.7


def test_the_truth_comes_first():
    true, said = np.array([[1, 0], [1, 0], [0, 1]], bool), np.array([[1, 1], [0, 0], [0, 1]], bool)
    found = multilabel.multilabel(true, said.astype(float), np.full(2, 0.5), ("a", "b"))
    assert (found.per_class["a"]["precision"], found.per_class["a"]["recall"]) == (1.0, 0.5)
    assert (found.per_class["b"]["precision"], found.per_class["b"]["recall"]) == (0.5, 1.0)


def test_always_every_class_stands_beside():
    true, probabilities = table()
    found = multilabel.multilabel(true, probabilities, np.full(4, 0.5), CLASSES)
    every = np.ones_like(true)
    assert found.constant.micro_f1 == pytest.approx(f1_score(true, every, average="micro"))
    share = true[:, 1].sum()
    assert found.per_class["sad"]["constant_f1"] == pytest.approx(f1_score(true[:, 1], every[:, 1]))
    assert found.per_class["sad"]["constant_f1"] == pytest.approx(2 * share / (share + 200))
    assert (found.constant.mean_wacc, found.constant.macro_auroc) == (0.5, 0.5)
    assert found.constant.macro_auprc == pytest.approx(true[:, :2].mean())  # a constant's is the share of the class


@pytest.mark.parametrize(
    ("true", "probabilities", "cut"),
    [
        ([1, 0, 1, 0], [0.9, 0.8, 0.3, 0.2], 0.25),  # F1 0.8, beside 2/3, 1/2 and 2/3
        ([1, 1, 0, 0], [0.9, 0.8, 0.3, 0.2], 0.55),
        ([1, 0, 0, 0], [0.4, 0.4, 0.1, 0.1], 0.25),  # equal ones are all in or all out
        ([0, 0, 0, 0], [0.4, 0.4, 0.1, 0.1], 0.5),
        ([1, 1], [0.1, 0.2], 0.5),
    ],
)
def test_the_threshold_has_the_largest_f1(true, probabilities, cut):
    assert multilabel.best_threshold(np.array(true, bool), np.array(probabilities)) == pytest.approx(cut)


def test_no_cut_on_a_fine_grid_beats_the_threshold():
    true, probabilities = table(seed=3)
    for k in (0, 1):
        cut = multilabel.best_threshold(true[:, k], probabilities[:, k])
        picked = probabilities[:, k] >= np.linspace(0, 1, 2001)[:, None]  # a row for every cut
        best = (2 * (picked & true[:, k]).sum(axis=1) / (picked.sum(axis=1) + true[:, k].sum())).max()
        assert f1_score(true[:, k], probabilities[:, k] >= cut) >= best - 1e-12


def test_calibration_of_decisions_as_worked_by_hand():
    true, said = np.array([[1, 0], [0, 0]], bool), np.array([[0.75, 0.25], [0.75, 0.25]])
    # two decisions of 0.75, half of them present; two of 0.25, none present
    assert multilabel.decision_ece(true, said) == pytest.approx((2 * 0.25 + 2 * 0.25) / 4)
    assert multilabel.decision_nll(true, said) == pytest.approx(log_loss(true.ravel(), said.ravel()))


def test_a_class_is_ranked_and_calibrated_by_itself():
    true, said = np.array([[1, 0], [0, 0], [1, 1]], bool), np.array([[0.75, 0.25], [0.75, 0.25], [0.5, 0.9]])
    found = multilabel.multilabel(true, said, np.full(2, 0.5), ("a", "b"))
    # a: from .75 on one of two, from .5 on two of three; half of two rows of .75, all of one of .5
    assert found.per_class["a"]["auprc"] == pytest.approx(1 / 2 * 1 / 2 + 1 / 2 * 2 / 3)
    assert found.per_class["a"]["ece"] == pytest.approx(2 / 3 * 0.25 + 1 / 3 * 0.5)
    assert found.per_class["b"]["auprc"] == 1.0
    assert found.per_class["b"]["ece"] == pytest.approx(2 / 3 * 0.25 + 1 / 3 * 0.1)


def test_the_temperature_of_decisions_makes_them_honest():
    logits = np.tile([[3.0], [-3.0]], (50, 1))
    true = np.tile([[1], [0], [1], [0], [1], [0], [0], [1], [1], [0]], (10, 1)).astype(bool)  # eight in ten are right
    found = fit_decision_temperature(logits, true)
    assert 1 / (1 + np.exp(-3 / found)) == pytest.approx(0.8, abs=1e-3)
    assert fit_decision_temperature(logits, np.zeros((100, 1))) == 1.0


def several(rows=60, **changes):
    rng = np.random.default_rng(1)
    labels = (rng.random((rows, 2)) < 0.4).astype(float)
    logits = 3 * labels + rng.normal(size=(rows, 2)) - 2.5
    fields = {
        "ids": tuple(map(str, range(rows))),
        "classes": ("a", "b"),
        "labels": labels,
        "logits": {"text+audio": logits, "text": logits[::-1].copy()},
        "present": np.ones((rows, 2), bool),
        "modalities": ("text", "audio"),
        "kind": "multi",
    }
    return Predictions(**(fields | changes))


def test_thresholds_are_fitted_for_each_subset_and_class_on_calibrated_probabilities():
    read = several()
    heat = fit_temperatures(read)
    cuts = fit_thresholds(read, heat)
    assert set(cuts) == {"text", "text+audio"}
    assert cuts["text"] != cuts["text+audio"]
    probabilities = 1 / (1 + np.exp(-read.logits["text+audio"][:, 0] / heat["text+audio"]))
    assert cuts["text+audio"]["a"] == multilabel.best_threshold(read.labels[:, 0] > 0.5, probabilities)


def test_few_rows_of_a_subset_take_the_thresholds_of_all():
    there = np.array([[i < 19, True] for i in range(60)])
    cuts = fit_thresholds(several(present=there), {})
    assert cuts["text"] == cuts["text+audio"]


def test_exclusive_classes_have_no_thresholds():
    read = several(kind="exclusive", labels=np.tile([1.0, 0.0], (60, 1)))
    assert fit_thresholds(read, {}) == {}


def test_a_row_that_expresses_nothing_is_labelled():
    assert several(labels=np.zeros((60, 2))).labelled.all()
    with pytest.raises(ValueError, match="none above one"):
        several(labels=np.full((60, 2), 1.5))
