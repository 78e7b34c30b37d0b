"""The standard recipe: what is minimised, by which steps, when it stops, and what it leaves behind."""

import json
import math
import signal

import pytest
import torch
from torch import nn

import corpora
from corpora import Onlooker, feature_config, feature_corpus, results, run
from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.corpus import Corpus
from emobraid.fusion import Fused
from emobraid.stream import Batch
from emobraid.training import lesson
from emobraid.training import trainer as training
from emobraid.training.card import base_facts
from emobraid.training.objectives import Classification, alignment, class_weights, weighted_losses
from emobraid.training.optimization import optimizer_for, schedule
from emobraid.training.run import objective_weights
from emobraid.training.run_folder import only_trainer
from emobraid.training.signals import StopRequests
from emobraid.training.trainer import NonFiniteLoss

NAN = float("nan")
LN3 = math.log(3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return feature_corpus(tmp_path_factory.mktemp("corpus") / "data")


# --- the formulas, by hand ---


def test_class_weights_are_inverse_roots_of_frequency_with_mean_one_over_the_rows():
    labels = torch.tensor([[1.0, 0, 0]] * 4 + [[0, 1.0, 0]] + [[NAN] * 3] * 2)
    # 1/sqrt(4) and 1/sqrt(1); over the five labelled rows their mean is (4 x 0.5 + 1) / 5 = 0.6
    assert class_weights(labels, True).tolist() == pytest.approx([0.5 / 0.6, 1 / 0.6, 1.0])
    assert class_weights(labels, False).tolist() == [1, 1, 1]


def test_the_learning_rate_rises_linearly_and_falls_as_a_cosine_to_zero():
    shares = [schedule(step, 10, 0.2) for step in range(11)]
    assert shares[:3] == [0.5, 1.0, 1.0]
    assert shares[4] == pytest.approx(0.5 * (1 + math.sqrt(0.5)))  # a quarter of the way down: cos 45 degrees
    assert shares[6] == pytest.approx(0.5)
    assert shares[10] == 0
    assert [schedule(step, 3, 0.0) for step in (0, 1)] == [1.0, 1.0]


def test_only_matrices_decay():
    model = nn.Sequential(nn.Linear(3, 2), nn.LayerNorm(2))
    decaying, others = optimizer_for(model, Config(), fused=True).param_groups
    assert (decaying["weight_decay"], others["weight_decay"]) == (0.01, 0.0)
    assert [p is model[0].weight for p in decaying["params"]] == [True]
    assert {id(p) for p in others["params"]} == {id(model[0].bias), id(model[1].weight), id(model[1].bias)}


def fused(logits, **more):
    rows = len(logits)
    rest = {"features": torch.zeros(rows, 1), "embeddings": torch.zeros(rows, 1, 1), "present": torch.ones(rows, 1) > 0}
    return Fused(logits=torch.tensor(logits), **(rest | more))


def asked(labels):
    return Batch(tuple("abc"[: len(labels)]), {}, torch.tensor(labels))


def test_classification_is_a_class_weighted_cross_entropy_over_labelled_rows():
    prediction = fused([[LN3, 0.0], [LN3, 0.0], [5.0, 5.0]])  # says 3/4 and 1/4
    batch = asked([[1.0, 0.0], [0.0, 1.0], [NAN, NAN]])
    weigh = Classification(torch.tensor([1.0, 3.0]), smoothing=0.0)
    expected = (1 * math.log(4 / 3) + 3 * math.log(4)) / 4
    assert weigh(prediction, batch).item() == pytest.approx(expected)


def test_label_smoothing_gives_each_class_a_share_of_the_target():
    weigh = Classification(torch.ones(2), smoothing=0.2)
    # target 0.9 and 0.1 against 3/4 and 1/4
    expected = 0.9 * math.log(4 / 3) + 0.1 * math.log(4)
    assert weigh(fused([[LN3, 0.0]]), asked([[1.0, 0.0]])).item() == pytest.approx(expected)


def test_a_batch_without_any_label_costs_nothing_and_has_a_finite_gradient():
    logits = torch.zeros(2, 2, requires_grad=True)
    loss = Classification(torch.ones(2), 0.1)(fused([[0.0, 0.0]])._replace(logits=logits), asked([[NAN, NAN]] * 2))
    loss.backward()
    assert loss.item() == 0
    assert logits.grad.abs().sum().item() == 0


def test_a_modality_that_was_not_seen_does_not_count_in_the_unimodal_loss():
    unimodal = torch.tensor([[[LN3, 0.0], [0.0, LN3]], [[LN3, 0.0], [0.0, 9.0]]])
    seen = torch.tensor([[True, True], [True, False]])
    prediction = fused([[0.0, 0.0]] * 2, unimodal=unimodal, present=seen)
    loss = Classification(torch.ones(2), 0.0).unimodal(prediction, asked([[1.0, 0.0]] * 2))
    assert loss.item() == pytest.approx((2 * math.log(4 / 3) + math.log(4)) / 3)


def test_alignment_pulls_together_what_shares_an_emotion_or_an_utterance():
    # three points: utterance 0 in two modalities (0 and 90 degrees), utterance 1 of the other class at 0 degrees
    embeddings = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.0], [7.0, 7.0]]])
    seen = torch.tensor([[True, True], [True, False]])
    prediction = fused([[0.0, 0.0]] * 2, embeddings=embeddings, present=seen)
    loss = alignment(prediction, asked([[1.0, 0.0], [0.0, 1.0]]), temperature=1.0)
    # first point: its partner at similarity 0 among {0, 1}; second: partner at 0 among {0, 0}; the third has no partner
    expected = (math.log(1 + math.e) + math.log(2)) / 2
    assert loss.item() == pytest.approx(expected)


