"""Modality dropout without its draw: every subset of every utterance, each counting what it is likely."""

import json

import pytest
import torch

from corpora import feature_config, feature_corpus, run
from emobraid.fusion import FUSIONS
from emobraid.fusion.base import every_tensor
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, Stream, drop_modalities, keep_only, present, subsets
from emobraid.training.lesson import Lesson
from emobraid.training.objectives import Affect, Classification
from emobraid.training.subset_views import chances, every_view, view_losses, whole

NAMES = ("text", "audio", "video")
THERE = torch.tensor([[1, 1, 1], [1, 0, 1], [0, 1, 0], [0, 0, 0]], dtype=torch.bool)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


@pytest.fixture
def streams(random_stream):
    return {"audio": random_stream([1, 0, 1, 1], dim=4), "video": random_stream([5, 4, 0, 2], dim=3)}


LABELS = torch.eye(3)[[0, 1, 2, 0]]


def lesson(corpus, **changed):
    config = feature_config(corpus, audio_width=4, video_width=3, subset_views="all", augment=False, **changed)
    torch.manual_seed(0)
    model = MultimodalEmotionModel(config.model).eval()
    return Lesson(model=model, config=config, classification=Classification(torch.ones(3), 0.0), weights={})


def losses(one, batch):
    return one.losses(one.model, batch, range(4), step=0, progress=1.0, pretraining=False, autocast=torch.no_grad())


def test_views_are_all_subsets_and_the_last_keeps_everything():
    assert every_view(NAMES).tolist() == [[m in s for m in NAMES] for s in subsets(NAMES)]
    assert every_view(NAMES)[-1].all()


@pytest.mark.parametrize("rate", [0.2, 0.5, 0.8])
def test_a_subset_counts_as_often_as_dropout_draws_it(rate):
    """Held against the very draw that it stands in for, over rows that lack modalities of their own."""
    views, draws = every_view(NAMES), 20_000
    share = chances(THERE, views, rate)
    masks = {m: Stream(torch.zeros(4 * draws, 1), THERE[:, i].repeat(draws)[:, None]) for i, m in enumerate(NAMES)}
    left = present(drop_modalities(masks, rate, torch.Generator().manual_seed(1))).view(draws, 4, 3)
    for row in range(3):
        for kept in views:
            drawn = (left[:, row] == (kept & THERE[row])).all(dim=1).float().mean().item()
            same = ((views & THERE[row]) == (kept & THERE[row])).all(dim=1)  # views that leave the same of this row
            expected = share[row, same].sum().item() if (kept & THERE[row]).any() else 0.0
            assert drawn == pytest.approx(expected, abs=0.015)
    assert share.sum(dim=1).tolist() == pytest.approx([1, 1, 1, 0])  # where nothing is there, nothing counts


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_view_reads_what_a_batch_with_only_that_subset_reads(fusion, corpus, streams):
    config = feature_config(corpus, fusion_type=fusion, audio_width=4, video_width=3)
    model = MultimodalEmotionModel(config.model).eval()
    read = model(streams, every_view(config.model.modalities))
    for v, kept in enumerate(subsets(config.model.modalities)):
        alone = model.fuse(keep_only(model.encode(streams), kept))
        mine = every_tensor(read, lambda x, v=v: x[:, v])
        torch.testing.assert_close(mine.logits, alone.logits)
        torch.testing.assert_close(mine.features, alone.features)
        assert torch.equal(mine.present, alone.present)
    torch.testing.assert_close(whole(read).logits, model(streams).logits)


def test_the_loss_is_what_drawing_gives_on_average(corpus, streams):
    batch = Batch(tuple("abcd"), streams, LABELS)
    every = lesson(corpus, modality_dropout=0.4)
    expected = losses(every, batch)["classification"].item()
    with torch.no_grad():
        encoded, drawn = every.model.encode(streams), torch.Generator().manual_seed(0)
        found = [
            every.classification(every.model.fuse(drop_modalities(encoded, 0.4, drawn)), batch) for _ in range(2000)
        ]
    assert torch.stack(found).mean().item() == pytest.approx(expected, rel=0.01)


