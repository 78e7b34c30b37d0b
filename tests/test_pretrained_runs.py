"""Pretrained encoders from files to predictions: what is kept, what is made again, and every fusion on top of them."""

import itertools
import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from corpora import LABELS, Onlooker, as_flags, clip_config, clip_corpus, results, run
from emobraid import checkpoint, cli, encoders
from emobraid.config import USUAL as MODALITIES
from emobraid.data import preparer as preparer_module
from emobraid.data.corpus import Sample
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Preparer, preparing
from emobraid.data.shelf import Shelf
from emobraid.encoders.audio import PretrainedAudio
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.evaluation.inference import predict_split
from emobraid.fusion import FUSIONS
from emobraid.media import Audio, Faces, MediaError, MediaReader
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import pad
from emobraid.training.run import objective_weights
from emobraid.training.signals import Interrupted
from emobraid.training.trainer import Trainer

NAMES = {"text": "deberta-v2", "audio": "wav2vec2-group", "video": "vit"}
METHODS = ("frozen", "adapter", "lora", "prompt", "bitfit", "full")
SMALL = {"adapter_size": 4, "lora_rank": 2, "prompt_length": 2, "encoder_precision": "float32"}


# what is kept


class Reader:
    """Reads arrays from .npy files, cut and without faces or sound as their names say, and counts what it read."""

    def __init__(self):
        self.read = []

    def audio(self, path, *, start=0.0, end=None):
        assert (start, end) == (0.0, None)
        self.read.append(path.name)
        if "broken" in path.name:
            raise MediaError(f"{path.name} is not a recording")
        return Audio(np.load(path), "silent" if "silent" in path.name else "")

    def faces(self, path, *, max_frames, size, start=0.0, end=None, side=None):
        assert (start, end, side) == (0.0, None, None)
        self.read.append(path.name)
        frames = np.load(path)[:max_frames, :size, :size]
        return Faces(frames, np.arange(len(frames)), "" if len(frames) else "no face in 9 frames")


def trio(hub, folders=None, **options):
    """The three encoders, some in folders of their own, with options by modality or for all."""
    places = {m: str(hub[n]) for m, n in NAMES.items()} | (folders or {})
    kinds = {"text": PretrainedText, "audio": PretrainedAudio, "video": PretrainedVideo}
    every = {"precision": "float32", **options.pop("every", {})}
    return {m: kind(places[m], **{**every, **options.get(m, {})}).eval() for m, kind in kinds.items()}


class Pass:
    """One preparation of samples: what was read, what went through a stem, what came out."""

    def __init__(self, folder, towers, samples, *, frames=4, half=True, **options):
        self.reader, self.stemmed = Reader(), dict.fromkeys(towers, 0)
        for modality, encoder in towers.items():
            self._count(modality, encoder)
        with Shelf(folder, towers, max_frames=frames, half=half) as shelf:
            preparer = Preparer(towers, self.reader, max_frames=frames, shelf=shelf, half=half)
            self.split = preparer.split(samples, len(LABELS), **options)

    def _count(self, modality, encoder):
        stem = encoder.stem

        def counted(prepared, device="cpu"):
            self.stemmed[modality] += len(prepared)
            return stem(prepared, device)

        encoder.stem = counted


def same(ours, expected):
    """Bit for bit, type and notes included."""
    assert ours.notes == expected.notes
    for modality, tensors in expected.tensors.items():
        for one, wanted in zip(ours.tensors[modality], tensors, strict=True):
            assert one.dtype == wanted.dtype
            assert one.equal(wanted)


