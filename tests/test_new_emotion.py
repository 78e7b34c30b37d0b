"""A class added to a trained model: what stays to the last bit, what the row learns, how examples are held out."""

import copy
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from corpora import FEATURES, LABELS, SMALL
from emobraid import ModelConfig, MultimodalEmotionModel, checkpoint
from emobraid.config import Config
from emobraid.data.corpus import Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.fusion import FUSIONS
from emobraid.fusion.added import reading
from emobraid.stream import subsets
from emobraid.training import new_emotion_row
from emobraid.training.new_emotion import (
    add_emotion,
    balanced,
    readable,
    rehearsable,
    remembered,
    with_row,
    witnessed,
)
from emobraid.training.new_emotion_row import (
    Evidence,
    Row,
    Rows,
    fitted,
    folds,
    held_out,
    learn_row,
    loss,
    settled,
)
from emobraid.training.run import refuse_idle_settings

WHOLE = ("audio", "video")
EVERY = pytest.mark.parametrize("fusion", FUSIONS)


def base(**changed):
    settings = {**SMALL, **FEATURES, "labels": LABELS, "audio_width": 4, "video_width": 3, **changed}
    torch.manual_seed(1)
    model = MultimodalEmotionModel(ModelConfig(**settings)).eval()
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


def utterances(place, count, *, label=None, speakers=3, seed=0, classes=3, gaps=False):
    """`count` that lie at `place` in both modalities, spoken in turn; with `gaps`, three lack some or all."""
    generator = torch.Generator().manual_seed(seed)
    audio, video = (
        [4 * torch.eye(w)[place % w] + 0.3 * torch.randn(t, w, generator=generator) for _ in range(count)]
        for w, t in ((4, 1), (3, 2))
    )
    if gaps:
        audio[0], video[1] = torch.zeros(0, 4), torch.zeros(0, 3)
        audio[2], video[2] = torch.zeros(0, 4), torch.zeros(0, 3)
    samples = tuple(
        Sample(id=f"{place}-{i}", group=f"s{i % speakers}", cells={}, sound_from_video=False, label=label)
        for i in range(count)
    )
    labels = torch.full((count, classes), float("nan")) if label is None else torch.eye(classes)[[label] * count]
    return PreparedSplit(samples, {"audio": tuple(audio), "video": tuple(video)}, labels)


def joined(*splits):
    tensors = {m: tuple(t for s in splits for t in s.tensors[m]) for m in WHOLE}
    return PreparedSplit(tuple(x for s in splits for x in s.samples), tensors, torch.cat([s.labels for s in splits]))


def known(count=6, *, seed=0, classes=3):
    """Utterances of the three old classes."""
    return joined(*(utterances(c, count, label=c, seed=seed + c, classes=classes) for c in range(3)))


@pytest.fixture(scope="module", params=FUSIONS)
def pair(request):
    """A base and the same with a class more."""
    before = base(fusion_type=request.param)
    return before, add_emotion(before, "pride", utterances(3, 5, gaps=True), known())


def read(model, split, subset=WHOLE):
    with torch.no_grad():
        return model.fuse_subsets(split.batch(range(len(split))).streams, [subset])["+".join(subset)]


# what stays


def test_old_logits_are_the_old_ones_to_the_last_bit_whatever_is_there(pair):
    before, after = pair
    asked = joined(known(4, seed=9), utterances(3, 5, seed=9, gaps=True))
    for subset in subsets(WHOLE):
        old, new = read(before, asked, subset), read(after, asked, subset)
        assert new.logits.shape == (len(asked), 4)
        assert torch.equal(new.logits[:, :3], old.logits)
        assert torch.equal(new.features, old.features)
        assert torch.equal(new.embeddings, old.embeddings)