def test_agreement_is_asked_of_every_subset_with_the_whole(corpus, streams):
    one = lesson(corpus, modality_dropout=0.4, consistency_weight=2.0)
    found = losses(one, Batch(tuple("abcd"), streams, LABELS))
    with torch.no_grad():
        read = one.model(streams, every_view(("audio", "video"))).logits.log_softmax(-1)
    apart = (read[:, -1:].exp() * (read[:, -1:] - read)).sum(-1)  # (B, V)
    share = chances(present(streams), every_view(("audio", "video")), 0.4)
    assert found["consistency"].item() == pytest.approx(2 * (apart * share).sum().item() / 4, rel=1e-4)


def test_what_is_hidden_by_the_row_itself_or_unlabelled_counts_nowhere(corpus, streams):
    one = lesson(corpus, modality_dropout=0.4)
    unknown = LABELS.clone()
    unknown[1] = float("nan")
    some = losses(one, Batch(tuple("abcd"), streams, unknown))["classification"].item()
    kept = torch.tensor([0, 2, 3])
    rows = Batch(tuple("acd"), {m: s.rows(kept) for m, s in streams.items()}, LABELS[kept])
    assert losses(one, rows)["classification"].item() == pytest.approx(some, rel=1e-5)


def test_the_contrastive_loss_sees_each_utterance_once_and_affect_each_view(corpus, streams):
    config = feature_config(corpus, audio_width=4, video_width=3)
    model = MultimodalEmotionModel(config.model).eval()
    views = every_view(config.model.modalities)
    told = torch.tensor([[1.0], [2.0], [float("nan")], [0.5]])
    batch = Batch(tuple("abcd"), streams, LABELS, told)
    read = model(streams, views)
    read = read._replace(affect=read.features[..., :1])
    share = chances(present(streams), views, 0.3)

    def found(read, **weights):
        affect, classes = Affect(torch.ones(1)), Classification(torch.ones(3), 0.0)
        return view_losses(read, batch, share, classes, weights, affect, consistency=0.0, exclusive=True)

    once = found(read, alignment=0.5)["alignment"].item()

    def moved(view):
        other = read.embeddings.clone()
        other[:, view] = torch.randn(other[:, view].shape)
        return found(read._replace(embeddings=other), alignment=0.5)["alignment"].item()

    assert moved(0) == moved(1) == once > 0
    assert moved(-1) != once
    hidden = read._replace(affect=torch.where(share[..., None] > 0, read.affect, torch.tensor(1e6)))
    assert found(hidden, affect=1.0)["affect"].item() == pytest.approx(found(read, affect=1.0)["affect"].item())
    louder = read._replace(affect=read.affect + torch.tensor([1.0, 0.0, 0.0])[:, None])
    assert found(louder, affect=1.0)["affect"].item() != pytest.approx(found(read, affect=1.0)["affect"].item())


@pytest.mark.parametrize("kind", ["exclusive", "multi"])
def test_training_over_all_subsets_logs_its_losses_and_begins_whole_when_dropout_rises(tmp_path, corpus, kind):
    changed = {"modality_dropout_schedule": "rising", "consistency_weight": 0.5, "input_noise": 0.2}
    config = feature_config(corpus, subset_views="all", modality_dropout=0.5, label_kind=kind, **changed)
    run(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert "whole" in steps[0]  # nothing is hidden yet: a clean view is read beside the spoilt one
    assert all({"classification", "consistency"} <= set(s) and "whole" not in s for s in steps[1:])


def test_subsets_that_never_count_are_refused(tmp_path, corpus):
    with pytest.raises(ValueError, match="needs --modality_dropout above 0"):
        run(feature_config(corpus, subset_views="all", modality_dropout=0.0), tmp_path / "run")
