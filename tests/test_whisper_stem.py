"""The voice encoder on Whisper's first layers: what it hears depends on how something is said, not on the recording."""

import numpy as np
import pytest
import torch

from emobraid.config import ModelConfig
from emobraid.encoders import build
from emobraid.encoders.whisper_layers import WhisperLayers, log_mel, sinusoids, slaney_filters
from emobraid.encoders.whisper_stem import LAYERS, WhisperStem, moments_of_windows, utterance
from emobraid.stream import pad

SECOND = 16_000


def voice(seconds=1.0, seed=0):
    """Something like vowels: pulses at 140 Hz through two resonances that come and go."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(seconds * SECOND)) / SECOND
    tone = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 30))
    swell = 0.55 + 0.45 * np.sin(2 * np.pi * 3 * t + rng.random())
    return (0.1 * tone * swell + 0.001 * rng.standard_normal(len(t))).astype(np.float32)


@pytest.fixture(scope="module")
def encoder():
    return WhisperStem(16, precision="float32").eval()


def heard(encoder, wave):
    return encoder.stem([encoder.prepare(wave)])[0]


def test_it_is_chosen_by_its_name():
    encoder = build("audio", ModelConfig(audio_encoder="whisper_stem", encoder_dim=24))
    assert isinstance(encoder, WhisperStem)
    assert encoder.dim == 24


def test_its_weights_are_small_enough_to_ship():
    assert LAYERS.stat().st_size < 11_000_000


@pytest.mark.parametrize("gain", [0.01, 0.1, 0.5, 4.0, 100.0])
def test_the_level_of_a_recording_changes_nothing(encoder, gain):
    wave = voice()
    torch.testing.assert_close(heard(encoder, gain * wave), heard(encoder, wave), rtol=0, atol=2e-3)


@pytest.mark.parametrize("offset", [-0.3, 0.05, 0.4])
def test_an_offset_of_the_recorder_changes_nothing(encoder, offset):
    wave = voice()
    torch.testing.assert_close(heard(encoder, wave + np.float32(offset)), heard(encoder, wave), rtol=0, atol=2e-3)


def test_silence_around_a_voice_is_left_out(encoder):
    wave, silence = voice(), np.zeros(SECOND, np.float32)
    assert abs(len(encoder.prepare(np.concatenate([silence, wave, silence]))) - len(encoder.prepare(wave))) <= 12


def test_digital_silence_is_quiet_and_not_loud_everywhere(encoder):
    assert encoder.prepare(np.zeros(SECOND, np.float32)).max() < encoder.prepare(voice()).mean()


def test_each_recording_is_read_alone_and_the_same_each_time(encoder):
    long, short = encoder.prepare(voice(1.3)), encoder.prepare(voice(0.4, seed=1))
    together = encoder.stem([long, short])
    assert together[0].equal(encoder.stem([long])[0])
    assert together[1].equal(encoder.stem([short])[0])


@pytest.mark.parametrize("samples", [1, 159, 400, 1_000])
def test_the_shortest_sound_is_one_window(encoder, samples):
    assert heard(encoder, voice()[:samples]).shape == (1, 2048)


def test_no_sound_is_nothing(encoder):
    assert len(encoder.prepare(np.zeros(0, np.float32))) == 0


def test_more_than_thirty_seconds_are_read_in_stretches(encoder):
    rows = heard(encoder, voice(31))
    assert 150 <= len(rows) <= 160
    assert rows.isfinite().all()


def test_moments_of_windows_give_those_of_the_whole():
    states = torch.randn(40, 3) + torch.arange(40)[:, None]
    stream = pad([moments_of_windows(states), torch.randn(7, 6)])
    whole = utterance(stream.values, stream.mask, 3)[0]
    torch.testing.assert_close(whole, torch.cat([states.mean(0), states.std(0, correction=0)]), rtol=1e-4, atol=1e-4)


def test_training_utterances_come_out_standardised(encoder):
    rows = [torch.rand(n, 2048) + 5 for n in (3, 8, 5, 4)]
    own = WhisperStem(16)
    own.fit(iter(rows))
    stream = pad(rows)
    figures = (utterance(stream.values, stream.mask, 1024) - own.mean) / own.scale
    torch.testing.assert_close(figures.mean(0), torch.zeros(2048), rtol=0, atol=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_quicker_arithmetic_hears_nearly_the_same(encoder, precision):
    wave, quick = voice(), WhisperStem(16, precision=precision)
    exact = heard(encoder, wave)
    assert (heard(quick, wave) - exact).abs().mean() < 0.05 * exact.abs().mean()
    assert quick.stem_identity() != encoder.stem_identity()


def test_what_is_not_of_whisper_is_refused(tmp_path):
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match="holds no layers of Whisper"):
        WhisperLayers.from_file(tmp_path / "other.safetensors")


def test_layers_are_kept_to_the_eighth_bit(tmp_path):
    layers = WhisperLayers(width=16, heads=2, inner=32, layers=1).eval()
    layers.save(tmp_path / "small" / "layers.safetensors")
    again = WhisperLayers.from_file(tmp_path / "small" / "layers.safetensors")
    mel = torch.randn(50, 80)
    with torch.no_grad():
        torch.testing.assert_close(again(mel)[-1], layers(mel)[-1], rtol=0.05, atol=0.05)


def test_it_hears_what_whisper_hears(tmp_path):
    transformers = pytest.importorskip("transformers")
    config = transformers.WhisperConfig(
        d_model=32, encoder_layers=3, encoder_attention_heads=8, encoder_ffn_dim=64, num_mel_bins=80, vocab_size=60_000
    )
    torch.manual_seed(0)
    theirs = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    from safetensors.torch import save_file

    save_file({k: v.contiguous() for k, v in theirs.state_dict().items()}, tmp_path / "encoder.safetensors")
    ours = WhisperLayers.from_whisper(tmp_path / "encoder.safetensors", layers=2, heads=8)
    mel = torch.randn(3_000, 80)
    with torch.no_grad():
        expected = theirs(mel.T[None], output_hidden_states=True).hidden_states[2][0]
        torch.testing.assert_close(ours(mel)[-1], expected, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(sinusoids(32), theirs.embed_positions.weight.detach(), rtol=1e-4, atol=1e-4)


def test_it_reads_the_spectrum_that_whisper_reads():
    transformers = pytest.importorskip("transformers")
    extractor, wave = transformers.WhisperFeatureExtractor(), voice()
    wave = (wave - wave.mean()) / np.abs(wave - wave.mean()).max()
    theirs = torch.as_tensor(extractor(wave, sampling_rate=SECOND, padding=False).input_features[0]).T
    ours = log_mel(torch.as_tensor(wave), slaney_filters())
    # the same but for the height of the loudest cell, and one frame at the very edges
    shifted = theirs - theirs.max() + ours.max()
    assert (ours[5:80] - shifted[5:80]).abs().max() < 0.05
