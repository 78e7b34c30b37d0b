"""A model of people whom nobody recorded says so for ever, wherever it goes and whatever becomes of its corpus."""

import json
import shutil

import pytest

from corpora import feature_config, feature_corpus, run
from emobraid import Recognizer
from emobraid.data.origin import is_synthetic


@pytest.mark.parametrize(
    ("name", "told", "synthetic"),
    [
        ("sample_corpus.json", "{}", True),
        ("expected.json", json.dumps({"about": "a synthetic corpus in MELD's layout; nobody was recorded"}), True),
        ("expected.json", json.dumps({"about": "what we expect of our recordings"}), False),
        ("expected.json", "[1", False),
        ("train.csv", "", False),
    ],
)
def test_a_corpus_of_ours_says_that_it_is_synthetic(tmp_path, name, told, synthetic):
    (tmp_path / name).write_text(told)
    assert is_synthetic(tmp_path) is synthetic


@pytest.mark.parametrize("synthetic", [True, False])
def test_a_model_remembers_when_its_corpus_is_gone_and_its_card_tells(tmp_path, synthetic):
    corpus = feature_corpus(tmp_path / "data")
    if synthetic:
        (corpus / "sample_corpus.json").write_text("{}")
    run(feature_config(corpus, num_epochs=1), tmp_path / "run")
    shutil.rmtree(corpus)
    moved = shutil.move(tmp_path / "run" / "best_model", tmp_path / "elsewhere")
    with Recognizer.from_pretrained(moved) as recognizer:
        assert recognizer.synthetic is synthetic
    assert ("Synthetic people" in (tmp_path / "elsewhere" / "README.md").read_text()) is synthetic
