"""The pieces around a pretrained model: pooling, the LSTM, averages of frames, and buckets of like length."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from emobraid.encoders.audio import averaged
from emobraid.encoders.pretrained import buckets
from emobraid.layers import BiLSTM, WindowPool
from emobraid.stream import Stream
from encoder_fixtures import real
from pretrained_fixtures import polluted


def test_a_window_becomes_one_position_weighed_by_the_softmax_of_its_scores():
    pool = WindowPool(1, 2)
    with torch.no_grad():
        for layer, weight in ((pool.score[0], 1.0), (pool.score[2], math.log(3) / math.tanh(1))):
            layer.weight.fill_(weight)
            layer.bias.zero_()
    # scores are 0 for 0, and log 3 for 1: together they have weights 1/4 and 3/4
    values = torch.tensor([[[0.0], [1.0], [1.0], [1.0], [0.0]], [[1.0], [0.0], [9.0], [1.0], [9.0]]])
    mask = torch.tensor([[True] * 5, [True, True, False, True, False]])
    (pooled, there), weights = pool(Stream(values, mask))
    torch.testing.assert_close(pooled.squeeze(-1), torch.tensor([[0.75, 1.0, 0.0], [0.75, 1.0, 0.0]]))
    assert there.tolist() == [[True, True, True], [True, True, False]]
    expected = [[0.25, 0.75, 0.5, 0.5, 1.0], [0.75, 0.25, 0.0, 1.0, 0.0]]
    torch.testing.assert_close(weights, torch.tensor(expected))


@pytest.mark.parametrize("window", [1, 3, 4, 50])
def test_weights_of_a_window_sum_to_one_over_what_is_real(random_stream, window):
    stream = random_stream([10, 0, 7, 1])
    stream.mask[0, [0, 4, 5, 6, 7]] = False
    pooled, weights = WindowPool(16, window)(polluted(stream))
    assert weights.shape == stream.mask.shape
    assert not weights[~stream.mask].any()
    assert pooled.values.shape == (4, math.ceil(10 / window), 16)
    for row, mask, there in zip(weights, stream.mask, pooled.mask, strict=True):
        sums = [w.sum().item() for w in row.split(window)]
        assert sums == pytest.approx([float(m.any()) for m in mask.split(window)])
        assert there.tolist() == [bool(m.any()) for m in mask.split(window)]
    assert pooled.values.isfinite().all()
    assert not pooled.values[~pooled.mask].any()


def test_an_lstm_reads_each_row_as_if_it_were_alone(random_stream):
    lstm, stream = BiLSTM(16, 5), random_stream([4, 1, 6])
    out = lstm(polluted(stream))
    assert out.values.shape == (3, 6, 10)
    for row, wanted in zip(real(out), real(stream), strict=True):
        torch.testing.assert_close(row, lstm.lstm(wanted[None])[0][0])


def test_a_hole_in_time_is_to_an_lstm_as_if_it_had_never_been_there(random_stream):
    lstm, stream = BiLSTM(16, 5), random_stream([6, 6])
    kept = torch.tensor([[False, True, False, True, True, False], [True, False, True, True, True, True]])
    out = lstm(polluted(Stream(stream.values, kept)))
    assert out.mask.equal(kept)
    for row, values, there in zip(real(out), stream.values, kept, strict=True):
        torch.testing.assert_close(row, lstm.lstm(values[there][None])[0][0])


def test_averages_of_neighbouring_frames():
    states = torch.tensor([1.0, 3.0, 5.0, 7.0, 10.0])[:, None]
    assert averaged(states, 2).squeeze(1).tolist() == [2.0, 6.0, 10.0]
    assert averaged(states, 5).item() == pytest.approx(5.2)
    assert averaged(states, 9).item() == pytest.approx(5.2)
    assert averaged(states, 1).equal(states)


@settings(deadline=None, max_examples=200)
@given(
    lengths=st.lists(st.integers(0, 600), max_size=40),
    budget=st.integers(1, 2_000),
    slack=st.sampled_from([0.0, 0.1, 0.5, 1.0]),
)
def test_buckets_hold_everyone_once_within_budget_and_slack(lengths, budget, slack):
    made = buckets(lengths, budget, slack=slack)
    assert sorted(i for bucket in made for i in bucket) == list(range(len(lengths)))
    for bucket in made:
        longest, shortest = max(lengths[i] for i in bucket), min(lengths[i] for i in bucket)
        assert len(bucket) == 1 or len(bucket) * longest <= budget
        assert shortest >= (1 - slack) * longest
    for bucket, after in itertools.pairwise(made):
        longest, first = lengths[bucket[0]], lengths[after[0]]
        assert longest >= first
        # a new one is begun only where the next would not fit
        assert (len(bucket) + 1) * longest > budget or first < (1 - slack) * longest


def test_buckets_worked_out_by_hand():
    # longest first: 10 and 10 and 9 fill 30; 5 is more than a tenth shorter than 10; 100 is alone over the budget
    assert buckets([10, 5, 9, 100, 10], 30) == [[3], [0, 4, 2], [1]]
    assert buckets([], 30) == []
