"""The arithmetic of frozen encoders: bfloat16 where it is fast, 8 bits within their error, told apart in names."""

import re

import pytest
import torch
import torch.nn.functional as F

import pretrained_fixtures
from emobraid.encoders import hub as models
from emobraid.encoders.adapters import layers_of
from emobraid.encoders.audio import convolved
from emobraid.encoders.int8 import ROWS, Int8Linear, RoundedLinear
from emobraid.encoders.pretrained import arithmetic, load, resolve
from emobraid.encoders.video import attended
from pretrained_fixtures import EVERY, encoder_of, kind_of, raws

build = pretrained_fixtures.build


@pytest.mark.parametrize("probe", ["_is_amx_tile_supported", "_is_avx512_bf16_supported", None])
def test_auto_is_bfloat16_where_the_processor_multiplies_it(monkeypatch, probe):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.setattr(torch.cpu, name, lambda name=name: name == probe, raising=False)
    assert resolve("auto", torch.device("cpu")) == ("bfloat16" if probe else "float32")


@pytest.mark.parametrize("able", [True, False])
def test_auto_asks_the_gpu(monkeypatch, able):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: able)
    assert resolve("auto", torch.device("cuda")) == ("bfloat16" if able else "float32")


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_a_precision_that_is_asked_for_is_taken(precision, device):
    assert resolve(precision, torch.device(device)) == precision


def relative(ours, expected):
    return ((ours - expected).norm() / expected.norm()).item()


def test_whole_numbers_of_8_bits_are_multiplied_exactly():
    linear = torch.nn.Linear(40, 7)
    whole = torch.Generator().manual_seed(3)
    with torch.no_grad():
        linear.weight.copy_(torch.randint(-127, 128, (7, 40), generator=whole))
        linear.weight[:, 3] = 127.0  # so that a step of every row is 1
    x = torch.randint(-128, 128, (2, 3, 40), generator=whole).float()
    x[..., 5], x[..., 6] = -128.0, 127.0
    torch.testing.assert_close(Int8Linear(linear)(x), linear(x), rtol=1e-6, atol=1e-3)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [1, ROWS, ROWS + 3])
def test_8_bits_are_within_two_percent_of_a_linear_map(bias, rows):
    # the largest of 64 normal values is about 2.5 deviations: a step is 2.5 / 127, its rounding error 1 / sqrt(12) of
    # that, 0.6 %, in the weights and in what goes in alike: 0.8 % together
    linear, x = torch.nn.Linear(64, 48, bias=bias), torch.randn(rows, 64)
    with torch.no_grad():
        linear.weight.normal_()
        ours, expected = Int8Linear(linear)(x), linear(x)
    assert 1e-4 < relative(ours, expected) < 0.02
    assert relative(Int8Linear(linear)(1_000 * x), linear(1_000 * x)) < 0.02  # whatever the scale


@pytest.mark.parametrize("shape", [(0, 8), (2, 0, 8), (0, 3, 8)])
def test_8_bits_of_nothing_are_nothing(shape):
    assert Int8Linear(torch.nn.Linear(8, 5))(torch.zeros(shape)).shape == (*shape[:-1], 5)


@pytest.mark.parametrize("value", [0.0, 3.0, -0.1])
def test_8_bits_of_what_is_the_same_everywhere(value):
    linear, x = torch.nn.Linear(8, 5), torch.full((3, 8), value)
    assert relative(Int8Linear(linear)(x), linear(x)) < 0.01
    torch.nn.init.zeros_(linear.weight)
    torch.testing.assert_close(Int8Linear(linear)(torch.randn(3, 8)), linear.bias.expand(3, 5))


# two layers between norms: an error of some 0.85 % a map in 8 bits, 2 ** -9 a number in bfloat16, adds up over about a
# dozen maps as the root of their number, so to some 3 %
@EVERY
@pytest.mark.parametrize(("precision", "most"), [("int8", 0.04), ("bfloat16", 0.04)])
def test_lower_precision_encodes_nearly_the_same(build, hub, name, precision, most):
    whole, rough = build(name), encoder_of(hub[name], kind_of(name), precision=precision)
    inputs = [one for one in map(whole.prepare, raws(kind_of(name))) if len(one)]
    for ours, expected in zip(rough.stem(inputs), whole.stem(inputs), strict=True):
        assert ours.dtype == torch.float32
        assert 1e-5 < relative(ours, expected) < most


@pytest.fixture(params=[True, False], ids=["bfloat16", "no bfloat16"])
def half(request, monkeypatch):
    """Whether the processor is said to multiply bfloat16."""
    monkeypatch.setattr("emobraid.encoders.pretrained.multiplies_bfloat16", lambda device: request.param)
    return request.param


