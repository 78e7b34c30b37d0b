"""A checkpoint is there whole or not at all, at whatever moment the process dies, and nothing in it is ever run."""

import ast
import hashlib
import json
import os
import pickle
import resource
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

import emobraid
from emobraid import checkpoint
from emobraid.config import Config
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import pad

OLD = {"weights": b"old weights", "notes": b"o"}
NEW = {"weights": b"new weights, longer", "notes": b"n", "more": b""}


class PowerCut(BaseException):
    """Not an Exception: no handler may tidy up after it, as after kill -9."""


@contextmanager
def cut_at(call, *, cut=PowerCut):
    """Let the `call`-th file operation fail half done; yields the names of those that were begun."""
    begun = []

    def due(name):
        begun.append(name)
        return len(begun) == call + 1

    def wrap(name, half):
        real = getattr(os if name in ("fsync", "rename") else shutil, name)

        def operation(*args, **kwargs):
            if due(name):
                half(*args)
                raise cut
            return real(*args, **kwargs)

        return operation

    real_open = Path.open

    def opened(path, mode="r", *args, **kwargs):
        file = real_open(path, mode, *args, **kwargs)
        if "w" not in mode:
            return file
        return HalfWriter(file, due, cut)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", wrap("fsync", lambda *_: None))
        patch.setattr(os, "rename", wrap("rename", lambda *_: None))
        patch.setattr(shutil, "rmtree", wrap("rmtree", lose_one_file))
        patch.setattr(Path, "open", opened)
        yield begun


