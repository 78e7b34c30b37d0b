"""Pretrained encoders read and say what a plain transformers call reads and says."""

import json
import math
import shutil

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoTokenizer

import pretrained_fixtures
from emobraid.encoders.audio import SHORTEST
from emobraid.encoders.reports import quiet
from emobraid.stream import pad
from pretrained_fixtures import LINES, SOUND, TEXT, encoder_of, faces, sound

build, plain = pretrained_fixtures.build, pretrained_fixtures.plain


@pytest.mark.parametrize("name", TEXT)
def test_frozen_text_is_the_last_hidden_state_of_every_token(build, plain, hub, name):
    encoder, tokenizer = build(name), AutoTokenizer.from_pretrained(hub[name])
    ours = encoder.stem([encoder.prepare(line) for line in LINES])
    for line, row in zip(LINES, ours, strict=True):
        with torch.no_grad():
            (expected,) = plain(name)(**tokenizer(line, return_tensors="pt")).last_hidden_state
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)
    assert encoder(pad(ours)).values.equal(pad(ours).values)  # in evaluation


def in_groups(frames, pool):
    """Means of each `pool` neighbours, the last of what is left: a loop."""
    return torch.stack([frames[i : i + pool].mean(dim=0) for i in range(0, len(frames), pool)])


@pytest.mark.parametrize("name", SOUND)
def test_frozen_sound_is_every_hidden_state_averaged_over_neighbours(build, plain, hub, name):
    extractor = AutoFeatureExtractor.from_pretrained(hub[name])
    encoder = build(name)
    waves = [sound(n, n) for n in (16_000, 5_000, 30_007, 12_800)]
    ours = encoder.stem([encoder.prepare(wave) for wave in waves])
    for wave, row in zip(waves, ours, strict=True):
        heard = extractor(wave, sampling_rate=16_000, return_tensors="pt")
        heard.pop("attention_mask", None)  # nothing is padded
        with torch.no_grad():
            out = plain(name)(**heard, output_hidden_states=True)
        # the last one normalised, which these models do not count among the hidden states
        hidden = (*out.hidden_states[:-1], out.last_hidden_state)
        states = torch.stack([layer[0] for layer in hidden], dim=1)  # (T, L, D)
        if name == "whisper":  # a position is 20 ms; what lies behind the sound is left out
            assert len(states) == 200
            states = states[: math.ceil(len(wave) / 320)]
        torch.testing.assert_close(row, in_groups(states, 4), rtol=1e-4, atol=1e-5)


def test_frozen_faces_are_class_tokens(build, plain, hub):
    with quiet():
        processor = AutoImageProcessor.from_pretrained(hub["vit"], backend="pil")
    encoder, clips = build("vit"), [faces(n, seed=n) for n in (3, 6, 1)]
    ours = encoder.stem([encoder.prepare(clip) for clip in clips])
    for clip, row in zip(clips, ours, strict=True):
        pixels = processor(list(clip), return_tensors="pt")
        with torch.no_grad():
            expected = plain("vit")(**pixels).last_hidden_state[:, 0]
        torch.testing.assert_close(row, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", SOUND[:4])
@pytest.mark.parametrize("samples", [SHORTEST, 16_000, 50_001])
def test_sound_is_scaled_as_the_feature_extractor_scales_it(build, hub, name, samples):
    extractor = AutoFeatureExtractor.from_pretrained(hub[name])
    wave = sound(samples)
    expected = extractor(wave, sampling_rate=16_000, return_tensors="pt")["input_values"][0]
    assert torch.allclose(expected, torch.from_numpy(wave)) == (name == "wavlm")  # which wants it as it is
    torch.testing.assert_close(build(name).prepare(wave), expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 100, SHORTEST - 1])
@pytest.mark.parametrize("method", ["frozen", "adapter"])
def test_a_sound_shorter_than_a_frame_is_one_position(build, samples, method):
    encoder = build("wav2vec2-group", method)
    out = encoder(pad(encoder.stem([encoder.prepare(sound(samples))])))
    assert out.mask.tolist() == [[True]]
    assert out.values.isfinite().all()


@pytest.mark.parametrize(("side", "levels"), [(32, 0.01), (48, 1.01), (96, 1.01), (20, 1.01)])
def test_pixels_are_those_of_the_image_processor(build, hub, side, levels):
    with quiet():
        processor = AutoImageProcessor.from_pretrained(hub["vit"], backend="pil", resample=2)  # bilinear
    y, x = np.mgrid[0:side, 0:side] / side
    # smooth, as faces are; and two plain ones
    clip = np.stack([np.stack([255 * y, 255 * x, 127 + 100 * np.sin(9 * x * y)], -1), np.full((side, side, 3), 255)])
    clip = np.concatenate([clip, np.zeros((1, side, side, 3))]).round().astype(np.uint8)
    encoder, seen = build("vit"), []
    hook = encoder.tower.network().embeddings.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    encoder.stem([encoder.prepare(clip)])
    hook.remove()
    expected = processor(list(clip), return_tensors="pt")["pixel_values"]
    assert expected.shape == (3, 3, 32, 32)
    # from -1 to 1 in 255 levels
    assert (torch.cat(seen) - expected).abs().max().item() * 255 / 2 < levels


def test_pixels_are_scaled_by_the_settings_of_the_model(hub, tmp_path):
    """Other means and deviations than a half, and none at all."""
    for name, changed, expected in (
        ("other", {"image_mean": [0.1, 0.2, 0.3], "image_std": [0.5, 0.25, 1.0]}, [1.8, 3.2, 0.7]),
        ("none", {"do_normalize": False}, [1.0, 1.0, 1.0]),
    ):
        shutil.copytree(hub["vit"], tmp_path / name)
        path = tmp_path / name / "preprocessor_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))
        encoder, seen = encoder_of(tmp_path / name, "video"), []
        encoder.tower.network().embeddings.register_forward_pre_hook(lambda _, given, to=seen: to.append(given[0]))
        encoder.stem([encoder.prepare(np.full((1, 32, 32, 3), 255, np.uint8))])
        assert seen[0][0, :, 5, 5].tolist() == pytest.approx(expected)  # (1 - mean) / deviation
