"""The models that stand for real ones load as those do, run, and are the same wherever they are made."""

import json
import socket

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoFeatureExtractor, AutoImageProcessor, AutoModel, AutoTokenizer

from emobraid.encoders.reports import quiet
from tiny_hub import MAKERS, VOCABULARY, TinyHub, make_tiny_hub

TEXT = ("deberta-v2", "deberta-v2-fast", "bert", "roberta")
SOUND = ("wav2vec2-group", "wav2vec2-layer", "wavlm", "hubert")
LINE = "Rachel: oh my God, I am so happy today!"


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return TinyHub(tmp_path_factory.mktemp("hub"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    def refused(*_, **__):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


def loaded(folder):
    """The encoder in float32, and the report of its load."""
    with quiet():
        model, report = AutoModel.from_pretrained(
            folder, dtype=torch.float32, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
    return model.eval(), report


def image_processor(folder):
    with quiet():  # it says that torchvision is missing, also when asked for the other backend
        return AutoImageProcessor.from_pretrained(folder, local_files_only=True, backend="pil")


def inputs(name, folder, scale=1.0):
    """What a user would feed this model: a sentence, a second of sound, a picture."""
    torch.manual_seed(round(scale * 100))
    if name in TEXT:
        return AutoTokenizer.from_pretrained(folder)(LINE if scale == 1 else "I am sad.", return_tensors="pt")
    if name == "vit":
        return image_processor(folder)(
            torch.randint(0, 256, (48, 40, 3), dtype=torch.uint8).numpy(), return_tensors="pt"
        )
    sound = torch.randn(16_000).mul(scale).cumsum(0).sin().numpy()
    heard = AutoFeatureExtractor.from_pretrained(folder)(sound, sampling_rate=16_000, return_tensors="pt")
    heard.pop("attention_mask", None)  # nothing is padded
    return heard


def encoded(name, folder, model, scale=1.0):
    """(1, positions, D)"""
    network = model.get_encoder() if name == "whisper" else model
    with torch.no_grad():
        return network(**inputs(name, folder, scale)).last_hidden_state


@pytest.mark.parametrize("name", MAKERS)
def test_weights_come_back_bit_for_bit(name, models):
    model, report = loaded(models[name])
    missing = {key for key in report["missing_keys"] if not key.startswith("pooler.")}
    assert not missing, "a weight that is not in the file is random"
    assert not report["mismatched_keys"]
    written = {(t.shape, t.float().numpy().tobytes()) for t in load_file(models[name] / "model.safetensors").values()}
    ours = {key: tensor for key, tensor in model.state_dict().items() if not key.startswith("pooler.")}
    # by content, as names in files are older than names in memory
    assert not [key for key, tensor in ours.items() if (tensor.shape, tensor.numpy().tobytes()) not in written]


@pytest.mark.parametrize("name", MAKERS)
def test_a_model_reads_its_input_and_the_input_matters(name, models):
    model, _ = loaded(models[name])
    out = encoded(name, models[name], model)
    assert out.shape == (1, {"whisper": 200, "vit": 17}.get(name, out.shape[1]), 32)
    assert out.isfinite().all()
    assert torch.equal(out, encoded(name, models[name], model))
    other = encoded(name, models[name], model, scale=0.3)
    assert (out.mean(1) - other.mean(1)).abs().max() > 1e-2


@pytest.mark.parametrize("name", MAKERS)
def test_a_model_is_small(name, models):
    model, _ = loaded(models[name])
    assert 20_000 < sum(p.numel() for p in model.parameters()) < 100_000
    assert sum(file.stat().st_size for file in models[name].iterdir()) < 400_000


@pytest.mark.parametrize("name", MAKERS)
def test_a_model_can_be_tuned(name, models):
    model, _ = loaded(models[name])
    network = model.get_encoder() if name == "whisper" else model
    network(**inputs(name, models[name])).last_hidden_state.square().sum().backward()
    trained = [p for p in network.parameters() if p.grad is not None and p.grad.abs().sum() > 0]
    assert len(trained) > 30


@pytest.mark.parametrize("name", MAKERS)
def test_two_builds_are_the_same_to_the_byte(name, models, tmp_path):
    torch.manual_seed(1234)
    again = make_tiny_hub(tmp_path, only=[name])[name]
    made = {file.name: file.read_bytes() for file in again.iterdir()}
    assert made == {file.name: file.read_bytes() for file in models[name].iterdir()}


def test_building_leaves_random_numbers_alone(tmp_path):
    before = torch.get_rng_state()
    make_tiny_hub(tmp_path, only=["vit"])
    assert torch.equal(torch.get_rng_state(), before)


def test_only_what_is_asked_for_is_made_and_once(tmp_path):
    tiny = TinyHub(tmp_path)
    assert set(tiny) == set(MAKERS)
    assert not list(tmp_path.iterdir())
    made = tiny["vit"]
    assert [p.name for p in tmp_path.iterdir()] == ["vit"]
    stamp = (made / "model.safetensors").stat().st_mtime_ns
    assert make_tiny_hub(tmp_path, only=["vit"]) == {"vit": made}
    assert (made / "model.safetensors").stat().st_mtime_ns == stamp


def test_a_build_that_fails_leaves_nothing(tmp_path, monkeypatch):
    def half(folder):
        (folder / "config.json").write_text("{}")
        raise RuntimeError

    monkeypatch.setitem(MAKERS, "vit", half)
    with pytest.raises(RuntimeError):
        make_tiny_hub(tmp_path, only=["vit"])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", TEXT)
def test_a_tokenizer_stays_below_the_embeddings_and_knows_its_words(name, models):
    tokenizer = AutoTokenizer.from_pretrained(models[name], local_files_only=True)
    assert len(tokenizer) <= VOCABULARY
    ids = tokenizer(LINE)["input_ids"]
    assert (ids[0], ids[-1]) == (tokenizer.cls_token_id, tokenizer.sep_token_id)
    assert tokenizer.unk_token_id not in ids
    assert "happy" in tokenizer.decode(ids).lower()


def test_deberta_is_laid_out_as_on_the_hub(models):
    folder = models["deberta-v2"]
    names = {"config.json", "model.safetensors", "spm.model", "tokenizer_config.json"}
    assert {file.name for file in folder.iterdir()} == names
    assert {t.dtype for t in load_file(folder / "model.safetensors").values()} == {torch.float16}
    with quiet():
        assert (
            AutoModel.from_pretrained(folder).dtype == torch.float16
        )  # the trap: half precision unless told otherwise
    names = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert {file.name for file in models["deberta-v2-fast"].iterdir()} == names


def test_both_debertas_read_the_same_pieces(models):
    slow, fast = (AutoTokenizer.from_pretrained(models[name]) for name in ("deberta-v2", "deberta-v2-fast"))
    for text in (LINE, "", "  two  spaces ", "élan 7", "[SEP]"):
        assert slow(text)["input_ids"] == fast(text)["input_ids"]


def padded_and_not(model):
    """The largest difference that 8,000 zeros after 16,000 samples make to what is heard of these."""
    torch.manual_seed(0)
    sound = torch.randn(1, 16_000)
    mask = torch.ones(1, 24_000, dtype=torch.long)
    mask[:, 16_000:] = 0
    with torch.no_grad():
        alone = model(sound).last_hidden_state
        padded = model(torch.nn.functional.pad(sound, (0, 8_000)), attention_mask=mask).last_hidden_state
    return (padded[:, : alone.shape[1]] - alone).abs().max()


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # WavLM with any mask
@pytest.mark.parametrize("name", SOUND)
def test_padding_changes_a_norm_over_time_and_no_other(name, models):
    changes = name != "wav2vec2-layer"
    model, _ = loaded(models[name])
    assert (padded_and_not(model) > 0.05) == changes
    assert changes or padded_and_not(model) < 1e-5


@pytest.mark.parametrize("name", SOUND)
def test_sound_gives_fifty_positions_a_second(name, models):
    model, _ = loaded(models[name])
    assert encoded(name, models[name], model).shape[1] == 49  # 16,000 samples through windows of 400 every 320


@pytest.mark.parametrize(
    ("name", "normalizes", "masks"),
    [("wav2vec2-group", True, False), ("wav2vec2-layer", True, True), ("wavlm", False, True), ("hubert", True, False)],
)
def test_feature_extractors_have_the_settings_of_the_real_ones(name, normalizes, masks, models):
    extractor = AutoFeatureExtractor.from_pretrained(models[name], local_files_only=True)
    assert (extractor.do_normalize, extractor.return_attention_mask) == (normalizes, masks)
    assert extractor.sampling_rate == 16_000


def test_whisper_hears_windows_of_four_seconds(models):
    extractor = AutoFeatureExtractor.from_pretrained(models["whisper"], local_files_only=True)
    features = extractor(torch.zeros(16_000).numpy(), sampling_rate=16_000, return_tensors="pt")["input_features"]
    assert features.shape == (1, 80, 400)
    config = json.loads((models["whisper"] / "config.json").read_text())
    assert (config["max_source_positions"], config["num_mel_bins"]) == (200, 80)


def test_pictures_are_resized_and_put_between_minus_one_and_one(models):
    white = torch.full((50, 70, 3), 255, dtype=torch.uint8).numpy()
    pixels = image_processor(models["vit"])(white, return_tensors="pt")["pixel_values"]
    assert torch.equal(pixels, torch.ones(1, 3, 32, 32))
