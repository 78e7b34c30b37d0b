"""A checkpoint is a folder with a manifest of sizes and hashes; without a valid manifest it does not exist.

It is written aside, synced and renamed, and the old one goes only afterwards, so that a kill at any moment leaves one
that is whole. Nothing in it is a pickle, and no pickle is ever read.
"""

import hashlib
import json
import os
import shutil
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from emobraid import config as configuration
from emobraid.config import Config
from emobraid.data.origin import is_synthetic
from emobraid.data.recorded import table, table_of, temperatures_of, thresholds_of
from emobraid.model import MultimodalEmotionModel
from emobraid.weights import named, shipped

FORMAT = 1
ASIDE, FORMER = ".writing", ".former"  # suffixes of a folder being written, and of the one just replaced


def publish(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write `files` and their manifest as `folder`, replacing an earlier one only once the new one is on disk."""
    aside = folder.with_name(folder.name + ASIDE)
    former = folder.with_name(folder.name + FORMER)
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        for name, content in {**files, "manifest.json": _manifest(files)}.items():
            _write_synced(aside / name, content)
        _sync_folder(aside)
    except OSError as error:
        shutil.rmtree(aside, ignore_errors=True)
        size = sum(map(len, files.values()))
        free = shutil.disk_usage(folder.parent).free
        raise OSError(
            f"cannot save {folder}: {error.strerror}, needs {size:,} bytes, {free:,} free; an earlier one is untouched"
        ) from None
    if folder.exists():
        # an older `former` may go only while `folder` itself is whole
        shutil.rmtree(former, ignore_errors=True)
        os.rename(folder, former)
    os.rename(aside, folder)
    _sync_folder(folder.parent)
    shutil.rmtree(former, ignore_errors=True)


def _manifest(files: Mapping[str, bytes]) -> bytes:
    entries = {n: {"bytes": len(c), "sha256": hashlib.sha256(c).hexdigest()} for n, c in sorted(files.items())}
    return json.dumps({"format": FORMAT, "files": entries}, indent=1).encode()


def _write_synced(path: Path, content: bytes) -> None:
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def read(folder: Path) -> dict[str, bytes]:
    """The files of a checkpoint, each checked against the manifest; ValueError says which one is damaged."""
    if not folder.is_dir() and folder.with_name(folder.name + FORMER).is_dir():
        folder = folder.with_name(folder.name + FORMER)  # killed between the two renames: the old one is whole
    try:
        manifest = json.loads((folder / "manifest.json").read_bytes())
        listed = {name: (entry["bytes"], entry["sha256"]) for name, entry in manifest["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{folder}: no checkpoint here (no readable manifest.json)") from None
    if manifest.get("format") != FORMAT:
        raise ValueError(f"{folder}: checkpoint format {manifest.get('format')}, this version reads {FORMAT}")
    files = {}
    for name, (size, digest) in listed.items():
        path = folder / Path(name).name
        content = path.read_bytes() if path.is_file() else b""
        if len(content) != size or hashlib.sha256(content).hexdigest() != digest:
            raise ValueError(
                f"{folder}: the checkpoint is damaged ({name} does not match its checksum); use another one"
            )
        files[name] = content
    return files


def is_there(folder: Path) -> bool:
    """Whether a checkpoint was written as `folder`, whole or killed while it took an earlier one's place."""
    return folder.is_dir() or folder.with_name(folder.name + FORMER).is_dir()


def resolve(path: Path) -> Path:
    """The checkpoint folder that `path` names: the folder, for `x/best_model.pth` the folder of that stem, and for the
    name of a model that ships (`emobraid/compact`) its folder in the package."""
    path = named(path)
    if path.is_file():
        with path.open("rb") as file:
            head = file.read(2)
        kind = "a pickle, which can run code" if head[:1] == b"\x80" or head == b"PK" else "a file"
        raise ValueError(f"{path} is {kind}; not loaded. A model is the folder that `emobraid train` writes")
    folder = path.with_suffix("") if path.suffix == ".pth" else path
    if not folder.exists() and not folder.with_name(folder.name + FORMER).exists():
        ships = ", ".join(shipped())
        ready = f"; ready to use: {ships}" if ships else ""
        raise ValueError(f"{path}: there is no model here; `emobraid train` writes checkpoints/best_model{ready}")
    return folder


def whole(tensor: Tensor) -> Tensor:
    """A tensor on the CPU. Of one that is shared out over processes all of it, for which all of them must ask."""
    full = getattr(tensor, "full_tensor", None)
    return (full() if full else tensor).detach().cpu().contiguous()


def like(value: Tensor, own: Tensor) -> Tensor:
    """`value`, shared out over processes as `own` is; itself where that is whole."""
    if getattr(own, "device_mesh", None) is None or value.shape != own.shape:
        return value
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(own, DTensor)
    placed: Tensor = distribute_tensor(value.to(own.device), own.device_mesh, own.placements, src_data_rank=None)
    return placed


def model_files(
    model: MultimodalEmotionModel,
    config: Config,
    *,
    calibration: Mapping[str, float],
    card: str,
    synthetic: bool = False,
    terms: str = "",
) -> dict[str, bytes]:
    """What a model needs to be used: settings, weights, labels, temperatures by modality subset, a card; whether it
    learned from synthetic people, and on what terms it may be used, where those are known."""
    weights = {k: whole(v) for k, v in model.own_state().items()}
    bases, exclusive = model.bases(), config.model.label_kind == "exclusive"
    return {
        "config.toml": configuration.to_toml(config).encode(),
        "model.safetensors": save(weights),
        "labels.json": json.dumps({"labels": list(config.model.labels), "exclusive": exclusive}, indent=1).encode(),
        "calibration.json": json.dumps({"temperatures": dict(calibration)}, indent=1).encode(),
        "README.md": card.encode(),
        "origin.json": json.dumps({"synthetic": synthetic} | ({"terms": terms} if terms else {}), indent=1).encode(),
        **({"bases.json": json.dumps(bases, indent=1).encode()} if bases else {}),
    }


def load_model(path: Path) -> tuple[MultimodalEmotionModel, Config, dict[str, float]]:
    """A model in evaluation mode, its settings, and its temperatures by modality subset."""
    found = load_trained(path)
    return found.model, found.config, found.temperatures


class Trained(NamedTuple):
    """All that a checkpoint holds of a model."""

    model: MultimodalEmotionModel  # in evaluation mode
    config: Config
    temperatures: dict[str, float]  # by modality subset
    thresholds: dict[str, dict[str, float]]  # by modality subset and class; empty for exclusive classes
    synthetic: bool  # whether it learned from synthetic people
    terms: str = ""  # on which it may be used; empty: not recorded


def load_trained(path: Path) -> Trained:
    """The model of a checkpoint and what was fitted on validation; ValueError when it is damaged or none is there."""
    folder = resolve(path)
    files = read(folder)
    if missing := [n for n in ("config.toml", "model.safetensors", "calibration.json") if n not in files]:
        raise ValueError(f"{folder}: no model to use, {', '.join(missing)} missing; take the folder best_model")
    config = load_config(folder, files)
    model = MultimodalEmotionModel(config.model)
    check_bases(model, files, folder)
    load_weights(model, tensors(files["model.safetensors"], folder), folder)
    temperatures, cuts = temperatures_of(files, folder), thresholds_of(files, folder)
    origin = table_of(files, "origin.json", folder)  # which models of before do not have
    synthetic = bool(origin.get("synthetic", is_synthetic(config.data.data_root)))
    return Trained(model.eval(), config, temperatures, cuts, synthetic, str(origin.get("terms", "")))


def load_config(folder: Path, files: Mapping[str, bytes]) -> Config:
    """Its settings; ValueError names the file that does not hold them."""
    where = str(folder / "config.toml")
    try:
        tree = tomllib.loads(files["config.toml"].decode())
    except KeyError:
        raise ValueError(f"{where}: not in the checkpoint; use another one") from None
    except ValueError as error:
        raise ValueError(f"{where}: not readable as TOML ({error}); use another checkpoint") from None
    if loose := [name for name, section in tree.items() if not isinstance(section, dict)]:
        raise ValueError(f"{where}: {loose[0]} is not a section; use another checkpoint")
    return configuration.parse(configuration.as_it_was(tree), where)


def tensors(blob: bytes, folder: Path, name: str = "model.safetensors") -> dict[str, Tensor]:
    try:
        loaded: dict[str, Tensor] = load(blob)
    except SafetensorError as error:
        raise ValueError(f"{folder}: {name} cannot be read: {error}") from None
    return loaded


def check_bases(model: MultimodalEmotionModel, files: Mapping[str, bytes], folder: Path) -> None:
    """ValueError when a pretrained model on this machine is not the one that the checkpoint was trained on."""
    recorded = table_of(files, "bases.json", folder)
    for kind, base in model.bases().items():
        was = table(recorded.get(kind, {}), f"{folder}: bases.json: {kind}").get("sha256")
        if was != base["sha256"]:
            raise ValueError(
                f"{folder}: was trained on another {base['name']} (sha256 {str(was)[:12]}, this one has "
                f"{base['sha256'][:12]}); get the same weights, or train anew"
            )


def load_weights(model: MultimodalEmotionModel, weights: Mapping[str, Tensor], folder: Path) -> None:
    """Put weights into a model; ValueError lists up to five names that do not fit, or are not finite."""
    own = model.own_state()
    wrong = [f"{k} missing" for k in own if k not in weights]
    wrong += [f"{k} unexpected" for k in weights if k not in own]
    wrong += [
        f"{k} is {tuple(weights[k].shape)}, needs {tuple(own[k].shape)}"
        for k in own
        if k in weights and weights[k].shape != own[k].shape
    ]
    if wrong:
        raise ValueError(f"{folder}: weights do not fit the settings: {'; '.join(wrong[:5])}")
    if broken := [k for k, w in weights.items() if w.is_floating_point() and not w.isfinite().all()]:
        raise ValueError(
            f"{folder}: model.safetensors holds NaN or infinity in {', '.join(broken[:5])}; use another checkpoint"
        )
    placed = {k: like(w, own[k]) for k, w in weights.items()}
    model.load_state_dict(placed, strict=False)  # what own_state leaves out came with the pretrained models