def test_losses_are_weighted_named_and_left_out_where_the_fusion_gives_nothing():
    prediction = fused([[LN3, 0.0]], members=torch.tensor([[[LN3, 0.0], [LN3, 0.0]]]))
    weights = {"unimodal": 1.0, "members": 0.5, "alignment": 0.0}
    losses = weighted_losses(prediction, asked([[1.0, 0.0]]), Classification(torch.ones(2), 0.0), weights)
    assert {k: v.item() for k, v in losses.items()} == pytest.approx(
        {"classification": math.log(4 / 3), "members": 0.5 * math.log(4 / 3)}
    )


def test_a_weight_for_a_loss_that_the_fusion_lacks_is_refused(tmp_path, corpus):
    config = feature_config(corpus, fusion_type="early", members_weight=0.5)
    with pytest.raises(ValueError, match="members_weight: early fusion has no such output"):
        objective_weights(config)
    assert objective_weights(feature_config(corpus, fusion_type="hierarchical", members_weight=0.25))["members"] == 0.25


# --- a run ---


def test_the_metrics_log_tells_every_step_and_every_epoch_and_no_times(tmp_path, corpus):
    outcome = run(feature_config(corpus), tmp_path / "run")
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    steps, epochs = [r for r in lines if "loss" in r], [r for r in lines if "val_loss" in r]
    assert [r["step"] for r in steps] == list(range(1, 10))  # 24 utterances, 8 a batch, 3 epochs
    assert [(r["epoch"], r["step"]) for r in epochs] == [(0, 3), (1, 6), (2, 9)]
    assert set(steps[0]) == {"step", "epoch", "loss", "classification", "unimodal", "lr", "grad_norm"}
    assert set(epochs[0]) == {"step", "epoch", "train_loss", "val_loss", "val_macro_f1", "val_accuracy", "best"}
    assert [r["lr"] for r in steps[:2]] == [0.01, 0.01]  # 5 % of 9 steps: one step of warmup
    assert epochs[0]["train_loss"] == pytest.approx(sum(r["loss"] for r in steps[:3]) / 3)
    best = max(epochs, key=lambda r: (r["val_macro_f1"], -r["val_loss"]))
    assert (outcome.best_epoch, outcome.best_macro_f1, outcome.steps) == (best["epoch"], best["val_macro_f1"], 9)