@pytest.fixture
def samples(tmp_path):
    """Three utterances; nothing to hear in the second, no clip of it, no face in the third."""
    rng = np.random.default_rng(0)
    for name, length in {"first": 7_000, "silent": 0, "third": 5_000}.items():
        np.save(tmp_path / f"{name}.npy", rng.normal(size=length).astype(np.float32))
    for name, length in {"clip": 9, "landscape": 0}.items():
        np.save(tmp_path / f"{name}.npy", rng.integers(0, 256, (length, 64, 64, 3), dtype=np.uint8))
    rows = [
        ("I am so happy", "first", "clip"),
        ("they are not", "silent", None),
        ("I am so happy", "third", "landscape"),
    ]
    return [
        Sample(
            id=str(i), table="train.csv", line=i + 2, group="", sound_from_video=False, label=i,
            speaker="Ross" if i == 2 else "", context=(("Monica", "oh my God"),) if i == 2 else (),
            cells={
                "text": text,
                "audio": tmp_path / f"{audio}.npy",
                "video": None if video is None else tmp_path / f"{video}.npy",
            },
        )
        for i, (text, audio, video) in enumerate(rows)
    ]  # fmt: skip


ALL = {"text": 3, "audio": 2, "video": 1}
NONE = dict.fromkeys(ALL, 0)


def test_a_second_pass_reads_no_file_runs_no_stem_and_gives_the_same_bits(hub, samples, tmp_path):
    first = Pass(tmp_path / "kept", trio(hub), samples)
    assert sorted(first.reader.read) == ["clip.npy", "first.npy", "landscape.npy", "silent.npy", "third.npy"]
    assert first.stemmed == ALL
    assert first.split.notes == {
        "0": {}, "1": {"audio": "silent", "video": "not given"}, "2": {"video": "no face in 9 frames"}
    }  # fmt: skip
    again = Pass(tmp_path / "kept", trio(hub), samples)
    assert again.reader.read == []
    assert again.stemmed == NONE
    same(again.split, first.split)
    assert {t.dtype for t in again.split.tensors["text"]} == {torch.float16}
    alone = Preparer(trio(hub), Reader(), max_frames=4).split(samples, len(LABELS))  # without anything kept
    same(alone, first.split)


def altered(hub, modality, place, file, change):
    """A copy of a model in which one file is another."""
    shutil.copytree(hub[NAMES[modality]], place)
    if file == "model.safetensors":
        weights = load_file(place / file)
        used = [w for n, w in sorted(weights.items()) if re.search(r"layers?\.1\..*weight$", n) and w.dim() == 2]
        used[0][0] += change
        save_file(weights, place / file, metadata={"format": "pt"})
    elif file.endswith(".json"):
        (place / file).write_text(json.dumps({**json.loads((place / file).read_text()), **change}))
    return {modality: str(place)}


