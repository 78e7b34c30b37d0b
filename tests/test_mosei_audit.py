"""An audit of CMU-MOSEI finds what is missing, untrustworthy or not of the release."""

import json

import numpy as np

import mosei_fixtures
from emobraid.cli import main
from emobraid.config import DataConfig, ModelConfig
from emobraid.data.audit import audit
from mosei_fixtures import pickled, ratings, write

root = mosei_fixtures.root


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
