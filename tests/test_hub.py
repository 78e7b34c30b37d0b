"""Pretrained models are found on this disk or not at all, and what is missing is said in one sentence."""

import contextlib
import hashlib
import json
import logging
import pickle
import shlex
import shutil
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file

from emobraid.encoders import hub
from emobraid.encoders.reports import quiet
from tiny_hub import MAKERS, TinyHub

KINDS = dict.fromkeys(("deberta-v2", "deberta-v2-fast", "bert", "roberta"), "text")
KINDS |= dict.fromkeys(("wav2vec2-group", "wav2vec2-layer", "wavlm", "hubert", "whisper"), "audio")
KINDS |= {"vit": "video"}
READ = '--include "*.json" --include "*.safetensors" --include "*.model" --include "*.txt"'


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    return TinyHub(tmp_path_factory.mktemp("hub"))


@pytest.fixture
def folder(models, tmp_path):
    """A copy of a model that a test may break."""
    return Path(shutil.copytree(models["bert"], tmp_path / "model"))


@pytest.fixture(autouse=True)
def _no_network(monkeypatch):
    """Not even where the user did not ask for offline work."""

    def refused(*_, **__):
        pytest.fail("a connection was opened")

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)


@pytest.fixture
def cached(tmp_path, monkeypatch):
    """`cached(id, folder, revision)`: a copy of `folder` in an own cache, as `hf download` leaves it."""
    root = tmp_path / "hub cache"
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(root))

    def keep(repository, content, revision="main"):
        commit = hashlib.sha1(revision.encode()).hexdigest()
        place = root / f"models--{repository.replace('/', '--')}"
        for part in ("blobs", f"snapshots/{commit}", str(Path("refs", revision).parent)):
            (place / part).mkdir(parents=True, exist_ok=True)
        (place / "refs" / revision).write_text(commit)
        for file in content.iterdir():
            blob = place / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
            shutil.copy(file, blob)
            (place / "snapshots" / commit / file.name).symlink_to(blob)
        return place / "snapshots" / commit

    keep.root = root
    return keep


def sharded(folder, parts=3):
    """The weights of `folder` in several files with an index."""
    tensors = load_file(folder / "model.safetensors")
    places = {name: f"model-{i % parts + 1:05}-of-{parts:05}.safetensors" for i, name in enumerate(tensors)}
    for shard in set(places.values()):
        save_file({n: t for n, t in tensors.items() if places[n] == shard}, folder / shard, metadata={"format": "pt"})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    (folder / "model.safetensors").unlink()
    return sorted(set(places.values()))


def refusal(name):
    """The message for a model that is not here: one line, one sentence."""
    with pytest.raises(hub.ModelNotHere) as refused:
        hub.locate(str(name))
    message = str(refused.value)
    assert "\n" not in message
    assert ". " not in message
    return message


def test_a_folder_is_itself(models):
    assert hub.locate(str(models["bert"])) == models["bert"]


def test_a_folder_is_found_from_home(folder, monkeypatch):
    monkeypatch.setenv("HOME", str(folder.parent))
    assert hub.locate("~/model") == folder


def test_a_hub_id_is_its_copy_in_the_cache(models, cached):
    copy = cached("org/model", models["bert"])
    assert hub.locate("org/model") == copy
    assert hub.locate(f"org/model@{copy.name}") == copy


def test_a_revision_is_the_one_that_was_asked_for(models, cached):
    main = cached("org/model", models["bert"])
    other = cached("org/model", models["roberta"], "refs/pr/3")
    assert hub.locate("org/model") == main
    assert hub.locate("org/model@refs/pr/3") == other != main


def test_a_revision_that_is_not_here_is_not_replaced_by_one_that_is(models, cached):
    cached("org/model", models["bert"])
    message = refusal("org/model@refs/pr/4")
    assert message == (
        f"org/model@refs/pr/4 is not on this machine: fetch it to {cached.root}/models--org--model "
        f"with `hf download org/model --revision refs/pr/4 {READ}`, or give a folder that holds it"
    )


def test_a_model_that_is_not_here_is_named_with_its_folder_and_the_command_that_fetches_it(models, cached):
    cached("facebook/wav2vec2-base", models["wav2vec2-group"])  # a near name is no reason to take it
    assert refusal("facebook/wav2vec2-base-960h") == (
        f"facebook/wav2vec2-base-960h is not on this machine: fetch it to "
        f"{cached.root}/models--facebook--wav2vec2-base-960h with "
        f"`hf download facebook/wav2vec2-base-960h {READ}`, or give a folder that holds it"
    )


