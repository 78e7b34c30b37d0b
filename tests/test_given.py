"""`Recognizer.predict` takes what its users hold; anything else is one ValueError."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

import command_fixtures
from corpora import refusal, tone
from emobraid.given import taken
from emobraid.media import MediaBytes
from emobraid.recognizer import NothingToRead, Recognizer

model = command_fixtures.model
RATE = 16_000
SOUND = (0.3 * np.sin(2 * np.pi * 220 * np.arange(RATE) / RATE)).astype(np.float32)


@pytest.fixture(scope="module")
def recognizer(model):
    with Recognizer.from_pretrained(model) as recognizer:
        yield recognizer


def integers(samples):
    return np.round(32767 * samples).astype(np.int16)


@pytest.mark.parametrize(
    "value",
    [
        torch.tensor(SOUND),
        torch.tensor(SOUND, requires_grad=True),
        torch.tensor(SOUND)[None],
        SOUND[:, None],
        SOUND.tolist(),
        (RATE, SOUND),
        [RATE, integers(SOUND)],
        (np.int64(RATE), torch.tensor(SOUND)),
        (RATE, np.stack([integers(SOUND), 0 * integers(SOUND)], axis=1)),  # a voice in one channel
        (RATE, np.stack([SOUND, SOUND])),
        {"array": SOUND, "sampling_rate": RATE, "path": None},
        {"array": SOUND.tolist(), "sampling_rate": RATE},
        {"raw": torch.tensor(SOUND), "sampling_rate": RATE},
    ],
    ids=lambda v: type(v).__name__,
)
def test_sound_is_taken_from_whoever_holds_it(recognizer, value):
    found = taken("audio", value)
    assert found.shape == (RATE,)
    assert np.abs(found - SOUND).max() < 2e-3
    own = recognizer.predict(audio=SOUND).probabilities
    assert recognizer.predict(audio=value).probabilities == pytest.approx(own, abs=2e-2)


def test_samples_at_another_rate_are_brought_to_ours():
    fast = np.sin(2 * np.pi * 220 * np.arange(44_100) / 44_100)
    for value in ((44_100, fast), {"array": fast, "sampling_rate": 44_100}, (44_100, integers(fast))):
        found = taken("audio", value)
        assert abs(len(found) - RATE) < 3
        assert np.abs(found[500:-500] - SOUND[500 : len(found) - 500] / 0.3).max() < 0.02


def test_bytes_and_open_files_are_files(recognizer, tmp_path):
    path = tone(tmp_path / "a.wav")
    content, own = path.read_bytes(), recognizer.predict(audio=path).probabilities
    with path.open("rb") as file:
        for value in (content, bytearray(content), memoryview(content), io.BytesIO(content), file, {"bytes": content}):
            assert recognizer.predict(audio=value).probabilities == own
    assert recognizer.predict(audio={"path": str(path), "bytes": None}).probabilities == own
    assert taken("video", content) == MediaBytes("video", content)


def test_pictures_and_frames_are_taken_from_whoever_holds_them():
    frames = np.random.default_rng(0).integers(0, 256, size=(4, 32, 40, 3), dtype=np.uint8)
    pictures = [Image.fromarray(f) for f in frames]
    same = [
        frames,
        list(frames),
        tuple(pictures),
        frames.tolist(),
        frames.astype(np.int64),
        torch.tensor(frames),
        torch.tensor(frames).permute(0, 3, 1, 2),
        [torch.tensor(f) for f in frames],
        frames / 255,
    ]
    for value in same:
        assert np.array_equal(taken("video", value), frames)
    assert np.array_equal(taken("video", pictures[0]), frames[:1])
    assert taken("video", pictures[0].convert("RGBA")).shape == (1, 32, 40, 3)
    assert taken("video", pictures[0].convert("L")).shape == (1, 32, 40, 3)


def test_what_is_missing_in_a_table_of_pandas_is_missing(recognizer):
    pandas = pytest.importorskip("pandas")
    for nothing in (None, float("nan"), np.float64("nan"), pandas.NA, pandas.NaT):
        read = recognizer.predict(text="I am glad", audio=nothing, video=nothing)
        assert list(read.per_modality) == ["text"]
        with pytest.raises(NothingToRead):
            recognizer.predict(text=nothing)


def test_words_may_be_bytes(recognizer):
    assert recognizer.predict(text=b"I am gl\xc3\xa4d") == recognizer.predict(text="I am gläd")


REFUSED = {
    "a number as words": ({"text": 3}, "text must be a string; got an int"),
    "several texts": ({"text": ["a", "b"]}, "text must be a string; got a list"),
    "bytes of another encoding": ({"text": b"\xff"}, "text: these bytes are not UTF-8; decode them first"),
    "a number as sound": ({"audio": 3}, "audio must be a file, its bytes, samples (N,) at 16 kHz"),
    "an object": ({"audio": object()}, "got an object"),
    "words in a list": ({"audio": ["a", "b"]}, "got a list"),
    "a ragged list": ({"audio": [[0.1], [0.1, 0.2]]}, "got a list"),
    "a mapping of something else": ({"audio": {"samples": SOUND}}, "got a mapping with samples"),
    "no rate": ({"audio": (0, SOUND)}, "a sampling rate of 0 is none"),
    "no bytes": ({"audio": b""}, "audio: there are no bytes in it"),
    "a text file": ({"audio": io.StringIO("a")}, "the file was opened as text; open it with mode 'rb'"),
    "stereo": ({"audio": np.zeros((5, 2), np.float32)}, "audio must be finite float samples (N,)"),
    "integers": ({"audio": np.zeros(5, np.int16)}, "audio must be finite float samples (N,)"),
    "one frame": ({"video": np.zeros((8, 8, 3), np.uint8)}, "frames must be (T, H, W, 3) uint8"),
    "frames of two sizes": ({"video": [np.zeros((8, 8, 3)), np.zeros((9, 8, 3))]}, "the frames are of several sizes"),
    "no frames": ({"video": []}, "there are no frames in it"),
    "frames of other numbers": ({"video": np.full((2, 8, 8, 3), 300.0)}, "frames must be (T, H, W, 3) uint8"),
    "a model": ({"video": torch.nn.Linear(1, 1)}, "got a Linear"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_anything_else_is_one_value_error(recognizer, case):
    given, said = REFUSED[case]
    assert said in refusal(lambda: recognizer.predict(**given))


def test_a_wave_of_eight_bits_has_its_middle_at_128():
    quiet = np.full(RATE, 128, np.uint8)
    assert not taken("audio", (RATE, quiet)).any()
