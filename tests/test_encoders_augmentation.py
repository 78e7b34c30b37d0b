"""Augmentation follows its seed, takes no one away and brings no one back."""

import pytest
import torch

from emobraid.encoders import CompactText, CompactVideo, Encoder
from emobraid.encoders.acoustics import as_others
from emobraid.encoders.compact_video import held
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
    varies = type(encoder).augment is not Encoder.augment  # what a stem heard or read once stays as it is
    assert told(first).equal(told(other)) is not varies
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


def test_stills_become_clips_of_one_to_four_frames_that_hardly_move():
    stills = pad([draw("video", 1) for _ in range(40)] + [draw("video", 0)])
    out = held(stills, torch.Generator().manual_seed(0))
    lengths = out.mask.sum(dim=1)
    assert set(lengths[:-1].tolist()) == {1, 2, 3, 4}
    assert lengths[-1] == 0
    moves = [(down, right) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    for i, still in enumerate(stills.values[:-1, 0]):
        moved = [still.roll(move, dims=(0, 1)) for move in moves]
        assert all(any(torch.equal(frame, m) for m in moved) for frame in out.values[i][out.mask[i]])


def test_clips_beside_stills_stay_as_they_are():
    stream = batch("video", [1, 3])
    assert held(stream, torch.Generator().manual_seed(0)) is stream


def test_a_voice_changed_by_nothing_is_the_same():
    values = torch.randn(3, 20, 67)
    assert torch.allclose(as_others(values, 1e-9, torch.Generator().manual_seed(0)), values, atol=1e-6)


def test_a_changed_voice_keeps_loudness_voicing_and_its_unvoiced_frames():
    values = torch.randn(3, 20, 67)
    values[..., -2] = (torch.rand(3, 20) > 0.5).float()
    values[..., -3] *= values[..., -2]
    out = as_others(values, 0.2, torch.Generator().manual_seed(0))
    assert torch.equal(out[..., -2:], values[..., -2:])
    moved = (out[..., -3] - values[..., -3])[values[..., -2] > 0]
    assert not out[..., -3][values[..., -2] == 0].any()
    assert 0 < moved.abs().max() <= 2 * 0.2


def test_a_longer_vocal_tract_moves_all_formants_by_the_same_share():
    """A peak at band 30, the same in every frame: it comes to 30 / (1 + stretch), and what colours it is no peak."""
    values = torch.zeros(8, 5, 67)
    values[..., 30] = 100.0
    out = as_others(values, 0.15, torch.Generator().manual_seed(1))[..., :64]
    peaks = out.argmax(dim=2)
    assert (peaks == peaks[:, :1]).all()
    assert ((peaks >= 30 / 1.15 - 1) & (peaks <= 30 / 0.85 + 1)).all()
    assert len(peaks[:, 0].unique()) > 1
