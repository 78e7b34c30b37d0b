"""Every compact encoder keeps the house's promises."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from emobraid.stream import Stream
from encoder_fixtures import BUILDERS, DIM, EVERY, LENGTHS, assert_same, batch, build, polluted, real

# two values that a masked position may hold, of the type that each encoder reads
JUNK = {
    "text": [-1, 10**9],
    "audio": [float("nan"), float("inf"), 1e9],
    "whisper_stem": [float("nan"), float("inf"), 1e9],
    "video": [float("nan"), float("inf"), 1e9],
    "features": [float("nan"), float("inf"), 1e9],
    "minilm_stem": [float("nan"), float("inf"), 1e9],
    "face_stem": [float("nan"), float("inf"), 1e9],
}

EACH_JUNK = pytest.mark.parametrize(("name", "junk"), [(n, j) for n, junks in JUNK.items() for j in junks])


def gradients(encoder, stream):
    encoder.zero_grad()
    out = encoder(stream)
    # masked places may hold anything, so nothing is asked of them; a plain square of a norm's output says little
    aim = torch.linspace(-1, 1, DIM)
    (out.values[out.mask] - aim).abs().pow(1.5).sum().backward()
    return {n: p.grad.clone() for n, p in encoder.named_parameters() if p.grad is not None}


@EACH_JUNK
def test_what_a_masked_position_holds_changes_nothing(name, junk):
    encoder, clean = build(name), batch(name)
    assert_same(encoder(polluted(clean, junk)), encoder(clean))


@EACH_JUNK
def test_what_a_masked_position_holds_changes_no_gradient(name, junk):
    encoder, clean = build(name), batch(name)
    expected = gradients(encoder, clean)
    ours = gradients(encoder, polluted(clean, junk))
    assert ours.keys() == expected.keys() == dict(encoder.named_parameters()).keys()
    for n, gradient in ours.items():
        assert gradient.isfinite().all(), n
        torch.testing.assert_close(gradient, expected[n], rtol=1e-3, atol=1e-4, msg=lambda m, n=n: f"{n}: {m}")


@EACH_JUNK
def test_junk_counts_for_nothing_either_where_no_row_is_missing(name, junk):
    encoder, clean = build(name), batch(name, [5, 2, 9])
    assert_same(encoder(polluted(clean, junk)), encoder(clean))
    assert all(g.isfinite().all() for g in gradients(encoder, polluted(clean, junk)).values())


@EVERY
@pytest.mark.parametrize("steps", [1, 2, 5])
def test_padding_changes_nothing(name, steps):
    encoder, short = build(name), batch(name)
    more = short.values.new_zeros(len(LENGTHS), steps, *short.values.shape[2:])
    longer = Stream(torch.cat([short.values, more], 1), torch.nn.functional.pad(short.mask, (0, steps)))
    assert_same(encoder(longer), encoder(short))


@EVERY
def test_batch_mates_do_not_matter(name):
    encoder, together = build(name), batch(name)
    for i, row in enumerate(real(encoder(together))):
        (alone,) = real(encoder(together.rows(torch.tensor([i]))))
        torch.testing.assert_close(alone, row, rtol=1e-4, atol=1e-5)


@EVERY
def test_what_was_there_is_there_afterwards_and_nothing_else(name):
    encoder, stream = build(name), batch(name)
    # holes anywhere, also at the beginning: whoever had one real step keeps one
    stream.mask[4, :7] = False
    stream.mask[0, [0, 2, 4]] = False
    out = encoder(stream)
    assert out.present.tolist() == stream.present.tolist() == [True, False, True, True, True]
    assert out.values.shape == (*out.mask.shape, DIM)
    assert out.values.dtype == torch.float32


@EVERY
@pytest.mark.parametrize("lengths", [[1], [0, 1], [3]], ids=str)
def test_a_batch_with_one_utterance_can_be_trained_on(name, lengths):
    encoder = build(name).train()
    assert all(g.isfinite().all() for g in gradients(encoder, batch(name, lengths)).values())


@EVERY
@pytest.mark.parametrize("steps", [0, 4])
def test_a_batch_without_this_modality_comes_back_empty(name, steps):
    encoder = build(name)
    values = batch(name, [4, 4]).values[:, :steps]
    out = encoder(Stream(values, torch.zeros(2, steps, dtype=torch.bool)))
    assert out.values.shape[::2] == (2, DIM)
    assert out.present.tolist() == [False, False]
    assert out.values.dtype == torch.float32


# text and audio give a step its place in time, and audio its neighbours, which a hole keeps
@pytest.mark.parametrize("name", ["video", "features", "minilm_stem", "face_stem"])
def test_a_hole_is_as_if_the_step_had_never_been_there(name):
    encoder, stream = build(name), batch(name, [6, 6])
    kept = torch.tensor([False, True, False, True, True, True])
    holed = Stream(stream.values, stream.mask & kept)
    assert_same(encoder(holed), encoder(Stream(stream.values[:, kept], stream.mask[:, kept])))


@EVERY
def test_saved_and_loaded_it_encodes_the_same(name):
    encoder, stream = build(name), batch(name)
    torch.manual_seed(1)
    other = build(name)
    assert not torch.allclose(other(stream).values, encoder(stream).values)
    other.load_state_dict(load(save(encoder.state_dict())))
    assert other(stream).values.equal(encoder(stream).values)


@EVERY
def test_half_precision_encodes_nearly_the_same(name):
    encoder, stream = build(name), batch(name)
    with torch.autocast("cpu", torch.bfloat16):
        rough = encoder(stream)
    for row, wanted in zip(real(rough), real(encoder(stream)), strict=True):
        torch.testing.assert_close(row.float(), wanted, rtol=0.1, atol=0.15)


@EVERY
def test_an_absent_input_is_a_prepared_one_of_length_zero(name):
    encoder = BUILDERS[name]()
    absent = encoder.absent()
    raw = {
        "text": "hello",
        "audio": np.zeros(800, np.float32),
        "whisper_stem": np.zeros(800, np.float32),
        "video": np.zeros((2, 60, 60, 3), np.uint8),
        "features": np.zeros(7),
        "minilm_stem": "hello",
        "face_stem": np.zeros((2, 60, 60, 3), np.uint8),
    }[name]
    (prepared,) = encoder.stem([encoder.prepare(raw)])
    assert len(absent) == 0
    assert (absent.shape[1:], absent.dtype) == (prepared.shape[1:], prepared.dtype)
