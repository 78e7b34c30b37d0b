"""CMU-MOSEI in its own layouts: every sample exactly as the files say, and one line for everything that is not."""

import json
import pickle
from math import nan

import h5py
import numpy as np
import pytest

from corpora import Onlooker, run
from emobraid.cli import main
from emobraid.config import DataConfig, ModelConfig, parse
from emobraid.data.audit import audit
from emobraid.data.corpus import Clip, Sample, SealedSplit
from emobraid.data.csd import CsdCell
from emobraid.data.folds import random_folds
from emobraid.data.labels import LABEL_SETS
from emobraid.data.layouts import open_corpus, refuse_other_fold
from emobraid.data.mmsa import PickledCell
from emobraid.data.mosei_labels import Rating
from emobraid.data.sample import make_sample_mosei
from emobraid.data.sample.mosei import DEFECTS
from emobraid.data.sample.mosei_script import script
from emobraid.evaluation import report
from emobraid.evaluation.sealed import evaluate

MOSEI = LABEL_SETS["mosei"]
MULTI = {"labels": MOSEI, "label_kind": "multi", "affect": ("sentiment",)}
PUBLISHED = {f"{m}_encoder": "features" for m in ("text", "audio", "video")}
#: sentiment, happy, sad, anger, surprise, disgust, fear of the segments 4-6, -0.5-2 and 2-4 s of the first video, which
#: is out of order; all numbers are exact in 32 bits
FIRST = {
    "labels": [[-1, 0, 0, 1.5, 0, 0.5, 0], [2, 1, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]],
    "intervals": [[4, 6], [-0.5, 2], [2, 4]],
}
WORDS = [("well", 0, 0.5), ("sp", 0.5, 1), ("yes", 1, 2), ("fine", 2, 2.5), ("no", 4, 4.5), ("more", 4.5, 6)]


def write(path, name, tracks, metadata=("x",)):
    with h5py.File(path, "w") as file:
        for video, (features, intervals) in tracks.items():
            file[f"{name}/data/{video}/features"] = np.asarray(features)
            file[f"{name}/data/{video}/intervals"] = np.asarray(intervals, "f4")
        for key in metadata:
            file.create_dataset(f"{name}/metadata/{key}", data=np.array([b'"y"']))


def ratings(*rows):
    return np.array(rows, "f4"), [[i, i + 1] for i in range(len(rows))]


@pytest.fixture
def root(tmp_path):
    root = tmp_path / "MOSEI"
    root.mkdir()
    tracks = {
        "aaa": (np.array(FIRST["labels"], "f4"), FIRST["intervals"]),
        "b-1": ratings([3.5, 4, 0, 0, 0, 0, 0], [0, 1, 1, 0, 0, 0, 0]),
        "ccc": ratings([1 / 3, 0, 0, 0, 2, 0, 0]),
        "ddd": ratings([-2, 0, 0, 0, 0, 0, 1]),
        "eee": ratings([1, 1, 0, 0, 0, 0, 0]),
    }
    write(root / "CMU_MOSEI_Labels.csd", "All Labels", tracks)
    spans = [[a, b] for _, a, b in WORDS]
    write(
        root / "CMU_MOSEI_TimestampedWords.csd", "words", {"aaa": (np.array([[w] for w, _, _ in WORDS], "S32"), spans)}
    )
    folds = {"train": ["aaa", "b-1"], "valid": ["ccc"], "test": ["ddd", "gone"]}
    (root / "folds.json").write_text(json.dumps(folds))
    return root


def opened(root, *, data=(), **model):
    return open_corpus(DataConfig(dataset="mosei", data_root=root, **dict(data)), ModelConfig(**model))


def refusal(call):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the message
        call()
    message = str(caught.value)
    assert "\n" not in message
    return message


# published features


def features(root):
    """Half a second a row, COVAREP with an infinity; no face in b-1."""
    halves = [[i / 2, (i + 1) / 2] for i in range(12)]
    heard = np.array([[i, 10 * i] for i in range(12)], "f4")
    heard[2, 1] = -np.inf
    write(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {"aaa": (heard, halves), "b-1": (heard, halves)})
    write(root / "CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", {"aaa": (heard[:, :1] + 100, halves)})
    vectors = np.arange(6, dtype="f4")[:, None] + np.zeros(3, "f4")
    glove = root / "CMU_MOSEI_TimestampedWordVectors.csd"
    write(glove, "glove_vectors", {"aaa": (vectors, [[a, b] for _, a, b in WORDS])})
    return root


