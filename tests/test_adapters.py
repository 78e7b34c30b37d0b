"""What learns in a tuned pretrained model, what does not, and what of it is kept in a checkpoint."""

import copy
import functools
import importlib
import json
import re
import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from emobraid import checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.encoders.adapters import Bottleneck, Tuning, layers_of, tune
from emobraid.encoders.audio import PretrainedAudio
from emobraid.encoders.pretrained import load
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, pad
from emobraid.training.optimization import optimizer_for

TEXT = ("deberta-v2", "bert", "roberta")
SOUND = ("wav2vec2-group", "wav2vec2-layer", "wavlm", "hubert", "whisper")
MODELS = (*TEXT, *SOUND, "vit")
TUNED = ("adapter", "lora", "prompt", "bitfit", "full")
SIZES = {"adapter_size": 4, "lora_rank": 2, "prompt_length": 3}
LAYERS = 2  # of every tiny model
EVERY = pytest.mark.parametrize("name", MODELS)
EACH_WAY = pytest.mark.parametrize("method", TUNED)

# where the layers are, which map ends their feed-forward block, which maps LoRA changes
BERT = ("encoder.layer", "output.dense", ("attention.self.query", "attention.self.value"))
SPEECH = ("encoder.layers", "feed_forward.output_dense", ("attention.q_proj", "attention.v_proj"))
ANATOMY = {
    "bert": BERT,
    "roberta": BERT,
    "deberta-v2": (*BERT[:2], ("attention.self.query_proj", "attention.self.value_proj")),
    **dict.fromkeys(("wav2vec2-group", "wav2vec2-layer", "hubert"), SPEECH),
    "wavlm": (*SPEECH[:2], ("feed_forward.intermediate_dense", "feed_forward.output_dense")),
    "whisper": ("layers", "fc2", ("self_attn.q_proj", "self_attn.v_proj")),
    "vit": ("layers", "mlp.fc2", ("attention.q_proj", "attention.v_proj")),
}
# what stays frozen with `full`: it is read before training, or never
NOT_FULL = {
    **dict.fromkeys(SOUND[:4], ("feature_extractor.", "masked_spec_embed")),
    "whisper": ("embed_positions.",),
}


def build(hub, name, method, **sizes):
    """The encoder as a training begins with it."""
    torch.manual_seed(0)
    tuning = Tuning(method, **{**SIZES, **sizes})
    if name in TEXT:
        return PretrainedText(str(hub[name]), tuning=tuning, precision="float32").eval()
    if name in SOUND:
        return PretrainedAudio(str(hub[name]), tuning=tuning, precision="float32").eval()
    return PretrainedVideo(str(hub[name]), hidden=8, tuning=tuning, precision="float32").eval()


def shaken(encoder):
    """With no trained weight at its beginning: what begins as zero hides whether the rest is used."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if parameter.requires_grad:
                parameter += 0.1 * torch.randn_like(parameter)
    return encoder


def inputs(encoder):
    """Three inputs as training sees them."""
    rng = np.random.default_rng(0)
    raw = {
        "text": ["I am so happy today!", "they are not", "oh my God, don't you think? I am sad."],
        "audio": [rng.normal(size=n).astype(np.float32) for n in (8_000, 3_000, 6_100)],
        "video": [rng.integers(0, 256, (n, 32, 32, 3), dtype=np.uint8) for n in (2, 4, 1)],
    }[encoder.tower.kind]
    return pad(encoder.stem([encoder.prepare(one) for one in raw]))


def backward(encoder, stream):
    """Gradients of the tower by name, after one pass."""
    out = encoder(stream)
    aim = torch.linspace(-1, 1, encoder.dim)  # a plain square of a norm's output says little
    (out.values[out.mask] - aim).abs().pow(1.5).sum().backward()
    return {n: p.grad for n, p in encoder.tower.model.named_parameters() if p.grad is not None}


@functools.cache
def plain_names(folder):
    """Names of all weights of the model without any tuning."""
    return tuple(n for n, _ in load(folder).named_parameters())


def learning(hub, name, method):
    """The names that must learn, from the model's anatomy."""
    stack, end, maps = ANATOMY[name]
    layers = [f"{stack}.{i}" for i in range(LAYERS)]
    if method == "adapter":
        pieces = [f"{way}.{kind}" for way in ("down", "up") for kind in ("weight", "bias")]
        return {f"{layer}.{end}.{piece}" for layer in layers for piece in pieces}
    if method == "lora":
        return {f"{layer}.{m}.lora_{side}.default.weight" for layer in layers for m in maps for side in "AB"}
    if method == "prompt":
        return {"prompts.tokens"}
    if method == "bitfit":
        return {n for n in plain_names(hub[name]) if n.startswith(f"{stack}.") and n.endswith("bias")}
    return {n for n in plain_names(hub[name]) if not n.startswith(NOT_FULL.get(name, ("nothing",)))}


