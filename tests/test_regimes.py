"""Regimes: what a step shows the model, what its reading is held against, and whom a student learns from."""

import json
import math

import pytest
import torch

from corpora import LABELS, Onlooker, feature_config, feature_corpus, run
from emobraid import checkpoint
from emobraid.cli import main
from emobraid.config import Config, DistillationConfig, ModelConfig, TrainingConfig
from emobraid.evaluation.retrieval import retrieval
from emobraid.fusion import FUSIONS, Fused
from emobraid.fusion.base import Imagined
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, Stream, keep_only
from emobraid.training.corruption import corrupt
from emobraid.training.distillation import KnowledgeDistillationModel, sized
from emobraid.training.guidance import (
    Guide,
    guided_losses,
    reconstruction,
    towards_distances,
    towards_likeness,
    towards_logits,
    towards_weights,
)
from emobraid.training.lesson import Lesson, beside, halves
from emobraid.training.objectives import Classification, belonging
from emobraid.training.signals import Interrupted

NAN = float("nan")
LN3 = math.log(3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


def drawn(seed=0):
    return torch.Generator().manual_seed(seed)


# --- corruption ---


def test_holes_take_no_more_than_their_share_and_never_all(random_stream):
    streams = {"audio": random_stream([400, 1, 0])}
    spoilt = corrupt(streams, drawn(), holes=0.5, noise=0, blur=0)["audio"]
    kept = spoilt.mask.sum(dim=1).tolist()
    assert 400 * 0.4 < kept[0] < 400  # half of them at most, give or take the draw
    assert kept[1:] == [1, 0]
    assert not (spoilt.mask & ~streams["audio"].mask).any()
    assert torch.equal(spoilt.values, streams["audio"].values)


def test_noise_is_measured_in_spreads_and_words_take_none(random_stream):
    one = random_stream([2000, 2000])
    louder = Stream(one.values * 50, one.mask)
    words = Stream(torch.randint(0, 9, (2, 5)), torch.ones(2, 5, dtype=torch.bool))
    spoilt = corrupt({"a": one, "b": louder, "text": words}, drawn(), holes=0, noise=0.5, blur=0)
    quiet, loud = ((spoilt[m].values - s.values).std(dim=(1, 2)) for m, s in (("a", one), ("b", louder)))
    assert (quiet < 0.55).all()
    assert (quiet > 0).all()
    assert 0 < loud.max().item() / 50 < 0.55
    assert spoilt["text"].values is words.values


def test_a_feature_in_small_units_is_not_drowned_by_one_in_large_ones(random_stream):
    one = random_stream([3000])
    units = torch.logspace(-3, 3, one.values.shape[-1])
    mixed = Stream(one.values * units, one.mask)
    spoilt = corrupt({"a": mixed}, drawn(), holes=0, noise=0.5, blur=0)["a"]
    shares = (spoilt.values - mixed.values).std(dim=1) / mixed.values.std(dim=1)  # (1, D)
    assert shares.min() > 0.9 * shares.max()
    assert 0 < shares.max() < 0.55


def test_blur_smooths_pictures_of_chosen_clips_alone_and_leaves_features():
    board = (torch.arange(8)[:, None] + torch.arange(8)[None]) % 2 * 200
    grey = Stream(board.byte().expand(2, 3, 8, 8).clone(), torch.ones(2, 3, dtype=torch.bool))
    colour = Stream(grey.values[..., None].repeat(1, 1, 1, 1, 3), grey.mask)
    layers = Stream(torch.randn(2, 3, 8, 8), grey.mask)
    spoilt = corrupt({"g": grey, "c": colour, "l": layers}, drawn(), holes=0, noise=0, blur=1.0)
    inside = spoilt["g"].values[..., 2:-2, 2:-2].float()
    assert (inside - 100).abs().max() < 12  # a checkerboard of 0 and 200 becomes grey
    assert spoilt["g"].values.dtype == torch.uint8
    assert torch.equal(spoilt["c"].values[..., 0], spoilt["g"].values)
    assert spoilt["l"].values is layers.values
    untouched = corrupt({"g": grey}, drawn(), holes=0, noise=0, blur=1e-9)["g"]
    assert torch.equal(untouched.values, grey.values)


def test_the_same_generator_spoils_the_same_way(random_stream):
    streams = {"a": random_stream([9, 4])}
    one, two, other = (corrupt(streams, drawn(s), holes=0.5, noise=1.0, blur=0)["a"] for s in (3, 3, 4))
    assert torch.equal(one.values, two.values)
    assert torch.equal(one.mask, two.mask)
    assert not torch.equal(one.values, other.values)


# --- guidance, by hand ---


def test_agreeing_with_the_guide_costs_nothing():
    logits, features = torch.randn(4, 3), torch.randn(4, 5)
    weights = torch.tensor([[0.25, 0.75]] * 4)
    assert towards_logits(logits, logits, temperature=3.0).item() == pytest.approx(0, abs=1e-6)
    assert towards_logits(logits, logits, exclusive=False).item() == pytest.approx(0, abs=1e-6)
    assert towards_likeness(features, features).item() == pytest.approx(0, abs=1e-6)
    assert towards_distances(features, 7 * features).item() == pytest.approx(0, abs=1e-5)  # a scale says nothing
    assert towards_weights(weights, weights).item() == pytest.approx(0, abs=1e-6)


def test_the_logit_loss_is_the_divergence_from_the_teacher_times_the_temperature_squared():
    student, teacher = torch.zeros(1, 2), torch.tensor([[2 * LN3, 0.0]])  # at temperature 2: 1/2, 1/2 and 3/4, 1/4
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert towards_logits(student, teacher, temperature=2.0).item() == pytest.approx(expected, rel=1e-5)


def test_classes_that_do_not_exclude_each_other_are_led_one_by_one():
    student, teacher = torch.zeros(1, 2), torch.tensor([[LN3, 0.0]])  # 1/2, 1/2 and 3/4, 1/2
    expected = (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)) / 2
    assert towards_logits(student, teacher, exclusive=False).item() == pytest.approx(expected, rel=1e-5)


