"""Where pretrained encoders come from: a folder, or the Hugging Face cache as it lies on this disk.

Nothing here opens a connection, no pickle is ever read, and a model that is not here is never replaced by another.
"""

import hashlib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

Kind = Literal["text", "audio", "video"]

CONFIG, WEIGHTS, INDEX = "config.json", "model.safetensors", "model.safetensors.index.json"
# repositories hold the same weights up to five times over; these are the files that are read
READ = ("*.json", "*.safetensors", "*.model", "*.txt")
CONVERT = "https://huggingface.co/spaces/safetensors/convert"
HUB_ID = re.compile(r"(?!.*\.\.)\w[\w.-]*(/\w[\w.-]*)?", re.ASCII)
EXAMPLES: Mapping[Kind, str] = {
    "text": "microsoft/deberta-v3-base",
    "audio": "facebook/wav2vec2-base-960h",
    "video": "google/vit-base-patch16-224",
}


class ModelNotHere(ValueError):
    """A pretrained model is not on this machine, or not whole; the message says how to get it."""


@dataclass(frozen=True, kw_only=True)
class ModelFacts:
    """What is known of a named encoder. `revision` is where it has safetensors weights, `also` its other names."""

    kind: Kind
    licence: str
    training_data: str
    allowed_use: str
    contamination: str
    revision: str = "main"
    also: tuple[str, ...] = ()


def _facts_file() -> dict[str, Any]:
    return tomllib.loads((resources.files("emobraid") / "models.toml").read_text(encoding="utf-8"))


@cache
def catalogue() -> Mapping[str, ModelFacts]:
    """The encoders of models.toml by their name on the hub."""
    named = {name: facts for name, facts in _facts_file().items() if name != "architectures"}
    return {name: ModelFacts(**{**facts, "also": tuple(facts.get("also", ()))}) for name, facts in named.items()}


@cache
def architectures() -> Mapping[str, Kind]:
    """What the architectures that we know read, by their `model_type` in config.json."""
    return {name: kind for kind, names in _facts_file()["architectures"].items() for name in names}


def about(name: str) -> ModelFacts | None:
    """The facts of a hub id, with or without `@REVISION`; None for folders and for models that we know nothing of."""
    if Path(name).expanduser().is_dir():
        return None
    repository = name.partition("@")[0]
    known = catalogue()
    return known.get(repository) or next((facts for facts in known.values() if repository in facts.also), None)


def locate(name: str) -> Path:
    """The folder of config.json and safetensors weights that `name` stands for.

    `name` is a folder, or a hub id such as `facebook/wav2vec2-base-960h`, looked up in the cache on this disk and
    nowhere else. `ID@REVISION` takes that branch, tag, commit or `refs/pr/N`; without it, main is taken, or the
    revision of models.toml when only that one has safetensors. ModelNotHere says in one sentence what is missing and
    which command fetches it.
    """
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        return _whole(folder, name)
    repository, _, revision = name.partition("@")
    facts = about(name)
    safe = revision or (facts.revision if facts else "main")
    found = [kept for r in dict.fromkeys([revision or "main", safe]) if (kept := _snapshot(repository, r, name))]
    if not found:
        raise ModelNotHere(
            f"{name} is not on this machine: fetch it to {_cache_folder(repository)} with `{fetch(repository, safe)}`, "
            "or give a folder that holds it"
        )
    with_weights = [kept for kept in found if (kept / WEIGHTS).is_file() or (kept / INDEX).is_file()]
    return _whole((with_weights or found)[0], name, fetch(repository, safe), safe)


def fetch(repository: str, revision: str = "main") -> str:
    """The command that puts the files that we read of a hub repository into the cache."""
    named = [] if revision == "main" else ["--revision", revision]
    return " ".join(["hf download", repository, *named, *(f'--include "{pattern}"' for pattern in READ)])


def _snapshot(repository: str, revision: str, name: str) -> Path | None:
    """The cached copy of a revision. Not `snapshot_download`: it refuses copies without the files we never fetch."""
    from huggingface_hub import constants, try_to_load_from_cache

    if not HUB_ID.fullmatch(repository):
        raise ModelNotHere(f"{name!r}: there is no such folder, and no model on the hub can have this name")
    kept = try_to_load_from_cache(repository, CONFIG, cache_dir=constants.HF_HUB_CACHE, revision=revision)
    return Path(kept).parent if isinstance(kept, str) else None


def _cache_folder(repository: str) -> Path:
    from huggingface_hub import constants
    from huggingface_hub.file_download import repo_folder_name

    return Path(constants.HF_HUB_CACHE) / repo_folder_name(repo_id=repository, repo_type="model")