def test_the_same_seed_gives_the_same_bytes_twice_and_another_seed_others(tmp_path, corpus):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        run(feature_config(corpus, seed=seed), tmp_path / name)
    assert results(tmp_path / "a") == results(tmp_path / "b")
    assert not set(results(tmp_path / "a").values()) & set(results(tmp_path / "c").values())


def test_the_number_of_decoders_changes_nothing(tmp_path):
    data = corpora.clip_corpus(tmp_path / "data")
    for workers in (1, 2):
        run(corpora.clip_config(data, workers=workers), tmp_path / str(workers))
    assert results(tmp_path / "1") == results(tmp_path / "2")


def test_the_best_model_is_the_one_of_the_best_epoch_and_training_stops_when_patience_ends(
    tmp_path, corpus, monkeypatch
):
    scores = [(0.5, 1.0), (0.6, 1.0), (0.6, 0.9), (0.6, 0.95), (0.4, 0.1), (0.9, 0.0)]
    weights = []

    def scored(self):
        weights.append({k: v.clone() for k, v in self.raw_model.state_dict().items()})
        f1, loss = scores[len(weights) - 1]
        return {"val_macro_f1": f1, "val_loss": loss, "val_accuracy": 0.0}

    monkeypatch.setattr(training.Trainer, "_scores", scored)
    outcome = run(feature_config(corpus, num_epochs=10, patience=2), tmp_path / "run")
    assert len(weights) == 5  # epochs 3 and 4 were no better than epoch 2, whose loss beat that of epoch 1
    assert (outcome.best_epoch, outcome.best_macro_f1, outcome.steps) == (2, 0.6, 15)
    kept = checkpoint.load_model(tmp_path / "run" / "best_model")[0].state_dict()
    assert all(torch.equal(kept[k], v) for k, v in weights[2].items())
    assert not all(torch.equal(kept[k], v) for k, v in weights[4].items())


def test_modality_dropout_hides_modalities_from_the_student_alone_and_always_leaves_one(tmp_path, corpus, monkeypatch):
    seen, asked_for, validated = [], [], []

    def looked_at(batch_streams, model):
        (seen if model.training else validated).append(
            torch.stack([s.present for s in batch_streams.values()], dim=1).clone()
        )

    real_forward = training.MultimodalEmotionModel.forward
    real_losses = lesson.weighted_losses

    def forward(self, streams):
        looked_at(streams, self)
        return real_forward(self, streams)

    def losses(prediction, batch, *rest):
        asked_for.append(torch.stack([s.present for s in batch.streams.values()], dim=1))
        return real_losses(prediction, batch, *rest)

    monkeypatch.setattr(training.MultimodalEmotionModel, "forward", forward)
    monkeypatch.setattr(lesson, "weighted_losses", losses)
    run(feature_config(corpus, modality_dropout=0.5), tmp_path / "run")
    student, there = torch.cat(seen), torch.cat(asked_for)
    assert student.shape == (72, 2)  # 24 utterances, 3 epochs
    assert (student <= there).all()
    assert student.any(dim=1).all()
    both = there.all(dim=1)
    lost = both & ~student.all(dim=1)
    # of a pair at rate 1/2 each, one is lost unless both survive: 3/4 of the draws; 4 standard deviations around it
    share = lost.sum() / both.sum()
    assert 0.5 < share.item() < 0.95
    assert there[:24].all(dim=1).sum() == sum(i % 7 != 3 and i % 5 != 4 for i in range(24))  # the corpus' own gaps