def test_distances_are_compared_by_their_ratio_to_the_mean():
    # on a line at 0, 1, 3: distances 1, 3, 2, mean 2; the guide's three are alike
    student = torch.tensor([[0.0], [1.0], [3.0]])
    guide = torch.eye(3)
    # 0.5, 1.5, 1 against 1, 1, 1: smooth L1 is half the square
    assert towards_distances(student, guide).item() == pytest.approx((0.125 + 0.125 + 0) / 3, rel=1e-5)
    assert towards_distances(student[:1], guide[:1]).item() == 0


def test_the_guides_weights_are_spread_over_what_the_student_saw():
    student = torch.tensor([[0.5, 0.5, 0.0]])
    guide = torch.tensor([[0.6, 0.2, 0.2]])  # without the third: 3/4, 1/4
    expected = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert towards_weights(student, guide).item() == pytest.approx(expected, rel=1e-5)


def test_only_losses_with_a_weight_are_named():
    read = Fused(torch.randn(3, 2), torch.randn(3, 4), torch.randn(3, 2, 4), torch.ones(3, 2) > 0)
    guide = Guide(torch.randn(3, 2), torch.randn(3, 9))
    asked = {"logit": 1.0, "feature": 0.0, "relation": 0.5, "attention": 1.0}
    assert set(guided_losses(read, guide, asked, temperature=2.0, exclusive=True)) == {"logit", "relation"}


def test_reconstruction_counts_what_was_there_and_could_be_told():
    guessed = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [1.0, 0.0]]])
    actual = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 9.0], [0.0, 0.0]]])
    there = torch.tensor([[True, True], [True, False]])
    told = torch.tensor([[True, True], [False, True]])  # the second utterance has one modality: nobody tells of it
    assert reconstruction(Imagined(guessed, actual, told), there).item() == pytest.approx((0 + 1) / 2)


def test_without_labels_only_the_modalities_of_one_utterance_attract():
    points = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 1.0], [0.0, 1.0]]])
    seen = torch.ones(2, 2, dtype=torch.bool)
    # each point: partner at 1, two others at 0
    assert belonging(points, seen, temperature=1.0).item() == pytest.approx(math.log(math.e + 2) - 1)
    alone = belonging(points, torch.tensor([[True, False], [False, True]]))
    assert alone.item() == 0


# --- views ---


def lesson(config):
    return Lesson(
        model=MultimodalEmotionModel(config.model),
        config=config,
        classification=Classification(torch.ones(3), 0.0),
        weights={},
    )


def test_two_views_are_read_in_one_pass_and_parted_again(random_stream):
    one, other = random_stream([3, 2]), random_stream([3, 0])
    both = beside({"a": one}, {"a": other})["a"]
    assert both.values.shape[0] == 4
    read = Fused(both.values[:, 0], both.values[:, 1], both.values, both.mask, imagined=Imagined(*[both.values] * 3))
    first, second = halves(read)
    assert torch.equal(first.logits, one.values[:, 0])
    assert torch.equal(second.present, other.mask)
    assert torch.equal(second.imagined.told, other.values)
    assert first.unimodal is None