def _whole(folder: Path, name: str, command: str = "", safe: str = "") -> Path:
    """`folder`, if all of it is there; `command` fetches it when it is a copy from the hub, `safe` its revision."""
    again = f"fetch it again with `{command}`" if command else "copy it again"
    _read_json(folder / CONFIG, again)
    if not (weights := _weights(folder, again)):
        if pickled := sorted(p.name for pattern in ("*.bin", "*.pt", "*.pth") for p in folder.glob(pattern)):
            raise ModelNotHere(_only_pickled(folder, name, pickled[0], command, safe))
        raise ModelNotHere(f"{folder} holds no weights ({WEIGHTS}); {again}")
    for path in weights:
        _check_tensors(path, again)
    return folder


def _only_pickled(folder: Path, name: str, pickled: str, command: str, safe: str) -> str:
    refused = f"{folder} holds only pickled weights ({pickled}), which can run code and are never read"
    if not command:
        code = f"AutoModel.from_pretrained('{folder}').save_pretrained('{folder}-safe')"
        code = f'python -c "from transformers import AutoModel; {code}"'
        return f"{refused}; if you trust where they come from, `{code}` writes safe ones (copy the other files beside)"
    repository, _, asked = name.partition("@")
    if safe != (asked or "main"):
        return f"{refused}; the hub has the same as safetensors: `{command}`"
    later = fetch(repository, "refs/pr/N")
    return (
        f"{refused}; name it to {CONVERT}, which opens a pull request N with safe ones: `{later}` fetches them, "
        f"and here they are called {repository}@refs/pr/N"
    )


def _read_json(path: Path, again: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise ModelNotHere(f"{path.parent}: no model here, {path.name} is missing; {again}") from None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise ModelNotHere(f"{path} is damaged: not a JSON object; {again}")
    return content


def _weights(folder: Path, again: str) -> list[Path]:
    """The weight files that transformers would read, in the order of their names; none when there are none."""
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    if not (folder / INDEX).is_file():
        return []
    places = _read_json(folder / INDEX, again).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(shard, str) for shard in places.values()):
        raise ModelNotHere(f"{folder / INDEX} is damaged: it has no weight_map; {again}")
    return sorted(folder / Path(shard).name for shard in set(places.values()))


def _check_tensors(path: Path, again: str) -> None:
    """Header and size only: a file that was cut short is found without reading it."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            return
    except FileNotFoundError:
        raise ModelNotHere(f"{path.parent}: the weights are not whole, {path.name} is missing; {again}") from None
    except (SafetensorError, OSError):
        with path.open("rb") as file:
            pointer = file.read(40).startswith(b"version https://git-lfs")
    why = "only a git-lfs pointer, without the weights" if pointer else "cut short or damaged"
    raise ModelNotHere(f"{path} is {why}; {again}")


def weights_hash(folder: Path) -> str:
    """sha256 over config.json and the safetensors weights, by name; the same for the same files in any folder.

    Files are read once per process as long as their size and time of change stay.
    """
    files = sorted([folder / CONFIG, *_weights(folder, "copy it again")], key=lambda path: path.name)
    if len(files) == 1:
        raise ModelNotHere(f"{folder} holds no weights ({WEIGHTS}); copy it again")
    return files_hash(files)


def files_hash(files: Iterable[Path]) -> str:
    """sha256 of names and contents; a file is read again only when its size or its time has changed."""
    lines = [f"{path.name} {_digest(path.resolve(), *_state(path))}\n" for path in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _state(path: Path) -> tuple[int, int]:
    try:
        about_file = path.stat()
    except OSError as error:
        raise ModelNotHere(f"{path.parent}: {path.name} cannot be read: {error.strerror}") from None
    return about_file.st_size, about_file.st_mtime_ns


@lru_cache(maxsize=1024)
def _digest(path: Path, size: int, changed_ns: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def check_kind(source: Path | Mapping[str, Any], kind: Kind) -> None:
    """ValueError when the model of `source`, its folder or the content of its config.json, is known to be of another
    kind than `kind`; an architecture that we do not know passes."""
    config = _read_json(source / CONFIG, "copy it again") if isinstance(source, Path) else source
    where = str(source) if isinstance(source, Path) else "the model"
    wanted = f"{kind}_model_name needs one for {kind}, such as {EXAMPLES[kind]}"
    if not isinstance(model_type := config.get("model_type"), str):
        raise ValueError(f"{where} is no model of transformers ({CONFIG} has no model_type); {wanted}")
    if (actual := architectures().get(model_type, kind)) != kind:
        raise ValueError(f"{where} is a model for {actual} (model_type {model_type!r}); {wanted}")
