"""Few-shot learning: episodes, what each method may change, and the study from the command line."""

import copy
import io
import json
import math
import shutil
from dataclasses import FrozenInstanceError, replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from rich.console import Console

import emobraid
from corpora import FEATURES, LABELS, SMALL, Onlooker, feature_config, write_table
from emobraid import FewShotDataset, FewShotModel, ModelConfig, MultimodalEmotionModel, cli
from emobraid.config import FewShotConfig
from emobraid.data.corpus import Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.fusion import FUSIONS
from emobraid.stream import keep_only
from emobraid.training import few_shot_run
from emobraid.training.few_shot import CosineHead, reading
from emobraid.training.few_shot_cells import keep_cell, kept_cells
from emobraid.training.few_shot_frozen import Frozen
from emobraid.training.few_shot_methods import METHODS, Prototypes, build
from emobraid.training.few_shot_plan import _plans
from emobraid.training.few_shot_report import interval, print_few_shot, summarise
from emobraid.training.few_shot_run import prepare, readable

SPEAKERS, EACH = 4, 3  # rows of each class by each speaker
WHOLE = ("audio", "video")


def samples(count, speaker=lambda i: f"s{i % SPEAKERS}"):
    return tuple(
        Sample(id=f"u{i}", group=speaker(i), cells={}, sound_from_video=False, label=None) for i in range(count)
    )


def labelled_rows(classes=3, *, each=EACH, speakers=SPEAKERS, named=True):
    """`each` rows of every class by every speaker."""
    rows = [(c, s) for c in range(classes) for s in range(speakers) for _ in range(each)]
    made = samples(len(rows), (lambda i: f"s{rows[i][1]}") if named else (lambda i: ""))
    return SimpleNamespace(samples=made, labels=torch.eye(classes)[[c for c, _ in rows]])


def small_model(**changed):
    settings = {**SMALL, **FEATURES, "labels": LABELS, "audio_width": 4, "video_width": 3}
    sizes = {"adapter_size": 2, "prompt_length": 2, "lora_rank": 1}
    config = ModelConfig(**{**settings, **sizes, **changed})
    torch.manual_seed(1)
    return MultimodalEmotionModel(config).eval(), config


def clear_split(*, per_speaker=EACH):
    """Three classes that lie far apart in both modalities; row 0 has no audio, row 1 nothing at all."""
    generator = torch.Generator().manual_seed(0)
    rows = labelled_rows(each=per_speaker)
    which = rows.labels.argmax(dim=1)

    def places(width, steps):
        return [4 * torch.eye(width)[c] + 0.3 * torch.randn(steps, width, generator=generator) for c in which]

    tensors = {"audio": places(4, 1), "video": places(3, 2)}
    tensors["audio"][0], tensors["audio"][1] = torch.zeros(0, 4), torch.zeros(0, 4)
    tensors["video"][1] = torch.zeros(0, 3)
    split = PreparedSplit(rows.samples, {m: tuple(t) for m, t in tensors.items()}, rows.labels)
    return replace(split, samples=tuple(replace(s, label=int(c)) for s, c in zip(split.samples, which, strict=True)))


@pytest.fixture(scope="module")
def world():
    """A base, a split that it reads, and one episode of two shots."""
    model, config = small_model()
    split = readable(clear_split())
    return SimpleNamespace(model=model, config=config, split=split, episode=FewShotDataset(split, 2, 3, n_query=3)[0])


# episodes


@pytest.mark.parametrize("seed", range(5))
def test_an_episode_has_its_shots_and_queries_of_each_class_and_no_row_or_speaker_twice(seed):
    base = labelled_rows()
    for episode in FewShotDataset(base, 2, 3, n_query=3, episodes=20, seed=seed):
        assert (len(episode.support), len(episode.query)) == (6, 9)
        rows = (*episode.support, *episode.query)
        assert len(set(rows)) == 15
        true = base.labels.argmax(dim=1).tolist()
        assert [episode.classes[y] for y in episode.support_labels] == [true[i] for i in episode.support]
        assert [episode.classes[y] for y in episode.query_labels] == [true[i] for i in episode.query]
        assert not {base.samples[i].group for i in episode.support} & {base.samples[i].group for i in episode.query}


