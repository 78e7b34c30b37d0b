"""CMU-MOSEI's folds, published or drawn, and a test set that stays sealed."""

import pytest

import mosei_fixtures
from corpora import refusal
from emobraid.config import DataConfig
from emobraid.data.corpus import SealedSplit
from emobraid.data.folds import random_folds
from emobraid.data.layouts import refuse_other_fold
from mosei_fixtures import MULTI, opened

root = mosei_fixtures.root


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