CHANGES = {
    "the weights of the text encoder": ("text", "model.safetensors", 0.5),
    "the weights of the voice encoder": ("audio", "model.safetensors", 0.5),
    "the weights of the picture encoder": ("video", "model.safetensors", 0.5),
    "how text is cut into pieces": ("text", "tokenizer_config.json", {"do_lower_case": True}),
    "how sound is scaled": ("audio", "preprocessor_config.json", {"do_normalize": False}),
    "how pixels are scaled": ("video", "preprocessor_config.json", {"image_mean": [0.4, 0.4, 0.4]}),
    "frames averaged": ("audio", "pool", 2),
    "tokens read": ("text", "max_length", 100),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_depends_on_a_changed_thing_is_made_again_and_nothing_else(hub, samples, tmp_path, change):
    modality, what, value = CHANGES[change]
    first = Pass(tmp_path / "kept", trio(hub), samples)
    if "." in what:
        towers = trio(hub, altered(hub, modality, tmp_path / "model", what, value))
    else:
        towers = trio(hub, **{modality: {what: value}})
    second = Pass(tmp_path / "kept", towers, samples)
    assert second.stemmed == {**NONE, modality: ALL[modality]}
    own = {"text": set(), "audio": {"first.npy", "silent.npy", "third.npy"}, "video": {"clip.npy", "landscape.npy"}}
    assert set(second.reader.read) == own[modality]
    if what != "max_length":  # which cuts nothing here
        assert not torch.equal(second.split.tensors[modality][0], first.split.tensors[modality][0])
    back = Pass(tmp_path / "kept", trio(hub), samples)
    assert back.stemmed == NONE
    same(back.split, first.split)


def test_arithmetic_and_half_precision_are_part_of_what_is_kept(hub, samples, tmp_path):
    folder = tmp_path / "kept"
    first = Pass(folder, trio(hub), samples)
    lower = Pass(folder, trio(hub, every={"precision": "bfloat16"}), samples)
    whole = Pass(folder, trio(hub), samples, half=False)
    assert lower.stemmed == whole.stemmed == ALL
    assert {t.dtype for m in ALL for t in whole.split.tensors[m]} == {torch.float32}
    assert whole.split.tensors["text"][0].half().equal(first.split.tensors["text"][0])
    for half, kept in ((True, first), (False, whole)):
        again = Pass(folder, trio(hub), samples, half=half)
        assert again.stemmed == NONE
        same(again.split, kept.split)


def test_more_frames_are_other_frames(hub, samples, tmp_path):
    first = Pass(tmp_path / "kept", trio(hub), samples, frames=4)
    more = Pass(tmp_path / "kept", trio(hub), samples, frames=6)
    assert more.stemmed == {**NONE, "video": 1}
    assert (len(first.split.tensors["video"][0]), len(more.split.tensors["video"][0])) == (4, 6)


def test_other_crops_have_other_names(hub, samples, tmp_path):
    names = set()
    for side in (32, 48):
        towers = trio(hub)
        towers["video"].crop = side
        with Shelf(tmp_path / "kept", towers, max_frames=4) as shelf:
            names.add(shelf.key("video", samples[0]))
    assert len(names) == 2


def test_another_content_is_made_again_and_a_copy_of_the_same_is_not(hub, samples, tmp_path):
    Pass(tmp_path / "kept", trio(hub), samples)
    np.save(tmp_path / "third.npy", np.ones(5_000, np.float32))
    shutil.copy(tmp_path / "first.npy", tmp_path / "copy.npy")
    moved = replace(samples[0], cells={**samples[0].cells, "audio": tmp_path / "copy.npy"})
    second = Pass(tmp_path / "kept", trio(hub), [moved, *samples[1:]])
    assert second.reader.read == ["third.npy"]
    assert second.stemmed == {**NONE, "audio": 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"context": ()}, {"speaker": "Rachel"}, {"context": (("Monica", "oh my"), ("", "God"))},
        {"context": (("", "oh my God"),)},
    ],
)  # fmt: skip
def test_other_words_before_are_another_text(hub, samples, tmp_path, changed):
    Pass(tmp_path / "kept", trio(hub), samples)
    second = Pass(tmp_path / "kept", trio(hub), [*samples[:2], replace(samples[2], **changed)])
    assert second.stemmed == {**NONE, "text": 1}


def test_a_stem_reads_the_same_in_many_small_portions(hub, samples, tmp_path, monkeypatch):
    first = Pass(tmp_path / "kept", trio(hub), samples, half=False)
    monkeypatch.setattr(preparer_module, "AHEAD", 1)
    portions = Pass(tmp_path / "other", trio(hub), samples, half=False)
    assert portions.stemmed == ALL  # each once
    assert portions.split.notes == first.split.notes
    for m, tensors in first.split.tensors.items():
        for ours, expected in zip(portions.split.tensors[m], tensors, strict=True):
            torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-5)


def broken(samples, tmp_path):
    (tmp_path / "broken.npy").write_bytes(b"?")
    return [samples[0], replace(samples[1], cells={**samples[1].cells, "audio": tmp_path / "broken.npy"}), samples[2]]


def test_a_file_that_cannot_be_read_stops_with_the_name_of_its_row(hub, samples, tmp_path):
    with pytest.raises(ValueError, match=r"^train\.csv line 3: broken\.npy is not a recording$"):
        Pass(tmp_path / "kept", trio(hub), broken(samples, tmp_path))


def test_a_file_that_cannot_be_read_is_missing_if_wanted_and_tried_again(hub, samples, tmp_path):
    rows = broken(samples, tmp_path)
    for count, read in ((ALL, 5), (NONE, 1)):
        tried = Pass(tmp_path / "kept", trio(hub), rows, skip_unreadable=True)
        assert tried.stemmed == count
        assert len(tried.reader.read) == read
        assert tried.split.notes["1"]["audio"] == "unreadable: broken.npy is not a recording"
        assert len(tried.split.tensors["audio"][1]) == 0
    assert tried.reader.read == ["broken.npy"]