def test_every_segment_is_the_sample_that_it_says_in_order_of_time(root):
    features(root)
    read = opened(root, **MULTI, **PUBLISHED).split("train")
    assert [s.id for s in read] == ["aaa[1]", "aaa[2]", "aaa[0]", "b-1[0]", "b-1[1]"]
    heard = ((0.0, 0.5), (0.5, 1.0), (1.0, 2.0))
    assert read[0] == Sample(
        id="aaa[1]",
        table="CMU_MOSEI_Labels.csd aaa",
        line=1,
        group="aaa",
        cells={
            # pauses are no words, but something is seen and heard in them
            "text": CsdCell(
                root / "CMU_MOSEI_TimestampedWordVectors.csd", "glove_vectors", "aaa", (0.0, 2.0), (heard[0], heard[2])
            ),
            "audio": CsdCell(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", "aaa", (0.0, 2.0), heard),
            "video": CsdCell(root / "CMU_MOSEI_VisualFacet42.csd", "FACET 4.2", "aaa", (0.0, 2.0), heard),
        },
        sound_from_video=False,
        label=None,
        spread=(1.0, 0.0, 0.0, 0.0, 0.0, 0.0),
        affect={"sentiment": 2.0},
        absent=dict.fromkeys(("text", "audio", "video"), "the video is not in the file"),
    )
    assert [s.spread for s in read[1:]] == [(0,) * 6, (0, 0, 1, 0, 1, 0), (1, 0, 0, 0, 0, 0), (1, 1, 0, 0, 0, 0)]
    assert [s.affect["sentiment"] for s in read] == [2, 0, -1, 3, 0]
    assert read[3].cells["video"] is None
    assert read[3].cells["text"] is None


def test_alignment_averages_over_words_and_pauses_as_worked_by_hand(root):
    features(root)
    first, second, third, bare, _ = opened(root, **MULTI, **PUBLISHED).split("train")
    assert first.cells["text"].load().tolist() == [[0, 0, 0], [2, 2, 2]]
    # "well" is row 0, the pause row 1, "yes" rows 2 and 3, of which one second value is infinite
    assert first.cells["audio"].load().tolist() == [[0, 0], [1, 10], [2.5, 30]]
    assert first.cells["video"].load().tolist() == [[100], [101], [102.5]]
    assert second.cells["audio"].load().tolist() == [[4, 40]]  # "fine"; the silence after it has no word
    assert third.cells["audio"].load().tolist() == [[8, 80], [10, 100]]
    # no words to align to: all of the segment, two rows of 0 to 1 s, is one position
    assert bare.cells["audio"].load().tolist() == [[0.5, 5]]


def test_the_features_of_segments_before_can_be_read_with_each_in_order_of_time(root):
    features(root)
    read = opened(root, **MULTI, **PUBLISHED, context_features=2).split("train")
    # the means of 0 to 2 s and of 2 to 4 s, which come before 4 to 6 s in the video, not in the file
    assert read[2].cells["audio"].load().tolist() == [
        [pytest.approx(3.5 / 3), pytest.approx(40 / 3), 1],
        [4, 40, 1],
        [8, 80, 0],
        [10, 100, 0],
    ]
    assert read[3].cells["audio"].load().tolist() == [[0.5, 5, 0]]  # the first of another video


def test_without_alignment_every_row_is_there(root):
    features(root)
    data = {"alignment": "none"}
    cells = opened(root, data=data, **MULTI, **PUBLISHED).split("train")[0].cells
    assert [c.load().shape for c in cells.values()] == [(2, 3), (4, 2), (4, 1)]


def test_either_set_of_face_features_can_be_chosen(root):
    features(root)
    (root / "CMU_MOSEI_VisualFacet42.csd").rename(root / "CMU_MOSEI_VisualOpenFace2.csd")
    model = {**MULTI, **PUBLISHED, "modalities": ("video",)}
    assert refusal(lambda: opened(root, **model).split("train")).startswith(
        f"{root} has no CMU_MOSEI_VisualFacet42.csd"
    )
    read = opened(root, data={"video_features": "openface"}, **model).split("train")
    assert read[0].cells["video"].path.name == "CMU_MOSEI_VisualOpenFace2.csd"


def test_a_broken_feature_file_is_one_line(root):
    features(root)
    write(root / "CMU_MOSEI_COVAREP.csd", "COVAREP", {"aaa": ([[1.0]], [[0, 1]])}, metadata=())
    message = refusal(lambda: opened(root, **MULTI, **PUBLISHED).split("train"))
    assert message == f"{root / 'CMU_MOSEI_COVAREP.csd'}: 'COVAREP' has no metadata; download it again"


# words and media


def raw(root):
    for inside in ("Transcript/Segmented/Combined", "Videos/Full/Combined", "Audio/Full/WAV_16000"):
        (root / "Raw" / inside).mkdir(parents=True)
    lines = ["aaa___7___-0.5___2.0___Well... yes!", "no line", "aaa___2___4.0___6.004___No ___ more."]
    (root / "Raw/Transcript/Segmented/Combined/aaa.txt").write_text("\n".join(lines))
    for name in ("Videos/Full/Combined/aaa.mp4", "Videos/Full/Combined/b-1.mp4", "Audio/Full/WAV_16000/aaa.wav"):
        (root / "Raw" / name).write_bytes(b"")
    return root


def test_words_are_those_of_the_transcript_by_time_else_of_the_word_file(root):
    raw(root)
    read = opened(root, modalities=("text",), context_turns=2).split("train")
    assert [s.cells["text"] for s in read] == ["Well... yes!", "fine", "No ___ more.", None]
    assert read[2].context == (("", "Well... yes!"), ("", "fine"))
    assert read[3].absent["text"] == "no words"


def test_voice_and_face_are_stretches_of_the_videos_files(root):
    raw(root)
    films, sounds = root / "Raw/Videos/Full/Combined", root / "Raw/Audio/Full/WAV_16000"
    read = opened(root, modalities=("audio", "video")).split("train")
    assert read[0].cells == {
        "audio": Clip(sounds / "aaa.wav", 0.0, 2.0),
        "video": Clip(films / "aaa.mp4", 0.0, 2.0),
    }
    # its own sound track stands in for a missing sound file
    assert read[3].cells == {"audio": Clip(films / "b-1.mp4", 0.0, 1.0), "video": Clip(films / "b-1.mp4", 0.0, 1.0)}
    (val,) = opened(root, modalities=("text", "video")).split("val")
    assert (val.cells["video"], val.absent["video"]) == (None, "no such file")


def test_a_film_that_leads_out_of_the_folder_is_refused(root, tmp_path):
    raw(root)
    (tmp_path / "secret.mp4").write_bytes(b"")
    film = root / "Raw/Videos/Full/Combined/aaa.mp4"
    film.unlink()
    film.symlink_to(tmp_path / "secret.mp4")
    assert "leads outside" in refusal(lambda: opened(root, modalities=("video",)).split("train"))


def test_without_anything_to_read_the_lacking_files_are_named(root):
    (root / "CMU_MOSEI_TimestampedWords.csd").unlink()
    message = refusal(lambda: opened(root).split("train"))
    assert message == (
        f"{root} has no CMU_MOSEI_TimestampedWords.csd or Transcript/Segmented/Combined, no Audio/Full/WAV_16000 or "
        "Videos/Full/Combined, no Videos/Full/Combined; see --modalities and the encoders' settings"
    )


# labels


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


# folds


def test_val_and_test_are_the_folds_and_test_is_sealed(root):
    corpus = opened(root, modalities=("text",))
    assert [s.id for s in corpus.split("val")] == ["ccc[0]"]
    assert [s.id for s in corpus.open_test()] == ["ddd[0]"]
    with pytest.raises(SealedSplit):
        corpus.split("test")
    assert [(s.id, s.label) for s in corpus.inputs("test")] == [("ddd[0]", None)]


def test_the_folds_of_the_sdk_are_read_and_never_run(root, tmp_path):
    (root / "folds.json").unlink()
    canary = tmp_path / "canary"
    lists = "standard_train_fold=['aaa']\nstandard_valid_fold = ['ccc',\n'b-1']\nstandard_test_fold=['ddd']\n"
    source = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\nbad = [open({str(canary)!r}, 'w')]\n"
    (root / "cmu_mosei_std_folds.py").write_text(source + lists)
    corpus = opened(root, modalities=("text",))
    assert [s.id for s in corpus.split("val")] == ["ccc[0]", "b-1[0]"]
    assert not canary.exists()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "cannot be read: "),
        ("[]", "no list of videos for train; it would be called train or standard_train_fold"),
        ('{"train": ["a"], "val": "b", "test": ["c"]}', "no list of videos for val"),
        ('{"train": ["a"], "val": ["b"], "test": []}', "no list of videos for test"),
        ('{"train": ["a", "b"], "val": ["b"], "test": ["c", "a"]}', "2 videos are in two folds, a, b"),
        ("[" * 100_000, "cannot be read: "),
    ],
)
def test_folds_that_are_none_are_one_line(root, text, reason):
    (root / "folds.json").write_text(text)
    message = refusal(lambda: opened(root, modalities=("text",)).split("train"))
    assert message.startswith(f"{root / 'folds.json'}: {reason}")


