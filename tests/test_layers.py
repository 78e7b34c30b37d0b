"""Masked attention and pooling: nothing that is masked counts, and nothing is ever NaN."""

import math

import pytest
import torch

from emobraid.layers import AttentionPool, TransformerLayer, attend, masked_softmax, positions
from emobraid.stream import Stream

JUNK = [float("nan"), float("inf"), -float("inf"), 1e9]


def slow_attention(query, key, value, allowed, heads):
    """One target and one head at a time; `allowed` (B, T, S)."""
    batch, targets, dim = query.shape
    out, width = torch.zeros_like(query), dim // heads
    for b in range(batch):
        for t in range(targets):
            for h in range(heads):
                part, seen = slice(h * width, (h + 1) * width), allowed[b, t]
                if seen.any():
                    scores = key[b, seen, part] @ query[b, t, part] / math.sqrt(width)
                    out[b, t, part] = scores.softmax(0) @ value[b, seen, part]
    return out


@pytest.mark.parametrize("heads", [1, 2, 4])
def test_attention_equals_a_loop_over_targets_and_heads(heads):
    query, key, value = torch.randn(3, 2, 8), torch.randn(3, 5, 8), torch.randn(3, 5, 8)
    mask = torch.rand(3, 2, 5) > 0.4
    mask[1] = False
    torch.testing.assert_close(attend(query, key, value, mask, heads), slow_attention(query, key, value, mask, heads))
    wide = mask[:, :1].expand_as(mask)
    by_source = attend(query, key, value, mask[:, 0], heads)
    torch.testing.assert_close(by_source, slow_attention(query, key, value, wide, heads))
    everything = attend(query, key, value, None, heads)
    torch.testing.assert_close(everything, slow_attention(query, key, value, torch.ones_like(mask), heads))


def test_attention_over_nothing_is_zero_with_clean_gradients():
    query, key, value = (torch.randn(2, 3, 4, requires_grad=True) for _ in range(3))
    mask = torch.tensor([[False] * 3, [True, True, False]])
    out = attend(query, key, value, mask, heads=2)
    assert not out[0].any()
    out.square().sum().backward()
    for tensor in (query, key, value):
        assert tensor.grad.isfinite().all()
        assert not tensor.grad[0].any()
        assert tensor.grad[1].any()


def test_softmax_over_what_is_allowed():
    scores = torch.tensor([[0.0, math.log(3.0), 50.0], [1.0, 2.0, 3.0]])
    mask = torch.tensor([[True, True, False], [False, False, False]])
    torch.testing.assert_close(masked_softmax(scores, mask), torch.tensor([[0.25, 0.75, 0.0], [0.0, 0.0, 0.0]]))


@pytest.mark.parametrize("junk", JUNK)
def test_softmax_does_not_see_masked_scores(junk):
    mask = torch.tensor([[True, False, True], [False, False, False]])
    scores = torch.randn(2, 3).masked_fill(~mask, junk).requires_grad_()
    weights = masked_softmax(scores, mask)
    (weights * torch.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert weights[0].sum().item() == pytest.approx(1)
    assert scores.grad.isfinite().all()
    assert not scores.grad[~mask].any()


def test_softmax_over_no_positions_is_empty():
    assert masked_softmax(torch.zeros(2, 0), torch.zeros(2, 0, dtype=torch.bool)).shape == (2, 0)


def test_positions_are_sines_then_cosines_of_slowing_rates():
    table = positions(3, 4, like=torch.zeros(1))
    for t in range(3):
        expected = [math.sin(t), math.sin(t / 100), math.cos(t), math.cos(t / 100)]
        assert table[t].tolist() == pytest.approx(expected, abs=1e-6)
    assert positions(5, 7, like=torch.zeros(1)).shape == (5, 7)
    assert positions(0, 8, like=torch.zeros(1)).shape == (0, 8)


def test_a_pool_weighs_positions_by_the_softmax_of_their_scores(random_stream):
    pool, stream = AttentionPool(8), random_stream([4, 2], dim=8)
    summary, weights = pool(stream)
    for row, length in enumerate([4, 2]):
        scores = torch.stack([pool.score(v)[0] for v in stream.values[row, :length]])
        torch.testing.assert_close(weights[row, :length], scores.softmax(0))
        torch.testing.assert_close(summary[row], scores.softmax(0) @ stream.values[row, :length])
        assert not weights[row, length:].any()


def test_a_pool_over_nothing_is_zero(random_stream):
    summary, weights = AttentionPool(8)(random_stream([0, 3], dim=8))
    assert not summary[0].any()
    assert not weights[0].any()
    assert AttentionPool(8)(random_stream([0, 0], dim=8))[0].tolist() == [[0.0] * 8] * 2


def test_a_layer_attends_to_other_positions_but_not_to_other_samples(random_stream):
    layer, stream = TransformerLayer(8, 2, 0.0).eval(), random_stream([4, 4], dim=8)
    before = layer(stream).values
    stream.values[0, 3] = torch.randn(8)
    after = layer(stream).values
    assert not torch.allclose(before[0, 0], after[0, 0])
    torch.testing.assert_close(before[1], after[1])


@pytest.mark.parametrize("junk", JUNK)
@pytest.mark.parametrize("piece", [AttentionPool(8), TransformerLayer(8, 2, 0.0)], ids=["pool", "layer"])
def test_what_a_masked_position_holds_changes_neither_output_nor_gradient(piece, junk, random_stream):
    clean = random_stream([4, 2, 0], dim=8)

    def outcome(values):
        values = values.clone().requires_grad_()
        piece.zero_grad()
        out = piece(Stream(values, clean.mask))[0]
        kept = out if out.dim() == 2 else out[clean.mask]
        kept.square().sum().backward()
        return [kept, values.grad, *(p.grad for p in piece.parameters())]

    dirty = clean.values.masked_fill(~clean.mask[..., None], junk)
    for ours, expected in zip(outcome(dirty), outcome(clean.values), strict=True):
        torch.testing.assert_close(ours, expected)
        assert ours.isfinite().all()
