"""A made-up CMU-MOSEI, whole and with defects: read back, audited, learnt from and scored."""

import json

import pytest

from corpora import Onlooker, run
from emobraid.cli import main
from emobraid.config import DataConfig, ModelConfig, parse
from emobraid.data.audit import audit
from emobraid.data.sample import make_sample_mosei
from emobraid.data.sample.mosei import DEFECTS
from emobraid.data.sample.mosei_script import script
from emobraid.evaluation import report
from emobraid.evaluation.sealed import evaluate
from mosei_fixtures import MOSEI, MULTI, PUBLISHED, opened


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


# the whole way

TAUGHT = ["happy", "sad", "anger", "disgust"]  # what a training row of the spoilt corpus is

SMALL = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "fusion_type": "late"}


def config(root, *, model, **data):
    section = {"dataset": "mosei", "data_root": str(root), "cache": False, "workers": 1, **data}
    training = {"num_epochs": 1, "batch_size": 4}
    return parse({"model": {**SMALL, "video_max_frames": 2, **model}, "training": training, "data": section}, "test")


def test_emotions_and_sentiment_are_learnt_and_scored_from_published_features(spoilt, tmp_path, monkeypatch):
    monkeypatch.setattr(report, "pictures_of", lambda *_: ())
    with pytest.raises(ValueError, match=r"no row is surprise, fear, .* --labels happy sad anger disgust "):
        run(config(spoilt, model={**MULTI, **PUBLISHED}), tmp_path / "run")
    settings = config(spoilt, model={**MULTI, **PUBLISHED, "labels": TAUGHT})
    told = Onlooker()
    run(settings, tmp_path / "run", reporter=told)
    assert "train: 6 utterances; video missing in 3 (the video is not in the file 3)" in told.said
    assert "train: 1 rows begin before 0 s, read as 0" in told.said
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    assert metrics["all"]["n"] == 3
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["run"]["protocol"]["dataset"] == "mosei"
    assert written["run"]["protocol"]["rows_left_out"] == 0


def test_a_model_with_fewer_classes_of_another_corpus_is_scored_and_told_what_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(report, "pictures_of", lambda *_: ())
    made = tmp_path / "made"
    make_sample_mosei(made, clips=18, media=False)  # of which training rows are happy and sad
    labels = ["joy", "sadness"]
    settings = config(made, model={"modalities": ["text"], "labels": labels})
    run(settings, tmp_path / "run")
    metrics = evaluate(tmp_path / "run" / "best_model", settings.data, tmp_path / "out", Onlooker())
    truth = [p.rating.dominant for p in script(0, 18) if p.split == "test"]
    kept = [x for x in truth if x in ("happy", "sad")]
    assert 0 < len(kept) < len(truth) == 6
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
        "--labels",
        "happy",
        "sad",
        "angry",
        "neutral",
    ]
    assert main(["train", *flags, *small, "--output_dir", str(tmp_path / "run")]) == 0
    told = capsys.readouterr()
    assert "video missing in 2 (no such file 2)" in told.out + told.err
