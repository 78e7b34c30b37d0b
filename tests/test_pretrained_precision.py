"""The arithmetic of frozen encoders: bfloat16 where it is fast, 8 bits within their error, told apart in names."""

import pytest
import torch

import pretrained_fixtures
from emobraid.encoders import hub as models
from emobraid.encoders.adapters import layers_of
from emobraid.encoders.int8 import ROWS, Int8Linear
from emobraid.encoders.pretrained import load, resolve
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


@EVERY
def test_8_bits_take_the_place_of_the_layers_maps_and_of_nothing_else(hub, name):
    encoder = encoder_of(hub[name], kind_of(name), precision="int8")
    model, plain_model = encoder.tower.network(), load(hub[name])
    quantised = {n for n, m in model.named_modules() if isinstance(m, Int8Linear)}
    stack = next(n for n, m in plain_model.named_modules() if m is layers_of(plain_model))
    linear = {n for n, m in plain_model.named_modules() if isinstance(m, torch.nn.Linear) and n.startswith(f"{stack}.")}
    given_away = {n for n in linear if name == "wavlm" and n.endswith("_proj")}  # it reads their weights itself
    assert quantised == linear - given_away
    assert len(given_away) == (8 if name == "wavlm" else 0)


@pytest.mark.parametrize("name", ["deberta-v2", "wav2vec2-group", "vit"])
def test_what_a_frozen_output_depends_on_names_weights_and_arithmetic(hub, name):
    kind = kind_of(name)
    identities = {p: encoder_of(hub[name], kind, precision=p).stem_identity() for p in ("float32", "bfloat16", "int8")}
    assert len(set(identities.values())) == 3
    assert all(models.weights_hash(hub[name]) in identity for identity in identities.values())