def test_nothing_but_the_new_row_is_learned_and_nothing_else_is_new(pair):
    before, after = pair
    old, new = before.state_dict(), after.state_dict()
    assert set(new) - set(old) == {"added.rows.0.weight", "added.rows.0.bias"}
    assert all(new[k].data_ptr() == v.data_ptr() for k, v in old.items())  # not equal only: the same tensors
    fresh = base(fusion_type=before.config.fusion_type).state_dict()
    assert all(torch.equal(v, fresh[k]) for k, v in old.items())
    assert all(p.grad is None for p in before.parameters())
    assert before.config.labels == LABELS
    assert (after.config.labels, after.config.added_labels) == ((*LABELS, "pride"), 1)


def test_among_the_old_classes_the_odds_stay(pair):
    before, after = pair
    asked = known(4, seed=9)
    old, new = read(before, asked).logits.softmax(dim=1), read(after, asked).logits.softmax(dim=1)
    torch.testing.assert_close(new[:, :3] / new[:, :3].sum(dim=1, keepdim=True), old)


def test_a_gradient_of_the_new_logit_reaches_the_new_row_wherever_else_it_goes(pair):
    after = copy.deepcopy(pair[1])
    after.requires_grad_(False)
    after.added.requires_grad_(True)
    after(utterances(3, 4).batch(range(4)).streams).logits[:, 3].sum().backward()
    assert {n for n, p in after.named_parameters() if p.grad is not None and p.grad.any()} == {
        "added.rows.0.weight",
        "added.rows.0.bias",
    }


def test_a_saved_model_reads_the_same_and_takes_another_class(pair, tmp_path):
    before, after = pair
    files = checkpoint.model_files(after, Config(model=after.config), calibration={"audio": 2.0}, card="")
    checkpoint.publish(tmp_path / "best_model", files)
    loaded = checkpoint.load_trained(tmp_path / "best_model")
    asked = joined(known(2, seed=9), utterances(3, 3, seed=9))
    assert torch.equal(read(loaded.model, asked).logits, read(after, asked).logits)
    twice = add_emotion(loaded.model, "shame", utterances(2, 4, seed=7), joined(known(classes=4), pride()))
    assert twice.config.labels == (*LABELS, "pride", "shame")
    assert torch.equal(read(twice, asked).logits[:, :4], read(after, asked).logits)
    assert torch.equal(read(twice, asked).logits[:, :3], read(before, asked).logits)


def pride():
    return utterances(3, 6, label=3, classes=4)


def test_a_model_with_nothing_added_holds_no_weight_for_it():
    assert not [name for name in base().state_dict() if name.startswith("added")]


# what is learned


@EVERY
def test_the_new_class_is_found_in_other_utterances_and_takes_none_of_the_old(fusion):
    model = base(fusion_type=fusion)
    after = add_emotion(model, "pride", utterances(3, 5), known(8))
    assert (read(after, utterances(3, 20, seed=5)).logits.argmax(dim=1) == 3).float().mean() > 0.9
    assert (read(after, known(8, seed=50)).logits.argmax(dim=1) == 3).float().mean() < 0.1


def test_one_modality_is_enough_to_find_it():
    after = add_emotion(base(fusion_type="late"), "pride", utterances(3, 5), known(8))
    assert (read(after, utterances(3, 20, seed=5), ("audio",)).logits.argmax(dim=1) == 3).float().mean() > 0.8


def test_the_same_seed_gives_the_same_row_and_labels_of_examples_are_not_looked_at():
    model, shown = base(), utterances(3, 5)
    first, again = (
        add_emotion(model, "pride", s, known(), seed=2) for s in (shown, replace(shown, labels=shown.labels * 0))
    )
    assert torch.equal(first.added.rows[0].weight, again.added.rows[0].weight)
    assert torch.equal(first.added.rows[0].bias, again.added.rows[0].bias)


def test_a_single_example_takes_two_in_a_hundred_of_what_is_rehearsed():
    model, rehearsal = base(), known(50)
    seen, rehearsed = (witnessed(model, s, {}) for s in (utterances(1, 1, seed=3), rehearsal))
    row = learn_row(seen, rehearsed, balanced(rehearsal))
    assert int(row.takes(rehearsed).sum()) == 3  # of 150
    assert held_out(seen, rehearsed, balanced(rehearsal)) is None