# which weights learn


@EVERY
@EACH_WAY
def test_gradients_are_exactly_where_the_method_says(hub, name, method):
    encoder = shaken(build(hub, name, method))
    gradients = backward(encoder, inputs(encoder))
    assert set(gradients) == learning(hub, name, method)
    assert set(gradients) == {n for n, p in encoder.tower.model.named_parameters() if p.requires_grad}
    for n, gradient in gradients.items():
        assert gradient.isfinite().all(), n
        # a bias added to all keys alike moves no attention
        assert gradient.abs().max() > 0 or re.search(r"\.k(ey|_proj|ey_proj)\.bias$", n), n


@EVERY
@EACH_WAY
def test_a_step_of_the_optimiser_changes_these_and_the_head_alone(hub, name, method):
    encoder = shaken(build(hub, name, method))
    before = copy.deepcopy(encoder.state_dict())
    backward(encoder, inputs(encoder))
    optimizer = optimizer_for(encoder, Config(), fused=False)
    optimizer.step()
    changed = {n for n, value in encoder.state_dict().items() if not value.equal(before[n])}
    head = {n for n, _ in encoder.named_parameters() if not n.startswith("tower.")}
    tower = {f"tower.model.{n}" for n in learning(hub, name, method)}
    still = {n for n in tower if n.endswith("bias") and n not in changed}
    # a softmax takes no notice of a shift of all scores: whether this one moves is rounding
    shift = {"attention.score.2.bias"}
    assert (changed | still) - shift == (head | tower) - shift
    assert all(re.search(r"\.k(ey|_proj|ey_proj)\.bias$", n) for n in still)


@EVERY
def test_a_frozen_model_is_no_part_of_the_network_and_never_trains(hub, name):
    encoder = build(hub, name, "frozen").train()
    stream, model = inputs(encoder), encoder.tower.network()
    assert not [n for n, _ in encoder.named_parameters() if n.startswith("tower.")]
    assert not model.training
    assert not any(p.requires_grad for p in model.parameters())
    assert not stream.values.requires_grad


def test_encoders_learn_at_their_own_rate(hub):
    settings = type(Config().training)(encoder_learning_rate=3e-5, learning_rate=1e-3)
    encoder = build(hub, "wav2vec2-group", "lora")
    groups = optimizer_for(encoder, Config(training=settings), fused=False).param_groups
    counted = {}
    for group in groups:
        counted[group["peak"]] = counted.get(group["peak"], 0) + len(group["params"])
    # the head: weights of the layers, a norm, the attention's two maps
    assert counted == {3e-5: len(learning(hub, "wav2vec2-group", "lora")), 1e-3: 1 + 2 + 4}


def test_a_method_that_a_model_cannot_take_is_refused_in_one_line():
    config = transformers.BertConfig(hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16)
    odd = transformers.BertModel(config)
    for layer in layers_of(odd):
        layer.attention.self.query = layer.attention.self.value = torch.nn.Identity()
        layer.output.dense = layer.intermediate.dense = layer.attention.output.dense = torch.nn.Identity()
    with pytest.raises(ValueError, match=r"^lora does not know the attention of BertModel; use adapter$"):
        tune(odd, Tuning("lora"), "text")
    with pytest.raises(ValueError, match=r"^adapters do not know the feed-forward block of BertLayer; use lora$"):
        tune(odd, Tuning("adapter"), "text")
    with pytest.raises(ValueError, match=r"^Linear has no stack of transformer layers$"):
        layers_of(torch.nn.Linear(2, 2))


