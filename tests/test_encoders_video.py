"""Faces for the compact video encoder."""

import numpy as np
import torch

from emobraid.encoders import CompactVideo
from emobraid.stream import Stream
from encoder_fixtures import DIM, batch, build, draw


def test_faces_become_small_grey_pictures():
    raw = np.zeros((2, 96, 96, 3), np.uint8)
    raw[0] = 255
    raw[1, ..., 0] = 200
    prepared = CompactVideo(DIM).prepare(raw)
    assert prepared.dtype == torch.uint8
    assert prepared.shape == (2, 48, 48)
    assert prepared[0].unique().tolist() == [255]
    assert prepared[1].unique().tolist() == [60]  # 0.299 * 200 = 59.8


def test_no_faces_are_length_zero():
    assert CompactVideo(DIM).prepare(np.zeros((0, 96, 96, 3), np.uint8)).shape == (0, 48, 48)


def test_a_frame_is_read_in_the_light_of_those_before_and_after():
    encoder, frames = build("video"), batch("video", [5])
    before = encoder(frames).values
    frames.values[0, 4] = draw("video", 1)[0]
    assert not torch.equal(before[0, 0], encoder(frames).values[0, 0])


def test_light_and_contrast_of_a_frame_are_no_emotion():
    encoder, frames = build("video"), batch("video", [3])
    darker = Stream(frames.values * 0.5 + 10, frames.mask)
    torch.testing.assert_close(encoder(darker).values, encoder(frames).values, rtol=1e-3, atol=1e-3)


def test_an_evenly_coloured_frame_is_finite():
    encoder = build("video")
    frames = Stream(torch.full((1, 2, 48, 48), 7, dtype=torch.uint8), torch.ones(1, 2).bool())
    assert encoder(frames).values.isfinite().all()