def evidence(scores, *, heat=1.0, groups=None):
    """Utterances that a row of weight 1 gives these scores, against old odds of one."""
    n = len(scores)
    column = torch.tensor(scores, dtype=torch.float64)[:, None]
    return Evidence(
        readings=column[..., None],
        against=torch.zeros(n, 1, dtype=torch.float64),
        margin=torch.zeros(n, 1, dtype=torch.float64),
        heat=torch.tensor([heat], dtype=torch.float64),
        share=torch.ones(n, 1, dtype=torch.float64),
        groups=groups or tuple(f"s{i}" for i in range(n)),
    )


def test_the_bias_balances_what_is_missed_and_what_is_taken():
    new, old = evidence([0.0]), evidence([0.0])
    # three old classes against one new: 3 sigmoid(b) = sigmoid(-b), so sigmoid(b) is a quarter
    three = torch.tensor([3.0], dtype=torch.float64)
    nothing = torch.zeros(1, 1, dtype=torch.float64)
    assert settled(new, nothing, old, nothing, three) == pytest.approx(-math.log(3))
    cool = (evidence([0.0], heat=0.5), evidence([0.0], heat=0.5))
    assert settled(cool[0], nothing, cool[1], nothing, three) == pytest.approx(-2 * math.log(3))


def rows_of(scores, new, *, heat=1.0):
    column = np.array(scores)[:, None]
    n = len(scores)
    whole = np.column_stack([column, np.ones(n)])
    return Rows(whole, np.zeros(n), np.full(n, heat), np.full(n, 1 / n), np.array(new))


def test_the_loss_is_the_cross_entropy_of_the_two_with_a_decay_that_spares_the_bias():
    found, slope = loss(np.array([1.0, 0.0]), rows_of([1.0, 2.0, -2.0], [1.0, 0.0, 0.0]))
    missed, taken = math.log(1 + math.exp(-1)), math.log(1 + math.exp(2)) + math.log(1 + math.exp(-2))
    assert found == pytest.approx((missed + taken) / 3 + 1e-3)
    # expit(1) - 1, expit(2), expit(-2)
    errors = np.array([-1 / (1 + math.e), 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(2))])
    assert slope == pytest.approx([errors @ [1.0, 2.0, -2.0] / 3 + 2e-3, errors.sum() / 3])


def test_the_gradient_is_that_of_the_loss():
    seen = rows_of([0.5, -1.5, 2.0, 0.1], [1.0, 0.0, 0.0, 1.0], heat=1.7)
    row, step = np.array([0.4, -0.2]), 1e-6
    slopes = [(loss(row + d, seen)[0] - loss(row - d, seen)[0]) / (2 * step) for d in step * np.eye(2)]
    assert loss(row, seen)[1] == pytest.approx(slopes, abs=1e-7)


def test_no_other_row_has_a_smaller_loss():
    """The learned weight is the optimum of scikit-learn's logistic regression where the old model says nothing."""
    model, rehearsal = base(), known()
    seen, rehearsed = (witnessed(model, s, {}) for s in (utterances(3, 4), rehearsal))
    seen, rehearsed = (e._replace(against=torch.zeros_like(e.against)) for e in (seen, rehearsed))
    balance = balanced(rehearsal)
    both = torch.cat([seen.readings, rehearsed.readings]).flatten(0, 1).numpy()
    counts = torch.cat([seen.share / 4, rehearsed.share * balance[:, None]]).flatten().numpy() / 4
    new = np.repeat([1, 0], [4 * 3, 18 * 3])
    theirs = LogisticRegression(C=1 / (2 * new_emotion_row.DECAY), tol=1e-8, max_iter=5000)
    theirs.fit(both - rehearsed.readings.mean(dim=(0, 1)).numpy(), new, sample_weight=counts)
    assert fitted(seen, rehearsed, balance).numpy() == pytest.approx(theirs.coef_[0], abs=2e-3)