class HalfWriter:
    """A file whose writing may be cut in the middle."""

    def __init__(self, file, due, cut):
        self.file, self.due, self.cut = file, due, cut

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()

    def __getattr__(self, name):
        return getattr(self.file, name)

    def write(self, content):
        if self.due("write"):
            self.file.write(content[: len(content) // 2])
            raise self.cut
        return self.file.write(content)


def lose_one_file(folder, *_):
    for path in sorted(Path(folder).glob("*"))[:1]:
        path.unlink()


def put(folder, files):
    """As `publish` leaves it."""
    folder.mkdir(parents=True)
    entries = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in files.items()}
    (folder / "manifest.json").write_text(json.dumps({"format": 1, "files": entries}))
    for name, content in files.items():
        (folder / name).write_bytes(content)


def nothing(folder):
    folder.parent.mkdir()


def whole(folder):
    put(folder, OLD)


def whole_with_leftovers(folder):
    put(folder, OLD)
    put(folder.with_name(folder.name + ".former"), {"weights": b"older still"})
    folder.with_name(folder.name + ".writing").mkdir()


def killed_between_the_renames(folder):
    put(folder.with_name(folder.name + ".former"), OLD)
    put(folder.with_name(folder.name + ".writing"), {"weights": b"never announced"})


STATES = {s.__name__: s for s in (nothing, whole, whole_with_leftovers, killed_between_the_renames)}


def test_what_is_published_is_read_back_and_listed_with_size_and_hash(tmp_path):
    checkpoint.publish(tmp_path / "best", OLD)
    assert checkpoint.read(tmp_path / "best") == OLD
    manifest = json.loads((tmp_path / "best" / "manifest.json").read_text())
    assert manifest["files"]["notes"] == {
        "bytes": 1,
        "sha256": "65c74c15a686187bb6bbf9958f494fc6b80068034a659a9ad44991b08c58f2d2",  # printf o | sha256sum
    }
    assert sorted(os.listdir(tmp_path)) == ["best"]


@pytest.mark.parametrize("state", STATES)
def test_a_cut_at_any_file_operation_leaves_a_whole_checkpoint(tmp_path, state):
    STATES[state](tmp_path / "dry" / "best")
    with cut_at(-1) as operations:
        checkpoint.publish(tmp_path / "dry" / "best", NEW)
    assert len(operations) >= 13  # 4 x (write, fsync), fsync, rename, fsync, two rmtree
    before = [None] if state == "nothing" else [OLD]
    for call in range(len(operations)):
        folder = tmp_path / str(call) / "best"
        STATES[state](folder)
        with pytest.raises(PowerCut), cut_at(call):
            checkpoint.publish(folder, NEW)
        assert read_or_none(folder) in [*before, NEW], f"after {operations[: call + 1]}"
        checkpoint.publish(folder, NEW)
        assert checkpoint.read(folder) == NEW
        assert os.listdir(folder.parent) == ["best"]


def read_or_none(folder):
    if not folder.exists() and not folder.with_name("best.former").exists():
        with pytest.raises(ValueError, match="no checkpoint here"):
            checkpoint.read(folder)
        return None
    return checkpoint.read(folder)


@pytest.mark.parametrize("state", ["nothing", "whole"])
def test_a_disk_that_fails_while_writing_leaves_the_old_one_and_no_half_one(tmp_path, state):
    full = OSError(28, "No space left on device")
    for call in range(1, 10):  # 0 is the rmtree of an older attempt; then 4 x (write, fsync) and the folder's fsync
        folder = tmp_path / str(call) / "best"
        STATES[state](folder)
        there = sorted(os.listdir(folder.parent))
        with pytest.raises(OSError, match="No space left on device, needs 20 bytes") as failure, cut_at(call, cut=full):
            checkpoint.publish(folder, NEW)
        assert "\n" not in str(failure.value)
        assert sorted(os.listdir(folder.parent)) == there
        assert read_or_none(folder) == (OLD if state == "whole" else None)


def test_a_file_size_limit_of_the_system_is_met_like_a_full_disk(tmp_path):
    checkpoint.publish(tmp_path / "best", OLD)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
        with pytest.raises(OSError, match=r"cannot save .*best: File too large, needs 20,000 bytes"):
            checkpoint.publish(tmp_path / "best", {"weights": bytes(20_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert checkpoint.read(tmp_path / "best") == OLD
    assert os.listdir(tmp_path) == ["best"]


def test_everything_is_on_disk_before_the_name_appears_and_the_name_before_publish_returns(tmp_path, monkeypatch):
    events = []
    real_fsync, real_rename, real_open = os.fsync, os.rename, Path.open

    def opened(path, mode="r", *args, **kwargs):
        if "w" in mode:
            events.append(("write", path.name))
        return real_open(path, mode, *args, **kwargs)

    def fsync(handle):
        here = os.fstat(handle).st_ino
        known = [tmp_path, *tmp_path.rglob("*")]
        events.append(("fsync", next(p.name for p in known if p.stat().st_ino == here)))
        real_fsync(handle)

    def rename(source, target):
        events.append(("rename", Path(source).name, Path(target).name))
        real_rename(source, target)

    checkpoint.publish(tmp_path / "best", OLD)
    monkeypatch.setattr(Path, "open", opened)
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    checkpoint.publish(tmp_path / "best", OLD)
    assert events == [
        ("write", "weights"),
        ("fsync", "weights"),
        ("write", "notes"),
        ("fsync", "notes"),
        ("write", "manifest.json"),
        ("fsync", "manifest.json"),
        ("fsync", "best.writing"),
        ("rename", "best", "best.former"),
        ("rename", "best.writing", "best"),
        ("fsync", tmp_path.name),
    ]


def test_every_flipped_bit_and_every_cut_is_noticed_and_the_file_named(tmp_path):
    folder = tmp_path / "best"
    checkpoint.publish(folder, OLD)
    for name in ("weights", "notes"):
        good = (folder / name).read_bytes()
        flipped = [flip(good, bit) for bit in range(8 * len(good))]
        for bad in [*flipped, *(good[:n] for n in range(len(good))), good + b"\0"]:
            (folder / name).write_bytes(bad)
            with pytest.raises(ValueError, match=rf"best: the checkpoint is damaged \({name} "):
                checkpoint.read(folder)
        (folder / name).unlink()
        with pytest.raises(ValueError, match=rf"\({name} does not match"):
            checkpoint.read(folder)
        (folder / name).write_bytes(good)
    assert checkpoint.read(folder) == OLD


def test_a_damaged_manifest_is_a_value_error_or_changes_nothing(tmp_path):
    folder, files = tmp_path / "best", {"notes": b"o"}
    checkpoint.publish(folder, files)
    good = (folder / "manifest.json").read_bytes()
    flipped = [flip(good, bit) for bit in range(0, 8 * len(good), 3)]
    refusals = []
    for bad in [*flipped, *(good[:n] for n in range(len(good)))]:
        (folder / "manifest.json").write_bytes(bad)
        try:
            assert checkpoint.read(folder) == files  # a blank became a tab
        except ValueError as error:
            refusals.append(str(error))
    assert len(refusals) > len(flipped)
    assert all(str(folder) in refusal for refusal in refusals)


def flip(content, bit):
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_a_folder_without_a_manifest_is_no_checkpoint(tmp_path):
    checkpoint.publish(tmp_path / "best", OLD)
    (tmp_path / "best" / "manifest.json").unlink()
    with pytest.raises(ValueError, match=r"best: no checkpoint here \(no readable manifest.json\)"):
        checkpoint.read(tmp_path / "best")


def test_a_format_of_another_version_is_named_with_the_one_read_here(tmp_path):
    checkpoint.publish(tmp_path / "best", OLD)
    manifest = tmp_path / "best" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"format": 1', '"format": 3'))
    with pytest.raises(ValueError, match="checkpoint format 3, this version reads 1"):
        checkpoint.read(tmp_path / "best")


@pytest.fixture
def model(small_config):
    return MultimodalEmotionModel(small_config(modalities=["text"], fusion_type="early")).eval()


def publish_model(model, folder, **changed):
    files = checkpoint.model_files(model, Config(model=model.config), calibration={"text": 1.5}, card="a card")
    checkpoint.publish(folder, files | changed)
    return folder


def test_a_model_comes_back_with_its_settings_temperatures_and_exact_outputs(tmp_path, model):
    publish_model(model, tmp_path / "best_model")
    again, config, temperatures = checkpoint.load_model(tmp_path / "best_model")
    streams = {"text": pad([model.encoders["text"].prepare("so it goes")])}
    assert torch.equal(again(streams).logits, model(streams).logits)
    assert not again.training
    assert config == Config(model=model.config)
    assert temperatures == {"text": 1.5}


def test_best_model_pth_is_taken_for_the_folder_of_that_stem(tmp_path, model):
    publish_model(model, tmp_path / "best_model")
    assert checkpoint.resolve(tmp_path / "best_model.pth") == tmp_path / "best_model"
    checkpoint.load_model(tmp_path / "best_model.pth")
    with pytest.raises(ValueError, match=r"other\.pth: there is no model here"):
        checkpoint.resolve(tmp_path / "other.pth")


def test_a_resume_state_is_not_taken_for_a_model(tmp_path, model):
    checkpoint.publish(tmp_path / "step-3", {"config.toml": b"", "model.safetensors": b""})
    with pytest.raises(ValueError, match=r"step-3: no model to use, calibration\.json missing"):
        checkpoint.load_model(tmp_path / "step-3")


def test_weights_that_do_not_fit_are_named_up_to_five(tmp_path, model, small_config):
    other = MultimodalEmotionModel(small_config(modalities=["text"], fusion_type="late"))
    weights = checkpoint.model_files(other, Config(model=other.config), calibration={}, card="")["model.safetensors"]
    publish_model(model, tmp_path / "best_model", **{"model.safetensors": weights})
    with pytest.raises(ValueError, match="best_model: weights do not fit the settings: fusion") as refusal:
        checkpoint.load_model(tmp_path / "best_model")
    assert len(str(refusal.value).split("settings: ")[1].split("; ")) == 5


def test_a_weight_of_another_shape_is_named_with_both_shapes(tmp_path, model):
    weights = {k: v[:1] if k == "projections.text.0.bias" else v for k, v in model.state_dict().items()}
    with pytest.raises(ValueError, match=r"projections.text.0.bias is \(1,\), needs \(16,\)"):
        checkpoint.load_weights(model, weights, tmp_path)


class Canary:
    """Unpickling it makes a file."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


@pytest.mark.parametrize("kind", ["torch file", "old torch file", "bare pickle", "weights in a checkpoint"])
def test_no_pickle_is_ever_run(tmp_path, model, kind):
    canary, path = tmp_path / "sang", tmp_path / "best_model.pth"
    if kind == "bare pickle":
        path.write_bytes(pickle.dumps(Canary(canary)))
    elif kind == "weights in a checkpoint":
        publish_model(model, tmp_path / "best_model", **{"model.safetensors": pickle.dumps(Canary(canary))})
    else:
        torch.save({"weights": Canary(canary)}, path, _use_new_zipfile_serialization=kind == "torch file")
    told = "model.safetensors cannot be read" if kind.startswith("weights") else "is a pickle, which can run code; not"
    with pytest.raises(ValueError, match=told) as refusal:
        checkpoint.load_model(path)
    assert "\n" not in str(refusal.value)
    assert not canary.exists()


def test_the_source_reads_no_pickle_anywhere():
    """`np.load` needs allow_pickle=False in so many words; the rest may not be there at all."""
    modules = {"pickle", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml"}
    loads = 0
    for path in Path(emobraid.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                assert not modules & {a.name.split(".")[0] for a in node.names}, path
            if isinstance(node, ast.ImportFrom):
                assert (node.module or "").split(".")[0] not in modules, path
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("torch.load", "torch.jit.load", "torch.hub.load", "eval", "exec"), path
            if called in ("np.load", "numpy.load"):
                loads += 1
                given = {k.arg: ast.unparse(k.value) for k in node.keywords}
                assert given.get("allow_pickle") == "False", path
    assert loads == 2  # published features, and the readings that a study keeps
