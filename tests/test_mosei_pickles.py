"""MMSA's pickles of CMU-MOSEI: rows, splits and sentiment, and nothing in them is run."""

import numpy as np
import pytest

from corpora import refusal
from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit import audit
from emobraid.data.corpus import Sample
from emobraid.data.mmsa import PickledCell
from mosei_fixtures import MULTI, PUBLISHED, SENTIMENTS, opened, pickled


def test_a_feature_pickle_gives_its_rows_splits_and_sentiment(tmp_path):
    root = pickled(tmp_path / "m" / "Processed").parent
    model = {"labels": SENTIMENTS, "affect": ("sentiment",), **PUBLISHED}
    first, second = opened(root, **model).split("train")
    path = root / "Processed" / "aligned_50.pkl"
    assert first == Sample(
        id="abc$_$0",
        table="aligned_50.pkl train",
        line=0,
        group="abc",
        cells={
            "text": PickledCell(path, "train", "text", 0, 3),
            "audio": PickledCell(path, "train", "audio", 0, 2),
            "video": PickledCell(path, "train", "vision", 0, None),
        },
        sound_from_video=False,
        label=0,
        affect={"sentiment": -3.0},  # -4 is beyond the scale
    )
    assert (second.label, second.affect) == (2, {"sentiment": 1.0})
    assert second.cells["text"].load().shape == (3, 3)
    assert second.cells["audio"].load().tolist() == [[8, 9], [10, 11]]
    assert second.cells["video"].load().tolist() == [[5], [0], [6]]  # zeros at either end are padding
    assert [s.id for s in opened(root, **model).split("val")] == ["v$_$0", "v$_$1"]


def test_its_words_come_with_those_before_in_the_video_by_number(tmp_path):
    root = pickled(tmp_path / "m", id=["abc$_$10", "abc$_$9"])
    read = opened(root, modalities=("text",), labels=SENTIMENTS, context_turns=3).split("train")
    assert [(s.cells["text"], s.context) for s in read] == [("word 0", (("", "word 1"),)), ("word 1", ())]
    voice = {"modalities": ("audio",), "audio_encoder": "features", "context_features": 3}
    read = opened(root, labels=SENTIMENTS, **voice).split("train")
    assert [s.cells["audio"].load().tolist() for s in read] == [
        [[9, 10, 1], [0, 1, 0], [2, 3, 0]],
        [[8, 9, 0], [10, 11, 0]],
    ]


def test_pickles_tell_sentiment_only(tmp_path):
    root = pickled(tmp_path / "m")
    message = refusal(lambda: opened(root, **MULTI, **PUBLISHED).split("train"))
    assert message.endswith("tells sentiment, no emotions: use --labels negative neutral positive (--affect sentiment)")
    message = refusal(lambda: opened(root, labels=SENTIMENTS).split("train"))
    assert message.endswith("has no audio to encode; use --audio_encoder features")


def test_alignment_chooses_the_pickle(tmp_path):
    root = pickled(tmp_path / "m", "unaligned_50.pkl")
    message = refusal(lambda: opened(root, labels=SENTIMENTS))
    assert message == (
        f"{root}: neither CMU_MOSEI_Labels.csd nor aligned_50.pkl is there; unaligned_50.pkl is there: choose it with "
        "--alignment"
    )
    assert len(opened(root, data={"alignment": "none"}, labels=SENTIMENTS, **PUBLISHED).split("train")) == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"regression_labels": [1.0]}, "train has 2 ids and not as many regression_labels"),
        ({"regression_labels": ["a", "b"]}, "train has regression_labels that are no numbers"),
        ({"audio": np.ones((2, 4), "f4")}, "train has audio of shape (2, 4); need (2, T, W) numbers"),
        ({"audio": [1, 2]}, "train has audio of shape list; need (2, T, W) numbers"),
        ({"text_bert": np.ones((2, 2, 4), "f4")}, "train has text_bert of shape (2, 2, 4); need (2, 3, T) numbers"),
        ({"id": 3}, "train has ids of int, need a list"),
    ],
)
def test_a_pickle_of_something_else_is_one_line(tmp_path, changed, reason):
    root = pickled(tmp_path / "m", **changed)
    message = refusal(lambda: opened(root, labels=SENTIMENTS, **PUBLISHED).split("train"))
    assert message == f"{root / 'aligned_50.pkl'}: {reason}"


def test_a_pickle_that_would_run_something_runs_nothing(tmp_path, monkeypatch):
    import os

    class Hostile:
        def __reduce__(self):
            return os.system, ("touch canary",)

    root = pickled(tmp_path / "m", raw_text=[Hostile(), "x"])
    monkeypatch.chdir(root)
    assert "it asks for 'posix'.'system'" in refusal(
        lambda: opened(root, labels=SENTIMENTS, **PUBLISHED).split("train")
    )
    found = audit(DataConfig(dataset="mosei", data_root=root), ModelConfig())
    assert found.finding("aligned_50.pkl").state == "broken"
    assert [p.name for p in root.iterdir()] == ["aligned_50.pkl"]
