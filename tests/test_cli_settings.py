"""Settings of a command: defaults, then the recipe, then flags."""

import tomllib

import pytest

from emobraid.recipes import load_recipe, recipes


@pytest.mark.parametrize("mode", ["contrastive", "distillation", "robust", "few_shot"])
def test_a_mode_is_the_recipe_of_its_name_over_the_defaults(command, mode, tmp_path):
    teacher = ["--teacher_model", tmp_path / "teacher"] if mode == "distillation" else []
    shown = tomllib.loads(command("train", "--mode", mode, *teacher, "--print_config")[1])
    for section, settings in load_recipe(mode).items():
        for name, value in settings.items():
            assert shown[section][name] == value, name


@pytest.mark.parametrize("mode", ["standard", "few_shot", "robust", "ablation", "all"])
def test_every_mode_says_in_one_line_that_there_is_no_data(refused, tmp_path, mode, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ".csv: no such file" in refused("train", "--mode", mode)
    assert list(tmp_path.iterdir()) == []


def printed(command, *args):
    code, out, err = command("train", *args, "--print_config")
    assert (code, err) == (0, "")
    return tomllib.loads(out)


def test_flags_override_the_recipe_and_the_recipe_the_defaults(command, tmp_path):
    (tmp_path / "mine.toml").write_text('[model]\nfusion_type = "late"\n[training]\nseed = 4\nnum_epochs = 7\n')
    tree = printed(command, "--config", tmp_path / "mine.toml", "--num_epochs", "9", "--batch_size", "2")
    assert tree["model"]["fusion_type"] == "late"
    chosen = {name: tree["training"][name] for name in ("seed", "num_epochs", "batch_size", "learning_rate")}
    assert chosen == {"seed": 4, "num_epochs": 9, "batch_size": 2, "learning_rate": 1e-4}


def test_underscores_and_hyphens_are_alike(command):
    hyphens = printed(command, "--fusion-type", "late", "--num-epochs", "3", "--no-cache", "--text-max-length", "9")
    assert hyphens == printed(
        command, "--fusion_type", "late", "--num_epochs", "3", "--no_cache", "--text_max_length", "9"
    )
    assert (hyphens["model"]["fusion_type"], hyphens["data"]["cache"]) == ("late", False)


@pytest.mark.parametrize("recipe", recipes())
def test_printed_settings_are_a_recipe_that_prints_the_same(command, tmp_path, recipe):
    teacher = ["--teacher_model", tmp_path / "teacher"] if recipe == "distillation" else []
    mode = ["--mode", recipe] if recipe == "few_shot" else []
    printed_first = command("train", "--config", recipe, *mode, "--seed", "3", *teacher, "--print_config")[1]
    (tmp_path / "again.toml").write_text(printed_first)
    assert command("train", "--config", tmp_path / "again.toml", *mode, "--print_config") == (0, printed_first, "")


def test_printing_settings_writes_nothing(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    printed(command)
    assert list(tmp_path.iterdir()) == []


def test_the_sample_corpus_has_defaults_for_all_but_its_folder(monkeypatch, command, tmp_path):
    asked = {}
    monkeypatch.setattr(
        "emobraid.data.sample.make_sample_corpus", lambda folder, **given: asked.update(given, folder=folder)
    )
    code, out, _ = command("sample-corpus", tmp_path / "new")
    assert code == 0
    assert f"emobraid train --config sample --data_root {tmp_path}/new" in out
    assert (asked["folder"], asked["seed"], asked["clips"]) == (tmp_path / "new", 0, 560)
