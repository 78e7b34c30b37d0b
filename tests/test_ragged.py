"""Packed attention gives what dense attention gives for each sample alone, whatever the lengths."""

import random

import pytest
import torch

from emobraid import ragged
from emobraid.layers import attend
from emobraid.ragged import pack, plan, ragged_attend, unpack
from emobraid.stream import Stream

CPU = torch.device("cpu")
DIM, HEADS = 8, 2
COSTS = pytest.mark.parametrize("cost", [0, 20, 5_000, float("inf")])


def lengths_of(seed, count=7, longest=9):
    """Random lengths; about a quarter are zero."""
    draw = random.Random(seed)
    return [draw.choice([0, draw.randint(1, longest), draw.randint(1, longest), 3]) for _ in range(count)]


def dense(query, key, value, targets, sources):
    """Sample by sample with dense attention; zero where there is no source."""
    parts = zip(query.split(targets), key.split(sources), value.split(sources), strict=True)
    rows = [attend(q[None], k[None], v[None], None, HEADS)[0] if len(k) else torch.zeros_like(q) for q, k, v in parts]
    return torch.cat(rows)


@COSTS
@pytest.mark.parametrize("seed", range(6))
def test_packed_attention_equals_dense_attention_of_each_sample(seed, cost, monkeypatch):
    monkeypatch.setattr(ragged, "CALL_COST", cost)
    targets, sources = lengths_of(seed), lengths_of(seed + 100)
    query = torch.randn(sum(targets), DIM, requires_grad=True)
    key, value = (torch.randn(sum(sources), DIM, requires_grad=True) for _ in range(2))
    ours = ragged_attend(query, key, value, plan(targets, sources, CPU), HEADS)
    expected = dense(query, key, value, targets, sources)
    torch.testing.assert_close(ours, expected)

    weights = torch.randn_like(ours)
    gradients, expected_gradients = (
        torch.autograd.grad((out * weights).sum(), (query, key, value), retain_graph=True) for out in (ours, expected)
    )
    for gradient, wanted in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize(
    ("targets", "sources"), [([0, 0], [0, 0]), ([0, 0], [2, 3]), ([2, 3], [0, 0]), ([0, 2], [2, 0]), ([1], [1])]
)
def test_samples_with_nothing_on_one_side_get_zero(targets, sources):
    query, key = torch.randn(sum(targets), DIM), torch.randn(sum(sources), DIM)
    ours = ragged_attend(query, key, key, plan(targets, sources, CPU), HEADS)
    torch.testing.assert_close(ours, dense(query, key, key, targets, sources))


@COSTS
@pytest.mark.parametrize("seed", range(6))
def test_a_plan_splits_no_sample_and_covers_every_one(seed, cost, monkeypatch):
    monkeypatch.setattr(ragged, "CALL_COST", cost)
    targets, sources = lengths_of(seed), lengths_of(seed + 100)
    owner = torch.arange(len(targets)).repeat_interleave(torch.tensor(targets))
    source_owner = torch.arange(len(sources)).repeat_interleave(torch.tensor(sources))
    made = plan(targets, sources, CPU)
    grouped = []
    for group in made.groups:
        for row in range(len(group.targets)):
            (sample,) = owner[group.targets[row]].unique().tolist()
            assert group.targets[row].unique().tolist() == (owner == sample).nonzero().flatten().tolist()
            seen = group.sources[row] if group.source_mask is None else group.sources[row, group.source_mask[row]]
            assert seen.tolist() == (source_owner == sample).nonzero().flatten().tolist()
            grouped.append(sample)
    assert sorted(grouped) == [i for i in range(len(targets)) if targets[i] and sources[i]]
    assert made.unanswered == sum(t for t, s in zip(targets, sources, strict=True) if not s)
    assert sorted(made.order.tolist()) == list(range(sum(targets)))


def test_calls_are_shared_only_where_padding_is_cheaper_than_a_call(monkeypatch):
    def shared(cost):
        monkeypatch.setattr(ragged, "CALL_COST", cost)
        return sorted(len(g.targets) for g in plan([2, 2, 10], [3, 3, 10], CPU).groups)

    assert shared(0) == [1, 2]  # equal lengths need no padding, so they share for free
    # all three in one call are 3 * 10 * 10 cells, of which 6 + 6 + 100 are real: 188 are padding
    assert shared(187) == [1, 2]
    assert shared(188) == [3]


def test_other_devices_make_one_call_for_the_whole_batch(monkeypatch):
    monkeypatch.setattr(ragged, "CALL_COST", 0)
    assert len(plan([1, 5, 9], [2, 4, 8], CPU).groups) == 3
    assert len(plan([1, 5, 9], [2, 4, 8], torch.device("meta")).groups) == 1


def test_packing_takes_real_positions_and_unpacking_puts_them_back():
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, False]])
    values = torch.arange(9.0).view(3, 3, 1).expand(3, 3, 2).masked_fill(~mask[..., None], float("nan"))
    packed = pack(Stream(values, mask))
    assert packed.lengths == (2, 0, 2)
    assert packed.tokens[:, 0].tolist() == [0, 2, 6, 7]
    back = unpack(packed, mask)
    assert back.mask is mask
    assert back.values[..., 1].tolist() == [[0, 0, 2], [0, 0, 0], [6, 7, 0]]