def test_a_model_without_biases_is_not_tuned_by_them():
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    places = dict.fromkeys(("bos_token_id", "eos_token_id", "cls_token_id", "sep_token_id", "pad_token_id"), 1)
    bare = transformers.ModernBertModel(transformers.ModernBertConfig(**small, **places, vocab_size=20))
    with pytest.raises(ValueError, match=r"^bitfit finds nothing to learn in ModernBertModel; use lora$"):
        tune(bare, Tuning("bitfit"), "text")


def test_prompts_are_refused_where_words_are_narrower_than_layers():
    small = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 16}
    narrow = transformers.ElectraModel(transformers.ElectraConfig(**small, embedding_size=4, vocab_size=20))
    with pytest.raises(
        ValueError, match=r"^prompts do not fit ElectraModel: its embeddings are narrower; use adapter$"
    ):
        tune(narrow, Tuning("prompt"), "text")


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("XLNet", {"vocab_size": 50, "d_model": 16, "n_layer": 2, "n_head": 2, "d_inner": 16}),
        ("Swin", {"image_size": 32, "embed_dim": 8, "depths": [1, 1], "num_heads": [1, 2], "window_size": 2}),
        ("Nystromformer", {"vocab_size": 50, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}),
    ],
)
def test_prompts_are_refused_where_layers_count_their_places(name, size):
    config = getattr(transformers, f"{name}Config")(**size)
    model = getattr(transformers, f"{name}Model")(config)
    with pytest.raises(
        ValueError, match=f"^prompts do not fit {name}Model, whose layers count their places; use bitfit$"
    ):
        tune(model, Tuning("prompt"), "video" if name == "Swin" else "text")
    tune(model, Tuning("bitfit"), "text")
    assert any(p.requires_grad for p in model.parameters())


# how they begin


