"""Speech to text for the page: cut at pauses, written down by Whisper."""

import numpy as np
import pytest

from emobraid.app.asr import STEP, Dictation, Speech


def test_speech_is_cut_at_pauses():
    speech, loud, quiet = Speech(), np.full(STEP, 0.1, np.float32), np.zeros(STEP, np.float32)
    loud[::2] *= -1
    for step in (quiet, loud, loud, loud, loud, quiet):
        assert speech.add(step) is None
    assert len(speech.add(quiet)) == 6 * STEP
    for step in (loud, quiet):  # a click
        assert speech.add(step) is None
    assert speech.add(quiet) is None


def test_what_was_spoken_becomes_words_of_the_turn():
    class Listener:
        name = "test"

        def write(self, samples):
            return f"{len(samples) // STEP} steps"

    dictation = Dictation(Listener())
    loud = np.where(np.arange(STEP) % 2, 0.1, -0.1).astype(np.float32)
    for step in (loud,) * 4 + (0 * loud,) * 2:
        dictation.hear(step)
    Dictation._worker.submit(lambda: None).result(timeout=10)
    assert dictation.fresh() == "6 steps"
    assert dictation.fresh() == ""
    assert dictation.turn() == "6 steps"
    assert dictation.said == ""


def test_whisper_writes_down_sound(hub, tmp_path):
    import shutil

    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from emobraid.app.asr import Whisper

    folder = tmp_path / "whisper"
    shutil.copytree(hub["whisper"], folder)
    vocabulary = {f"word{i}": i for i in range(64)}
    PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(vocabulary, unk_token="word0")), unk_token="word0"
    ).save_pretrained(folder)
    written = Whisper(str(folder)).write(np.random.default_rng(0).normal(size=16_000).astype(np.float32))
    assert written
    assert set(written.split()) <= set(vocabulary)
    with pytest.raises(ValueError, match="nobody/nothing"):
        Whisper("nobody/nothing")