def test_the_command_names_the_revision_that_has_safe_weights(cached):
    assert "`hf download microsoft/deberta-v3-base --revision refs/pr/4 --include" in refusal(
        "microsoft/deberta-v3-base"
    )


def test_a_known_model_is_taken_from_the_revision_that_has_safe_weights(models, cached, folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    cached("microsoft/deberta-v3-base", folder)
    assert "`hf download microsoft/deberta-v3-base --revision refs/pr/4" in refusal("microsoft/deberta-v3-base")
    safe = cached("microsoft/deberta-v3-base", models["deberta-v2"], "refs/pr/4")
    assert hub.locate("microsoft/deberta-v3-base") == safe
    assert "only pickled weights" in refusal("microsoft/deberta-v3-base@main")


def test_main_is_taken_as_soon_as_it_has_safe_weights(models, cached):
    cached("microsoft/deberta-v3-base", models["deberta-v2"], "refs/pr/4")
    main = cached("microsoft/deberta-v3-base", models["deberta-v2-fast"])
    assert hub.locate("microsoft/deberta-v3-base") == main


class Shelf(BaseHTTPRequestHandler):
    """As much of the hub's interface as `hf download` needs: one revision of one model, from a folder."""

    commit = "a" * 40
    content: Path

    def do_GET(self):
        path, headers = urlsplit(unquote(self.path)).path, {}
        if path == "/api/models/org/model/revision/refs/pr/4":
            body = json.dumps({"id": "org/model", "sha": self.commit}).encode()
        elif path == f"/api/models/org/model/tree/{self.commit}":
            files = [{"type": "file", "path": f.name, "oid": f.name} for f in self.content.iterdir()]
            body = json.dumps([{**f, "size": (self.content / f["path"]).stat().st_size} for f in files]).encode()
        elif path.startswith(f"/org/model/resolve/{self.commit}/"):
            body = (self.content / Path(path).name).read_bytes()
            headers = {"ETag": f'"{hashlib.sha1(body).hexdigest()}"', "X-Repo-Commit": self.commit}
        else:
            return self.send_error(404)
        self.send_response(200)
        for name, value in {**headers, "Content-Length": len(body)}.items():
            self.send_header(name, str(value))
        self.end_headers()
        return self.command == "HEAD" or self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815

    def log_message(self, *_):
        pass


def test_the_command_fetches_what_is_then_found(folder, cached):
    """The real `hf`, against a hub on this machine."""
    for never in ("pytorch_model.bin", "tf_model.h5", "README.md"):
        (folder / never).write_text("not read")
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Shelf", (Shelf,), {"content": folder})) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        program, *arguments = shlex.split(refusal("org/model@refs/pr/4").split("`")[1])
        here = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HUB_CACHE": str(cached.root)}
        here |= {"HF_HOME": str(cached.root.parent / "home"), "HF_HUB_DISABLE_UPDATE_CHECK": "1"}
        hf = Path(sys.executable).with_name(program)
        ran = subprocess.run([hf, *arguments], env=here, capture_output=True, text=True, check=False)
        server.shutdown()
    assert ran.returncode == 0, ran.stderr
    found = hub.locate("org/model@refs/pr/4")
    assert {f.name for f in found.iterdir()} == {
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    }
    assert hub.weights_hash(found) == hub.weights_hash(folder)


@pytest.mark.parametrize("name", MAKERS)
def test_the_command_fetches_every_file_of_every_architecture(name, models):
    assert all(any(file.match(pattern) for pattern in hub.READ) for file in models[name].iterdir())


@pytest.mark.parametrize("name", ["./model", "../up", "/none/of/these", "a/b/c", "", "a..b/c", "C:\\models"])
def test_what_can_be_no_hub_id_is_a_missing_folder(name, cached):
    assert refusal(name) == f"{name!r}: there is no such folder, and no model on the hub can have this name"


class Bomb:
    def __init__(self, canary):
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def test_a_pickle_is_refused_unread(folder, tmp_path):
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "ran")))
    message = refusal(folder)
    assert message.startswith(f"{folder} holds only pickled weights (pytorch_model.bin), which can run code and")
    assert not (tmp_path / "ran").exists()


def test_the_way_out_of_a_pickled_folder_gives_the_same_weights(folder):
    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    torch.save(weights, folder / "pytorch_model.bin")
    program, flag, code = shlex.split(refusal(folder).split("`")[1])
    assert (program, flag) == ("python", "-c")
    with quiet():
        exec(code, {})
    safe = hub.locate(f"{folder}-safe")
    converted = load_file(safe / "model.safetensors")
    assert converted.keys() == weights.keys()
    assert all(torch.equal(converted[name], weights[name]) for name in weights)


def test_pickles_from_the_hub_are_refused_with_the_place_that_converts_them(folder, cached):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    copy = cached("org/model", folder)
    assert refusal("org/model") == (
        f"{copy} holds only pickled weights (pytorch_model.bin), which can run code and are never read; "
        "name it to https://huggingface.co/spaces/safetensors/convert, which opens a pull request N with safe ones: "
        f"`hf download org/model --revision refs/pr/N {READ}` fetches them, and here they are called "
        "org/model@refs/pr/N"
    )


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


BREAKS = {
    "no config.json": (lambda f: (f / "config.json").unlink(), "no model here, config.json is missing"),
    "config.json cut": (lambda f: cut(f / "config.json"), "config.json is damaged: not a JSON object"),
    "config.json a list": (lambda f: (f / "config.json").write_text("[]"), "config.json is damaged: not a JSON object"),
    "config.json binary": (lambda f: (f / "config.json").write_bytes(b"\xff\xfe"), "config.json is damaged"),
    "no weights": (lambda f: (f / "model.safetensors").unlink(), "holds no weights (model.safetensors)"),
    "weights cut": (lambda f: cut(f / "model.safetensors"), "model.safetensors is cut short or damaged"),
    "weights empty": (lambda f: (f / "model.safetensors").write_bytes(b""), "model.safetensors is cut short"),
    "git-lfs pointer": (
        lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
        "model.safetensors is only a git-lfs pointer, without the weights",
    ),
    "a shard missing": (lambda f: (f / sharded(f)[1]).unlink(), "not whole, model-00002-of-00003.safetensors is miss"),
    "a shard cut": (lambda f: cut(f / sharded(f)[2]), "model-00003-of-00003.safetensors is cut short or damaged"),
    "index empty": (
        lambda f: (sharded(f), (f / "model.safetensors.index.json").write_text("{}")),
        "model.safetensors.index.json is damaged: it has no weight_map",
    ),
}


@pytest.mark.parametrize("damage", BREAKS)
def test_a_broken_folder_is_said_to_be_in_one_sentence(damage, folder):
    breaks, message = BREAKS[damage]
    breaks(folder)
    assert message in (said := refusal(folder))
    assert str(folder) in said
    assert said.endswith("; copy it again")


@pytest.mark.parametrize("damage", ["no weights", "weights cut", "a shard missing"])
def test_a_broken_copy_from_the_hub_comes_with_the_command_that_mends_it(damage, folder, cached):
    breaks, message = BREAKS[damage]
    breaks(folder)
    cached("org/model", folder)
    assert message in (said := refusal("org/model"))
    assert said.endswith(f"; fetch it again with `hf download org/model {READ}`")


def test_weights_in_several_files_are_found(folder):
    sharded(folder)
    assert hub.locate(str(folder)) == folder


def test_the_hash_is_that_of_config_and_weights_by_name(folder):
    shards = sharded(folder, 2)
    digests = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in ("config.json", *shards)}
    lines = "".join(f"{name} {digests[name]}\n" for name in ("config.json", shards[0], shards[1]))
    assert hub.weights_hash(folder) == hashlib.sha256(lines.encode()).hexdigest()


