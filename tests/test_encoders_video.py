"""Faces for the compact video encoder."""

import numpy as np
import torch

from emobraid.encoders import CompactVideo
from emobraid.encoders.gradients import CELL, DIRECTIONS, described, histograms
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


def striped(angle, side=48):
    """Grey waves that rise along `angle`, in degrees."""
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    turned = np.radians(angle)
    return torch.tensor(np.sin((x * np.cos(turned) + y * np.sin(turned)) / 2), dtype=torch.float32)[None, None]


def strongest(picture):
    """The direction that most of the picture slopes in, of nine."""
    blocks = histograms(picture).view(DIRECTIONS, 4, -1)
    return blocks.sum(dim=(1, 2)).argmax().item()


def test_stripes_of_every_direction_are_told_apart_and_have_no_front_and_back():
    width = 180 / DIRECTIONS
    assert [strongest(striped(width * d)) for d in range(DIRECTIONS)] == list(range(DIRECTIONS))
    assert strongest(striped(40)) == strongest(striped(220)) == 2
    assert strongest(-striped(40)) == 2


def test_a_description_is_local_and_knows_no_contrast():
    picture = torch.randn(1, 1, 48, 48)
    torch.testing.assert_close(histograms(picture * 7), histograms(picture), rtol=1e-3, atol=1e-3)
    changed = picture.clone()
    changed[..., :CELL, :CELL] = torch.randn(CELL, CELL)
    side = 48 // CELL - 1
    moved = (histograms(changed) != histograms(picture)).view(-1, side, side).any(dim=0)
    assert moved[0, 0]
    assert not moved[2:].any()
    assert not moved[:, 2:].any()


def test_an_even_picture_slopes_nowhere_and_has_a_finite_gradient():
    even = torch.zeros(1, 1, 48, 48, requires_grad=True)
    described_as = histograms(even)
    assert described_as.shape == (1, described(48))
    assert described_as.abs().max() < 1e-3
    described_as.sum().backward()
    assert even.grad.isfinite().all()


def test_without_gradients_the_encoder_is_the_one_that_it_was():
    plain, both = CompactVideo(DIM, gradients=False), CompactVideo(DIM)
    added = set(both.state_dict()) - set(plain.state_dict())
    assert {name.split(".")[0] for name in added} == {"gradients"}
    assert set(plain.state_dict()) < set(both.state_dict())
