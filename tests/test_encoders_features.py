"""Published feature vectors and their statistics, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from emobraid.encoders import Features
from emobraid.stream import pad
from encoder_fixtures import DIM


def test_a_feature_vector_is_a_sequence_of_one():
    assert Features(3, DIM).prepare(np.array([1, 2, 3])).tolist() == [[1, 2, 3]]
    assert Features(2, DIM).prepare(np.array([[1.0, 2.0], [3.0, 4.0]])).shape == (2, 2)


def test_features_without_one_number_are_missing_and_single_ones_become_zero():
    nothing = Features(3, DIM).prepare(np.array([np.nan, np.inf, -np.inf]))
    assert nothing.shape == (0, 3)
    assert Features(3, DIM).prepare(np.array([np.nan, 2, -np.inf])).tolist() == [[0, 2, 0]]


@pytest.mark.parametrize("shape", [(4,), (2, 4), (1, 2, 3)])
def test_features_of_another_width_are_refused(shape):
    with pytest.raises(ValueError, match=r"this model reads vectors of width 3"):
        Features(3, DIM).prepare(np.zeros(shape))


def test_feature_statistics_come_from_training_rows_and_a_constant_column_stays_zero():
    encoder = Features(2, DIM)
    encoder.fit([torch.tensor([[1.0, 5.0]]), torch.zeros(0, 2), torch.tensor([[3.0, 5.0]])])
    assert encoder.mean.tolist() == [2, 5]
    assert encoder.scale.tolist() == pytest.approx([math.sqrt(2), 1])
    encoder.project.weight.data = torch.eye(DIM, 2)
    encoder.project.bias.data.zero_()
    read = encoder.eval()(pad([torch.tensor([[3.0, 5.0]])])).values[0, 0, :2]
    assert read.tolist() == pytest.approx([1 / math.sqrt(2), 0])


@pytest.mark.parametrize("rows", [[], [torch.zeros(0, 2)], [torch.ones(1, 2)]])
def test_feature_statistics_of_hardly_anything_are_usable(rows):
    encoder = Features(2, DIM)
    encoder.fit(rows)
    assert encoder.mean.isfinite().all()
    assert encoder.scale.tolist() == [1, 1]