def test_training_at_rate_zero_hides_nothing(tmp_path, corpus, monkeypatch):
    seen = []
    real = lesson.weighted_losses

    def losses(prediction, batch, *rest):
        seen.append((prediction.present, torch.stack([s.present for s in batch.streams.values()], dim=1)))
        return real(prediction, batch, *rest)

    monkeypatch.setattr(lesson, "weighted_losses", losses)
    run(feature_config(corpus, modality_dropout=0.0, num_epochs=1), tmp_path / "run")
    assert all(torch.equal(shown, there) for shown, there in seen)


def test_accumulated_gradients_are_clipped(tmp_path, corpus, monkeypatch):
    norms = []
    real = training.Trainer._step

    def step(self, batch):
        real(self, batch)
        grads = [p.grad for p in self.raw_model.parameters() if p.grad is not None]
        norms.append(torch.stack([g.norm() for g in grads]).norm().item())

    monkeypatch.setattr(training.Trainer, "_step", step)
    run(feature_config(corpus, clip_norm=0.01, num_epochs=1), tmp_path / "run")
    assert norms == pytest.approx([0.01] * 3, rel=1e-3)  # longer before, as the log tells
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert all(r["grad_norm"] > 0.01 for r in logged if "grad_norm" in r)


# --- what stops it ---


def contents(folder):
    return {
        p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file() and p.name != "metrics.jsonl"
    }


def test_a_loss_that_is_no_number_stops_with_the_batch_named_and_overwrites_nothing(tmp_path, corpus, monkeypatch):
    real = lesson.weighted_losses
    before, batches = {}, []

    def broken(prediction, batch, *rest):
        losses = real(prediction, batch, *rest)
        batches.append(batch.ids)
        if len(batches) < 5:
            return losses
        before.update(contents(tmp_path / "run"))
        return {**losses, "classification": losses["classification"] * NAN}

    monkeypatch.setattr(lesson, "weighted_losses", broken)
    with pytest.raises(NonFiniteLoss, match=r"loss nan, .* at step 4 .* nothing was overwritten") as stop:
        run(feature_config(corpus, num_epochs=2, save_every=1), tmp_path / "run")
    assert ", ".join(batches[4]) in str(stop.value)
    assert "\n" not in str(stop.value)
    assert before == contents(tmp_path / "run")
    assert {p.name for p in (tmp_path / "run" / "resume").iterdir()} == {"step-00000003", "step-00000004"}


def test_an_infinite_gradient_stops_as_well(tmp_path, corpus, monkeypatch):
    real = lesson.weighted_losses

    def steep(prediction, batch, *rest):
        # the root of zero: a finite value with an infinite slope
        return {**real(prediction, batch, *rest), "root": (prediction.logits * 0).sum().sqrt()}

    monkeypatch.setattr(lesson, "weighted_losses", steep)
    with pytest.raises(NonFiniteLoss, match="gradient norm nan at step 0"):
        run(feature_config(corpus), tmp_path / "run")


def test_weights_that_explode_in_the_last_step_of_an_epoch_are_met_in_validation_and_not_kept(tmp_path, corpus):
    with pytest.raises(NonFiniteLoss, match=r"validation after step 1: the logits of 'val-2' .* not finite"):
        run(feature_config(corpus, learning_rate=1e30, batch_size=24), tmp_path / "run")
    assert [p.name for p in (tmp_path / "run" / "resume").iterdir()] == ["step-00000000"]
    assert not (tmp_path / "run" / "best_model").exists()


