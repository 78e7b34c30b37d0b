"""Losses against numbers worked out by hand and against plain loops."""

import math

import pytest
import torch
import torch.nn.functional as F

from emobraid.fusion import Fused
from emobraid.stream import Batch
from emobraid.training.objectives import Classification, alignment, labelled, weighted_losses

NAN = float("nan")
EVEN = torch.ones(3)


def one_hot(*classes, width=3):
    """Rows of labels; None is unlabelled."""
    return torch.stack([torch.full((width,), NAN) if c is None else torch.eye(width)[c] for c in classes])


def batch_of(labels):
    return Batch(tuple(str(i) for i in range(len(labels))), {}, labels)


def reading(*, logits=None, embeddings=None, present=None, **more):
    """A Fused of which a loss reads only some parts."""
    rows = len(logits if logits is not None else embeddings)
    nothing = torch.zeros(rows, 1)
    if embeddings is None:
        embeddings = torch.zeros(rows, 1, 2)
    if present is None:
        present = torch.ones(embeddings.shape[:2], dtype=torch.bool)
    return Fused(nothing if logits is None else logits, nothing, embeddings, present, **more)


# classification


def test_without_frills_it_is_cross_entropy():
    logits = torch.randn(5, 3)
    ours = Classification(EVEN, 0.0)(reading(logits=logits), batch_of(one_hot(0, 2, 1, 1, 0)))
    torch.testing.assert_close(ours, F.cross_entropy(logits, torch.tensor([0, 2, 1, 1, 0])))


def test_class_weights_make_a_weighted_mean():
    logits, weights = torch.randn(4, 3), torch.tensor([1.0, 2.0, 5.0])
    ours = Classification(weights, 0.0)(reading(logits=logits), batch_of(one_hot(0, 2, 1, 1)))
    torch.testing.assert_close(ours, F.cross_entropy(logits, torch.tensor([0, 2, 1, 1]), weight=weights))


def test_smoothing_spreads_a_share_of_the_target():
    logits = torch.tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    ours = Classification(torch.ones(2), 0.2)(reading(logits=logits), batch_of(one_hot(0, width=2)))
    # 0.2 shared by two classes: the target is 0.9, 0.1
    assert ours.item() == pytest.approx(-(0.9 * math.log(0.75) + 0.1 * math.log(0.25)))


def test_soft_labels_and_their_weight():
    logits = torch.tensor([[math.log(3.0), 0.0], [0.0, 0.0]])
    labels = torch.tensor([[0.25, 0.75], [1.0, 0.0]])
    ours = Classification(torch.tensor([1.0, 3.0]), 0.0)(reading(logits=logits), batch_of(labels))
    first, second = -(0.25 * math.log(0.75) + 0.75 * math.log(0.25)), math.log(2)
    weight = 0.25 * 1 + 0.75 * 3
    assert ours.item() == pytest.approx((weight * first + 1 * second) / (weight + 1))


def test_unlabelled_rows_do_not_count_and_are_not_pulled():
    logits = torch.randn(3, 3, requires_grad=True)
    loss = Classification(EVEN, 0.1)(reading(logits=logits), batch_of(one_hot(1, None, 2)))
    loss.backward()
    kept = Classification(EVEN, 0.1)(reading(logits=logits[[0, 2]]), batch_of(one_hot(1, 2)))
    torch.testing.assert_close(loss, kept)
    assert not logits.grad[1].any()
    assert logits.grad.isfinite().all()


def test_a_batch_without_labels_costs_nothing_and_has_clean_gradients():
    logits = torch.randn(2, 3, requires_grad=True)
    loss = Classification(EVEN, 0.1)(reading(logits=logits), batch_of(one_hot(None, None)))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_a_row_with_any_gap_is_unlabelled():
    assert labelled(torch.tensor([[0.0, 1.0], [NAN, 1.0], [NAN, NAN]])).tolist() == [True, False, False]


def test_only_modalities_that_were_seen_are_judged():
    unimodal = torch.randn(3, 2, 3)
    seen = torch.tensor([[True, True], [False, True], [True, False]])
    labels = one_hot(0, 2, None)
    ours = Classification(EVEN, 0.0).unimodal(
        reading(logits=torch.zeros(3, 3), embeddings=torch.zeros(3, 2, 2), present=seen, unimodal=unimodal),
        batch_of(labels),
    )
    judged = torch.stack([unimodal[0, 0], unimodal[0, 1], unimodal[1, 1]])
    torch.testing.assert_close(ours, F.cross_entropy(judged, torch.tensor([0, 0, 2])))


def test_every_member_is_judged_on_every_labelled_row():
    members = torch.randn(3, 4, 3)
    ours = Classification(EVEN, 0.0).members(
        reading(logits=torch.zeros(3, 3), members=members), batch_of(one_hot(1, None, 2))
    )
    expected = F.cross_entropy(members[[0, 2]].flatten(0, 1), torch.tensor([1] * 4 + [2] * 4))
    torch.testing.assert_close(ours, expected)


