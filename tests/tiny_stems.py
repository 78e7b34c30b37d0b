"""Folders of tiny nets with random weights, as `benchmarks/stems_ship.py` writes them."""

import os
import string
from pathlib import Path

import torch
from safetensors.torch import save_file

from emobraid.encoders.face_net import FaceNet
from emobraid.encoders.minilm import MiniLm

STEM_WIDTH = 24  # of the tiny MiniLM
LETTERS = string.ascii_lowercase + string.digits
VOCABULARY = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *string.punctuation, *LETTERS, *(f"##{letter}" for letter in LETTERS)]


def write(folder: Path, modality: str, seed: int = 0) -> Path:
    """A whole folder for the stem of `modality`, other weights for another seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        (_write_text if modality == "text" else _write_face)(folder)
    return folder


def stem(modality: str) -> Path:
    """One folder that all tests share; it lies where the tests' cache does, which goes with them."""
    folder = Path(os.environ["XDG_CACHE_HOME"]) / f"tiny-stem-{modality}"
    return folder if folder.is_dir() else write(folder, modality)


def _write_text(folder: Path) -> None:
    size = len(VOCABULARY)
    body = MiniLm(vocabulary=size, layers=1, width=STEM_WIDTH, heads=2, inner=32, positions=160)
    body.save(folder, VOCABULARY)
    save_file({"weight": torch.randn(7, STEM_WIDTH), "bias": torch.randn(7)}, folder / "seven.safetensors")


def _write_face(folder: Path) -> None:
    state = {f"net.{name}": value for name, value in FaceNet().state_dict().items()}
    state |= {"seven.weight": torch.randn(7, FaceNet.dim), "seven.bias": torch.randn(7)}
    folder.mkdir(parents=True, exist_ok=True)
    small = {name: v.half().contiguous() if v.is_floating_point() else v for name, v in state.items()}
    save_file(small, folder / "model.safetensors")