def test_a_split_without_labels_is_refused_before_anything_is_written(tmp_path):
    data = feature_corpus(tmp_path / "data")
    corpora.write_table(data / "val.csv", [["", "arrays.npz#audio[0]", "", ""]])
    with pytest.raises(ValueError, match=r"val\.csv has no labelled row"):
        run(feature_config(data), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_unlabelled_rows_train_nothing_but_do_no_harm(tmp_path):
    data = feature_corpus(tmp_path / "data")
    table = (data / "train.csv").read_text()
    (data / "train.csv").write_text(table + "no label,arrays.npz#audio[0],,\n")
    assert run(feature_config(data), tmp_path / "run").steps == 12  # 25 rows, 8 a batch
    log = (tmp_path / "run" / "metrics.jsonl").read_text()
    assert "NaN" not in log


def test_a_second_trainer_is_refused_and_told_who_is_there(tmp_path, corpus):
    folder = tmp_path / "run"
    folder.mkdir()
    with (
        only_trainer(folder),
        pytest.raises(ValueError, match=r'run is in use by another training: {"pid": \d+, "since": '),
    ):
        run(feature_config(corpus), folder)
    assert sorted(p.name for p in folder.iterdir()) == [".lock", ".trainer.json"]
    run(feature_config(corpus, num_epochs=1), folder)  # the lock has gone with its owner, the files have not


def test_a_second_trainer_that_would_overwrite_takes_nothing_away(tmp_path, corpus):
    folder = tmp_path / "run"
    run(feature_config(corpus, num_epochs=1), folder)
    before = results(folder)
    with only_trainer(folder), pytest.raises(ValueError, match="in use by another training"):
        run(feature_config(corpus, num_epochs=1), folder, overwrite=True)
    assert results(folder) == before


def test_a_run_is_neither_trained_over_nor_taken_away_unless_asked(tmp_path, corpus):
    folder, config = tmp_path / "run", feature_config(corpus, num_epochs=1)
    run(config, folder)
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    with pytest.raises(ValueError, match="holds a run already: --resume continues it, --overwrite starts anew"):
        run(feature_config(corpus, num_epochs=1, seed=3), folder)
    with pytest.raises(ValueError, match="give one of them"):
        run(config, folder, resume=True, overwrite=True)
    assert contents(folder) == before
    run(feature_config(corpus, num_epochs=1, seed=3), folder, overwrite=True)
    assert (folder / "notes.txt").read_text() == "mine"
    assert contents(folder) != before


def test_nothing_to_resume_is_said_and_training_starts(tmp_path, corpus):
    told = Onlooker()
    run(feature_config(corpus, num_epochs=1), tmp_path / "run", resume=True, reporter=told)
    assert any("nothing to resume" in line for line in told.said)


def test_the_first_signal_is_noted_the_second_stops_at_once_and_the_handlers_come_back():
    before = [signal.getsignal(s) for s in StopRequests.WATCHED]
    with StopRequests() as stop:
        assert stop.number is None
        signal.raise_signal(signal.SIGTERM)
        assert stop.number == signal.SIGTERM
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert [signal.getsignal(s) for s in StopRequests.WATCHED] == before


# --- the test split ---


@pytest.mark.parametrize("trap", ["absent", "unreadable"])
def test_training_never_opens_the_test_split(tmp_path, trap, monkeypatch):
    data = feature_corpus(tmp_path / "data")
    (data / "test.csv").unlink()
    if trap == "unreadable":
        (data / "test.csv").mkdir()  # opening it raises

    def opened(self):
        raise AssertionError("training opened the test split")

    monkeypatch.setattr(Corpus, "open_test", opened)
    run(feature_config(data, num_epochs=1), tmp_path / "run")
    assert (tmp_path / "run" / "best_model" / "calibration.json").is_file()


def test_the_card_tells_what_is_known_of_a_pretrained_encoder():
    known = base_facts({"name": "tae898/emoberta-base", "sha256": "0123456789abcdef"})
    assert "sha256 0123456789ab" in known
    assert "Evaluation data it may have seen: MELD and IEMOCAP" in known
    assert "are not known to emobraid" in base_facts({"name": "somebody/else", "sha256": "0" * 64})


@pytest.mark.parametrize("name", ["gradient_checkpointing", "compile"])
def test_settings_for_tuned_encoders_are_refused_where_none_is_tuned(tmp_path, name):
    with pytest.raises(ValueError, match=f"{name} is for tuned pretrained encoders, and none is tuned here"):
        run(feature_config(feature_corpus(tmp_path / "data"), **{name: True}), tmp_path / "run")
    assert not (tmp_path / "run").exists()