def test_the_hash_does_not_depend_on_the_folder_or_on_other_files(models, folder):
    (folder / "README.md").write_text("a card")
    assert hub.weights_hash(folder) == hub.weights_hash(models["bert"]) != hub.weights_hash(models["roberta"])


@pytest.mark.parametrize("changed", ["config.json", "model.safetensors"])
def test_any_changed_byte_changes_the_hash(changed, folder):
    before = hub.weights_hash(folder)
    content = bytearray((folder / changed).read_bytes())
    content[-2] ^= 1
    (folder / changed).write_bytes(content)
    assert hub.weights_hash(folder) != before


def test_unchanged_files_are_read_once(folder, monkeypatch):
    read = []
    digest = hashlib.file_digest
    monkeypatch.setattr(
        hashlib, "file_digest", lambda file, kind: (read.append(Path(file.name).name), digest(file, kind))[1]
    )
    first = hub.weights_hash(folder)
    assert hub.weights_hash(folder) == first
    assert read == ["config.json", "model.safetensors"]
    (folder / "config.json").write_text("{}")
    assert hub.weights_hash(folder) != first
    assert read == ["config.json", "model.safetensors", "config.json"]


def test_what_has_no_weights_has_no_hash(folder):
    (folder / "model.safetensors").unlink()
    with pytest.raises(hub.ModelNotHere, match="holds no weights"):
        hub.weights_hash(folder)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("kind", ["text", "audio", "video"])