def test_without_folds_it_is_said_where_to_get_them(root):
    (root / "folds.json").unlink()
    message = refusal(lambda: opened(root, modalities=("text",)).split("train"))
    assert message.startswith(f"no folds.json and no cmu_mosei_std_folds.py in {root}: the CMU Multimodal SDK has")
    assert message.endswith("--folds random draws other folds by video")


def test_random_folds_are_by_video_disjoint_and_those_of_the_seed(root):
    data = {"folds": "random", "split_seed": 3}
    corpus = opened(root, data=data, modalities=("text",), **MULTI)
    groups = {name: {s.group for s in corpus.rows.read(name, labelled=False)} for name in ("train", "val", "test")}
    assert sorted(v for videos in groups.values() for v in videos) == ["aaa", "b-1", "ccc", "ddd", "eee"]
    assert [len(groups[name]) for name in ("train", "val", "test")] == [3, 1, 1]
    assert corpus.notes("train")[0] == "folds are drawn by video with seed 3, they are not the published ones"
    names = [f"v{i}" for i in range(100)]
    assert random_folds(names, 3) == random_folds(names[::-1], 3) != random_folds(names, 4)
    assert [len(random_folds(names, 3)[s]) for s in ("train", "val", "test")] == [70, 10, 20]


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"split_seed": 1}, ""),
        ({"folds": "random"}, "--folds standard, it has seen parts of this test: give the same"),
        ({"alignment": "none"}, "--alignment words, it knows no others: give the same"),
        ({"video_features": "openface"}, "--video_features facet, it knows no others: give the same"),
    ],
)
def test_a_model_is_not_tested_on_other_folds_or_features_than_its_own(asked, reason):
    trained = DataConfig(dataset="mosei")
    if not reason:  # the seed is nobody's business where nothing is drawn
        assert refuse_other_fold(trained, DataConfig(dataset="mosei", **asked)) is None
        return
    message = refusal(lambda: refuse_other_fold(trained, DataConfig(dataset="mosei", **asked)))
    assert message == f"this model was trained with {reason}"