# every fusion on every mixture of encoders


def config_of(hub, corpus, kinds, method="frozen", **changed):
    """The smallest training; `kinds` says for each modality whether its encoder is pretrained or compact."""
    chosen = {f"{m}_encoder": kind for m, kind in kinds.items()}
    for m in (m for m, kind in kinds.items() if kind == "pretrained"):
        chosen |= {f"{m}_model_name": str(hub[NAMES[m]]), f"{m}_tuning": method}
    return clip_config(corpus, **{**SMALL, "audio_pool": 8, "video_max_frames": 2, **chosen, **changed})


PRETRAINED = dict.fromkeys(MODALITIES, "pretrained")
COMPACT = dict.fromkeys(MODALITIES, "compact")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    return clip_corpus(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="module")
def read(hub, corpus):
    """Every split, read once by each encoder: `read["compact"]["train"]`."""
    splits = {}
    for kind, kinds in (("pretrained", PRETRAINED), ("compact", COMPACT)):
        config = config_of(hub, corpus, kinds)
        rows = open_corpus(config.data, config.model)
        towers = {m: encoders.build(m, config.model).eval() for m in MODALITIES}
        with preparing(towers, config) as preparer:
            given = {"train": rows.split("train"), "val": rows.split("val"), "test": rows.open_test()}
            splits[kind] = {name: preparer.split(some, len(LABELS)) for name, some in given.items()}
    return splits


def mixed(read, kinds, name):
    """A split with each modality as its own encoder read it."""
    base = read["compact"][name]
    return PreparedSplit(base.samples, {m: read[kind][name].tensors[m] for m, kind in kinds.items()}, base.labels)


MIXTURES = [
    dict(zip(MODALITIES, kinds, strict=True)) for kinds in itertools.product(("pretrained", "compact"), repeat=3)
]


@pytest.mark.parametrize("kinds", MIXTURES, ids=lambda kinds: "-".join(k[:3] for k in kinds.values()))
@pytest.mark.parametrize("fusion", FUSIONS)
def test_every_fusion_trains_on_every_mixture_of_encoders_and_predicts(hub, corpus, read, tmp_path, fusion, kinds):
    config = config_of(hub, corpus, kinds, fusion_type=fusion)
    torch.manual_seed(0)
    model = MultimodalEmotionModel(config.model)
    splits = {name: mixed(read, kinds, name) for name in ("train", "val", "test")}
    model.fit_inputs(splits["train"].tensors)
    before = {n: v.clone() for n, v in model.state_dict().items()}

    def keep(model, _):
        checkpoint.publish(tmp_path / "best", checkpoint.model_files(model, config, calibration={}, card=""))

    weights = objective_weights(config)
    outcome = Trainer(
        model, splits["train"], splits["val"], config, tmp_path, loss_weights=weights, on_best=keep
    ).fit()  # fmt: skip
    assert (outcome.best_epoch, outcome.steps) == (0, 2)
    moved = {n.split(".")[0] for n, v in model.state_dict().items() if not v.equal(before[n])}
    assert moved == {"encoders", "projections", "fusion"}
    again, _, _ = checkpoint.load_model(tmp_path / "best")
    told = predict_split(again, splits["test"])
    assert len(told.logits) == 7  # subsets of three modalities
    assert told.present.tolist() == [[True, True, True], [True, True, False], [True, True, True]]
    ours = predict_split(model.eval(), splits["test"])
    for subset, logits in told.logits.items():
        assert logits.shape == (3, len(LABELS))
        assert np.isfinite(logits).all()
        assert np.array_equal(logits, ours.logits[subset])