def test_the_probability_of_the_new_class_is_the_logistic_of_its_odds():
    model = base(fusion_type="early")
    rows, temperatures = known(3), {"audio+video": 0.5}
    seen = witnessed(model, rows, temperatures)
    row = Row(torch.randn(seen.readings.shape[-1], dtype=torch.float64), 0.3)
    logits = read(with_row(model, "pride", row), rows).logits.double()
    scores = seen.readings @ row.weight + row.bias
    told = (logits / 0.5).softmax(dim=1)[:, 3]
    torch.testing.assert_close(torch.sigmoid(seen.odds(scores))[:, -1], told, atol=1e-5, rtol=1e-4)
    assert torch.equal(row.takes(seen), logits.argmax(dim=1) == 3)
    assert seen.heat.tolist() == [2.0, 2.0, 2.0]  # a subset without a temperature has that of the whole


def test_views_share_an_utterance_and_what_cannot_be_read_counts_nothing():
    seen = witnessed(base(), utterances(3, 4, gaps=True), {})
    # views are audio, video, both; the third utterance has neither and is left out
    assert seen.share.tolist() == [[0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.25, 0.25, 0.5]]
    assert len(seen.groups) == 3


def test_every_old_class_counts_the_same_however_often_it_is_rehearsed():
    rows = joined(utterances(0, 4, label=0), utterances(1, 1, label=1))
    assert balanced(rows).tolist() == [0.25, 0.25, 0.25, 0.25, 1.0]


def test_at_most_so_many_of_each_class_are_rehearsed_and_a_class_without_any_is_one_line():
    rows = known(6).samples
    drawn = rehearsable(rows, LABELS, each=2, seed=1)
    assert [s.label for s in drawn] == [0, 0, 1, 1, 2, 2]
    assert drawn == rehearsable(rows, LABELS, each=2, seed=1)
    assert drawn != rehearsable(rows, LABELS, each=2, seed=2)
    with pytest.raises(
        ValueError, match="no training utterance of happy, angry to rehearse; --rehearse names a table of some"
    ):
        rehearsable(utterances(1, 2, label=1).samples, LABELS)


# how examples are held out


def test_every_example_is_held_out_once_and_no_speaker_is_on_both_sides():
    ours, theirs = ("a", "b", "a", "c", "d"), ("a", "x", "y", "d", "x")
    parts = folds(ours, theirs, seed=3)
    assert torch.stack([first for first, _ in parts]).sum(dim=0).tolist() == [1] * 5
    assert torch.stack([second for _, second in parts]).sum(dim=0).tolist() == [1] * 5
    for first, second in parts:
        assert 0 < first.sum() < 5
        out = {g for g, held in zip(ours + theirs, [*first.tolist(), *second.tolist()], strict=True) if held}
        kept = {g for g, held in zip(ours + theirs, [*first.tolist(), *second.tolist()], strict=True) if not held}
        assert not out & kept


def test_examples_of_one_speaker_are_held_out_one_by_one():
    parts = folds(("a", "a", "a"), ("a", "b"), seed=0)
    assert sorted(first.tolist().index(True) for first, _ in parts) == [0, 1, 2]
    assert all(first.sum() == 1 for first, _ in parts)