def test_a_model_of_random_folds_is_tested_on_those_alone():
    trained = DataConfig(dataset="mosei", folds="random", split_seed=1)
    message = refusal(lambda: refuse_other_fold(trained, DataConfig(dataset="mosei", folds="random")))
    assert message == "this model was trained with --split_seed 1, it has seen parts of this test: give the same"


def test_there_is_no_motion_here(root):
    message = refusal(lambda: opened(root, modalities=("text", "motion")))
    assert message == "CMU-MOSEI has no motion capture; take motion out of --modalities"


# MMSA's pickles

SENTIMENTS = ("negative", "neutral", "positive")


def mmsa(rows=2, *, videos=("abc",)):
    """Audio of width 2 with two real positions of four, a face with zeros at both ends."""
    return {
        "id": [f"{videos[i % len(videos)]}$_${i}" for i in range(rows)],
        "raw_text": np.array([f"word {i}" for i in range(rows)]),
        "text": np.ones((rows, 4, 3), "f4"),
        "text_bert": np.stack([np.array([[9, 9, 9, 0], [1, 1, 1, 0], [0, 0, 0, 0]])] * rows).astype("f4"),
        "audio": np.arange(rows * 8, dtype="f4").reshape(rows, 4, 2),
        "audio_lengths": [2] * rows,
        "vision": np.tile(np.array([[0], [5], [0], [6], [0]], "f4"), (rows, 1, 1)),
        "regression_labels": np.linspace(-4, 1, rows).astype("f4"),
    }