@EVERY
@pytest.mark.parametrize("method", [m for m in TUNED if m != "prompt"])
def test_tuning_begins_as_no_change(hub, name, method):
    frozen, tuned = build(hub, name, "frozen"), build(hub, name, method)
    tuned.load_state_dict(frozen.state_dict(), strict=False)  # the same head
    ours, expected = tuned(inputs(tuned)), frozen(inputs(frozen))
    for i in range(3):
        torch.testing.assert_close(
            ours.values[i][ours.mask[i]], expected.values[i][expected.mask[i]], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize("name", ["wav2vec2-group", "wav2vec2-layer", "whisper"])
def test_a_long_recording_is_read_in_the_same_stretches_tuned_or_frozen(hub, name, monkeypatch):
    monkeypatch.setattr("emobraid.encoders.audio.WINDOW_SECONDS", 4)  # as much as the tiny Whisper hears at once
    frozen, tuned = build(hub, name, "frozen"), build(hub, name, "adapter")
    tuned.load_state_dict(frozen.state_dict(), strict=False)
    rng = np.random.default_rng(0)
    # two whole stretches and a rest; one stretch; a rest too short to hear anything in
    waves = [rng.normal(size=n).astype(np.float32) for n in (150_000, 64_000, 64_100)]
    expected = frozen(pad(frozen.stem([frozen.prepare(w) for w in waves])))
    ours = tuned(pad(tuned.stem([tuned.prepare(w) for w in waves])))
    seconds = expected.mask.sum(dim=1) * frozen.pool * frozen.attention.window * 0.02
    assert seconds.tolist() == pytest.approx([9.4, 4, 4], abs=0.4)
    assert ours.mask.equal(expected.mask)
    torch.testing.assert_close(ours.values[ours.mask], expected.values[ours.mask], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["wav2vec2-group", "vit", "bert"])
@EACH_WAY
def test_tuning_takes_what_was_kept_in_half_precision(hub, name, method):
    encoder = build(hub, name, method)
    whole = inputs(encoder)
    if not whole.values.is_floating_point():
        assert encoder(whole).values.dtype == torch.float32
        return
    half = encoder(Stream(whole.values.half(), whole.mask))
    expected = encoder(whole)
    assert half.values.dtype == torch.float32
    torch.testing.assert_close(half.values, expected.values, rtol=2e-2, atol=2e-2)


def test_a_bottleneck_is_the_linear_map_and_a_narrow_path_beside_it():
    linear = torch.nn.Linear(1, 1)
    piece = Bottleneck(linear, 1)
    with torch.no_grad():
        for layer, weight, bias in ((linear, 2.0, 1.0), (piece.down, 1.0, -3.0), (piece.up, 10.0, 0.5)):
            layer.weight.fill_(weight)
            layer.bias.fill_(bias)
    # 2 * 2 + 1 = 5; gelu(5 - 3) = 2 * 0.97725 = 1.9545; 10 * 1.9545 + 0.5 = 20.045
    assert piece(torch.tensor([[2.0]])).item() == pytest.approx(25.045, abs=1e-3)


# prompts


@EVERY
def test_prompts_of_every_layer_are_read(hub, name):
    encoder = build(hub, name, "prompt")
    gradient = backward(encoder, inputs(encoder))["prompts.tokens"]
    assert gradient.shape == (LAYERS, 3, 32)
    assert (gradient.abs().sum(dim=2) > 0).all()  # each of the three, in each layer


@EVERY
def test_prompts_take_the_place_of_those_of_the_layer_before(hub, name):
    """Every layer sees its own prompts where they belong, then what the layer before made of the input."""
    encoder = build(hub, name, "prompt")
    model, stream, seen = encoder.tower.model, inputs(encoder), []
    for layer in layers_of(model):
        layer.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
        layer.register_forward_hook(lambda _, __, out: seen.append(out if isinstance(out, torch.Tensor) else out[0]))
    encoder(stream)
    first, out, second, _ = seen
    place = 1 if name == "vit" else 0
    own = model.prompts.tokens[1]
    assert all(row[place : place + 3].equal(own) for row in second)
    kept = [i for i in range(out.shape[1]) if not place <= i < place + 3]
    assert second[:, kept].equal(out[:, kept])
    assert first.shape == second.shape == out.shape
    if name in ("vit", "whisper"):  # the others add positions to the first layer's, or normalise them
        assert all(row[place : place + 3].equal(model.prompts.tokens[0]) for row in first)


@EVERY
def test_a_copied_model_meets_its_own_prompts(hub, name):
    encoder = build(hub, name, "prompt")
    stream = inputs(encoder)
    copied = copy.deepcopy(encoder)
    before = copied(stream).values
    shaken(encoder.tower)
    assert copied(stream).values.equal(before)
    assert not torch.allclose(encoder(stream).values, before, atol=1e-4)
    copied.load_state_dict(encoder.state_dict())
    assert copied(stream).values.equal(encoder(stream).values)


@pytest.mark.parametrize(("name", "limit"), [("bert", 512), ("roberta", 512), ("deberta-v2", None)])
def test_prompts_take_places_from_words_where_places_are_counted(hub, name, limit):
    encoder = build(hub, name, "prompt", prompt_length=16)
    encoder.eval()
    longest = encoder.prepare("happy " * 700)
    assert len(longest) == (512 if limit is None else limit - 16)
    assert encoder(pad([longest])).values.isfinite().all()


def test_prompts_that_leave_no_place_for_words_are_refused(hub):
    with pytest.raises(ValueError, match=r"has no place left for words beside 510 prompts; lower prompt_length$"):
        build(hub, "bert", "prompt", prompt_length=510)


# gradient checkpointing


@EVERY
@pytest.mark.parametrize("method", ["adapter", "lora", "prompt", "full"])
def test_gradient_checkpointing_gives_the_same_gradients(hub, name, method):
    def outcome(*, again):
        encoder = shaken(build(hub, name, method))
        stream, passes = inputs(encoder), []
        if again:
            encoder.tower.checkpoint_gradients()
        # something inside the first layer, as hooks of the layer itself may lie outside what is repeated
        inner = next(m for m in layers_of(encoder.tower.model)[0].modules() if isinstance(m, torch.nn.LayerNorm))
        inner.register_forward_hook(lambda *_: passes.append(1))
        torch.manual_seed(2)  # dropout is on
        gradients = backward(encoder.train(), stream)
        return len(passes), gradients

    (once, expected), (twice, ours) = outcome(again=False), outcome(again=True)
    assert (once, twice) == (1, 2)
    assert ours.keys() == expected.keys() == learning(hub, name, method)
    for n, gradient in ours.items():
        torch.testing.assert_close(gradient, expected[n], rtol=1e-5, atol=1e-6, msg=lambda m, n=n: f"{n}: {m}")


def test_a_frozen_model_has_no_gradients_to_checkpoint(hub):
    build(hub, "bert", "frozen").tower.checkpoint_gradients()


# what a checkpoint holds


def trio(hub, method, **changed):
    """Settings of a small model of all three modalities, tuned alike."""
    names = {"text": "deberta-v2", "audio": "wav2vec2-group", "video": "vit"}
    towers = {f"{m}_encoder": "pretrained" for m in names}
    towers |= {f"{m}_model_name": str(hub[n]) for m, n in names.items()} | {f"{m}_tuning": method for m in names}
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "fusion_type": "late"}
    return Config(model=ModelConfig(**{**towers, **SIZES, **small, "encoder_precision": "float32", **changed}))


