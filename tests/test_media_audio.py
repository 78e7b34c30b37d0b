"""Sound out of files of every kind: one wave at 16 kHz, or a note that says why there is none."""

import numpy as np
import pytest

import media_fixtures as made
from emobraid.media import SAMPLE_RATE
from media_fixtures import put

reader = made.reader


@pytest.mark.parametrize("codec", ["u8", "s16le", "s24le", "s32le", "s64le", "f32le", "f64le", "mulaw"])
def test_every_sample_format_gives_the_same_wave(reader, tmp_path, codec):
    path = made.write_sound(tmp_path / "a.wav", made.tone(0.5, 16_000)[None], 16_000, f"pcm_{codec}")
    samples, note = reader.audio(path)
    assert (samples.dtype, samples.shape, note) == (np.float32, (8000,), "")
    # a step of 8 bits is 1/128; of mu-law, up to 1/32 at this level
    assert np.abs(samples - made.tone(0.5, 16_000)).max() < {"u8": 1 / 128, "mulaw": 1 / 32}.get(codec, 1e-4)


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (44_100, 2), (96_000, 8)])
def test_any_rate_and_number_of_channels_becomes_16_khz_mono(reader, tmp_path, rate, channels):
    path = put(tmp_path, "a.wav", made.wav(np.stack([made.tone(1, rate)] * channels, axis=1), rate))
    samples, note = reader.audio(path)
    assert note == ""
    assert len(samples) == SAMPLE_RATE
    assert np.abs(samples - made.tone(1, SAMPLE_RATE))[500:-500].max() < 1e-3


def test_what_16_khz_cannot_hold_is_gone_and_not_folded_back(reader, tmp_path):
    mixed = made.tone(1, 48_000) + made.tone(1, 48_000, 9000.0)  # 9 kHz would come back as 7 kHz
    samples, _ = reader.audio(put(tmp_path, "a.wav", made.wav(mixed * 0.9, 48_000)))
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))  # a bin is 1 Hz
    assert spectrum.argmax() == 440
    assert spectrum[6900:7100].max() < 1e-4 * spectrum[440]


@pytest.mark.parametrize(
    "path",
    ["a.flac flac 16000", "a.mp3 libmp3lame 16000", "a.m4a aac 16000", "a.opus libopus 48000", "a.mka libopus 48000"],
)
def test_compressed_sound_is_told_by_its_content_whatever_the_name(reader, tmp_path, path):
    name, codec, rate = path.split()
    made.write_sound(tmp_path / name, made.tone(1, int(rate))[None], int(rate), codec)
    renamed = (tmp_path / name).rename(tmp_path / "voice.png")
    samples, note = reader.audio(renamed)
    assert note == ""
    assert abs(len(samples) - SAMPLE_RATE) < 1000
    assert abs(samples[4000:12_000].std() - 0.5 / np.sqrt(2)) < 0.02


@pytest.mark.parametrize(
    "samples",
    [np.zeros(16_000), np.full(16_000, 0.5), np.random.default_rng(0).normal(0, 1e-4, 16_000)],
    ids=["zeros", "constant offset", "dither at -80 dB"],
)
def test_silence_is_missing_sound(reader, tmp_path, samples):
    audio = reader.audio(put(tmp_path, "a.wav", made.wav(samples)))
    assert (len(audio.samples), audio.note) == (0, "silent")


@pytest.mark.parametrize(
    ("count", "note"),
    [(0, "the audio track is empty"), (2, "too short (0 ms)"), (160, "too short (10 ms)"), (399, "too short (25 ms)")],
)
def test_less_than_25_ms_is_missing_sound(reader, tmp_path, count, note):
    audio = reader.audio(put(tmp_path, "a.wav", made.wav(made.tone(1, 16_000)[:count])))
    assert (len(audio.samples), audio.note) == (0, note)


def test_25_ms_are_enough(reader, tmp_path):
    assert len(reader.audio(put(tmp_path, "a.wav", made.wav(made.tone(0.025, 16_000)))).samples) == 400


def test_channels_out_of_phase_do_not_cancel_out(reader, tmp_path):
    wave = made.tone(0.5, 16_000)
    samples, note = reader.audio(put(tmp_path, "a.wav", made.wav(np.stack([wave, -wave], axis=1))))
    assert np.abs(samples - wave).max() < 1e-3
    assert note == "the channels cancel out, read the first"


@pytest.mark.parametrize("wild", [np.nan, np.inf, -np.inf, 1e30])
def test_wild_values_are_cleaned_with_a_note(reader, tmp_path, wild):
    wave = made.tone(0.5, 16_000)
    spoilt = np.where(np.arange(8000) % 1000 == 0, wild, wave)
    samples, note = reader.audio(put(tmp_path, "a.wav", made.wav(spoilt, kind="<f4")))
    assert np.array_equal(samples, np.where(np.arange(8000) % 1000 == 0, 0, wave))
    assert note == "values that are not a number, or far too large, were set to 0"


@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF])
def test_a_wav_header_that_lies_about_its_size_is_not_believed(reader, tmp_path, size):
    wave = made.tone(0.5, 16_000)
    assert len(reader.audio(put(tmp_path, "a.wav", made.wav(wave, size=size))).samples) == 8000
    tiny = put(tmp_path, "b.wav", made.wav(wave[:15], size=size))  # 74 bytes in all
    assert tiny.stat().st_size == 74
    assert reader.audio(tiny).note == "too short (1 ms)"


def test_a_wav_that_was_cut_says_so(reader, tmp_path):
    whole = made.wav(made.tone(2, 16_000))
    samples, note = reader.audio(put(tmp_path, "a.wav", whole[: 44 + 2 * 19_200]))
    assert (len(samples), note) == (19_200, "cut short at 1.2 of 2.0 s")


def test_a_flac_that_was_cut_says_so(reader, tmp_path):
    noise = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32_000)).astype(np.float32)
    path = made.write_sound(tmp_path / "a.flac", noise, 16_000, "flac")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    samples, note = reader.audio(path)
    assert 8000 < len(samples) < 20_000
    assert note == f"cut short at {len(samples) / SAMPLE_RATE:.1f} of 2.0 s"
