"""CMU-MOSEI's ratings as classes, as several emotions and as sentiment, and what is left out."""

import json
from math import nan

import h5py
import numpy as np
import pytest

import mosei_fixtures
from corpora import refusal
from emobraid.data.mosei_labels import Rating
from mosei_fixtures import MULTI, opened, write

root = mosei_fixtures.root


@pytest.mark.parametrize(
    ("intensities", "present", "dominant"),
    [
        ((0, 0, 0, 0, 0, 0), (), "neutral"),
        ((0, 0.33, 0, 0, 0, 0), ("sad",), "sad"),
        ((1, 0, 0, 2, 0, 0), ("happy", "surprise"), "surprise"),
        ((1, 0, 0, 1, 0, 0.33), ("happy", "surprise", "fear"), "tied"),
        ((nan, 0, 0, 1, 0, 0), None, None),
    ],
)
def test_an_emotion_is_present_from_any_intensity_and_the_strongest_dominates(intensities, present, dominant):
    rating = Rating(0.0, intensities)
    assert (rating.present, rating.dominant) == (present, dominant)


def test_exclusive_classes_get_the_dominant_emotion_and_ties_are_left_out_and_counted(root):
    corpus = opened(root, modalities=("text",))
    assert [(s.id, s.label) for s in corpus.split("train")] == [
        ("aaa[1]", 0),  # happy
        ("aaa[2]", 6),  # neutral: no emotion was seen
        ("aaa[0]", 2),  # angry
        ("b-1[0]", 0),
    ]
    assert [tuple(own) for own in corpus.rows.labels("train")] == [
        ("happy", 2, "happy", ""),
        ("anger", 1, "angry", ""),
        ("neutral", 1, "neutral", ""),
        ("tied", 1, None, "two emotions or more are equally strong"),
    ]


def test_notes_tell_what_was_clamped_left_out_and_is_not_there(root):
    assert opened(root, modalities=("text",)).notes("train") == (
        "1 rows of 1 videos are in no fold and left out",
        "1 rows begin before 0 s, read as 0",
        "1 rows have ratings out of range, read as the nearest in it: b-1[0]",
        "1 rows 'tied' left out: two emotions or more are equally strong",
    )
    rows = opened(root, modalities=("text",)).rows
    assert rows.notes("test")[1] == "1 videos of the fold have no labels: gone"


def test_of_several_emotions_one_that_the_model_lacks_leaves_no_row_out(root):
    corpus = opened(root, modalities=("text",), labels=("angry", "happy"), label_kind="multi")
    read = corpus.split("train")
    assert [s.spread for s in read] == [(0, 1), (0, 0), (1, 0), (0, 1), (0, 1)]
    assert corpus.notes("train")[3:] == (
        "1 rows show 'sad': the model has no class for sad; kept without it",
        "1 rows show 'disgust': the model has no class for disgust; kept without it",
        "1 rows show 'neutral': the model has no class for neutral; no class is present in them",
    )
    assert [own.name for own in corpus.rows.labels("train")] == ["happy", "anger"]


def test_sentiment_can_be_the_classes(root):
    three = opened(root, modalities=("text",), labels=("negative", "neutral", "positive"))
    assert [s.label for s in three.split("train")] == [2, 1, 0, 2, 1]
    two = opened(root, modalities=("text",), labels=("negative", "positive"))
    assert [s.label for s in two.split("train")] == [1, 0, 1]
    assert "2 rows 'neutral' left out: the model has no class for it" in two.notes("train")


def test_labels_that_express_nothing_are_refused(root):
    message = refusal(lambda: opened(root, modalities=("text",), labels=("bored", "calmly")).split("train"))
    assert message == "the labels bored, calmly express none of CMU-MOSEI's; see --labels"


def test_columns_go_by_the_names_that_the_file_has_for_them(root):
    names = ["fear", "disgust", "surprise", "anger", "sad", "happy", "sentiment"]
    tracks = {v: (np.array([[0, 0, 0, 0, 0, 2, 1.5]], "f4"), [[0, 1]]) for v in ("aaa", "ccc", "ddd")}
    write(root / "CMU_MOSEI_Labels.csd", "All Labels", tracks)
    with h5py.File(root / "CMU_MOSEI_Labels.csd", "a") as file:
        file["All Labels/metadata/dimension names"] = np.array([json.dumps(names).encode()])
    (read,) = opened(root, modalities=("text",), **MULTI).split("train")
    assert (read.spread, read.affect) == ((1, 0, 0, 0, 0, 0), {"sentiment": 1.5})


@pytest.mark.parametrize(
    ("tracks", "reason"),
    [
        ({"aaa": (np.zeros((1, 6), "f4"), [[0, 1]])}, "video 'aaa' has labels (1, 6); need (N, 7)"),
        ({"aaa": (np.zeros((1, 7), "f4"), [[3, 1]])}, "video 'aaa' row 0 ends at 1 s, before its start"),
        ({"a.a": (np.zeros((1, 7), "f4"), [[0, 1]])}, "'a.a' is no name of a video"),
        ({"aaa": (np.zeros((2, 7), "f4"), [[0, 1]])}, "video 'aaa' has 2 rows of features and 1 intervals"),
    ],
)
def test_broken_labels_are_one_line_with_the_video(root, tracks, reason):
    path = root / "CMU_MOSEI_Labels.csd"
    write(path, "All Labels", tracks)
    assert refusal(lambda: opened(root, modalities=("text",)).split("train")) == f"{path}: {reason}"