def test_a_rising_dropout_begins_at_nothing_and_is_whole_at_half_time(corpus):
    rising = lesson(
        feature_config(corpus, modality_dropout=0.4, modality_dropout_schedule="rising", audio_width=4, video_width=3)
    )
    assert [rising.dropout_rate(p) for p in (0.0, 0.25, 0.5, 1.0)] == pytest.approx([0, 0.2, 0.4, 0.4])
    constant = lesson(feature_config(corpus, modality_dropout=0.4, audio_width=4, video_width=3))
    assert constant.dropout_rate(0.0) == 0.4


def test_the_whole_view_is_varied_as_the_spoilt_one_is_and_loses_nothing(corpus, random_stream):
    config = feature_config(
        corpus, modality_dropout=0.9, position_dropout=0.5, consistency_weight=1.0, audio_width=4, video_width=3
    )
    streams = {"audio": random_stream([1] * 32, dim=4), "video": random_stream([5] * 32, dim=3)}
    batch = Batch(tuple(map(str, range(32))), streams, torch.eye(3)[torch.arange(32) % 3])
    view, whole = lesson(config)._views(batch, 7, 0.9)
    assert torch.equal(view["video"].values, whole["video"].values)  # the same noise in both
    assert not torch.equal(whole["video"].values, streams["video"].values)
    assert all(torch.equal(whole[m].mask, s.mask) for m, s in streams.items())
    assert sum(s.present.sum() for s in view.values()) < 64


def test_voices_are_changed_and_faces_beside_them_are_not(random_stream):
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_type": "late", "modalities": ("audio", "motion")}
    model = ModelConfig(**small, motion_width=3)
    views = []
    for most in (0.0, 0.2):
        training = TrainingConfig(augment=False, modality_dropout=0.0, voice_change=most)
        streams = {"audio": Stream(torch.ones(2, 9, 67), torch.ones(2, 9, dtype=torch.bool))}
        streams["motion"] = Stream(torch.ones(2, 4, 3), torch.ones(2, 4, dtype=torch.bool))
        batch = Batch(("a", "b"), streams, torch.eye(7)[:2])
        views.append(lesson(Config(model=model, training=training))._views(batch, 7, 0.0)[0])
    assert torch.equal(views[0]["audio"].values, torch.ones(2, 9, 67))
    assert not torch.equal(views[1]["audio"].values, torch.ones(2, 9, 67))
    assert torch.equal(views[1]["motion"].values, torch.ones(2, 4, 3))


def test_robust_training_logs_every_loss_by_name_and_resumes_bit_for_bit(tmp_path, corpus):
    config = feature_config(
        corpus,
        consistency_weight=1.0,
        position_dropout=0.3,
        input_noise=0.2,
        fill_missing=True,
        reconstruction_weight=0.5,
        save_every=2,
    )
    run(config, tmp_path / "whole")
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert {"classification", "whole", "consistency", "reconstruction"} <= set(lines[0])

    def stop(standing):
        if standing.step == 5:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        run(config, tmp_path / "parts", reporter=Onlooker(at_step=stop))
    run(config, tmp_path / "parts", resume=True)
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    weights = "best_model/model.safetensors"
    assert (tmp_path / "parts" / weights).read_bytes() == (tmp_path / "whole" / weights).read_bytes()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"reconstruction_weight": 1.0}, "needs --fill_missing"),
        ({"fill_missing": True}, "needs --reconstruction_weight"),
        ({"pretrain_epochs": 1, "modalities": ["audio"]}, "this model has one"),
        ({"voice_change": 0.1}, "for the compact voice encoder"),
    ],
)
def test_settings_that_nothing_listens_to_are_refused(tmp_path, corpus, changed, said):
    with pytest.raises(ValueError, match=said):
        run(feature_config(corpus, **changed), tmp_path / "run")
    assert not (tmp_path / "run").exists()


# --- imagining what is missing ---