def test_a_model_is_of_one_kind(kind, name, models):
    config = json.loads((models[name] / "config.json").read_text())
    if KINDS[name] == kind:
        hub.check_kind(models[name], kind)
        hub.check_kind(config, kind)
        return
    wrong = f"is a model for {KINDS[name]} \\(model_type '{config['model_type']}'\\); {kind}_model_name needs one for"
    with pytest.raises(ValueError, match=wrong):
        hub.check_kind(models[name], kind)
    with pytest.raises(ValueError, match=f"the model {wrong}"):
        hub.check_kind(config, kind)


def test_an_architecture_that_nobody_knows_passes():
    hub.check_kind({"model_type": "of next year"}, "video")


@pytest.mark.parametrize("config", [{}, {"model_type": None}])
def test_what_names_no_architecture_is_no_model(config):
    with pytest.raises(
        ValueError, match=r"is no model of transformers .*audio_model_name needs one for audio, such as"
    ):
        hub.check_kind(config, "audio")


def test_known_architectures_are_those_of_automodel():
    from transformers.models.auto.modeling_auto import MODEL_MAPPING_NAMES

    assert hub.architectures().keys() <= MODEL_MAPPING_NAMES.keys()
    assert {hub.architectures()[t] for t in ("deberta-v2", "wavlm", "vit")} == {"text", "audio", "video"}


@pytest.mark.parametrize("name", hub.catalogue())
def test_every_named_model_has_its_facts_in_a_line_each(name):
    facts = hub.catalogue()[name]
    assert facts.kind in ("text", "audio", "video")
    for said in (facts.licence, facts.training_data, facts.allowed_use, facts.contamination, facts.revision):
        assert said == said.strip()
        assert said
        assert "\n" not in said
    assert hub.HUB_ID.fullmatch(name)


def test_the_examples_in_messages_are_models_that_we_know():
    assert {kind: hub.about(name).kind for kind, name in hub.EXAMPLES.items()} == {k: k for k in hub.EXAMPLES}


def test_facts_are_found_by_any_name_of_a_model():
    assert hub.about("FacebookAI/roberta-base") is hub.about("roberta-base@main") is hub.catalogue()["roberta-base"]
    assert hub.about("org/model") is None


def test_a_folder_is_not_taken_for_the_model_whose_name_it_has(tmp_path, monkeypatch):
    (tmp_path / "roberta-base").mkdir()
    monkeypatch.chdir(tmp_path)
    assert hub.about("roberta-base") is None


def test_models_that_saw_evaluation_data_say_so():
    assert "MELD and IEMOCAP" in hub.about("tae898/emoberta-base").contamination
    assert "not sure" in hub.about("tae898/emoberta-base").contamination
    assert "MSP-Podcast" in hub.about("audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim").contamination
    assert "non-commercial" in hub.about("audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim").allowed_use
    assert "FER2013" in hub.about("trpakov/vit-face-expression").contamination


def test_quiet_is_quiet_and_leaves_everything_as_it_was(models, capfd):
    from transformers import AutoModel
    from transformers.utils import logging as reports

    before = reports.get_verbosity()
    reports.set_verbosity(logging.INFO)
    try:
        with quiet():
            AutoModel.from_pretrained(models["vit"])  # would report the classifier that it leaves out, and draw a bar
        with contextlib.suppress(KeyError), quiet():
            raise KeyError
        assert reports.get_verbosity() == logging.INFO
        assert reports.set_tqdm_hook(None) is None
    finally:
        reports.set_verbosity(before)
    assert capfd.readouterr() == ("", "")


def test_reports_come_back_when_the_last_of_several_threads_is_out():
    from transformers.utils import logging as reports

    before = reports.get_verbosity()
    reports.set_verbosity(logging.INFO)
    try:
        first, second = quiet(), quiet()
        first.__enter__()
        second.__enter__()  # as another thread would, in between
        first.__exit__(None, None, None)
        assert reports.get_verbosity() == logging.ERROR
        second.__exit__(None, None, None)
        assert reports.get_verbosity() == logging.INFO
        with quiet():
            assert reports.get_verbosity() == logging.ERROR
        assert reports.get_verbosity() == logging.INFO
    finally:
        reports.set_verbosity(before)