def pickled(folder, name="aligned_50.pkl", **changed):
    folder.mkdir(parents=True, exist_ok=True)
    splits = {"train": mmsa(), "valid": mmsa(videos=("v",)), "test": mmsa(videos=("t",))}
    splits["train"] |= changed
    (folder / name).write_bytes(pickle.dumps(splits, protocol=4))
    return folder


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


# a made-up corpus


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("mosei") / "made"
    make_sample_mosei(root, clips=15, media=False)
    return root


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    root = tmp_path_factory.mktemp("mosei") / "spoilt"
    assert main(["sample-corpus", str(root), "--layout", "mosei", "--clips", "15", "--defects", *DEFECTS]) == 0
    return root


def test_the_made_up_corpus_reads_back_as_it_was_written(made):
    corpus = opened(made, **MULTI, text_encoder="compact", modalities=("text",))
    read = {s.id: s for split in ("train", "val", "test") for s in corpus.rows.read(split, labelled=True)}
    planned = {f"{p.video}[{p.number}]": p for p in script(0, 15)}
    assert read.keys() == planned.keys()
    for name, part in planned.items():
        assert read[name].cells["text"] == part.clip.text
        assert read[name].spread == tuple(float(x > 0) for x in part.rating.intensities)
        assert read[name].affect["sentiment"] == pytest.approx(part.rating.sentiment)


def test_no_two_emotions_of_the_made_up_corpus_have_the_same_numbers_by_an_even_spread():
    present = [name for p in script(0, 12) for name in p.rating.present]
    assert [present.count(name) for name in MOSEI] == [4, 3, 2, 2, 2, 1]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"clips": 12}, "at least 15"),
        ({"clips": 16}, "a multiple of 3"),
        ({"defects": ("gap",)}, "unknown defect 'gap'"),
    ],
)
def test_settings_out_of_range_are_refused_before_anything_is_made(settings, reason, tmp_path):
    with pytest.raises(ValueError, match=reason):
        make_sample_mosei(tmp_path / "new", **settings)
    assert not (tmp_path / "new").exists()


def test_a_whole_corpus_is_not_broken(made):
    found = audit(DataConfig(dataset="mosei", data_root=made), ModelConfig())
    assert not found.broken
    assert {f.check: f.found for f in found.findings if f.state == "know"} == {
        "films": "folders missing: 1",
        "sounds": "folders missing: 1",
    }
    assert found.finding("rows").numbers == {"train": 9, "val": 3, "test": 3}


def test_every_defect_is_found_where_it_is(spoilt):
    found = audit(DataConfig(dataset="mosei", data_root=spoilt), ModelConfig())
    places = {
        "rows": (),
        "in no fold": ("v002: 3 rows",),
        "negative starts": ("v000[2]: -0.5 s",),
        "out of order": ("v000",),
        "out of range": ("v001[0]: 3.5, 4, 0, 0, 0, 0, 0",),
        "CMU_MOSEI_VisualFacet42.csd": ("v001: not in the file",),
        "films": ("v001.mp4",),
    }
    for check, expected in places.items():
        assert found.finding(check).places == expected, check
    (metadata,) = found.finding("CMU_MOSEI_VisualOpenFace2.csd").places
    assert metadata.endswith("'OpenFace_2' has no metadata; download it again")
    broken = {f.check for f in found.findings if f.state == "broken"}
    assert broken == {"rows", "CMU_MOSEI_VisualOpenFace2.csd", "films"}
    assert [f.check for f in found.findings if f.state == "broken" and not f.advice] == []


def test_without_numbers_of_its_own_a_corpus_is_measured_by_the_release(root):
    found = audit(DataConfig(dataset="mosei", data_root=root), ModelConfig())
    assert found.finding("rows").expected == "16,327 train, 1,871 val, 4,662 test"
    assert found.finding("videos").expected == "3,293"
    assert found.finding("folds without labels").places == ("test gone",)
    assert found.finding("raw").state == "know"