def streams(model):
    """Prepared inputs of three utterances; in the second one nothing is heard."""
    prepared = {m: inputs(e) for m, e in model.by_modality().items()}
    mask = prepared["audio"].mask.clone()
    mask[1] = False
    return {**prepared, "audio": Stream(prepared["audio"].values, mask)}


def saved(model, config, folder):
    checkpoint.publish(folder, checkpoint.model_files(model, config, calibration={}, card=""))
    return folder


@pytest.mark.parametrize("method", ["frozen", *TUNED])
def test_a_checkpoint_holds_what_was_tuned_and_our_own_weights_and_names_its_base(hub, method, tmp_path):
    config = trio(hub, method)
    model = shaken(MultimodalEmotionModel(config.model)).eval()
    folder = saved(model, config, tmp_path / "best")
    kept = load_file(folder / "model.safetensors")
    own = {n for n, _ in model.named_parameters() if ".tower." not in n} | {
        n for n, _ in model.named_buffers() if ".tower." not in n
    }
    tuned = set()
    if method != "frozen":
        for modality, name in (("text", "deberta-v2"), ("audio", "wav2vec2-group"), ("video", "vit")):
            tuned |= {f"encoders.{modality}.tower.model.{n}" for n in learning(hub, name, method)}
    assert set(kept) == own | tuned
    bases = json.loads((folder / "bases.json").read_text())
    assert {kind: base["name"] for kind, base in bases.items()} == {
        "text": str(hub["deberta-v2"]), "audio": str(hub["wav2vec2-group"]), "video": str(hub["vit"])
    }  # fmt: skip
    assert len({base["sha256"] for base in bases.values()}) == 3


@pytest.mark.parametrize("method", ["frozen", *TUNED])
def test_saved_and_loaded_a_tuned_model_reads_bit_for_bit_the_same(hub, method, tmp_path):
    config = trio(hub, method)
    model = shaken(MultimodalEmotionModel(config.model)).eval()
    given = streams(model)
    expected = model(given).logits
    torch.manual_seed(99)
    again, _, _ = checkpoint.load_model(saved(model, config, tmp_path / "best"))
    assert again(given).logits.equal(expected)
    torch.manual_seed(99)
    assert not torch.allclose(MultimodalEmotionModel(config.model).eval()(given).logits, expected, atol=1e-4)


def altered(folder, place):
    """A copy of a model in which one weight is another."""
    shutil.copytree(folder, place)
    weights = load_file(place / "model.safetensors")
    first = min(n for n, w in weights.items() if w.dim() == 2)
    weights[first][0, 0] += 1
    save_file(weights, place / "model.safetensors", metadata={"format": "pt"})
    return place


