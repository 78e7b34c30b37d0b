"""The command line as a user meets it: the mission's commands, and one line for anything that cannot be done."""

import importlib.util
import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import torch

import corpora
from corpora import SMALL, as_flags, clip_config, clip_corpus, write_table
from emobraid import checkpoint, cli
from emobraid.config import Config, ModelConfig
from emobraid.fusion import FUSIONS
from emobraid.model import MultimodalEmotionModel
from emobraid.recipes import load_recipe, recipes

REPOSITORY = Path(__file__).parents[1]
LATER_COMMANDS = ["export"]


@pytest.fixture
def command(capsys):
    """Runs `emobraid ...` in this process; (exit code, standard output, standard error)."""

    def run(*args):
        capsys.readouterr()
        code = cli.main([str(a) for a in args])
        told = capsys.readouterr()
        return code, told.out, told.err

    return run


@pytest.fixture
def refused(command):
    """Runs a command that must fail with exit code 2 and exactly one line; that line without its `emobraid: `."""

    def run(*args):
        code, out, err = command(*args)
        assert (code, out) == (2, "")
        assert err.startswith("emobraid: ")
        assert err.endswith("\n")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        return err.removeprefix("emobraid: ").rstrip("\n")

    return run


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return clip_corpus(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model in a checkpoint: predicts from all three modalities."""
    torch.manual_seed(0)
    config = Config(model=ModelConfig(**SMALL, video_max_frames=4))
    model = MultimodalEmotionModel(config.model)
    folder = tmp_path_factory.mktemp("model") / "best_model"
    checkpoint.publish(folder, checkpoint.model_files(model, config, calibration={"text": 2.0}, card=""))
    return folder


# --- the mission's commands, word for word, in an empty folder with data/ ---


def python(*args, cwd):
    return subprocess.run([sys.executable, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def mission(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mission")
    data = clip_corpus(folder / "data")
    small = as_flags(clip_config(data, fusion_type="early"), "model", "training")  # the default fusion is asked for
    at = small.index("--fusion_type")
    del small[at : at + 2]
    asked = ["--mode", "standard", "--fusion_type", "hierarchical"]
    trained = python(REPOSITORY / "train_advanced.py", *asked, *small, "--workers", "1", cwd=folder)
    asked = ["--model_path", "checkpoints/best_model.pth", "--output_dir", "results/"]
    return folder, trained, python(REPOSITORY / "evaluate_model.py", *asked, cwd=folder)


def test_the_missions_training_command_works_on_data_and_writes_checkpoints(mission):
    folder, trained, _ = mission
    assert trained.returncode == 0, trained.stderr
    assert "checkpoints/best_model: validation macro-F1 " in trained.stdout
    assert "epoch   1  loss " in trained.stderr
    made = {p.name for p in (folder / "checkpoints").iterdir()}
    assert {"best_model", "resume", "metrics.jsonl", "tensorboard"} <= made
    kept = tomllib.loads((folder / "checkpoints" / "best_model" / "config.toml").read_text())
    assert kept["model"]["fusion_type"] == "hierarchical"
    card = (folder / "checkpoints" / "best_model" / "README.md").read_text()
    assert "hierarchical fusion of text, audio, video" in card
    assert "AI Act" in card


def test_the_missions_evaluation_command_works_and_writes_results(mission):
    folder, _, evaluated = mission
    assert evaluated.returncode == 0, evaluated.stderr
    assert "written: results/metrics.json" in evaluated.stdout
    made = {p.name for p in (folder / "results").iterdir()}
    assert {"metrics.json", "predictions.csv", "confusion.png", "per_class.png"} <= made
    metrics = json.loads((folder / "results" / "metrics.json").read_text())
    assert len(metrics["subsets"]) == 7
    assert (folder / "checkpoints" / "ledger.jsonl").read_text().count("\n") == 1


def test_the_missions_demo_says_in_one_line_that_there_is_no_model(tmp_path):
    asked = ["--model_path", "checkpoints/best_model.pth", "--port", "7860"]
    shown = python(REPOSITORY / "demo" / "gradio_demo.py", *asked, cwd=tmp_path)
    assert (shown.returncode, shown.stdout) == (2, "")
    assert shown.stderr.startswith("emobraid: checkpoints/best_model")
    assert shown.stderr.count("\n") == 1


def test_the_missions_config_module_has_its_fields_and_defaults():
    spec = importlib.util.spec_from_file_location("missions_config", REPOSITORY / "config.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    built, trained = module.ModelConfig(), module.TrainingConfig()
    assert (built.text_model_name, built.text_max_length) == ("microsoft/deberta-v3-base", 512)
    assert (built.audio_model_name, built.audio_sample_rate) == ("facebook/wav2vec2-base-960h", 16000)
    assert (built.video_model_name, built.video_max_frames) == ("google/vit-base-patch16-224", 30)
    assert (built.fusion_type, built.fusion_hidden_size) == ("hierarchical", 512)
    assert (trained.batch_size, trained.learning_rate, trained.num_epochs) == (16, 1e-4, 100)


# --- what comes later says so ---


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


@pytest.mark.parametrize("name", LATER_COMMANDS)
def test_a_command_of_a_later_version_is_refused(refused, name):
    told = refused(name, "--anything", "3")
    assert told == f"`emobraid {name}` is not in this version; it has {', '.join(cli.COMMANDS)}"


# --- settings: recipe, then flags ---


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


# --- mistakes on the command line ---


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["train", "--fusion_tipe", "late"], "unknown option '--fusion_tipe', did you mean '--fusion_type'?"),
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
        (["predict", "--text", "b"], "checkpoints/best_model: there is no model here"),
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
    assert cli._first_panel(plain) == cli._first_panel(drawn) == "invalid choice 'x'"


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


# --- mistakes in the data ---


def broken_table(root):
    write_table(root / "train.csv", [["hello", "happy"]], columns=("text", "emotion"))


def table_without_labels(root):
    write_table(root / "train.csv", [["hello", "", ""]], columns=("text", "audio_path", "video_path"))


def one_row(*cells):
    def write(root):
        write_table(root / "train.csv", [["fine", "", "", "happy"], cells])

    return write


def empty_sound(root):
    (root / "empty.wav").touch()
    one_row("", "empty.wav", "", "sad")(root)


def text_as_sound(root):
    (root / "text.wav").write_text("this is no sound at all")
    one_row("", "text.wav", "", "sad")(root)


def empty_film(root):
    (root / "empty.mp4").touch()
    one_row("", "", "empty.mp4", "sad")(root)


def latin1(root):
    (root / "train.csv").write_bytes("text,audio_path,video_path,emotion\nÄrger,,,angry\n".encode("latin-1"))


def link_out(root):
    (root.parent / "elsewhere.wav").touch()
    (root / "link.wav").symlink_to(root.parent / "elsewhere.wav")
    one_row("", "link.wav", "", "sad")(root)


BAD_DATA = {
    "missing columns": (broken_table, "train.csv: found columns text, emotion; missing video_path"),
    "no emotion column": (
        table_without_labels,
        "train.csv: found columns text, audio_path, video_path; missing emotion",
    ),
    "unknown label": (one_row("", "", "", "hapy"), "train.csv line 3: unknown label 'hapy', did you mean 'happy'?"),
    "label of nothing near": (
        one_row("", "", "", "zzz"),
        "train.csv line 3: unknown label 'zzz', known: happy, sad, ang",
    ),
    "empty sound": (empty_sound, "train.csv line 3: {root}/empty.wav: empty file (0 bytes)"),
    "empty film": (empty_film, "train.csv line 3: {root}/empty.mp4: empty file (0 bytes)"),
    "text named .wav": (text_as_sound, "train.csv line 3: {root}/text.wav: looks like plain text"),
    "file that is not there": (one_row("", "gone.wav", "", "sad"), "train.csv line 3: {root}/gone.wav: no such file"),
    "path outside": (one_row("", "../x.wav", "", "sad"), "train.csv line 3: path '../x.wav' leads outside {root}; use"),
    "absolute path": (
        one_row("", "/etc/passwd", "", "sad"),
        "train.csv line 3: path '/etc/passwd' leads outside {root}",
    ),
    "link to the outside": (link_out, "train.csv line 3: path 'link.wav' leads outside {root}"),
    "no rows": (lambda root: write_table(root / "train.csv", []), "train.csv: there are no rows in it"),
    "another encoding": (latin1, "train.csv: not UTF-8 at byte 35; save the table as UTF-8"),
    "no table": (lambda root: None, "train.csv: no such file; data_root must hold train.csv, val.csv, test.csv"),
}


@pytest.mark.parametrize("case", BAD_DATA)
def test_bad_data_is_one_line_and_nothing_is_written(refused, tmp_path, case):
    spoil, said = BAD_DATA[case]
    root = tmp_path / "data"
    root.mkdir()
    write_table(root / "val.csv", [["fine", "", "", "happy"]])
    spoil(root)
    flags = as_flags(Config(model=ModelConfig(**SMALL, labels=corpora.LABELS)), "model")
    line = refused("train", *flags, "--data_root", root, "--workers", "1", "--output_dir", tmp_path / "run")
    assert said.format(root=root) in line
    assert not (tmp_path / "run").exists()


def test_a_data_folder_that_is_not_there_is_named(refused, tmp_path):
    told = refused("train", "--data_root", tmp_path / "nowhere", "--output_dir", tmp_path / "run")
    assert told.startswith(f"{tmp_path}/nowhere/train.csv: no such file; data_root must hold")
    assert list(tmp_path.iterdir()) == []


def test_evaluating_without_a_test_table_writes_nothing(refused, tmp_path, model):
    (tmp_path / "data").mkdir()
    told = refused(
        "evaluate", "--model_path", model, "--data_root", tmp_path / "data", "--output_dir", tmp_path / "out"
    )
    assert "test.csv: no such file" in told
    assert not (tmp_path / "out").exists()
    assert not (model.parent / "ledger.jsonl").exists()


def test_a_training_that_diverges_ends_with_exit_code_1_and_one_last_line(command, tmp_path):
    data = corpora.feature_corpus(tmp_path / "data")
    flags = as_flags(corpora.feature_config(data, learning_rate=1e30))
    code, out, err = command("train", *flags, "--output_dir", tmp_path / "run")
    assert (code, out) == (1, "")
    last = err.splitlines()[-1]
    assert last.startswith("emobraid: loss nan, gradient norm nan at step 1 (learning rate 1.00e+30), batch: train-")
    assert "Traceback" not in err
    assert not (tmp_path / "run" / "best_model").exists()


@pytest.mark.parametrize("name", ["predict", "evaluate"])
@pytest.mark.parametrize("damage", ["truncated", "pickle", "folder without manifest"])
def test_a_checkpoint_that_cannot_be_trusted_is_one_line(refused, tmp_path, model, clips, name, damage):
    path = tmp_path / "best_model"
    if damage == "pickle":
        path = tmp_path / "best_model.pth"
        torch.save({"weights": torch.zeros(3)}, path)
        said = f"{path} is a pickle, which can run code; not loaded."
    elif damage == "truncated":
        path.mkdir()
        for file in model.iterdir():
            content = file.read_bytes()
            (path / file.name).write_bytes(content[:-1] if file.name == "model.safetensors" else content)
        said = f"{path}: the checkpoint is damaged (model.safetensors does not match its checksum)"
    else:
        path.mkdir()
        said = f"{path}: no checkpoint here (no readable manifest.json)"
    more = ["--text", "hi"] if name == "predict" else ["--data_root", clips, "--output_dir", tmp_path / "out"]
    assert refused(name, "--model_path", path, *more).startswith(said)
    assert not (tmp_path / "out").exists()


# --- predict ---


def test_predict_prints_one_json_object_with_the_promised_keys(command, model, clips):
    face = next((clips / "video").iterdir())
    code, out, err = command("predict", "--model_path", model, "--text", "I am happy", "--video", face, "--json")
    assert (code, err) == (0, "")
    told = json.loads(out)
    assert list(told) == [
        *("emotion", "confidence", "probabilities"),
        *("contributions", "per_modality", "affect", "notes", "affect_note"),
    ]
    assert list(told["per_modality"]) == ["text", "audio", "video"]  # the film's own sound


def test_predict_leaves_the_sound_out_when_told(command, model, clips):
    face = next((clips / "video").iterdir())
    told = json.loads(command("predict", "--model_path", model, "--video", face, "--no_sound", "--json")[1])
    assert list(told["per_modality"]) == ["video"]


def test_predict_for_people_names_the_emotion_and_each_modality(command, model, clips):
    code, out, _ = command(
        "predict", "--model_path", model, "--text", "I am happy", "--audio", clips / "audio" / "sad.wav"
    )
    assert code == 0
    assert out.splitlines()[0].split()[0] in ModelConfig().labels
    assert "text " in out
    assert "audio " in out


def test_predict_says_in_one_line_why_a_silent_sound_or_a_faceless_film_alone_is_not_read(refused, model, tmp_path):
    silent, faceless = corpora.silence(tmp_path / "s.wav"), corpora.faceless_video(tmp_path / "f.mp4")
    assert "audio: silent" in refused("predict", "--model_path", model, "--audio", silent)
    assert "video: no face in 4 frames" in refused("predict", "--model_path", model, "--video", faceless)


def test_predict_tells_what_was_missing_beside_what_was_read(command, model, tmp_path):
    silent = corpora.silence(tmp_path / "s.wav")
    told = json.loads(command("predict", "--model_path", model, "--text", "hi", "--audio", silent, "--json")[1])
    assert told["notes"] == {"audio": "silent"}
    _, out, _ = command("predict", "--model_path", model, "--text", "hi", "--audio", silent)
    assert "audio: silent" in out


def test_predict_refuses_files_that_are_not_there(refused, model, tmp_path):
    assert refused("predict", "--model_path", model, "--audio", tmp_path / "a.wav").endswith("a.wav: no such file")
    told = refused("predict", "--model_path", model, "--csv", tmp_path / "a.csv")
    assert "a.csv: cannot be read as a CSV table" in told


def test_predict_refuses_a_table_without_any_known_column(refused, model, tmp_path):
    write_table(tmp_path / "t.csv", [["x"]], columns=("sentence",))
    told = refused("predict", "--model_path", model, "--csv", tmp_path / "t.csv")
    assert told.endswith("found columns sentence; need one of text, audio_path, video_path")


@pytest.fixture
def table(tmp_path):
    corpora.tone(tmp_path / "tone.wav")
    rows = [
        ["first", "good", ""],
        ["second", "", "gone.wav"],
        ["third", "", "tone.wav"],
        ["fourth", "", ""],
        ["fifth", "", "../../x.wav"],
        ["sixth", "good", "tone.wav"],
    ]
    write_table(tmp_path / "t.csv", rows, columns=("id", "text", "audio_path"))
    return tmp_path / "t.csv"


def test_a_table_is_read_in_order_and_failed_rows_are_told_at_the_end(command, model, table):
    code, out, err = command("predict", "--model_path", model, "--csv", table, "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert [(r["id"], r["line"]) for r in rows] == [
        *(("first", 2), ("second", 3), ("third", 4), ("fourth", 5), ("fifth", 6), ("sixth", 7))
    ]
    assert [list(r["per_modality"]) if "emotion" in r else None for r in rows] == [
        *(["text"], None, ["audio"], None, None, ["text", "audio"])
    ]
    assert rows[1]["error"].endswith("gone.wav: no such file")
    summary, *failed = err.splitlines()
    assert summary == "3 rows read, 3 failed"
    assert [line.split(": ")[0].strip() for line in failed] == ["t.csv line 3", "t.csv line 5", "t.csv line 6"]
    assert "nothing to read" in failed[1]
    assert "leads outside" in failed[2]
    one = json.loads(command("predict", "--model_path", model, "--text", "good", "--json")[1])
    assert rows[0]["probabilities"] == one["probabilities"]


def test_a_table_for_people_has_a_line_a_row(command, model, table):
    code, out, _ = command("predict", "--model_path", model, "--csv", table)
    lines = [line.split() for line in out.splitlines()]
    assert code == 1
    assert [line[0] for line in lines] == ["first", "second", "third", "fourth", "fifth", "sixth"]
    assert [line[1] == "failed" for line in lines] == [False, True, False, True, True, False]


def test_a_table_without_failures_ends_with_exit_code_0(command, model, tmp_path):
    write_table(tmp_path / "t.csv", [["good"], ["bad"]], columns=("text",))
    code, out, err = command("predict", "--model_path", model, "--csv", tmp_path / "t.csv")
    assert (code, err) == (0, "2 rows read, 0 failed\n")
    assert [line.split()[0] for line in out.splitlines()] == ["t-2", "t-3"]


def test_a_second_folder_may_be_allowed(command, refused, model, tmp_path):
    (tmp_path / "here").mkdir()
    tone = corpora.tone(tmp_path / "tone.wav")
    write_table(tmp_path / "here" / "t.csv", [[tone]], columns=("audio_path",))
    assert command("predict", "--model_path", model, "--csv", tmp_path / "here" / "t.csv")[0] == 1
    more = ["--csv", tmp_path / "here" / "t.csv", "--allow_outside", tmp_path]
    assert command("predict", "--model_path", model, *more)[0] == 0


# --- the sample corpus ---


def test_the_sample_corpus_has_defaults_for_all_but_its_folder(monkeypatch, command, tmp_path):
    asked = {}
    monkeypatch.setattr(
        "emobraid.data.sample.make_sample_corpus", lambda folder, **given: asked.update(given, folder=folder)
    )
    code, out, _ = command("sample-corpus", tmp_path / "new")
    assert code == 0
    assert f"emobraid train --config sample --data_root {tmp_path}/new" in out
    assert (asked["folder"], asked["seed"], asked["clips"]) == (tmp_path / "new", 0, 560)