def test_times_that_cannot_be_trusted_are_found(root):
    intervals = [[0, 40], [39, 40], [39, 40], [50, 50]]
    tracks = {"aaa": (np.zeros((4, 7), "f4"), intervals), "ccc": ratings([0] * 7), "bad": (np.zeros((1, 3)), [[0, 1]])}
    write(root / "CMU_MOSEI_Labels.csd", "All Labels", tracks)
    found = audit(DataConfig(dataset="mosei", data_root=root), ModelConfig())
    assert found.finding("long rows").places == ("aaa[0]: 40.0 s",)
    assert found.finding("duplicates").places == ("aaa[1] and aaa[2]: 39 to 40 s",)
    assert found.finding("overlaps").places == ("aaa[1]: 1.0 s shared with aaa[0]",)
    assert found.finding("zero-length rows").places == ("aaa[3]: 50 to 50",)
    assert "has labels (1, 3)" in found.finding("labels").places[0]


def test_an_audit_of_pickles_counts_rows_ids_and_videos(tmp_path, capsys):
    root = pickled(tmp_path / "m", id=["t$_$0", "t$_$0"])
    assert main(["doctor", str(root), "--dataset", "mosei", "--json"]) == 1
    found = {f["check"]: f for f in json.loads(capsys.readouterr().out)["findings"]}
    assert found["aligned_50.pkl"]["found"] == "2 train, 2 valid, 2 test; text, audio, vision, raw_text"
    assert found["aligned_50.pkl ids"]["places"] == ["train t$_$0"]
    assert found["aligned_50.pkl videos"]["places"] == ["t: test, train"]
    assert found["aligned_50.pkl ratings"]["numbers"] == {"count": 3}


def test_an_empty_folder_lacks_all_files(tmp_path):
    found = audit(DataConfig(dataset="mosei", data_root=tmp_path), ModelConfig())
    assert found.broken
    assert [p.rpartition("/")[2] for p in found.finding("files").places] == [
        "CMU_MOSEI_Labels.csd",
        "aligned_50.pkl",
        "unaligned_50.pkl",
    ]


# the whole way


SMALL = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "fusion_type": "late"}


def config(root, *, model, **data):
    section = {"dataset": "mosei", "data_root": str(root), "cache": False, "workers": 1, **data}
    training = {"num_epochs": 1, "batch_size": 4}
    return parse({"model": {**SMALL, "video_max_frames": 2, **model}, "training": training, "data": section}, "test")


def test_emotions_and_sentiment_are_learnt_and_scored_from_published_features(spoilt, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_draw", lambda *_: None)
    settings = config(spoilt, model={**MULTI, **PUBLISHED})
    told = Onlooker()
    run(settings, tmp_path / "run", reporter=told)
    assert "train: 6 utterances; video missing in 3 (the video is not in the file 3)" in told.said
    assert "train: 1 rows begin before 0 s, read as 0" in told.said
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    assert metrics["all"]["n"] == 3
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["run"]["protocol"]["dataset"] == "mosei"
    assert written["run"]["protocol"]["rows_left_out"] == 0


def test_a_model_with_fewer_classes_of_another_corpus_is_scored_and_told_what_is_dropped(made, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "_draw", lambda *_: None)
    labels = ["joy", "sadness"]
    settings = config(made, model={"modalities": ["text"], "labels": labels})
    run(settings, tmp_path / "run")
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    truth = [p.rating.dominant for p in script(0, 15) if p.split == "test"]
    kept = [x for x in truth if x in ("happy", "sad")]
    assert 0 < len(kept) < len(truth) == 3
    assert metrics["all"]["n"] == len(kept)
    protocol = json.loads((tmp_path / "out" / "metrics.json").read_text())["run"]["protocol"]
    assert protocol["rows_left_out"] == len(truth) - len(kept)


def test_raw_films_are_read_from_the_command_line_and_a_missing_one_is_told(spoilt, tmp_path, capsys):
    small = ["--encoder_dim", "8", "--fusion_hidden_size", "8", "--fusion_heads", "2", "--num_epochs", "1"]
    flags = [
        "--dataset",
        "mosei",
        "--data_root",
        str(spoilt),
        "--no_cache",
        "--workers",
        "1",
        "--video_max_frames",
        "2",
    ]
    assert main(["train", *flags, *small, "--output_dir", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert "video missing in 2 (no such file 2)" in told.out + told.err