@pytest.mark.parametrize("method", ["frozen", "adapter", "full"])
def test_a_changed_base_is_refused_in_one_line(hub, method, tmp_path):
    model_folder = tmp_path / "vit"
    shutil.copytree(hub["vit"], model_folder)
    config = trio(hub, method, video_model_name=str(model_folder))
    model = MultimodalEmotionModel(config.model)
    was = model.bases()["video"]["sha256"]
    folder = saved(model, config, tmp_path / "best")
    shutil.rmtree(model_folder)
    altered(hub["vit"], model_folder)
    now = MultimodalEmotionModel(config.model).bases()["video"]["sha256"]
    with pytest.raises(ValueError, match="was trained on another") as refused:
        checkpoint.load_model(folder)
    assert str(refused.value) == (
        f"{folder}: was trained on another {model_folder} (sha256 {was[:12]}, this one has {now[:12]}); "
        "get the same weights, or train anew"
    )


def test_weights_of_another_method_are_refused_by_name(hub, tmp_path):
    folder = saved(MultimodalEmotionModel(trio(hub, "lora").model), trio(hub, "lora"), tmp_path / "lora")
    other = MultimodalEmotionModel(trio(hub, "adapter").model)
    with pytest.raises(ValueError, match=r"weights do not fit the settings: .*down\.weight missing"):
        checkpoint.load_weights(other, load_file(folder / "model.safetensors"), folder)


# at the size of the default text model

DEBERTA_V3_BASE = {
    "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072,
    "vocab_size": 128_100, "position_buckets": 256, "relative_attention": True, "pos_att_type": "p2c|c2p",
    "share_att_key": True, "norm_rel_ebd": "layer_norm", "max_position_embeddings": 512, "type_vocab_size": 0,
    "max_relative_positions": -1, "position_biased_input": False,
}  # fmt: skip
# 12 layers of: 768 x 64 down and up with biases; query and value of rank 8; 16 prompts; biases of six maps, two norms
LEARNING = {
    "adapter": 12 * (2 * 768 * 64 + 64 + 768),
    "lora": 12 * 2 * 8 * (768 + 768),
    "prompt": 12 * 16 * 768,
    "bitfit": 12 * (4 * 768 + 3072 + 768 + 2 * 768),
}


@pytest.fixture(scope="module")
def base_size(tmp_path_factory):
    """A folder with the settings of DeBERTa-v3-base, and a maker of its network without memory for its weights."""
    folder = tmp_path_factory.mktemp("base") / "deberta-v3-base"
    config = transformers.DebertaV2Config(**DEBERTA_V3_BASE)
    config.save_pretrained(folder)
    save_file({"nothing": torch.zeros(1)}, folder / "model.safetensors")

    def network(_):
        with torch.device("meta"):
            return transformers.DebertaV2Model(config).eval()

    return folder, network


@pytest.mark.parametrize("method", LEARNING)
def test_under_a_twentieth_of_deberta_v3_base_learns_and_under_a_tenth_is_kept(base_size, method, monkeypatch):
    folder, network = base_size
    # not by its name: the package has a function `pretrained` in its place
    monkeypatch.setattr(importlib.import_module("emobraid.encoders.pretrained"), "load", network)
    encoder = PretrainedText(str(folder), tuning=Tuning(method))
    trained = sum(p.numel() for p in encoder.parameters() if p.requires_grad)
    total = sum(p.numel() for p in encoder.parameters())
    whole = 183_831_552  # of the model without its head
    assert trained == LEARNING[method]
    assert total == whole + (0 if method == "bitfit" else trained)
    assert trained / total < 0.05
    state = encoder.tower.state_dict()
    assert sum(v.nbytes for v in state.values()) >= 4 * whole
    kept = sum(v.nbytes for n, v in state.items() if n not in encoder.tower.brought())
    assert kept == 4 * trained
    assert kept / (4 * whole) < 0.10
