"""Compact encoders and what they read, and how the outputs of any encoder are compared."""

import pytest
import torch

from emobraid.encoders import CompactAudio, CompactText, CompactVideo, FaceStem, Features, MiniLmStem
from emobraid.encoders.compact_text import PIECES
from emobraid.encoders.whisper_stem import WhisperStem
from emobraid.stream import Stream, pad
from tiny_stems import STEM_WIDTH, stem

DIM = 16
SOUND = 64 + 3  # mel bands; pitch, voicing and loudness
LENGTHS = [6, 0, 3, 1, 9]
BUILDERS = {
    "text": lambda: CompactText(DIM, buckets=50),
    "audio": lambda: CompactAudio(DIM),
    "whisper_stem": lambda: WhisperStem(DIM),
    "video": lambda: CompactVideo(DIM),
    "features": lambda: Features(7, DIM),
    "minilm_stem": lambda: MiniLmStem(stem("text"), DIM),
    "face_stem": lambda: FaceStem(stem("video"), DIM),
}

EVERY = pytest.mark.parametrize("name", BUILDERS)


def build(name):
    """In evaluation mode, with no weight and no statistic left at its beginning."""
    encoder = BUILDERS[name]()
    for value in encoder.state_dict().values():
        if value.is_floating_point():
            value += 0.4 * (torch.rand_like(value) - 0.5)
    return encoder.eval()


def draw(name, length):
    """A prepared input of that many steps; frames are floats, as augmentation leaves them."""
    if name == "text":
        return torch.randint(1, 51, (length, PIECES))
    return {
        "audio": torch.randn(length, SOUND),
        "whisper_stem": torch.randn(length, 2 * 1_024),
        "video": torch.rand(length, 48, 48) * 255,
        "features": torch.randn(length, 7),
        "minilm_stem": torch.cat([torch.randn(length, STEM_WIDTH), torch.randn(length, 7).log_softmax(1)], 1),
        "face_stem": torch.cat([torch.randn(length, 256), torch.randn(length, 7).log_softmax(1)], 1),
    }[name]


def batch(name, lengths=LENGTHS):
    return pad([draw(name, n) for n in lengths])


def polluted(stream, junk):
    values = stream.values.clone()
    values[~stream.mask] = junk
    return Stream(values, stream.mask)


def real(stream):
    """What an encoder says of each row, without padding."""
    return [v[m] for v, m in zip(*stream, strict=True)]


def assert_same(ours, expected):
    for row, wanted in zip(real(ours), real(expected), strict=True):
        assert row.isfinite().all()
        torch.testing.assert_close(row, wanted, rtol=1e-4, atol=1e-5)