@pytest.mark.parametrize("speakers", [1, 3, 6])
def test_no_example_has_a_part_in_its_own_reading(monkeypatch, speakers):
    model, rehearsal = base(), known()
    seen, rehearsed = (witnessed(model, s, {}) for s in (utterances(3, 6, speakers=speakers), rehearsal))
    calls, judged = [], []
    whole, takes = new_emotion_row.learn_row, Row.takes
    monkeypatch.setattr(new_emotion_row, "learn_row", lambda e, *r, **k: calls.append(e) or whole(e, *r, **k))
    monkeypatch.setattr(Row, "takes", lambda row, asked: judged.append(asked) or takes(row, asked))
    taken = held_out(seen, rehearsed, balanced(rehearsal))
    assert taken.shape == (6,)
    assert sum(len(asked.groups) for asked in judged) == 6
    for learned, asked in zip(calls, judged, strict=True):
        for one in asked.readings:
            assert not any(torch.equal(one, other) for other in learned.readings)
        if speakers > 1:
            assert not set(learned.groups) & set(asked.groups)


# what is told


def test_what_is_remembered_is_counted_by_hand():
    model = base(fusion_type="early", labels=("happy", "sad"))
    rows = joined(*(utterances(c, 3, label=c, classes=2, seed=c) for c in range(2)))
    said = read(model, rows).logits.argmax(dim=1)
    true = torch.tensor([0, 0, 0, 1, 1, 1])
    weight = torch.zeros(3 * 8)
    found = remembered(with_row(model, "pride", Row(weight, -100.0)), rows)
    assert (found["n"], found["taken"]) == (6, 0)
    assert found["before"] == found["after"]
    assert found["before"]["accuracy"] == pytest.approx(float((said == true).float().mean()))
    every = remembered(with_row(model, "pride", Row(weight, 100.0)), rows)
    assert (every["taken"], every["taken_that_were_right"]) == (6, int((said == true).sum()))
    assert every["after"] == {"macro_f1": 0.0, "accuracy": 0.0}
    assert every["before"] == found["before"]
    assert [own["taken"] for own in every["by_class"].values()] == [3, 3]


def test_rows_without_a_label_are_not_scored():
    rows = joined(known(2), utterances(0, 2))
    found = remembered(with_row(base(), "pride", Row(torch.zeros(24), -100.0)), rows)
    assert found["n"] == 6


def test_only_what_can_be_read_is_kept():
    kept = readable(base(), utterances(3, 4, gaps=True))
    assert [s.id for s in kept.samples] == ["3-0", "3-1", "3-3"]


def test_the_reading_is_of_unit_length_in_each_part_and_zero_where_missing():
    found = reading(read(base(), utterances(3, 2, gaps=False), ("video",))).unflatten(1, (3, 8))
    torch.testing.assert_close(found.norm(dim=-1), torch.tensor([[1.0, 0.0, 1.0]] * 2))


@pytest.mark.parametrize(
    ("changed", "name", "message"),
    [
        ({}, "Happy ", "letters, digits, inner spaces"),
        ({}, "HAPPY", "the model knows 'HAPPY' already; it reads happy, sad, angry"),
        ({}, "pride|shame", "letters, digits, inner spaces, - and _, at most 40 in all"),
        ({}, "", "emotion name ''"),
        ({}, "x" * 41, "at most 40 in all"),
        ({"label_kind": "multi"}, "pride", "this model reads several at once"),
    ],
)
def test_a_class_that_cannot_be_added_is_one_line(changed, name, message):
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        add_emotion(base(**changed), name, utterances(3, 2), known())


def test_examples_of_which_nothing_can_be_read_are_one_line():
    nothing = readable(base(), utterances(3, 3, gaps=True))
    nothing = replace(nothing, tensors={"audio": (torch.zeros(0, 4),) * 2, "video": (torch.zeros(0, 3),) * 2})
    with pytest.raises(ValueError, match="no utterance of pride can be read"):
        add_emotion(base(), "pride", nothing, known())


def test_training_does_not_ask_for_added_labels():
    config = Config(model=base().config)
    grown = replace(config, model=replace(config.model, added_labels=1))
    with pytest.raises(ValueError, match="added_labels is what `emobraid add-emotion` writes"):
        refuse_idle_settings(base(), grown)
    with pytest.raises(ValueError, match="added_labels counts the last of the labels"):
        replace(config.model, added_labels=3)
