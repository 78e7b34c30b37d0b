"""One tree of settings: strict, and the same again after a trip through TOML."""

import dataclasses
import tomllib
from pathlib import Path

import pytest

from emobraid.config import (
    Config,
    DataConfig,
    ModelConfig,
    TrainingConfig,
    as_it_was,
    fingerprint,
    parse,
    to_toml,
    to_tree,
)
from emobraid.recipes import load_recipe, recipes

MISSION = {
    "text_model_name": "microsoft/deberta-v3-base",
    "text_max_length": 512,
    "audio_model_name": "facebook/wav2vec2-base-960h",
    "audio_sample_rate": 16000,
    "video_model_name": "google/vit-base-patch16-224",
    "video_max_frames": 30,
    "fusion_type": "hierarchical",
    "fusion_hidden_size": 512,
    "batch_size": 16,
    "learning_rate": 1e-4,
    "num_epochs": 100,
}


def refusal(tree):
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # each test matches the whole message
        parse(tree, "mine.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("name", MISSION)
def test_names_and_defaults_are_the_missions(name):
    section = TrainingConfig() if hasattr(TrainingConfig(), name) else ModelConfig()
    value = getattr(section, name)
    assert value == MISSION[name]
    assert type(value) is type(MISSION[name])


def test_a_tree_survives_a_trip_through_toml():
    config = Config(
        model=ModelConfig(modalities=("audio", "text"), labels=("a", "b"), fusion_type="mult", audio_width=12),
        training=TrainingConfig(learning_rate=3e-5, augment=False, unimodal_weight=0.0),
        data=DataConfig(data_root=Path("some where/é"), allow_outside=Path("/x"), cache=False),
    )
    again = parse(tomllib.loads(to_toml(config)), "again")
    assert again == config
    assert fingerprint(again) == fingerprint(config)


def test_the_default_tree_survives_a_trip_through_toml():
    assert parse(tomllib.loads(to_toml(Config())), "again") == Config() == parse({}, "empty")


def test_settings_that_are_none_are_left_out_of_toml():
    assert "text_width" not in to_toml(Config())
    assert to_tree(Config(model=ModelConfig(text_width=3)))["model"]["text_width"] == 3


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"model": {"fusion_typ": "mult"}}, "model.fusion_typ is not a setting, did you mean 'fusion_type'?"),
        ({"data": {"dataroot": "x"}}, "data.dataroot is not a setting, did you mean 'data_root'?"),
        ({"modle": {}}, "modle is not a setting, did you mean 'model'?"),
        ({"training": {"zzz": 1}}, "training.zzz is not a setting"),
    ],
)
def test_a_misspelt_key_is_refused_with_the_nearest_one(tree, message):
    assert refusal(tree) == f"mine.toml: {message}"


def test_every_bad_setting_is_named_at_once():
    message = refusal({"training": {"batch_size": 0, "seeed": 1}, "model": {"fusion_type": "tensor"}})
    for part in ("training.batch_size", "training.seeed", "'seed'", "model.fusion_type", "'hierarchical'"):
        assert part in message


@pytest.mark.parametrize(
    ("section", "name", "value"),
    [
        ("training", "batch_size", 0),
        ("training", "batch_size", 16.5),
        ("training", "learning_rate", 0.0),
        ("training", "learning_rate", float("nan")),
        ("training", "learning_rate", float("inf")),
        ("training", "num_epochs", 0),
        ("training", "modality_dropout", 1.0),
        ("training", "seed", -1),
        ("training", "mixed_precision", "fp8"),
        ("model", "encoder_dim", 12),
        ("model", "fusion_dropout", 1.0),
        ("model", "video_max_frames", 0),
        ("model", "text_encoder", "bert"),
        ("model", "labels", "happy"),
        ("data", "workers", 0),
    ],
)
def test_a_value_out_of_range_is_refused_by_its_path(section, name, value):
    assert refusal({section: {name: value}}).startswith(f"mine.toml: {section}.{name}: ")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"modalities": []}, "modalities must be one or more of text, audio, video"),
        ({"modalities": ["text", "text"]}, "modalities must be one or more of text, audio, video, motion, each once"),
        ({"fusion_hidden_size": 10}, "fusion_hidden_size must be a multiple of fusion_heads"),
        ({"audio_sample_rate": 8000}, "audio_sample_rate must be 16000"),
        ({"labels": ["happy"]}, "at least two classes"),
        ({"labels": ["happy", "Happy"]}, "labels must differ"),
    ],
)
def test_settings_that_cannot_go_together_are_refused(settings, message):
    assert message in refusal({"model": settings})