@pytest.mark.parametrize("fusion", FUSIONS)
def test_an_imagined_modality_neither_counts_as_present_nor_depends_on_what_a_mask_hides(fusion, corpus, random_stream):
    config = feature_config(
        corpus, fusion_type=fusion, fill_missing=True, reconstruction_weight=1.0, audio_width=4, video_width=3
    )
    model = MultimodalEmotionModel(config.model).eval()
    streams = {"audio": random_stream([1, 0, 1, 0], dim=4), "video": random_stream([5, 4, 0, 0], dim=3)}
    read = model(streams)
    assert read.present.tolist() == [[True, True], [False, True], [True, False], [False, False]]
    assert not read.embeddings[~read.present].any()
    if read.weights is not None:
        assert not read.weights[~read.present].any()
    hidden = {
        m: Stream(torch.where(s.mask[..., None], s.values, torch.tensor(NAN)), s.mask) for m, s in streams.items()
    }
    torch.testing.assert_close(model(hidden).logits, read.logits)
    alone = model({m: s.rows(torch.tensor([1])) for m, s in streams.items()})
    torch.testing.assert_close(alone.logits, read.logits[1:2], atol=1e-5, rtol=1e-4)
    # what is imagined reaches the reading
    plain = model.fusion(model.encode(streams)).logits
    assert not torch.allclose(plain[1], read.logits[1])
    read.logits.sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())


# --- pretraining without labels ---


def test_pretraining_looks_at_no_label_and_rows_without_one_count(tmp_path):
    data = feature_corpus(tmp_path / "data")
    for split in ("train", "val"):
        table = data / f"{split}.csv"
        table.write_text(
            "\n".join(line.rpartition(",")[0] + "," for line in table.read_text().splitlines()).replace(
                "video_path,", "video_path,emotion"
            )
        )
    config = feature_config(data, pretrain_epochs=3, num_epochs=3)
    outcome = run(config, tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {k for line in lines for k in line} == {
        *("step", "epoch", "loss", "belonging", "lr", "grad_norm", "train_loss"),
        *("val_belonging", "val_recall_at_10", "best"),
    }
    assert outcome.steps == 9
    assert checkpoint.load_model(tmp_path / "run" / "best_model")[0].config.labels == LABELS
    with pytest.raises(ValueError, match="no labelled row"):
        run(feature_config(data, pretrain_epochs=2, num_epochs=3), tmp_path / "other")


def test_after_pretraining_the_labelled_epochs_begin_with_a_schedule_of_their_own_and_nothing_to_beat(tmp_path, corpus):
    outcome = run(feature_config(corpus, pretrain_epochs=2, num_epochs=4, warmup=0.5), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps = [line for line in lines if "loss" in line]
    assert [("belonging" in s) for s in steps] == [True] * 6 + [False] * 6
    assert [s["lr"] for s in steps[:3]] == [s["lr"] for s in steps[6:9]]  # warming up twice
    epochs = [line for line in lines if "val_macro_f1" in line]
    assert epochs[0]["best"] is True
    assert outcome.best_epoch >= 2
    assert outcome.best_macro_f1 == max(e["val_macro_f1"] for e in epochs)


def test_retrieval_finds_the_partner_of_each_utterance_among_those_that_have_both():
    embeddings = torch.tensor([[[1.0, 0.0], [1.0, 0.1]], [[0.0, 1.0], [1.0, 0.0]], [[1.0, 1.0], [0.0, 0.0]]])
    present = torch.tensor([[True, True], [True, True], [True, False]])
    there, back = retrieval(embeddings, present, ("text", "audio"))
    assert (there.query, there.target, there.n) == ("text", "audio", 2)
    # text 0 (0 degrees): audio 1 lies at 0, its own at 6 degrees; text 1 (90): its own is farther than audio 0
    assert there.recall[1] == 0.0
    assert there.median_rank == 2
    # audio 0: text 0 is nearest, its own; audio 1: text 0 too, and its own comes second
    assert back.recall[1] == 0.5
    assert back.chance[1] == 0.5


# --- distillation ---


@pytest.fixture(scope="module")
def teacher(tmp_path_factory, corpus):
    folder = tmp_path_factory.mktemp("teacher")
    run(feature_config(corpus, fusion_type="hierarchical", encoder_dim=16, fusion_hidden_size=16), folder)
    return folder / "best_model"


def taught(corpus, teacher, **changed):
    lessons = changed.pop("lessons", {})
    return Config(
        model=feature_config(corpus, **changed).model,
        training=feature_config(corpus, **changed).training,
        data=feature_config(corpus, **changed).data,
        distillation=DistillationConfig(teacher_model=teacher, **lessons),
    )


def test_the_teacher_never_learns_nor_leaves_evaluation_mode(teacher, corpus, random_stream):
    large, config, *_ = checkpoint.load_model(teacher)
    before = {k: v.clone() for k, v in large.state_dict().items()}
    pair = KnowledgeDistillationModel(large, sized(config.model, "tiny")).train()
    assert pair.student.training
    assert not any(m.training for m in pair.teacher.modules())
    streams = {"audio": random_stream([1, 1], dim=4), "video": random_stream([5, 0], dim=3)}
    guide = pair.guide(streams)
    assert not guide.logits.requires_grad
    towards_logits(pair(streams).logits, guide.logits).backward()
    assert all(p.grad is None for p in pair.teacher.parameters())
    assert any(p.grad is not None for p in pair.student.parameters())
    assert all(torch.equal(before[k], v) for k, v in pair.teacher.state_dict().items())


def test_a_student_may_read_fewer_modalities_and_its_classes_may_be_in_another_order(teacher, corpus, random_stream):
    large, *_ = checkpoint.load_model(teacher)
    changed = feature_config(corpus, modalities=["video"], labels=["angry", "happy", "sad"], video_width=3).model
    pair = KnowledgeDistillationModel(large, changed)
    streams = {"audio": random_stream([1, 1], dim=4), "video": random_stream([5, 2], dim=3)}
    assert pair(streams).logits.shape == (2, 3)
    columns = [LABELS.index(name) for name in changed.labels]
    torch.testing.assert_close(pair.guide(streams).logits, large(streams).logits[:, columns])
    assert pair.guide(keep_only(streams, ["audio"])).logits.isfinite().all()


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            {"labels": [*LABELS, "fear"]},
            "the teacher's classes are happy, sad, angry, the student's happy, sad, angry, fear",
        ),
        ({"modalities": ["text", "audio"]}, "the teacher does not read text"),
    ],
)
def test_a_student_that_cannot_learn_from_this_teacher_is_refused_in_one_line(teacher, corpus, changed, said, tmp_path):
    with pytest.raises(ValueError, match=said):
        run(taught(corpus, teacher, **changed), tmp_path / "run")


