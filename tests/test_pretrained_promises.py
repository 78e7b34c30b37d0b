"""Pretrained encoders keep the house's promises, for every model and every way of tuning it."""

import pytest
import torch

import pretrained_fixtures
from emobraid.stream import Stream, pad
from encoder_fixtures import assert_same, real
from pretrained_fixtures import EVERY, HIDDEN, METHODS, TEXT, polluted, prepared, sound

build = pretrained_fixtures.build

NORM_OVER_TIME = ("wav2vec2-group", "wavlm", "hubert")
EACH_WAY = pytest.mark.parametrize("method", METHODS)


def gradients(encoder, stream):
    encoder.zero_grad()
    out = encoder(stream)
    if not any(p.requires_grad for p in encoder.parameters()):
        return {}  # frozen text has nothing of its own
    aim = torch.linspace(-1, 1, encoder.dim)
    (out.values[out.mask] - aim).abs().pow(1.5).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


@EVERY
@EACH_WAY
def test_what_a_masked_position_holds_changes_neither_output_nor_gradient(build, name, method):
    encoder = build(name, method)
    clean = pad(prepared(encoder))
    assert_same(encoder(polluted(clean)), encoder(clean))
    expected, ours = gradients(encoder, clean), gradients(encoder, polluted(clean))
    assert ours.keys() == expected.keys()
    for n, gradient in ours.items():
        assert gradient.isfinite().all(), n
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EVERY
@EACH_WAY
def test_padding_changes_nothing(build, name, method):
    encoder = build(name, method)
    short = pad(prepared(encoder))
    more = short.values.new_zeros(len(short.mask), 5, *short.values.shape[2:])
    longer = Stream(torch.cat([short.values, more], 1), torch.nn.functional.pad(short.mask, (0, 5)))
    assert_same(encoder(longer), encoder(short))


@EVERY
@EACH_WAY
def test_batch_mates_do_not_matter(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    for one, row in zip(inputs, real(encoder(pad(inputs))), strict=True):
        (alone,) = real(encoder(pad([one])))
        torch.testing.assert_close(alone, row, rtol=1e-4, atol=1e-5)


@EVERY
@EACH_WAY
def test_what_was_there_is_there_afterwards_and_in_the_promised_shape(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    out = encoder(pad(inputs))
    assert out.present.tolist() == [True, True, False, True, True]
    assert out.values.shape == (5, out.mask.shape[1], encoder.dim)
    assert out.values.dtype == torch.float32
    assert encoder.dim == (2 * HIDDEN if name == "vit" else 32)
    absent = encoder.absent()
    assert len(absent) == 0
    assert (absent.shape[1:], absent.dtype) == (inputs[0].shape[1:], inputs[0].dtype)


@EVERY
@EACH_WAY
def test_a_missing_sample_in_the_middle_changes_no_gradient(build, name, method):
    encoder = build(name, method)
    inputs = prepared(encoder)
    expected = gradients(encoder, pad([one for one in inputs if len(one)]))
    assert expected or (name in TEXT and method == "frozen")
    for n, gradient in gradients(encoder, pad(inputs)).items():
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EVERY
@EACH_WAY
@pytest.mark.parametrize("steps", [0, 4])
def test_a_batch_without_this_modality_comes_back_empty(build, name, method, steps):
    encoder = build(name, method)
    values = pad([encoder.absent()] * 2).values
    values = values.new_zeros(2, steps, *values.shape[2:])
    out = encoder(Stream(values, torch.zeros(2, steps, dtype=torch.bool)))
    assert out.values.shape[::2] == (2, encoder.dim)
    assert out.present.tolist() == [False, False]
    assert out.values.dtype == torch.float32


@pytest.mark.parametrize("name", NORM_OVER_TIME)
@pytest.mark.parametrize("method", ["frozen", "adapter", "full"])
def test_a_norm_over_time_does_not_see_what_else_is_read(build, name, method):
    """The recording alone, among longer ones, and in any order: the trap of `feat_extract_norm="group"`."""
    encoder = build(name, method)
    waves = [encoder.prepare(sound(n, seed)) for seed, n in enumerate((5_000, 16_000, 9_000, 5_000))]

    def read(order):
        out = encoder(pad(encoder.stem([waves[i] for i in order])))
        return dict(zip(order, real(out), strict=True))

    alone = {i: read([i])[i] for i in range(4)}
    assert not torch.allclose(alone[0], alone[3], atol=1e-3)
    for order in ([0, 1, 2, 3], [3, 1, 0, 2], [1, 0]):
        for i, row in read(order).items():
            torch.testing.assert_close(row, alone[i], rtol=1e-4, atol=1e-5)
