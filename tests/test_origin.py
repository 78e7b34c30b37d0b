"""A model of people whom nobody recorded says so for ever, wherever it goes and whatever becomes of its corpus."""

import json
import shutil
from functools import partial

import pytest

from corpora import feature_config, feature_corpus, run
from emobraid import Recognizer
from emobraid.data import sample
from emobraid.data.origin import is_synthetic

MAKERS = {
    "usual": partial(sample.make_sample_corpus, clips=14),
    "MELD": partial(sample.make_sample_meld, clips=12),
    "IEMOCAP": partial(sample.make_sample_iemocap, clips=20),
    "MOSEI": partial(sample.make_sample_mosei, clips=15),
}


@pytest.mark.parametrize("layout", MAKERS)
def test_every_corpus_that_we_make_says_that_it_is_synthetic(tmp_path, layout):
    MAKERS[layout](tmp_path / "corpus")
    assert is_synthetic(tmp_path / "corpus")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("expected.json", json.dumps({"about": "what we expect of our recordings"})),
        ("expected.json", "[1"),
        ("expected.json", "[1]"),
        ("train.csv", ""),
    ],
)
def test_other_peoples_data_are_not_called_synthetic(tmp_path, name, told):
    (tmp_path / name).write_text(told)
    assert not is_synthetic(tmp_path)


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
