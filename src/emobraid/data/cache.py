"""Prepared inputs kept between runs, each under a key of everything it depends on. A damaged entry is as none."""

import hashlib
import os
import tempfile
import warnings
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor


def default_folder() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "emobraid"


def content_hash(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def key_of(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class PreparedCache:
    """Prepared tensors with their notes on disk; safe with several processes, as entries appear by rename."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writable = True

    def _place(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}.safetensors"

    def get(self, key: str) -> tuple[Tensor, str] | None:
        """The tensor and its note, or None when absent or damaged."""
        try:
            with safe_open(self._place(key), framework="pt") as entry:
                about = entry.metadata() or {}
                tensor = entry.get_tensor("prepared")
        except (OSError, SafetensorError):
            return None
        return (tensor, about.get("note", "")) if about.get("digest") == _digest(tensor) else None

    def put(self, key: str, tensor: Tensor, note: str) -> None:
        """Keep a tensor; a full or read-only folder costs one warning, never the run."""
        if not self.writable:
            return
        place = self._place(key)
        try:
            place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            blob = save({"prepared": tensor.contiguous()}, metadata={"note": note, "digest": _digest(tensor)})
            _appear(place, blob)
        except OSError as error:
            self.writable = False
            warnings.warn(f"prepared inputs are not kept: {self.folder}: {error.strerror}", stacklevel=2)


def _appear(place: Path, blob: bytes) -> None:
    """A whole file or none, also when the disk is full or the run is stopped."""
    handle, aside = tempfile.mkstemp(dir=place.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(blob)
        os.replace(aside, place)
    except BaseException:
        Path(aside).unlink(missing_ok=True)
        raise


def _digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().view(torch.uint8).numpy().tobytes()).hexdigest() if tensor.numel() else ""
