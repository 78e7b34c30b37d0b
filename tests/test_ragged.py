"""Packed attention gives what dense attention gives for each sample alone, whatever the lengths."""

import random

import pytest
import torch

from emobraid import ragged
from emobraid.layers import attend
from emobraid.ragged import by_group, pack, plan, ragged_attend, unpack
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


def packed_attention(query, key, value, made, source=0):
    """The whole way of packed positions (N, D): laid out, attended, picked up again."""
    layouts = (made.target, made.sources[source], made.sources[source])
    groups = (
        [part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in by_group(layout.lay(x), layout.shapes)]
        for x, layout in zip((query, key, value), layouts, strict=True)
    )
    answers = ragged_attend(*groups, made.sources[source].masks)
    return made.target.pick_up(torch.cat([query[:0], *answers]))


@COSTS
@pytest.mark.parametrize("seed", range(6))
def test_packed_attention_equals_dense_attention_of_each_sample(seed, cost, monkeypatch):
    monkeypatch.setattr(ragged, "GROUP_COST", cost)
    monkeypatch.setattr(ragged, "ROW_COST", 0)
    targets, sources = lengths_of(seed), [lengths_of(seed + 100), lengths_of(seed + 200, longest=40)]
    made = plan(targets, sources, CPU)
    for i, lengths in enumerate(sources):
        query = torch.randn(sum(targets), DIM, requires_grad=True)
        key, value = (torch.randn(sum(lengths), DIM, requires_grad=True) for _ in range(2))
        ours = packed_attention(query, key, value, made, i)
        expected = dense(query, key, value, targets, lengths)
        torch.testing.assert_close(ours, expected)

        weights = torch.randn_like(ours)
        gradients, expected_gradients = (
            torch.autograd.grad((out * weights).sum(), (query, key, value)) for out in (ours, expected)
        )
        for gradient, wanted in zip(gradients, expected_gradients, strict=True):
            torch.testing.assert_close(gradient, wanted)


@pytest.mark.parametrize(
    ("targets", "sources"), [([0, 0], [0, 0]), ([0, 0], [2, 3]), ([2, 3], [0, 0]), ([0, 2], [2, 0]), ([1], [1])]
)
def test_samples_with_nothing_on_one_side_get_zero(targets, sources):
    query, key = torch.randn(sum(targets), DIM), torch.randn(sum(sources), DIM)
    ours = packed_attention(query, key, key, plan(targets, [sources], CPU))
    torch.testing.assert_close(ours, dense(query, key, key, targets, sources))


def test_a_missing_source_beside_a_present_one_gets_zero_and_passes_no_gradient(monkeypatch):
    monkeypatch.setattr(ragged, "GROUP_COST", float("inf"))  # one group, so the first sample has only padding to see
    query, key = torch.randn(5, DIM, requires_grad=True), torch.randn(4, DIM, requires_grad=True)
    ours = packed_attention(query, key, key, plan([2, 3], [[0, 4]], CPU))
    assert ours[:2].tolist() == torch.zeros(2, DIM).tolist()
    gradients = torch.autograd.grad(ours[:2].sum(), (query, key))
    assert all(not gradient.any() for gradient in gradients)


@COSTS
@pytest.mark.parametrize("seed", range(6))
def test_a_plan_splits_no_sample_and_covers_every_one(seed, cost, monkeypatch):
    monkeypatch.setattr(ragged, "GROUP_COST", cost)
    targets, sources = lengths_of(seed), lengths_of(seed + 100)
    made = plan(targets, [sources], CPU)
    assert sorted(i for group in made.groups for i in group) == [i for i, t in enumerate(targets) if t]
    for layout, lengths in ((made.target, targets), (made.sources[0], sources)):
        owner = torch.arange(len(lengths)).repeat_interleave(torch.tensor(lengths))
        # every packed position lies at one place
        assert layout.source[layout.back].tolist() == list(range(sum(lengths)))
        for group, places, mask in zip(made.groups, by_group(layout.source, layout.shapes), layout.masks, strict=True):
            for row, sample in enumerate(group):
                real = places[row] if mask is None else places[row, mask[row, 0, 0]]
                assert real.tolist() == (owner == sample).nonzero().flatten().tolist()


def test_sources_fill_whole_vectors_on_a_cpu():
    made = plan([3, 5], [[1, 16], [17, 0]], CPU)
    assert {t for _, t in made.target.shapes} <= {3, 5}
    assert all(s in (0, 16, 32) for layout in made.sources for _, s in layout.shapes)


def test_calls_are_shared_only_where_padding_is_cheaper_than_a_call(monkeypatch):
    monkeypatch.setattr(ragged, "ROW_COST", 0)

    def shared(cost):
        monkeypatch.setattr(ragged, "GROUP_COST", cost)
        return sorted(len(group) for group in plan([2, 2, 10], [[3, 3, 10]], CPU).groups)

    assert shared(0) == [1, 2]  # equal lengths need no padding, so they share for free
    # by itself and by its source a target of 2 costs 2 * (2 + 3) = 10, one of 10 costs 10 * (10 + 10) = 200;
    # all three together 3 * 200, which is 600 - 2 * 10 - 200 = 380 more
    assert shared(379) == [1, 2]
    assert shared(380) == [3]


def test_a_padded_target_place_has_its_price(monkeypatch):
    monkeypatch.setattr(ragged, "GROUP_COST", 19)

    def shared(cost):
        monkeypatch.setattr(ragged, "ROW_COST", cost)
        return len(plan([1, 2], [[4, 4]], CPU).groups)

    # together 2 * 2 * (2 + 4 + cost), apart 1 * (1 + 4 + cost) + 2 * (2 + 4 + cost): 7 + cost more
    assert shared(12) == 1
    assert shared(13) == 2


def test_other_devices_make_one_call_for_the_whole_batch(monkeypatch):
    monkeypatch.setattr(ragged, "GROUP_COST", 0)
    assert len(plan([1, 5, 9], [[2, 4, 8]], CPU).groups) == 3
    made = plan([1, 5, 9], [[2, 4, 8]], torch.device("meta"))
    assert made.target.shapes == ((3, 9),)
    assert made.sources[0].shapes == ((3, 8),)


def test_packing_takes_real_positions_and_unpacking_puts_them_back():
    mask = torch.tensor([[True, False, True], [False, False, False], [True, True, False]])
    values = torch.arange(9.0).view(3, 3, 1).expand(3, 3, 2).masked_fill(~mask[..., None], float("nan"))
    packed = pack(Stream(values, mask))
    assert packed.lengths == (2, 0, 2)
    assert packed.tokens[:, 0].tolist() == [0, 2, 6, 7]
    back = unpack(packed, mask)
    assert back.mask is mask
    assert back.values[..., 1].tolist() == [[0, 0, 2], [0, 0, 0], [6, 7, 0]]
