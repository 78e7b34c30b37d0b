"""Write the folder of the encoder `minilm_stem` or `face_stem` from a tuned net, small, and say what that changed.

    python benchmarks/stems_ship.py text RUN --data DATA --output FOLDER           # RUN: text_tuning.py's folder
    python benchmarks/stems_ship.py face RUN --data DATA/fer2013 --output FOLDER   # RUN: face_tuning.py's folder

The shift of the classes and the temperature are chosen on sets that were not trained on: the development splits and
`strangers/dev_sentences.csv` for the text, FER2013's PublicTest for the face. No test split is opened.
"""

import argparse
import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from emobraid.encoders import face_stem, minilm_stem
from emobraid.encoders.minilm import BERT, VOCABULARY, WEIGHTS, MiniLm
from face_tuning import Faces, scores
from text_sentences import EMOTIONS, Row, goemotions, meld, own
from text_tuning import HERE, score


def averaged(run: Path) -> dict[str, Tensor]:
    """The averaged weights of a run: the last of a finished one, else those of its last checkpoint."""
    if (run / "final.pt").is_file():
        final: dict[str, Tensor] = torch.load(run / "final.pt", weights_only=True)
        return final
    kept = torch.load(run / "last.pt", weights_only=True)["average"]
    return {name.removeprefix("module."): value for name, value in kept.items() if name.startswith("module.")}


def as_ours(state: dict[str, Tensor], words: list[str]) -> MiniLm:
    """A BERT of transformers, which MiniLM is, as the net that ships."""
    sizes = {"vocab_size": len(words), "num_hidden_layers": 6, "hidden_size": 384, "num_attention_heads": 12}
    sizes |= {"intermediate_size": 1536, "max_position_embeddings": 512}
    with TemporaryDirectory() as folder:
        there = Path(folder)
        save_file({name: value.contiguous() for name, value in state.items()}, there / WEIGHTS)
        (there / BERT).write_text(json.dumps(sizes), encoding="utf-8")
        (there / VOCABULARY).write_text("\n".join(words), encoding="utf-8")
        return MiniLm.from_folder(there)


def temperature(logits: Tensor, targets: Tensor, weights: Tensor | None = None) -> float:
    """What the logits (N, C) are divided by to fit the targets (N, C), rows weighed by `weights` (N,)."""
    grid = torch.arange(0.5, 4.0, 0.02)
    weights = torch.ones(len(logits)) if weights is None else weights
    losses = [float((F.cross_entropy(logits / t, targets, reduction="none") * weights).sum()) for t in grid]
    return float(grid[losses.index(min(losses))])


def shifted(sets: dict[str, tuple[Tensor, list[Row]]], prior: Tensor) -> tuple[float, Tensor]:
    """How much of the classes' prior is taken off the logits, by the mean of the sets' scores."""

    def worth(much: float) -> float:
        found = {name: score(logits - much * prior, rows) for name, (logits, rows) in sets.items()}
        return found["goemotions"]["macro"] + 0.5 * found["meld"]["weighted"] + found["own"]["accuracy"]

    best = max((0.1 * i for i in range(11)), key=worth)
    return best, best * prior


def ship_text(run: Path, data: Path, output: Path) -> None:
    state = averaged(run)
    body = {name.removeprefix("body."): value for name, value in state.items() if name.startswith("body.")}
    words = (run / "vocab.txt").read_text(encoding="utf-8").splitlines()
    exact = as_ours(body, words)
    exact.save(output, words)
    seven = {"weight": state["seven.weight"].clone(), "bias": state["seven.bias"].clone()}
    save_file(seven, output / minilm_stem.SEVEN)
    sets = {"goemotions": [row for row in goemotions(data / "goemotions", "dev") if row.plain]}
    sets |= {"meld": meld(data / "meld_text", "dev"), "own": own(HERE / "dev_sentences.csv")}
    read = {name: (read_texts(output, [row.text for row in rows]), rows) for name, rows in sets.items()}
    some = [row.text for row in sets["own"]]
    plain = read_texts(output, some, minilm_stem.Network(exact, seven))
    moved = (plain.softmax(1) - read["own"][0].softmax(1)).abs().max()
    size = sum(file.stat().st_size for file in output.iterdir())
    print(f"{size:,} bytes; 8 bits move a probability by {moved:.4f} at most")
    prior = torch.tensor([row.target for row in goemotions(data / "goemotions", "train")]).mean(0).log()
    much, shift = shifted(read, prior - prior.mean())
    logits = torch.cat([values - shift for values, _ in read.values()])
    targets = torch.cat([torch.tensor([row.target for row in rows]) for _, rows in read.values()])
    weights = torch.cat([torch.full((len(rows),), 1 / len(rows)) for _, rows in read.values()])
    heat = temperature(logits, targets, weights)
    seven = {"weight": seven["weight"] / heat, "bias": (seven["bias"] - shift) / heat}
    save_file({name: value.contiguous() for name, value in seven.items()}, output / minilm_stem.SEVEN)
    print(f"{much:.1f} of the prior taken off, temperature {heat:.2f}")
    for name, (values, rows) in read.items():
        print(name, {key: round(value, 4) for key, value in score(values - shift, rows).items()}, len(rows))


@torch.inference_mode()
def read_texts(folder: Path, texts: list[str], network: minilm_stem.Network | None = None) -> Tensor:
    """Log-probabilities (N, C), as the encoder of `folder` gives them, or with `network` in place of its net."""
    encoder = minilm_stem.MiniLmStem(folder, 8)
    if network is not None:
        encoder._network.append(network)
    read = encoder.stem([encoder.prepare(text or ".") for text in texts])
    return torch.cat(read)[:, -len(EMOTIONS) :]


def ship_face(run: Path, data: Path, output: Path) -> None:
    state = averaged(run)
    faces = Faces(data)
    public, targets = faces.split == 1, faces.targets()
    network = face_stem.FaceNetwork(state).eval()
    exact = read_faces(network, faces.pixels[public])
    heat = temperature(exact, targets[public])
    state |= {"seven.weight": state["seven.weight"] / heat, "seven.bias": state["seven.bias"] / heat}
    output.mkdir(parents=True, exist_ok=True)
    small = {k: v.half().contiguous() if v.is_floating_point() else v for k, v in state.items()}
    save_file(small, output / face_stem.WEIGHTS)
    shipped = read_faces(face_stem.FaceNetwork.from_folder(output), faces.pixels[public])
    moved = ((exact / heat).softmax(1) - shipped.exp()).abs().max()
    size = (output / face_stem.WEIGHTS).stat().st_size
    print(f"{size:,} bytes; 16 bits move a probability by {moved:.4f} at most; temperature {heat:.2f}")
    print("PublicTest", {key: round(value, 4) for key, value in scores(shipped, faces, public).items()})


@torch.inference_mode()
def read_faces(network: face_stem.FaceNetwork, pixels: Tensor) -> Tensor:
    """48-pixel stills (N, 48, 48) enlarged to the encoder's side -> log-probabilities (N, C)."""
    side = face_stem.FaceStem.SIDE
    read = []
    for part in pixels.split(128):
        faces = F.interpolate(part[:, None].float(), (side, side), mode="bilinear", antialias=True)[:, 0]
        read.append(network(faces.round().clamp(0, 255))[:, -len(EMOTIONS) :])
    return torch.cat(read)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=("text", "face"))
    parser.add_argument("run", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True, help="the folder that is written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    ship: Any = {"text": ship_text, "face": ship_face}[options.kind]
    ship(options.run, options.data, options.output)


if __name__ == "__main__":
    main()