# alignment


def test_alignment_of_three_points_by_hand():
    points = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])[:, None]
    ours = alignment(reading(embeddings=points), batch_of(one_hot(0, 0, 1)), temperature=1.0)
    # similarities: first-second 0, first-third -1, second-third 0; the third has no partner and does not count
    first = -math.log(1 / (1 + math.exp(-1)))
    second = -math.log(1 / (1 + 1))
    assert ours.item() == pytest.approx((first + second) / 2)


def slow_alignment(embeddings, present, emotions, temperature):
    """Khosla et al., equation 2, point by point. Points of one utterance are partners even when it has no label."""
    points = [
        (F.normalize(embeddings[b, m], dim=0), b)
        for b in range(len(embeddings))
        for m in range(embeddings.shape[1])
        if present[b, m]
    ]
    losses = []
    for i, (anchor, row) in enumerate(points):
        others = [(torch.exp(anchor @ p / temperature), r) for j, (p, r) in enumerate(points) if j != i]
        total = sum(share for share, _ in others)
        partners = [
            share for share, r in others if r == row or (emotions[r] is not None and emotions[r] == emotions[row])
        ]
        if partners:
            losses.append(sum(-torch.log(share / total) for share in partners) / len(partners))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("seed", range(4))
def test_alignment_equals_a_plain_loop_with_modalities_and_labels_missing(seed):
    torch.manual_seed(seed)
    embeddings, present = torch.randn(6, 3, 4), torch.rand(6, 3) > 0.4
    emotions = [0, 1, 0, None, 2, None]
    ours = alignment(reading(embeddings=embeddings, present=present), batch_of(one_hot(*emotions)), temperature=0.5)
    torch.testing.assert_close(ours, slow_alignment(embeddings, present, emotions, 0.5))


def test_alignment_pulls_one_emotion_together_and_pushes_another_away():
    embeddings = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.6, 0.0, 0.8]])[:, None].requires_grad_()
    alignment(reading(embeddings=embeddings), batch_of(one_hot(0, 0, 1))).backward()
    along, towards_its_own, towards_the_other = (-embeddings.grad[0, 0]).tolist()
    assert along == pytest.approx(0, abs=1e-6)  # only directions count
    assert towards_its_own > 0 > towards_the_other


@pytest.mark.parametrize("rows", [1, 3])
@pytest.mark.parametrize("there", [True, False])
def test_alignment_without_any_pair_costs_nothing_and_has_clean_gradients(rows, there):
    embeddings = torch.randn(rows, 1, 4, requires_grad=True)
    present = torch.full((rows, 1), there)
    loss = alignment(reading(embeddings=embeddings, present=present), batch_of(one_hot(*range(rows))))
    loss.backward()
    assert loss.item() == 0
    assert not embeddings.grad.any()


def test_alignment_does_not_see_what_a_missing_modality_holds():
    embeddings, present = torch.randn(3, 2, 4), torch.tensor([[True, False], [True, True], [False, False]])
    junk = embeddings.masked_fill(~present[..., None], NAN).requires_grad_()
    labels = batch_of(one_hot(0, 0, 1))
    ours = alignment(reading(embeddings=junk, present=present), labels)
    ours.backward()
    torch.testing.assert_close(ours, alignment(reading(embeddings=embeddings, present=present), labels))
    assert junk.grad.isfinite().all()
    assert not junk.grad[~present].any()


# all together


def test_every_loss_is_named_and_weighed():
    everything = reading(
        logits=torch.randn(3, 3),
        embeddings=torch.randn(3, 2, 4),
        unimodal=torch.randn(3, 2, 3),
        members=torch.randn(3, 6, 3),
    )
    labels, judge = batch_of(one_hot(0, 0, 1)), Classification(EVEN, 0.1)
    losses = weighted_losses(everything, labels, judge, {"unimodal": 0.5, "members": 2.0, "alignment": 0.1})
    assert list(losses) == ["classification", "unimodal", "members", "alignment"]
    torch.testing.assert_close(losses["classification"], judge(everything, labels))
    torch.testing.assert_close(losses["unimodal"], 0.5 * judge.unimodal(everything, labels))
    torch.testing.assert_close(losses["members"], 2.0 * judge.members(everything, labels))
    torch.testing.assert_close(losses["alignment"], 0.1 * alignment(everything, labels))


def test_a_loss_without_weight_or_without_output_is_left_out():
    bare = reading(logits=torch.randn(2, 3))
    labels, judge = batch_of(one_hot(0, 1)), Classification(EVEN, 0.1)
    assert list(weighted_losses(bare, labels, judge, {"unimodal": 1.0, "members": 1.0})) == ["classification"]
    assert list(weighted_losses(bare, labels, judge, {"alignment": 0.0})) == ["classification"]
