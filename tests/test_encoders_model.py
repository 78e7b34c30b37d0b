"""Encoders are built as configured, and a whole model of raw inputs keeps the house's promises."""

import pytest
import torch

from emobraid import encoders
from emobraid.config import ModelConfig
from emobraid.encoders import CompactAudio, CompactText, CompactVideo, Features
from emobraid.encoders.compact_text import PIECES
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, keep_only, pad, subsets
from encoder_fixtures import BUILDERS, DIM, SOUND, batch, polluted


def test_the_configured_encoder_is_built():
    config = ModelConfig(audio_encoder="features", audio_width=12, encoder_dim=32, text_max_length=9)
    built = {m: encoders.build(m, config) for m in config.modalities}
    assert [type(e) for e in built.values()] == [CompactText, Features, CompactVideo]
    assert [e.dim for e in built.values()] == [32] * 3
    assert built["audio"].width == 12
    assert built["text"].max_length == 9


def test_features_of_unknown_width_cannot_be_built():
    with pytest.raises(ValueError, match="audio_width is not set"):
        encoders.build("audio", ModelConfig(audio_encoder="features"))


def test_a_change_of_preparation_changes_the_name_under_which_it_is_cached():
    assert CompactText(DIM, max_length=9).preparation != CompactText(DIM).preparation
    assert CompactAudio(DIM, rate=8_000).preparation != CompactAudio(DIM).preparation
    assert len({b().preparation for b in BUILDERS.values()}) == len(BUILDERS)


def test_the_compact_encoders_are_small():
    config = ModelConfig()
    built = [encoders.build(m, config) for m in config.modalities]
    assert sum(p.numel() for e in built for p in e.parameters()) < 10_000_000


@pytest.fixture
def model(small_config):
    return MultimodalEmotionModel(small_config(fusion_type="mult")).eval()


def raw_streams():
    text = torch.randint(1, 1_000, (6, PIECES))
    return {
        "text": pad([text[:4], text[:0], text[:6], text[:0]]),
        "audio": batch("audio", [20, 9, 0, 0]),
        "video": batch("video", [2, 4, 0, 0]),
    }


def test_a_model_of_raw_inputs_sees_no_junk_in_value_or_gradient(model):
    clean = raw_streams()
    dirty = {m: polluted(s, -1 if m == "text" else float("nan")) for m, s in clean.items()}

    def outcome(streams):
        model.zero_grad()
        logits = model(streams).logits
        logits.square().sum().backward()
        return [logits, *(p.grad.clone() for p in model.parameters() if p.grad is not None)]

    for ours, expected in zip(outcome(dirty), outcome(clean), strict=True):
        assert ours.isfinite().all()
        torch.testing.assert_close(ours, expected, rtol=1e-3, atol=1e-4)


def test_a_models_rows_read_alone_are_read_the_same(model):
    streams = raw_streams()
    together = model(streams).logits
    for i in range(4):
        alone = model({m: s.rows(torch.tensor([i])) for m, s in streams.items()}).logits
        torch.testing.assert_close(alone[0], together[i], rtol=1e-4, atol=1e-5)


def test_a_model_reads_every_subset_with_its_encoders_run_once(model):
    streams, runs = raw_streams(), []
    hook = model.encoders["audio"].register_forward_hook(lambda *_: runs.append(1))
    read = model.read_subsets(streams, subsets(streams))
    hook.remove()
    assert runs == [1]
    assert list(read) == ["text", "audio", "video", "text+audio", "text+video", "audio+video", "text+audio+video"]
    torch.testing.assert_close(read["text+video"], model(keep_only(streams, ("text", "video"))).logits)
    torch.testing.assert_close(read["text+audio+video"], model(streams).logits)


def test_a_model_augments_each_modality_and_keeps_its_labels(model):
    streams = raw_streams()
    varied = model.augment(Batch(tuple("abcd"), streams, torch.eye(4)), torch.Generator().manual_seed(0))
    assert varied.ids == tuple("abcd")
    assert varied.labels.equal(torch.eye(4))
    assert not torch.allclose(varied.streams["audio"].values, streams["audio"].values)


def test_a_training_step_in_half_precision_has_finite_gradients(model):
    with torch.autocast("cpu", torch.bfloat16):
        logits = model.train()(raw_streams()).logits
    logits.float().square().sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    assert model.encoders["video"].lstm.lstm.weight_ih_l0.grad.any()


def test_a_model_fits_its_encoders_on_prepared_inputs(model):
    model.fit_inputs({"text": [], "audio": [torch.full((2, SOUND), 3.0)], "video": []})
    assert model.encoders["audio"].mean[:64].tolist() == [3.0] * 64
