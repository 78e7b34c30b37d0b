"""Mistakes on the command line and in recipes are one line; help, Ctrl-C and our own faults."""

import pytest

from command_fixtures import python
from emobraid import cli
from emobraid.cli.flags import first_panel
from emobraid.fusion import FUSIONS
from emobraid.recipes import recipes

LATER_COMMANDS = ["export"]


@pytest.mark.parametrize("name", LATER_COMMANDS)
def test_a_command_of_a_later_version_is_refused(refused, name):
    told = refused(name, "--anything", "3")
    assert told == f"`emobraid {name}` is not in this version; it has {', '.join(cli.COMMANDS)}"


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["train", "--fusion_tipe", "late"], "unknown option '--fusion_tipe', did you mean '--fusion_type'?"),
        (["train", "--mode", "robust", "--epochz", "3"], "unknown option '--epochz', did you mean '--num_epochs'?"),
        (["train", "--mode", "all", "--seedz", "3"], "unknown option '--seedz', did you mean '--seed'?"),
        (["train", "--fusion-tipe=late"], "unknown option '--fusion-tipe', did you mean '--fusion_type'?"),
        (["train", "--epochs", "3"], "unknown option '--epochs', did you mean '--num_epochs'?"),
        (["train", "--cache"], "unknown option '--cache', did you mean '--no_cache'?"),
        (["predict", "--txt", "hello"], "unknown option '--txt', did you mean '--text'?"),
        (["evaluate", "stray"], "unknown option 'stray'"),
        (["evaluate", "--qqq", "1"], "unknown option '--qqq'"),
        (["pedict"], "unknown command 'pedict', did you mean 'predict'?"),
        (["train", "--learning_rate", "fast"], "could not convert string to float: 'fast'"),
        (["train", "--learning_rate", "-1"], "learning_rate Input should be greater than 0"),
        (["train", "--learning_rate"], "Missing value for argument '--learning-rate'"),
        (["train", "--encoder_dim", "9"], "encoder_dim Input should be a multiple of 8"),
        (["train", "--fusion_hidden_size", "9", "--fusion_heads", "2"], "must be a multiple of fusion_heads"),
        (["train", "--modalities", "text", "text"], "one or more of text, audio, video, motion, each once"),
        (["train", "--labels", "sad"], "a label space needs at least two classes, got ['sad']"),
        (["train", "--text_model_name", "roberta-base"], "text_model_name needs --text_encoder pretrained"),
        (["train", "--audio_sample_rate", "8000"], "audio_sample_rate must be 16000"),
        (["train", "--config"], "Missing value for argument '--config'"),
        (["train", "--resume", "--overwrite"], "--resume continues a run, --overwrite takes it away: give one of them"),
        (["sample-corpus"], "Where to put it; must be new or empty. (required)"),
        (["predict"], "nothing to read: give --text, --audio, --video, --motion (any subset), or --csv"),
        (["predict", "--csv", "a.csv", "--text", "b"], "--csv stands alone"),
        (["predict", "--text", "b", "--model_path", "x"], "x: there is no model here"),
        (["evaluate"], "checkpoints/best_model: there is no model here"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_line(refused, args, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert said in refused(*args)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_fusion_is_refused_with_all_seven_named(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = refused("train", "--fusion_type", "middle")
    assert "invalid choice 'middle' for argument '--fusion-type'" in line
    assert all(f"'{name}'" in line for name in FUSIONS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[model]\nfusion_typ = "late"\n', "model.fusion_typ is not a setting, did you mean 'fusion_type'?"),
        ('[modle]\nfusion_type = "late"\n', "modle is not a setting, did you mean 'model'?"),
        ('[model]\nfusion_type = "middle"\n', "model.fusion_type: Input should be 'early', 'late', 'mult'"),
        ('[training]\nlearning_rate = "fast"\n', "training.learning_rate: Input should be a valid number"),
        ("[model\n", "not a readable TOML file: Expected ']'"),
        (
            "[model]\nencoder_dim = 9\nfusion_depth = 0\n",
            "model.encoder_dim: Input should be a multiple of 8; model.fu",
        ),
    ],
)
def test_a_mistake_in_a_recipe_is_one_line_naming_file_and_setting(refused, tmp_path, text, said):
    recipe = tmp_path / "mine.toml"
    recipe.write_text(text)
    assert refused("train", "--config", recipe, "--output_dir", tmp_path / "run").startswith(f"{recipe}: {said}")
    assert list(tmp_path.iterdir()) == [recipe]


def test_a_recipe_that_is_not_there_is_refused_with_those_that_ship(refused, tmp_path):
    assert refused("train", "--config", tmp_path / "x.toml") == (
        f"{tmp_path}/x.toml: there is no such recipe; shipped ones: {', '.join(recipes())}"
    )


def test_a_terminal_without_unicode_gets_the_same_line():
    """Errors come in a box, or where it cannot be drawn, between rules."""
    plain = " Invalid choice \n ------- \n  invalid choice 'x' \n  ------- \n  For full help \n"
    drawn = "╭─ Invalid choice ─╮\n│ invalid choice 'x' │\n│ ──── │\n│ For full help │\n╰────╯\n"
    assert first_panel(plain) == first_panel(drawn) == "invalid choice 'x'"


def test_debug_shows_the_traceback(tmp_path):
    shown = python("-m", "emobraid", "pedict", "--debug", cwd=tmp_path)
    assert shown.returncode != 0
    assert shown.stderr.startswith("Traceback (most recent call last):")
    assert "unknown command 'pedict'" in shown.stderr


def test_help_and_version_are_no_errors(command, capsys):
    assert command("--version")[:2] == (0, "0.1.0\n")
    code, out, _ = command("--help")
    assert code == 0
    assert all(name in out for name in cli.COMMANDS)
    assert command()[0] == 2
    with pytest.raises(SystemExit) as stop:
        cli.main(["train", "--help"])
    assert stop.value.code == 0
    assert "--fusion-type {early,late,mult,graph,contrastive,adaptive,hierarchical}" in capsys.readouterr().out


def test_ctrl_c_outside_of_training_is_one_line_too(command, monkeypatch):
    def interrupted(args):
        raise KeyboardInterrupt

    monkeypatch.setitem(cli.COMMANDS, "predict", (cli.Predict, interrupted))
    assert command("predict") == (130, "", "emobraid: stopped\n")


def test_a_fault_of_our_own_is_one_line_with_its_kind_and_exit_code_1(command, monkeypatch):
    def broken(args):
        raise RuntimeError("two\nlines")

    monkeypatch.setitem(cli.COMMANDS, "predict", (cli.Predict, broken))
    assert command("predict") == (1, "", "emobraid: two lines (RuntimeError; --debug shows where)\n")