def test_the_default_is_what_the_readme_shows():
    dataset = FewShotDataset(base_dataset=labelled_rows(7, each=5), n_shot=5, n_way=7)
    assert (len(dataset), dataset.n_shot, dataset.n_way) == (100, 5, 7)
    assert dataset[0].classes == tuple(range(7))


def test_where_speakers_are_unknown_rows_are_apart_and_it_is_said():
    assert FewShotDataset(labelled_rows(), 2, 3, n_query=3).speaker_disjoint
    unknown = FewShotDataset(labelled_rows(named=False), 2, 3, n_query=3)
    assert not unknown.speaker_disjoint
    assert all(not set(e.support) & set(e.query) for e in unknown)


def test_the_same_seed_gives_the_same_hash_and_another_seed_or_id_another():
    base = labelled_rows()
    first = FewShotDataset(base, 2, 3, n_query=3, seed=5)
    assert first.hash == FewShotDataset(base, 2, 3, n_query=3, seed=5).hash
    assert len(first.hash) == 64
    assert first.hash != FewShotDataset(base, 2, 3, n_query=3, seed=6).hash
    renamed = SimpleNamespace(samples=tuple(replace(s, id=f"v{s.id}") for s in base.samples), labels=base.labels)
    assert first.hash != FewShotDataset(renamed, 2, 3, n_query=3, seed=5).hash


def test_episodes_are_drawn_once_and_cannot_be_changed():
    dataset = FewShotDataset(labelled_rows(), 2, 3, n_query=3, episodes=4)
    assert dataset[2] is dataset[2]
    with pytest.raises(FrozenInstanceError):
        dataset[0].support = ()
    assert [e.support for e in dataset] == [dataset[i].support for i in range(4)]


def test_more_episodes_leave_the_first_ones_as_they_were():
    few, many = (FewShotDataset(labelled_rows(), 2, 3, n_query=3, episodes=n) for n in (3, 9))
    assert list(few) == list(many)[:3]


def test_fewer_shots_are_among_more_and_the_queries_are_the_same():
    one, two = (FewShotDataset(labelled_rows(), k, 3, n_query=3, room=2) for k in (1, 2))
    for small, large in zip(one, two, strict=True):
        assert small.query == large.query
        assert [i for i, _ in zip(large.support[::2], small.support, strict=True)] == list(small.support)


def test_with_fewer_ways_each_episode_draws_classes_that_have_enough():
    base = labelled_rows(4)
    base.labels[base.labels[:, 2] == 1] = torch.eye(4)[0]  # class 2 is gone
    drawn = {e.classes for e in FewShotDataset(base, 1, 2, n_query=2, episodes=60)}
    assert drawn == {(0, 1), (0, 3), (1, 3)}


def test_unlabelled_rows_are_never_drawn():
    base = labelled_rows()
    base.labels[::3] = float("nan")
    for episode in FewShotDataset(base, 1, 3, n_query=2):
        assert all(i % 3 for i in (*episode.support, *episode.query))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"n_shot": 40}, "3 ways need 40 shots and 3 queries of other speakers each, and 0 of 3 classes have enough: "),
        ({"n_way": 4}, "4 ways: there are 3 classes"),
        ({"n_shot": 10}, "3 ways need 10 shots and 3 queries .*, and 0 of 3 .*happy has 12 rows of 4 speakers"),
        ({"n_query": 0}, "an episode needs two ways or more, a shot, a query"),
        ({"room": 1}, "room for its shots"),
    ],
)
def test_what_cannot_be_drawn_is_one_line(changed, message):
    settings = {"n_shot": 2, "n_way": 3, "n_query": 3, "class_names": LABELS, **changed}
    with pytest.raises(ValueError, match=message) as told:
        FewShotDataset(labelled_rows(), **settings)
    assert "\n" not in str(told.value)


