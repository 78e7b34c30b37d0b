"""Finding one modality of an utterance from another, as `evaluate --retrieval` tells it."""

import json
import shutil

import pytest
import torch

from corpora import as_flags, feature_config, feature_corpus, run
from emobraid.cli import main
from emobraid.evaluation.retrieval import retrieval
from emobraid.fusion import FUSIONS
from emobraid.stream import Stream


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture(scope="module")
def trained(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("runs")
    run(feature_config(corpus, fusion_type="contrastive"), folder / "two")
    run(feature_config(corpus, modalities=["audio"]), folder / "one")
    return folder


def evaluate(corpus, model, output, *more):
    data = as_flags(feature_config(corpus), "data")
    places = ["--model_path", str(model / "best_model"), "--output_dir", str(output), "--no_pictures"]
    return main(["evaluate", "--retrieval", *places, *data, *more])


def test_recall_median_rank_and_chance_as_worked_by_hand():
    # angles of the queries 0, 90, 180, 45 (which lacks its partner); of their partners 10, 100, 80
    angles = torch.deg2rad(torch.tensor([[0.0, 10.0], [90.0, 100.0], [180.0, 80.0], [45.0, 0.0]]))
    embeddings = torch.stack([angles.cos(), angles.sin()], dim=-1)
    present = torch.tensor([[True, True]] * 3 + [[True, False]])
    there, back = (pair.figures() for pair in retrieval(embeddings, present, ("text", "audio")))
    # 0: own at 10 is first. 90: own and the third one are both 10 away, so it is second. 180: 100 is nearer than its 80
    assert there["recall@1"] == pytest.approx(1 / 3)
    assert (there["recall@5"], there["median_rank"], there["n"]) == (1.0, 2.0, 3)
    assert there["chance"] == pytest.approx({"recall@1": 1 / 3, "recall@5": 1, "recall@10": 1, "median_rank": 2})
    # 10: own at 0. 100: own at 90. 80: 90 is 10 away, 0 is 80, its own 100
    assert (back["query"], back["target"]) == ("audio", "text")
    assert back["recall@1"] == pytest.approx(2 / 3)
    assert back["median_rank"] == 1.0


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_embedding_has_not_seen_the_modality_it_has_to_find(fusion):
    torch.manual_seed(0)
    built = FUSIONS[fusion](("audio", "video"), 8, 3, depth=1, heads=2, dropout=0.0).eval()
    for weights in built.parameters():
        torch.nn.init.normal_(weights)
    there = torch.ones(4, 5, dtype=torch.bool)
    audio, video, other = (Stream(torch.randn(4, 5, 8), there) for _ in range(3))
    read, changed = (built({"audio": audio, "video": seen}) for seen in (video, other))
    assert torch.equal(read.embeddings[:, 0], changed.embeddings[:, 0])
    assert not torch.allclose(read.embeddings[:, 1], changed.embeddings[:, 1])
    assert not torch.allclose(read.logits, changed.logits)


def test_the_report_has_every_ordered_pair_beside_chance_and_the_ledger_one_line(trained, corpus, tmp_path, capsys):
    shutil.copytree(trained / "two", tmp_path / "two")
    assert evaluate(corpus, tmp_path / "two", tmp_path / "out") == 0
    shown = capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "metrics.json").read_text())
    pairs = {(p["query"], p["target"]): p for p in kept["retrieval"]["pairs"]}
    assert set(pairs) == {("audio", "video"), ("video", "audio")}
    assert pairs["audio", "video"]["n"] == kept["present"]["audio+video"]
    assert pairs["audio", "video"]["chance"]["recall@1"] == pytest.approx(1 / pairs["audio", "video"]["n"])
    assert "audio -> video" in shown
    assert "guessing" in shown
    assert "none of which has seen another modality" in shown
    (line,) = (tmp_path / "two" / "ledger.jsonl").read_text().splitlines()
    assert json.loads(line)["macro_f1"] == kept["all"]["macro_f1"]


def test_without_asking_there_is_no_retrieval(trained, corpus, tmp_path):
    shutil.copytree(trained / "two", tmp_path / "two")
    data = as_flags(feature_config(corpus), "data")
    places = ["--model_path", str(tmp_path / "two" / "best_model"), "--output_dir", str(tmp_path / "out")]
    assert main(["evaluate", *places, "--no_pictures", *data]) == 0
    assert "retrieval" not in json.loads((tmp_path / "out" / "metrics.json").read_text())


def test_one_modality_is_refused_before_the_test_split_is_opened(trained, corpus, tmp_path, capsys):
    assert evaluate(corpus, trained / "one", tmp_path / "out") == 2
    assert "this model reads audio alone; retrieval finds one modality from another" in capsys.readouterr().err
    assert not (trained / "one" / "ledger.jsonl").exists()
    assert evaluate(corpus, trained / "two", tmp_path / "out", "--robustness") == 2
    assert "--retrieval is part of the plain report; leave --robustness out" in capsys.readouterr().err