@EVERY
def test_8_bits_take_the_place_of_the_layers_maps_but_for_what_ends_a_layer_of_words(hub, half, name):
    encoder = encoder_of(hub[name], kind_of(name), precision="int8")
    model, plain_model = encoder.tower.network(), load(hub[name])
    made = {n: type(m) for n, m in model.named_modules() if type(m) in (Int8Linear, RoundedLinear)}
    stack = next(n for n, m in plain_model.named_modules() if m is layers_of(plain_model))
    linear = {n for n, m in plain_model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith(f"{stack}.")}
    given_away = {n for n in linear if name == "wavlm" and n.endswith("_proj")}  # it reads their weights itself
    ends = {n for n in linear if kind_of(name) == "text" and half and re.fullmatch(r".*\.\d\.output\.dense", n)}
    own = {f"{n}.plain" for n in linear if kind_of(name) == "video"}
    assert made == dict.fromkeys(linear - given_away - ends, Int8Linear) | dict.fromkeys(ends | own, RoundedLinear)
    assert len(given_away) == (8 if name == "wavlm" else 0)
    assert len(ends) == (2 if kind_of(name) == "text" and half else 0)


@EVERY
def test_8_bits_encode_nearly_the_same_with_and_without_bfloat16(build, hub, half, name):
    whole, rough = build(name), encoder_of(hub[name], kind_of(name), precision="int8")
    inputs = [one for one in map(whole.prepare, raws(kind_of(name))) if len(one)]
    for ours, expected in zip(rough.stem(inputs), whole.stem(inputs), strict=True):
        assert ours.dtype == torch.float32
        assert 1e-5 < relative(ours, expected) < 0.04


def test_the_first_positions_go_through_the_map_as_it_was():
    linear, x = torch.nn.Linear(64, 48), torch.randn(3, 5, 64)
    with torch.no_grad():
        mixed, eight, plain = Int8Linear(linear, exact=2)(x), Int8Linear(linear)(x), linear(x)
        torch.testing.assert_close(Int8Linear(linear, exact=2)(x[:, :1]), linear(x[:, :1]))
    torch.testing.assert_close(mixed[:, :2], plain[:, :2])
    assert mixed[:, 2:].equal(eight[:, 2:])
    assert not eight[:, :2].allclose(plain[:, :2], rtol=1e-4, atol=1e-4)
    rows = x.flatten(0, 1)  # which tell no positions apart
    with torch.no_grad():
        assert Int8Linear(linear, exact=2)(rows).equal(Int8Linear(linear)(rows))


def test_a_class_token_that_is_kept_exact_loses_less(hub, monkeypatch):
    whole = encoder_of(hub["vit"], "video")
    inputs = [whole.prepare(one) for one in raws("video") if len(one)]
    monkeypatch.setattr("emobraid.encoders.pretrained.multiplies_bfloat16", lambda device: False)
    rough, expected = encoder_of(hub["vit"], "video", precision="int8"), torch.cat(whole.stem(inputs))
    spared = relative(torch.cat(rough.stem(inputs)), expected)
    for layer in rough.tower.network().modules():
        if isinstance(layer, Int8Linear):
            layer.plain = None
    assert spared < 0.7 * relative(torch.cat(rough.stem(inputs)), expected)


def test_voice_convolutions_in_bfloat16_are_nearly_the_same(hub):
    model, wave = load(hub["wav2vec2-group"]), torch.randn(4_000, generator=torch.Generator().manual_seed(0))
    expected = convolved(model, wave)
    model.feature_extractor.bfloat16()
    # seven layers, each off by 2 ** -9 a number in its weights, in what goes in and in what comes out
    assert 1e-5 < relative(convolved(model, wave).float(), expected) < 0.02


def test_a_voice_model_that_masks_nothing_is_read_in_8_bits_too(hub):
    def states(drop):
        encoder = encoder_of(hub["wav2vec2-group"], "audio", precision="int8")
        if drop:  # then the first of its weights is that of a convolution, in another type than the layers
            del encoder.tower.network().masked_spec_embed
        return encoder.stem([encoder.prepare(raws("audio")[0])])[0]

    assert states(drop=True).equal(states(drop=False))


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16])
def test_attention_over_faces_is_the_librarys(kind):
    query, key, value = (torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(i)).to(kind) for i in range(3))
    expected = F.scaled_dot_product_attention(query.float(), key.float(), value.float(), scale=0.3)
    assert relative(attended(query, key, value, 0.3).float(), expected) < (1e-6 if kind == torch.float32 else 0.02)


@pytest.mark.parametrize("name", ["deberta-v2", "wav2vec2-group", "vit"])
def test_what_a_frozen_output_depends_on_names_weights_and_arithmetic(hub, name):
    kind = kind_of(name)
    identities = {p: encoder_of(hub[name], kind, precision=p).stem_identity() for p in ("float32", "bfloat16", "int8")}
    assert len(set(identities.values())) == 3
    assert all(models.weights_hash(hub[name]) in identity for identity in identities.values())


def test_8_bits_beside_bfloat16_are_other_arithmetic_than_8_bits_alone(monkeypatch):
    names = set()
    for half in (True, False):
        monkeypatch.setattr("emobraid.encoders.pretrained.multiplies_bfloat16", lambda device, half=half: half)
        names.add(arithmetic("int8", torch.device("cpu")))
    assert len(names) == 2
