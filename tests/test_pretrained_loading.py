"""A pretrained model is loaded when it is needed; one that is not whole is refused in a sentence."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

import pretrained_fixtures
from emobraid.encoders import hub as models
from emobraid.encoders.pretrained import count_parameters, load
from pretrained_fixtures import EVERY, encoder_of, kind_of, raws, sound

build = pretrained_fixtures.build


@pytest.mark.parametrize(
    ("name", "lost", "told"),
    [
        ("deberta-v2", "spm.model", "holds no vocabulary for its tokenizer; copy it again"),
        ("deberta-v2-fast", "tokenizer.json", "holds no vocabulary for its tokenizer; copy it again"),
        ("bert", "tokenizer.json", "holds no vocabulary for its tokenizer; copy it again"),
        ("roberta", "vocab.json", "does not say how its inputs are read ("),
        ("wav2vec2-group", "preprocessor_config.json", "does not say how its inputs are read ("),
        ("vit", "preprocessor_config.json", "does not say how its inputs are read ("),
    ],
)
def test_a_folder_without_the_files_for_its_inputs_is_refused(hub, tmp_path, name, lost, told):
    folder = tmp_path / name
    shutil.copytree(hub[name], folder)
    (folder / lost).unlink()
    with pytest.raises(models.ModelNotHere) as refused:
        encoder_of(folder, kind_of(name)).prepare(next(filter(len, raws(kind_of(name)))))
    assert str(refused.value).startswith(f"{folder} {told}")
    assert str(refused.value).endswith("copy it again")
    assert "\n" not in str(refused.value)


def test_another_sampling_rate_is_refused(hub, tmp_path):
    folder = tmp_path / "eight"
    shutil.copytree(hub["wav2vec2-layer"], folder)
    path = folder / "preprocessor_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "sampling_rate": 8_000}))
    with pytest.raises(ValueError, match=r"eight hears 8000 samples a second; audio_sample_rate is 16000$"):
        encoder_of(folder, "audio").prepare(sound(900))


@pytest.mark.parametrize("model_type", ["sew", "sew-d", "wav2vec2-bert"])
def test_a_voice_model_that_is_read_otherwise_is_refused(hub, tmp_path, model_type):
    folder = tmp_path / "other"
    shutil.copytree(hub["wav2vec2-layer"], folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "model_type": model_type}))
    with pytest.raises(
        ValueError, match=f"other is of the kind {model_type}, which is not read yet; take wavlm or hubert$"
    ):
        encoder_of(folder, "audio")


def test_weights_of_another_model_are_refused_not_filled_with_random_ones(hub, tmp_path):
    folder = tmp_path / "bert"
    shutil.copytree(hub["bert"], folder)
    weights = load_file(folder / "model.safetensors")
    del weights["encoder.layer.1.output.dense.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(
        ValueError, match=r"bert: 1 weights are not in its files, encoder\.layer\.1\.output\.dense\.weight"
    ):
        load(folder)


@EVERY
def test_frozen_weights_are_counted_without_loading_them(build, hub, name):
    weights = load_file(hub[name] / "model.safetensors")
    assert count_parameters(hub[name]) == sum(t.numel() for t in weights.values())
    assert build(name).tower.frozen_parameters() == count_parameters(hub[name])
    assert build(name, "adapter").tower.frozen_parameters() == 0  # they are in the network


def test_a_frozen_model_is_not_loaded_before_it_is_needed(hub, monkeypatch):
    encoder = encoder_of(hub["bert"], "text")
    assert encoder.tower._frozen == []
    stem = encoder.stem([encoder.prepare("hi")])
    (kept,) = encoder.tower._frozen
    encoder.stem([encoder.prepare("hi there")])
    assert encoder.tower._frozen == [kept]
    assert len(stem) == 1


def test_a_load_draws_nothing_random(hub):
    before = torch.get_rng_state()
    load(hub["vit"])  # its file has no pooler, for which transformers draws weights
    assert torch.get_rng_state().equal(before)