def test_a_class_of_one_speaker_alone_cannot_be_shown_and_asked():
    base = labelled_rows(2)
    group = ["only" if base.labels[i, 1] else s.group for i, s in enumerate(base.samples)]
    alone = SimpleNamespace(
        samples=tuple(replace(s, group=g) for s, g in zip(base.samples, group, strict=True)), labels=base.labels
    )
    with pytest.raises(ValueError, match="1 of 2 classes have enough: class 1 has 12 rows of 1 speakers"):
        FewShotDataset(alone, 2, 2, n_query=2)


def test_a_division_of_speakers_that_nobody_can_make_is_said():
    # each class has two speakers, but to show class 0 from one is to show class 1 from the same
    rows = [(0, "a", 3), (0, "b", 1), (1, "a", 1), (1, "b", 3)]
    labels = torch.tensor([c for c, _, n in rows for _ in range(n)])
    groups = [s for _, s, n in rows for _ in range(n)]
    base = SimpleNamespace(samples=samples(8, lambda i: groups[i]), labels=torch.eye(2)[labels])
    with pytest.raises(ValueError, match="no division of the 2 speakers gives that"):
        FewShotDataset(base, 2, 2, n_query=1)


# the model


def test_a_head_begins_as_the_nearest_class_mean():
    head = CosineHead(2, 2)
    head.imprint(torch.tensor([[3.0, 0.0], [5.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0, 1]), 2)
    # means (4, 0) and (0, 2), their middle (2, 1); from there the first lies along (2, -1)
    assert head.centre.tolist() == [2.0, 1.0]
    torch.testing.assert_close(head.weight[0], torch.tensor([2.0, -1.0]) / math.sqrt(5))
    logits = head(torch.tensor([[4.0, 0.0], [2.0, 3.5]]))
    torch.testing.assert_close(logits[0], torch.tensor([10.0, -10.0]))
    torch.testing.assert_close(logits[1], torch.tensor([-10.0, 10.0]) / math.sqrt(5))


@pytest.mark.parametrize("fusion", FUSIONS)
def test_it_learns_what_is_shown_and_leaves_the_base_as_it_was(fusion):
    base_model, config = small_model(fusion_type=fusion)
    before = copy.deepcopy(base_model.state_dict())
    split = readable(clear_split())
    episode = FewShotDataset(split, 2, 3, n_query=3)[0]
    model = FewShotModel(base_model, config)
    first = {n: p.clone() for n, p in model.named_parameters()}
    shown = split.batch(episode.support).streams
    with torch.no_grad():
        model.head.imprint(reading(model(shown)), torch.tensor(episode.support_labels), 3)
    model.learn(shown, torch.tensor(episode.support_labels), steps=30, rate=1e-2)
    assert (model(shown).logits.argmax(dim=1) == torch.tensor(episode.support_labels)).all()
    assert all(torch.equal(v, before[k]) for k, v in base_model.state_dict().items())
    changed = {n.split(".")[0] for n, p in model.named_parameters() if not torch.equal(p, first[n])}
    assert changed == {"prompts", "adapters", "head"}
    # 2 modalities: prompts 2 x 8, adapters 8 x 2 + 2 + 2 x 8 + 8, a head of 3 classes on (1 + 2) x 8, and its scale
    assert model.learned() == 2 * (16 + 42) + 3 * 24 + 1
    assert model.share() == model.learned() / sum(p.numel() for p in base_model.parameters())


def test_before_learning_the_adapters_change_nothing(world):
    encoded = world.model.encode(world.split.batch(range(6)).streams)
    model = FewShotModel(world.model, replace(world.config, prompt_length=1))
    model.prompts = torch.nn.ParameterDict({m: p[:0] for m, p in model.prompts.items()})
    torch.testing.assert_close(model.fuse(encoded).features, world.model.fuse(encoded).features)


def test_what_a_missing_modality_holds_changes_nothing_behind_prompts(world):
    model = FewShotModel(world.model, world.config)
    encoded = keep_only(world.model.encode(world.split.batch(range(4, 9)).streams), ("video",))
    spoilt = {m: s._replace(values=s.values + (9.0 if m == "audio" else 0.0)) for m, s in encoded.items()}
    read, other = model.fuse(encoded), model.fuse(spoilt)
    assert not read.present[:, 0].any()
    assert torch.equal(reading(read), reading(other))


def test_a_class_that_is_not_shown_is_one_line(world):
    streams = world.split.batch([2, 3]).streams
    with pytest.raises(ValueError, match="no utterance of sad, angry to learn from"):
        FewShotModel(world.model, world.config).learn(streams, torch.tensor([0, 0]))


def test_the_names_of_the_readme_are_the_packages():
    assert {"FewShotDataset", "FewShotModel"} <= set(emobraid.__all__)


# what it is compared with


def run_method(world, name, *, rate=1e-2, shots=2, number=0):
    base = copy.deepcopy(world.model)
    method = build([name], base, world.config)[name]
    frozen = Frozen(base, world.split)
    episode = FewShotDataset(world.split, shots, 3, n_query=3, room=2)[number]
    logits = method.predict(frozen, episode, WHOLE, steps=20, rate=rate, seed=3)
    return method, base, frozen, episode, logits


CHANGES = {
    "prompt_adapter": {"prompts", "adapters", "head"},
    "lora": {"lora_A", "lora_B", "head"},
    "probe": {"head"},
    "prototypes": {"map"},
    "class_mean": set(),
    "full": {"encoders", "projections", "fusion", "head"},
}


@pytest.mark.parametrize("name", METHODS)
def test_a_method_tells_plain_classes_apart_and_changes_only_its_own(world, name):
    method, base, _, episode, logits = run_method(world, name)
    assert logits.shape == (9, 3)
    assert (logits.argmax(dim=1) == torch.tensor(episode.query_labels)).float().mean() > 0.85
    assert all(torch.equal(v, world.model.state_dict()[k]) for k, v in base.state_dict().items())
    learning = {n for n, p in method.named_parameters() if p.requires_grad}
    known = ("prompts", "adapters", "lora_A", "lora_B", "head", "map", "encoders", "projections", "fusion")
    assert {next(k for k in known if k in n.split(".")) for n in learning} == CHANGES[name]


@pytest.mark.parametrize("name", METHODS)
def test_the_same_seed_gives_the_same_logits_whatever_was_learnt_before(world, name):
    method, _, frozen, episode, first = run_method(world, name)
    other = FewShotDataset(world.split, 2, 3, n_query=3)[1]
    method.predict(frozen, other, WHOLE, steps=20, rate=1e-2, seed=9)
    assert torch.equal(method.predict(frozen, episode, WHOLE, steps=20, rate=1e-2, seed=3), first)


def test_lora_really_moves_the_reading(world):
    method, _, frozen, episode, _ = run_method(world, "lora", rate=3e-2)
    given = method.given(frozen, episode.query, WHOLE)
    assert not torch.allclose(method.read(given), frozen.readings(WHOLE)[list(episode.query)], atol=1e-4)


def test_full_tuning_moves_the_encoders(world):
    method, base, *_ = run_method(world, "full")
    moved = {n for n, p in method.model.state_dict().items() if not torch.equal(p, base.state_dict()[n])}
    assert any(n.startswith("encoders.audio") for n in moved)
    assert any(n.startswith("fusion") for n in moved)


def test_a_prototypical_network_of_one_shot_is_the_nearest_shot(world):
    method, _, frozen, episode, logits = run_method(world, "prototypes", shots=1)
    assert isinstance(method, Prototypes)
    readings = frozen.readings(WHOLE)
    shown, asked = readings[list(episode.support)], readings[list(episode.query)]
    torch.testing.assert_close(logits, -torch.cdist(asked, shown).square(), atol=1e-5, rtol=1e-4)


def test_kept_readings_are_those_of_the_model_itself(world):
    frozen = Frozen(copy.deepcopy(world.model), world.split, batch_size=5)
    for subset in (WHOLE, ("audio",)):
        streams = keep_only(world.split.batch(range(len(world.split))).streams, subset)
        torch.testing.assert_close(frozen.readings(subset), reading(world.model(streams)), atol=1e-5, rtol=1e-5)
    assert frozen.readable((0, 1, 2), ("audio",)).tolist() == [False, False, True]
    assert frozen.readable((0, 1, 2), WHOLE).tolist() == [True, False, True]


def test_rows_with_nothing_to_read_are_in_no_episode(world):
    assert world.split.labels[1].isnan().all()
    assert not world.split.labels[0].isnan().any()


# the study


def test_an_interval_is_students():
    mean, half = interval([1.0, 2.0, 3.0])
    assert mean == 2.0
    assert half == pytest.approx(4.302652729911275 / math.sqrt(3))  # t of two degrees of freedom, deviation 1


def test_differences_are_paired_by_episode():
    def row(method, scores):
        return {"method": method, "subset": "audio", "shots": 1, "macro_f1": scores}

    rows = [row("prompt_adapter", [0.2, 0.6, 0.7]), row("full", [0.1, 0.5, 0.6]), row("probe", [0.3, 0.5, 0.7])]
    found = summarise({"protocol": {"modalities": ["audio"]}, "rows": rows})
    by_method = {d["against"]: d for d in found["differences"]}
    assert by_method["full"]["mean"] == pytest.approx(0.1)
    assert by_method["full"]["half_width"] == pytest.approx(0.0, abs=1e-9)
    assert by_method["probe"]["mean"] == pytest.approx(0.0)


def test_a_cell_that_a_kill_cut_short_is_passed_over(tmp_path):
    path = tmp_path / "cells.jsonl"
    keep_cell(path, {"key": "a", "macro_f1": [1.0]})
    with path.open("a") as file:
        file.write('{"key": "b", "macro')
    assert dict(kept_cells(path)) == {"a": {"key": "a", "macro_f1": [1.0]}}
    keep_cell(path, {"key": "c", "macro_f1": [0.5]})
    assert set(dict(kept_cells(path))) == {"a", "c"}


COLUMNS = ("audio_path", "video_path", "emotion", "speaker")


def spoken_corpus(root):
    """Three splits of three classes by four speakers each, three rows of each; vectors that lean towards the class."""
    root.mkdir(parents=True)
    rng = np.random.default_rng(0)
    audio, video = [], []
    for split in ("train", "val", "test"):
        rows = []
        for c, label in enumerate(LABELS):
            for i in range(SPEAKERS * EACH):
                place = len(audio)
                audio.append(rng.normal(size=4) + 3 * np.eye(4)[c])
                video.append(rng.normal(size=(2, 3)) + 3 * np.eye(3)[c])
                cells = [f"arrays.npz#audio[{place}]", f"arrays.npz#video[{place}]"]
                rows.append([*cells, label, f"{split}{i % SPEAKERS}"])
        write_table(root / f"{split}.csv", rows, COLUMNS)
    np.savez(root / "arrays.npz", audio=np.array(audio), video=np.array(video))
    return root


FEW = ["--shots", "1", "2", "--episodes", "2", "--dev_episodes", "1", "--adaptation_steps", "3", "--queries", "2"]


def command(corpus, out, *more):
    shape = ["--modalities", "audio", "video", "--audio_encoder", "features", "--video_encoder", "features"]
    sizes = ["--fusion_type", "contrastive", "--encoder_dim", "8", "--fusion_hidden_size", "8", "--fusion_heads", "2"]
    training = ["--num_epochs", "2", "--batch_size", "8", "--labels", *LABELS, "--no_cache", "--workers", "1"]
    paths = ["--data_root", str(corpus), "--output_dir", str(out)]
    return cli.main(["train", "--mode", "few_shot", *shape, *sizes, *training, *FEW, *paths, *more])


def figures(folder):
    """Everything in few_shot.json but how long it took."""
    found = json.loads((folder / "few_shot" / "few_shot.json").read_text())
    return found["protocol"] | {"base": ""}, [{k: v for k, v in r.items() if k != "seconds"} for r in found["rows"]]


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return spoken_corpus(tmp_path_factory.mktemp("few_shot") / "data")


@pytest.fixture(scope="module")
def study(tmp_path_factory, corpus):
    out = tmp_path_factory.mktemp("study") / "run"
    assert command(corpus, out) == 0
    return out


def test_without_every_subset_all_is_compared_on_all_modalities_alone(tmp_path, corpus):
    assert command(corpus, tmp_path / "run", "--methods", "class_mean", "--no_every_subset") == 0
    assert {r["subset"] for r in figures(tmp_path / "run")[1]} == {"audio+video"}


def test_the_command_writes_tables_curves_and_a_line_in_the_ledger(study):
    folder = study / "few_shot"
    assert (folder / "few_shot.png").read_bytes()[:4] == b"\x89PNG"
    about, rows = figures(study)
    assert about["base_saw_labels"] is False
    assert about["speaker_disjoint"] is True
    whole = {(r["method"], r["shots"]) for r in rows if r["subset"] == "audio+video"}
    assert whole == {(m, k) for m in METHODS for k in (1, 2)}
    parts = {(r["method"], r["subset"]) for r in rows if r["subset"] != "audio+video"}
    assert parts == {(m, s) for m in ("prompt_adapter", "class_mean") for s in ("audio", "video")}
    assert all(len(r["macro_f1"]) == 2 for r in rows)
    text = (folder / "few_shot.md").read_text()
    assert "the base never saw a label" in text
    assert len((folder / "few_shot.csv").read_text().splitlines()) == 1 + len(rows)
    entry = json.loads((study / "ledger.jsonl").read_text())
    assert entry["study"] == "few-shot episodes"
    scores = next(r["macro_f1"] for r in rows if (r["method"], r["shots"], r["subset"]) == ("full", 2, "audio+video"))
    assert entry["macro_f1"]["full audio+video 2"] == pytest.approx(sum(scores) / 2)


def test_the_same_seed_gives_the_same_table(study, corpus, tmp_path):
    assert command(corpus, tmp_path / "again") == 0
    assert figures(tmp_path / "again") == figures(study)


def test_a_study_goes_on_where_it_was_stopped(study, corpus, tmp_path, monkeypatch):
    shutil.copytree(study, tmp_path / "run")
    cells = tmp_path / "run" / "few_shot" / "cells.jsonl"
    lines = cells.read_text().splitlines(keepends=True)
    cells.write_text("".join(lines[:-2]))
    ran = []
    whole = few_shot_run.Study._run
    monkeypatch.setattr(few_shot_run.Study, "_run", lambda s, c, *rest: ran.append(c) or whole(s, c, *rest))
    assert command(corpus, tmp_path / "run", "--resume") == 0
    assert len(ran) == 2
    assert figures(tmp_path / "run") == figures(study)


def test_a_study_that_is_there_is_not_overwritten_unasked(study, corpus, capsys):
    assert command(corpus, study) == 2
    assert "holds a study already: --resume continues it, --overwrite starts anew" in capsys.readouterr().err


def settings(corpus, **changed):
    few = FewShotConfig(
        **{"shots": (1, 2), "episodes": 2, "dev_episodes": 2, "adaptation_steps": 2, "queries": 2, **changed}
    )
    return replace(feature_config(corpus, num_epochs=1, fusion_type="contrastive"), few_shot=few)


def test_up_to_the_choice_nothing_of_the_test_split_is_needed(study, corpus, tmp_path):
    shutil.copytree(corpus, tmp_path / "data")
    (tmp_path / "data" / "test.csv").unlink()
    config = replace(settings(tmp_path / "data", base_model=study / "best_model"), model=ModelConfig(**FEATURES))
    config = replace(config, training=replace(config.training, num_epochs=2, batch_size=8, learning_rate=1e-4))
    config = replace(config, training=replace(config.training, patience=15))
    made = prepare(config, tmp_path / "out", resume=False, overwrite=False, reporter=Onlooker())
    assert set(made.chosen) == set(METHODS)
    assert all(rate in METHODS[m].rates for m, by in made.chosen.items() for rate in by.values() if METHODS[m].rates)
    assert not (study / "ledger.jsonl").read_text().count("\n") > 1


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--ways", "9"), "--ways 9: the model has 3 classes"),
        (("--pretrain_epochs", "1"), "trains its base without labels throughout"),
        (("--modalities", "audio"), "a base of one modality cannot be trained without labels; give --base_model"),
        (("--label_kind", "multi"), "few-shot episodes draw utterances of one class each"),
        (("--shots", "5", "5"), "shots must be one or more, each once"),
        (("--logit_weight", "2"), "settings of distillation need --mode distillation"),
    ],
)
def test_what_cannot_be_is_one_line(corpus, tmp_path, capsys, more, message):
    assert command(corpus, tmp_path / "out", *more) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert message in told[-1]
    assert not (tmp_path / "out").exists()


