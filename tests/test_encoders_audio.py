"""Sound for the compact audio encoder, worked out by hand."""

import math

import numpy as np
import pytest
import torch

from emobraid.encoders import CompactAudio
from emobraid.encoders.acoustics import LOUD, mel_filters
from encoder_fixtures import DIM, SOUND, batch, build


def noise(samples):
    return np.random.default_rng(0).normal(size=samples)


def tone(hertz, samples=8_000):
    return np.sin(2 * np.pi * hertz * np.arange(samples) / 16_000)


def test_sound_becomes_one_frame_a_hop():
    window, hop = CompactAudio.WINDOW, CompactAudio.HOP
    for samples, frames in ((16_000, 1 + (16_000 - window) // hop), (window + hop - 1, 1), (window + hop, 2)):
        assert CompactAudio(DIM).prepare(noise(samples)).shape == (frames, SOUND)


def test_silence_is_one_finite_floor_under_every_sound():
    (floor,) = CompactAudio(DIM).prepare(np.zeros(600))[:, :64].unique()
    assert floor.isfinite()
    assert CompactAudio(DIM).prepare(noise(600))[:, :64].min() > floor


def test_silence_around_a_sound_is_left_out():
    silence = np.zeros(8_192)
    alone = CompactAudio(DIM).prepare(noise(8_192))
    framed = CompactAudio(DIM).prepare(np.concatenate([silence, noise(8_192), silence]))
    # frames that reach over an edge hear some of the sound, and the filter rings for one more
    assert len(alone) <= len(framed) <= len(alone) + 3


@pytest.mark.parametrize("samples", [1, 100, 512])
def test_a_sound_shorter_than_a_window_is_one_frame(samples):
    prepared = CompactAudio(DIM).prepare(np.ones(samples, np.float32))
    assert prepared.shape == (1, SOUND)
    assert prepared.isfinite().all()


def test_no_sound_is_length_zero():
    assert CompactAudio(DIM).prepare(np.zeros(0, np.float32)).shape == (0, SOUND)


@pytest.mark.parametrize("hertz", [200, 1_000, 4_000])
def test_a_tone_is_loudest_in_the_band_around_it(hertz):
    loudest = CompactAudio(DIM).prepare(tone(hertz))[5, :64].argmax().item()
    # centres lie evenly in mel between 50 Hz and 7.6 kHz, 64 of them and two edges
    low, high, mel = (2595 * math.log10(1 + f / 700) for f in (50, 7_600, hertz))
    assert loudest == pytest.approx((mel - low) / (high - low) * 65 - 1, abs=1)


@pytest.mark.parametrize("hertz", [100, 150, 220, 400])
def test_pitch_is_counted_in_octaves_from_150_hz(hertz):
    octaves, voicing, _ = CompactAudio(DIM).prepare(tone(hertz))[5:-5, 64:].T
    # lags are whole samples: at 400 Hz one of 40 is 1/28 of an octave
    assert octaves.tolist() == pytest.approx([math.log2(hertz / 150)] * len(octaves), abs=0.03)
    assert voicing.min() > 0.8


@pytest.mark.parametrize("hertz", [90, 180, 330])
def test_overtones_do_not_move_the_pitch_by_octaves(hertz):
    voice = sum(tone(hertz * n) / n for n in range(1, 9)) + 0.1 * noise(8_000)
    octaves = CompactAudio(DIM).prepare(voice)[5:-5, 64]
    assert octaves.tolist() == pytest.approx([math.log2(hertz / 150)] * len(octaves), abs=0.04)


def test_noise_has_no_pitch():
    octaves, voicing, _ = CompactAudio(DIM).prepare(noise(16_000))[:, 64:].T
    assert voicing.median() == 0
    assert not octaves[voicing == 0].any()


def test_twice_the_amplitude_is_four_times_the_energy_and_the_same_pitch():
    encoder = CompactAudio(DIM, level=False)
    change = encoder.prepare(2 * noise(2_000)) - encoder.prepare(noise(2_000))
    expected = torch.full_like(change, math.log(4))
    expected[:, 64:66] = 0
    torch.testing.assert_close(change, expected, rtol=1e-2, atol=1e-2)


def spoken(hertz=140, samples=32_000):
    """A voice of overtones that swells and pauses, with a little noise."""
    swell = np.abs(np.sin(2 * np.pi * 1.5 * np.arange(samples) / 16_000))
    return 0.05 * swell * sum(tone(hertz * n, samples) / n for n in range(1, 20)) + 1e-4 * noise(samples)


@pytest.mark.parametrize("factor", [0.1, 0.5, 2.0, 4.0])
def test_how_loud_a_voice_was_recorded_changes_nothing(factor):
    want, got = (CompactAudio(DIM).prepare(f * spoken()) for f in (1.0, factor))
    torch.testing.assert_close(got, want, rtol=0, atol=1e-2)


@pytest.mark.parametrize("level", [True, False])
@pytest.mark.parametrize("offset", [0.003, 0.01, -0.3])
def test_a_constant_offset_changes_nothing(level, offset):
    encoder = CompactAudio(DIM, level=level)
    want, got = encoder.prepare(spoken()), encoder.prepare(spoken() + offset)
    torch.testing.assert_close(got, want, rtol=0, atol=1e-2)


@pytest.mark.parametrize("hertz", [50, 60])
def test_hum_hardly_changes_anything(hertz):
    want, got = CompactAudio(DIM).prepare(spoken()), CompactAudio(DIM).prepare(spoken() + 0.001 * tone(hertz, 32_000))
    assert (got - want).abs().mean() < 0.1  # without the filter 0.5


def test_loud_frames_come_to_the_same_average_energy():
    prepared = CompactAudio(DIM).prepare(0.3 * spoken())
    energy = prepared[:, -1].exp()
    assert energy[energy >= 1e-3 * energy.max()].mean().log().item() == pytest.approx(LOUD, abs=0.02)


def test_every_mel_band_hears_something():
    filters = mel_filters(64, rate=16_000, window=512)
    assert (filters.sum(dim=1) > 0).all()
    assert filters.min() >= 0
    assert filters.max() <= 1


def test_audio_statistics_come_from_training_frames_and_leave_pitch_and_voicing():
    encoder = CompactAudio(DIM)
    encoder.fit([torch.zeros(1, SOUND), torch.full((3, SOUND), 4.0), torch.zeros(0, SOUND)])
    # frames 0, 4, 4, 4: mean 3; sum of squares 9 + 3 = 12 a band, over 4 * 64 - 1 for all bands, over 3 for loudness
    torch.testing.assert_close(encoder.mean, torch.tensor([3.0] * 64 + [0, 0, 3]))
    torch.testing.assert_close(encoder.scale, torch.tensor([math.sqrt(12 * 64 / 255)] * 64 + [1, 1, 2]))


@pytest.mark.parametrize("frames", [[], [torch.ones(1, SOUND)], [torch.ones(5, SOUND)]])
def test_audio_statistics_of_hardly_anything_are_usable(frames):
    encoder = CompactAudio(DIM)
    encoder.fit(frames)
    assert encoder.mean.isfinite().all()
    assert (encoder.scale > 0).all()


def test_audio_goes_down_to_an_eighth_of_its_frames():
    out = build("audio")(batch("audio", [100, 9, 8, 1]))
    assert out.mask.sum(dim=1).tolist() == [13, 2, 1, 1]