@pytest.mark.parametrize("fusion", FUSIONS)
def test_with_everything_missing_a_tuned_model_has_finite_gradients(hub, corpus, fusion):
    config = config_of(hub, corpus, PRETRAINED, "adapter", fusion_type=fusion)
    model = MultimodalEmotionModel(config.model)
    logits = model({m: pad([e.absent()] * 2) for m, e in model.by_modality().items()}).logits
    assert logits.isfinite().all()
    logits.sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is None or parameter.grad.isfinite().all(), name


# through the front door


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache") / "kept"


def flags(config, folder):
    return ["train", *as_flags(config), "--output_dir", str(folder)]


@pytest.mark.parametrize("method", METHODS)
def test_every_way_of_tuning_trains_and_predicts_from_the_command_line(hub, corpus, cache, tmp_path, capsys, method):
    config = config_of(hub, corpus, PRETRAINED, method, cache=True, cache_dir=str(cache))
    assert cli.main(flags(config, tmp_path / "run")) == 0
    model = MultimodalEmotionModel(config.model)
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters()) + sum(t.frozen_parameters() for t in model.towers().values())
    share = f"{trained / 1e6:.1f} M of {total / 1e6:.1f} M parameters trained ({100 * trained / total:.1f} %)"
    assert share in re.sub(r"\s+", " ", capsys.readouterr().err)
    table = [
        "predict",
        "--model_path",
        str(tmp_path / "run" / "best_model"),
        "--csv",
        str(corpus / "test.csv"),
        "--json",
    ]
    assert cli.main(table) == 0
    told = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [t["id"] for t in told] == ["test-2", "test-3", "test-4"]
    assert all(sum(t["probabilities"].values()) == pytest.approx(1) for t in told)
    assert [set(t["per_modality"]) for t in told] == [{*MODALITIES}, {"text", "audio"}, {*MODALITIES}]


def test_a_second_training_touches_no_media_file_and_gives_the_same_bits(hub, corpus, tmp_path, monkeypatch):
    config = config_of(hub, corpus, PRETRAINED, "frozen", cache=True, cache_dir=str(tmp_path / "kept"))
    run(config, tmp_path / "first")

    def refused(*_, **__):
        pytest.fail("a media file was decoded, or a stem run")

    for name in ("audio", "faces", "both"):
        monkeypatch.setattr(MediaReader, name, refused)
    for encoder in (PretrainedText, PretrainedAudio, PretrainedVideo):
        monkeypatch.setattr(encoder, "stem", refused)
    run(config, tmp_path / "second")
    assert results(tmp_path / "first") == results(tmp_path / "second")


def test_a_tuned_run_that_was_stopped_goes_on_bit_for_bit(hub, corpus, cache, tmp_path):
    ways = {"text_tuning": "lora", "audio_tuning": "adapter", "video_tuning": "prompt"}
    config = config_of(
        hub, corpus, PRETRAINED, cache=True, cache_dir=str(cache), num_epochs=2, gradient_checkpointing=True, **ways
    )

    def stop(standing):
        if standing.step == 3:
            raise Interrupted(2)

    run(config, tmp_path / "unbroken")
    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", reporter=Onlooker(at_step=stop))
    assert "stopped" not in json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    told = Onlooker()
    run(config, tmp_path / "run", resume=True, reporter=told)
    assert "resuming from step 2, epoch 2" in told.said  # at the last save, an epoch's end
    assert results(tmp_path / "run") == results(tmp_path / "unbroken")


def test_a_run_on_another_base_than_it_began_with_is_not_gone_on_with(hub, corpus, cache, tmp_path):
    place = tmp_path / "vit"
    shutil.copytree(hub["vit"], place)
    changed = {"video_model_name": str(place), "cache": True, "cache_dir": str(cache), "num_epochs": 2}
    config = config_of(hub, corpus, PRETRAINED, "adapter", **changed)

    def stop(standing):
        if standing.step == 3:
            raise Interrupted(2)

    with pytest.raises(Interrupted):
        run(config, tmp_path / "run", reporter=Onlooker(at_step=stop))
    shutil.rmtree(place)
    altered(hub, "video", place, "model.safetensors", 0.5)
    with pytest.raises(ValueError, match=f"was trained on another {place} "):
        run(config, tmp_path / "run", resume=True)