@pytest.mark.parametrize("modality", ["text", "audio", "video"])
@pytest.mark.parametrize(("setting", "value"), [("model_name", "somebody/large"), ("tuning", "lora")])
def test_a_pretrained_encoder_that_would_be_ignored_is_refused(modality, setting, value):
    name = f"{modality}_{setting}"
    or_stem = {"text_model_name": " or minilm_stem", "video_model_name": " or face_stem"}.get(name, "")
    assert refusal({"model": {name: value}}) == f"mine.toml: {name} needs --{modality}_encoder pretrained{or_stem}"
    meant = parse({"model": {name: value, f"{modality}_encoder": "pretrained"}}, "mine.toml")
    assert getattr(meant.model, name) == value


@pytest.mark.parametrize("name", recipes())
def test_every_shipped_recipe_can_be_used(name):
    tree = load_recipe(name)
    config = parse(tree, name)
    # a recipe that says nothing new is no recipe
    assert config != Config()
    for section, settings in tree.items():
        assert {key: to_tree(config)[section][key] for key in settings} == settings


def test_a_recipe_may_be_a_file_of_ones_own(tmp_path):
    (tmp_path / "own.toml").write_text('[model]\nfusion_type = "late"\n')
    assert parse(load_recipe(str(tmp_path / "own.toml")), "own").model.fusion_type == "late"


def test_an_absent_recipe_is_refused_with_the_shipped_ones():
    with pytest.raises(ValueError, match=r"no_such: there is no such recipe; shipped ones: .*features"):
        load_recipe("no_such")


@pytest.mark.parametrize("content", [b"[model\n", b"\xff\xfe"])
def test_a_recipe_that_is_no_toml_is_refused(content, tmp_path):
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(ValueError, match=r"bad\.toml: not a readable TOML file"):
        load_recipe(str(tmp_path / "bad.toml"))


def test_the_fingerprint_follows_what_shapes_a_result_and_not_where_it_lies():
    base = fingerprint(Config())
    assert fingerprint(Config(data=DataConfig(data_root=Path("elsewhere"), workers=8))) == base
    assert fingerprint(Config(training=TrainingConfig(seed=1))) != base
    assert fingerprint(Config(model=ModelConfig(fusion_type="late"))) != base


def test_settings_do_not_change_afterwards():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().training.seed = 1  # type: ignore[misc]
    own = ModelConfig()
    config = Config(model=own)
    own.fusion_type = "late"
    assert config.model.fusion_type == "hierarchical"  # a copy


def test_the_models_settings_may_be_changed_and_each_change_is_checked():
    own = ModelConfig(batch_size=8, learning_rate=1e-3, num_epochs=3)
    own.video_max_frames, own.batch_size = 10, 4
    assert (own.video_max_frames, own.batch_size) == (10, 4)
    for name, value, said in (
        ("fusion_heads", 3, "fusion_hidden_size must be a multiple of fusion_heads"),
        ("fusion_type", "mut", "'early', 'late'"),
        ("batch_size", 0, "greater than or equal to 1"),
        ("bach_size", 4, "bach_size is not a setting, did you mean 'batch_size'"),
    ):
        with pytest.raises(ValueError, match=said):
            setattr(own, name, value)
    assert own == ModelConfig(batch_size=4, learning_rate=1e-3, num_epochs=3, video_max_frames=10)


def test_what_a_models_settings_say_of_the_training_moves_there_once():
    config = Config(model=ModelConfig(batch_size=8, learning_rate=1e-3, num_epochs=3))
    trained = config.training
    assert (trained.batch_size, trained.learning_rate, trained.num_epochs) == (8, 1e-3, 3)
    assert config.model == ModelConfig()
    assert fingerprint(config) == fingerprint(Config(training=trained))
    assert not {"batch_size", "learning_rate", "num_epochs"} & to_tree(config)["model"].keys()
    with pytest.raises(ValueError, match="batch_size is 8 in the model's settings and 4 in those of training"):
        Config(model=ModelConfig(batch_size=8), training=TrainingConfig(batch_size=4))


def test_a_setting_that_came_later_does_not_make_others_of_what_was_measured_before():
    plain = parse(as_it_was({}), "stored long ago")
    assert fingerprint(plain) == "98370817ac92"  # as it was when the first studies were run
    assert fingerprint(Config()) != fingerprint(plain)  # faces have been read otherwise since
    assert parse(as_it_was(to_tree(Config())), "stored today") == Config()
    wider = dataclasses.replace(plain.model, labels=(*plain.model.labels, "pride"))
    named, added = (
        dataclasses.replace(plain, model=dataclasses.replace(wider, added_labels=count)) for count in (0, 1)
    )
    assert len({fingerprint(c) for c in (plain, added, named)}) == 3
