"""Encoders over tiny pretrained models, and what they read.

A test file takes its fixtures by name: `build = pretrained_fixtures.build`.
"""

import functools

import numpy as np
import pytest
import torch
from transformers import AutoModel

from emobraid.encoders.adapters import Tuning
from emobraid.encoders.audio import SHORTEST, PretrainedAudio
from emobraid.encoders.reports import quiet
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.stream import Stream

TEXT = ("deberta-v2", "deberta-v2-fast", "bert", "roberta")
SOUND = ("wav2vec2-group", "wav2vec2-layer", "wavlm", "hubert", "whisper")
MODELS = ("deberta-v2", "bert", "roberta", *SOUND, "vit")  # each architecture once
METHODS = ("frozen", "adapter", "lora", "prompt", "bitfit", "full")
HIDDEN = 8  # of the LSTM
EVERY = pytest.mark.parametrize("name", MODELS)
LINES = ("I am so happy today!", "they are not", "oh my God, don't you think? Rachel: that is all I can say...", "Ross")


def kind_of(name):
    return "text" if name in TEXT else "audio" if name in SOUND else "video"


def encoder_of(folder, kind, method="frozen", **options):
    tuning = Tuning(method, adapter_size=4, lora_rank=2, prompt_length=3)
    options = {"tuning": tuning, "precision": "float32", **options}
    if kind == "video":
        return PretrainedVideo(str(folder), hidden=HIDDEN, **options).eval()
    return (PretrainedText if kind == "text" else PretrainedAudio)(str(folder), **options).eval()


@pytest.fixture(scope="module")
def build(hub):
    """`build("bert", "lora")`: with no learned weight at its beginning; made once for all tests."""

    @functools.cache
    def made(name, method="frozen"):
        encoder = encoder_of(hub[name], kind_of(name), method)
        torch.manual_seed(1)
        with torch.no_grad():
            for parameter in encoder.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn_like(parameter)
        return encoder

    def fresh(name, method="frozen"):
        encoder = made(name, method)
        encoder.zero_grad()
        return encoder

    return fresh


@pytest.fixture(scope="module")
def plain(hub):
    """`plain("bert")`: what transformers alone makes of the same folder."""

    @functools.cache
    def loaded(name):
        with quiet():
            model = AutoModel.from_pretrained(hub[name], dtype=torch.float32, local_files_only=True).eval()
        return model.get_encoder() if name == "whisper" else model

    return loaded


def sound(samples, seed=0):
    return np.random.default_rng(seed).normal(0.1, 0.3, samples).astype(np.float32)


def faces(frames, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), dtype=np.uint8)


def raws(kind):
    """Four inputs of unlike length, with a missing one in the middle of the second and the third."""
    return {
        "text": [LINES[0], LINES[1], "", LINES[2], LINES[3]],
        "audio": [sound(8_000), sound(3_000, 1), sound(0), sound(12_345, 2), sound(SHORTEST, 3)],
        "video": [faces(3), faces(1, seed=1), faces(0), faces(5, seed=2), faces(2, seed=3)],
    }[kind]


def prepared(encoder):
    """The inputs as a batch is made of them: through the stem, and absent where there is nothing."""
    made = [encoder.prepare(raw) for raw in raws(encoder.tower.kind)]
    there = [i for i, one in enumerate(made) if len(one)]
    for i, one in zip(there, encoder.stem([made[i] for i in there]), strict=True):
        made[i] = one
    return made


def polluted(stream):
    """Stream with something else where nothing is real."""
    values = stream.values.clone()
    values[~stream.mask] = float("nan") if values.is_floating_point() else 7
    return Stream(values, stream.mask)