def test_the_teacher_reads_each_utterance_once_and_a_resumed_run_not_at_all(tmp_path, corpus, teacher, monkeypatch):
    asked = []
    real = KnowledgeDistillationModel.guide
    monkeypatch.setattr(KnowledgeDistillationModel, "guide", lambda *a: asked.append(1) or real(*a))
    lessons = {"feature_weight": 0.1, "relation_weight": 0.1, "attention_weight": 0.1}
    config = taught(corpus, teacher, lessons=lessons, fusion_type="adaptive", save_every=2)
    run(config, tmp_path / "whole")
    assert len(asked) == 1  # 24 utterances, one batch
    lines = [json.loads(line) for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert {"classification", "logit", "feature", "relation", "attention"} <= set(lines[0])

    def stop(standing):
        if standing.step == 5:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        run(config, tmp_path / "parts", reporter=Onlooker(at_step=stop))
    run(config, tmp_path / "parts", resume=True)
    assert len(asked) == 2
    assert (tmp_path / "parts" / "metrics.jsonl").read_bytes() == (tmp_path / "whole" / "metrics.jsonl").read_bytes()
    # a changed setting asks the teacher again
    run(taught(corpus, teacher, modalities=["video"]), tmp_path / "whole", overwrite=True)
    assert len(asked) == 3


def test_with_the_teacher_alone_a_student_comes_to_say_what_it_says(tmp_path, corpus, teacher):
    def gap(lessons):
        config = taught(corpus, teacher, lessons=lessons, num_epochs=25, patience=25, modality_dropout=0.0)
        folder = tmp_path / str(sorted(lessons))
        run(config, folder)
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        steps = [line["logit"] for line in lines if "logit" in line]
        return steps[0], steps[-1]

    first, last = gap({"label_weight": 0.0})
    assert last < 0.5 * first


def test_the_command_needs_a_teacher_and_says_so(tmp_path, corpus, capsys):
    assert main(["train", "--mode", "distillation", "--data_root", str(corpus)]) == 2
    assert "--mode distillation needs --teacher_model" in capsys.readouterr().err
    assert main(["train", "--student_size", "tiny", "--data_root", str(corpus)]) == 2
    assert "settings of distillation need --teacher_model" in capsys.readouterr().err


def test_a_mode_lays_its_recipe_over_the_named_one_and_flags_hold_over_both(capsys):
    assert main(["train", "--mode", "robust", "--config", "sample", "--blur", "0.1", "--print_config"]) == 0
    shown = capsys.readouterr().out
    assert 'modality_dropout_schedule = "rising"' in shown  # sample leaves it constant
    assert "encoder_dim = 96" in shown
    assert "blur = 0.1" in shown