def test_a_plan_that_is_too_large_is_made_to_fit_and_said_so(corpus, tmp_path, capsys):
    assert command(corpus, tmp_path / "out", "--shots", "2", "20", "--methods", "class_mean") == 0
    told = capsys.readouterr().err
    assert "val: 3 ways need 20 shots and 2 queries of other speakers each, and 0 of 3 classes have enough" in told
    assert "Instead: shots 2; 2 queries; 3 ways" in told
    assert {r["shots"] for r in figures(tmp_path / "out")[1]} == {2}


def test_a_plan_gives_up_queries_first_then_shots_then_ways():
    asked = FewShotConfig(shots=(1, 3), queries=3)
    plans = [(p.shots, p.queries, p.ways) for p in _plans(asked, 3, new=True)]
    first = [((1, 3), 3), ((1, 3), 2), ((1,), 3), ((1,), 2), ((1, 3), 1), ((1,), 1)]
    assert plans == [(*p, None) for p in first] + [(*p, 2) for p in first]
    assert (4,) in {p.shots for p in _plans(FewShotConfig(shots=(5,)), 3, new=True)}
    assert {p.shots for p in _plans(FewShotConfig(shots=(5,)), 3, new=False)} == {(5,)}  # each has a rate of its own


def test_a_base_that_is_there_keeps_its_own_settings(study, corpus, tmp_path, capsys):
    base = ("--base_model", str(study / "best_model"))
    assert command(corpus, tmp_path / "out", *base, "--fusion_type", "early") == 2
    assert "fusion_type early is not what the base was made with, contrastive; leave it out" in capsys.readouterr().err


def test_settings_of_few_shot_learning_need_its_mode(corpus, capsys):
    assert cli.main(["train", "--data_root", str(corpus), "--episodes", "5"]) == 2
    assert "settings of few-shot learning need --mode few_shot" in capsys.readouterr().err


def test_the_page_names_every_method_and_subset(study):
    console = Console(record=True, width=140, file=io.StringIO())
    print_few_shot(json.loads((study / "few_shot" / "few_shot.json").read_text()), console)
    text = console.export_text()
    for method in METHODS.values():
        assert method.title in text
    assert "audio, prompts + adapters (ours)" in text
    assert "Ours minus the others, paired by episode" in text
