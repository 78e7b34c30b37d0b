"""Augmentation follows its seed, takes no one away and brings no one back."""

import pytest
import torch

from emobraid.encoders import CompactText, CompactVideo
from emobraid.stream import Stream, pad
from encoder_fixtures import BUILDERS, DIM, EVERY, batch, build, draw


@EVERY
def test_augmentation_follows_its_seed_and_leaves_its_input_alone(name):
    encoder, stream = build(name), batch(name, [30, 0, 12])
    before = Stream(stream.values.clone(), stream.mask.clone())
    first, again, other = (encoder.augment(stream, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))

    def told(s):
        return torch.cat([s.values.flatten().float(), s.mask.flatten().float()])

    assert told(first).equal(told(again))
    assert not told(first).equal(told(other))
    assert told(stream).equal(told(before))


@EVERY
def test_augmentation_takes_no_one_away_and_brings_no_one_back(name):
    encoder, stream = build(name), batch(name, [1, 0, 2] * 20)
    for seed in range(5):
        out = encoder.augment(stream, torch.Generator().manual_seed(seed))
        assert out.present.equal(stream.present)
        assert not (out.mask & ~stream.mask).any()
        assert out.values.shape == stream.values.shape


@EVERY
def test_augmentation_of_nothing_is_nothing(name):
    nothing = pad([BUILDERS[name]().absent()] * 2)
    assert build(name).augment(nothing, torch.Generator()).values.shape == nothing.values.shape


def test_word_dropout_hides_about_one_word_in_ten():
    stream = batch("text", [500, 500])
    hidden = ~CompactText(DIM).augment(stream, torch.Generator().manual_seed(0)).mask
    assert hidden.float().mean().item() == pytest.approx(0.1, abs=0.03)


def test_a_clip_is_varied_as_a_whole():
    frames = pad([draw("video", 1).repeat(4, 1, 1)])
    out = CompactVideo(DIM).augment(frames, torch.Generator().manual_seed(3)).values
    assert not torch.allclose(out[0, 0], frames.values[0, 0])
    assert all(torch.equal(out[0, 0], frame) for frame in out[0])
    assert 0 <= out.min() <= out.max() <= 255
