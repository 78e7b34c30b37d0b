"""Train the face net of `compact` on FER2013, half on its old label, half on ten people's votes; the same call resumes.

    nice -n 15 python benchmarks/face_tuning.py --data DATA/fer2013 --out FOLDER --minutes 55

The first part is trained on smaller faces. The learning rate follows the minutes, so that it ends at zero.
"""

import argparse
import io
import json
import math
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import Tensor, nn

from emobraid.encoders.face_net import FaceNet
from tuning_state import resumed, store

CLASSES = ("happy", "sad", "angry", "fear", "surprise", "disgust", "neutral")
COLUMNS = {"neutral": "neutral", "happiness": "happy", "surprise": "surprise", "sadness": "sad", "anger": "angry",
           "disgust": "disgust", "fear": "fear"}  # fmt: skip
BATCH = 64


class Faces:
    """FER2013 as 48 x 48 grey stills with both kinds of label; rows without votes have zeros there."""

    def __init__(self, folder: Path) -> None:
        stills, votes = np.load(folder / "fer2013_jpeg.npz"), np.load(folder / "ferplus.npz")
        blob, offset = stills["blob"], stills["offset"]
        decoded = [Image.open(io.BytesIO(blob[a:b].tobytes())) for a, b in pairwise(offset)]
        self.pixels = torch.from_numpy(np.stack([np.asarray(one.convert("L")) for one in decoded]))
        names = [str(name) for name in stills["classes"]]
        self.old = torch.tensor([CLASSES.index(names[y]) for y in stills["y"]])
        self.split, self.dup = torch.from_numpy(stills["split"]), torch.from_numpy(stills["dup"])
        table = torch.from_numpy(votes["votes"].astype(np.float32))
        columns = [str(name) for name in votes["columns"]]
        self.votes = torch.stack([table[:, columns.index(_column(name))] for name in CLASSES], dim=1)  # (N, 7)
        self.unsure = table.sum(1) - self.votes.sum(1)  # contempt, unknown, not a face
        self.not_face = table[:, columns.index("NF")]

    def targets(self, share: float = 0.5) -> Tensor:
        """(N, 7): half the old label, half the votes; votes for none of the seven are spread over all."""
        old = F.one_hot(self.old, 7).float()
        voted = self.votes.sum(1) + self.unsure
        spread = (self.votes + self.unsure[:, None] / 7) / voted.clamp(min=1)[:, None]
        mixed = share * old + (1 - share) * spread
        mixed = torch.where(voted[:, None] > 0, mixed, 0.7 * old + 0.3 / 7)
        return torch.where((self.not_face >= 5)[:, None], torch.full_like(mixed, 1 / 7), mixed)

    def clear(self) -> Tensor:
        """Rows whose votes have a majority of at least five for one of the seven, and none for `not a face`."""
        return (self.votes.max(1).values >= 5) & (self.not_face == 0)


def _column(emotion: str) -> str:
    return next(column for column, name in COLUMNS.items() if name == emotion)


class FaceReader(nn.Module):
    """The net and a linear map to the seven emotions."""

    def __init__(self) -> None:
        super().__init__()
        self.net = FaceNet()
        self.drop = nn.Dropout(0.2)
        self.seven = nn.Linear(FaceNet.dim, 7)

    def forward(self, faces: Tensor) -> Tensor:
        return self.seven(self.drop(self.net(faces)))


def spoilt(pixels: Tensor, side: int, chance: np.random.Generator) -> Tensor:
    """Stills (B, 48, 48) uint8 as a camera might see them, (B, side, side) float 0..255."""
    some = pixels.numpy().copy()
    for i in np.flatnonzero(chance.random(len(some)) < 0.2):
        some[i] = _degraded(some[i], chance)
    faces = torch.from_numpy(some).float()[:, None]
    faces = F.grid_sample(faces, _placed(len(faces), side, chance), padding_mode="border", align_corners=False)
    count = len(faces)

    def drawn(low: float, high: float) -> Tensor:
        return torch.from_numpy(chance.uniform(low, high, (count, 1, 1, 1)).astype(np.float32))

    gamma = torch.where(drawn(0, 1) < 0.3, drawn(0.5, 2.2), torch.ones(()))
    faces = 255 * (faces / 255).clamp(1e-3, 1) ** gamma
    faces = faces * torch.where(drawn(0, 1) < 0.15, drawn(0.15, 0.5), drawn(0.8, 1.2))  # a dark room
    slope = torch.linspace(-1, 1, side)[None, None, None, :] * drawn(-0.4, 0.4)  # light from one side
    faces = faces * (1 + torch.where(drawn(0, 1) < 0.3, slope, torch.zeros(())))
    noise = torch.from_numpy(chance.standard_normal(faces.shape, dtype=np.float32))
    faces = (faces + noise * torch.where(drawn(0, 1) < 0.25, drawn(1, 12), torch.zeros(()))).clamp(0, 255)
    for i in np.flatnonzero(chance.random(count) < 0.3):  # something before the face
        high, wide = (chance.uniform(0.12, 0.45, 2) * side).astype(int)
        top, left = int(chance.integers(0, side - high)), int(chance.integers(0, side - wide))
        faces[i, 0, top : top + high, left : left + wide] = float(chance.uniform(0, 255))
    return faces[:, 0]


def _degraded(still: Any, chance: np.random.Generator) -> Any:
    picture, kind = Image.fromarray(still), chance.integers(3)
    if kind == 0:
        picture = picture.filter(ImageFilter.GaussianBlur(chance.uniform(0.4, 1.2)))
    elif kind == 1:
        small = int(chance.integers(20, 40))
        picture = picture.resize((small, small), Image.Resampling.BILINEAR).resize((48, 48), Image.Resampling.BILINEAR)
    else:
        kept = io.BytesIO()
        picture.save(kept, "JPEG", quality=int(chance.integers(12, 50)))
        picture = Image.open(kept)
    return np.asarray(picture)


def _placed(count: int, side: int, chance: np.random.Generator) -> Tensor:
    """Mirrored or not, turned a little, larger or smaller, moved."""
    turn = chance.normal(0, 7, count).clip(-16, 16) * math.pi / 180
    scale, mirror = chance.uniform(0.85, 1.15, count), np.where(chance.random(count) < 0.5, -1, 1)
    theta = np.zeros((count, 2, 3), dtype=np.float32)
    theta[:, 0, 0], theta[:, 0, 1] = np.cos(turn) * scale * mirror, -np.sin(turn) * scale
    theta[:, 1, 0], theta[:, 1, 1] = np.sin(turn) * scale * mirror, np.cos(turn) * scale
    theta[:, :, 2] = chance.uniform(-0.14, 0.14, (count, 2))
    return F.affine_grid(torch.from_numpy(theta), [count, 1, side, side], align_corners=False)


@torch.inference_mode()
def logits_of(model: nn.Module, pixels: Tensor, side: int = 64) -> Tensor:
    model.eval()
    read = []
    for part in pixels.split(256):
        faces = F.interpolate(part[:, None].float(), (side, side), mode="bilinear", align_corners=False)[:, 0]
        with torch.autocast("cpu", torch.bfloat16):
            read.append(model(faces).float())
    model.train()
    return torch.cat(read)


def scores(logits: Tensor, faces: Faces, rows: Tensor) -> dict[str, float]:
    """On `rows` (N,) bool: old labels on all of them, the votes' majority where it is clear."""
    guess, old = logits.argmax(1), faces.old[rows]
    clear, majority = faces.clear()[rows], faces.votes[rows].argmax(1)
    f1 = [_f1(guess[clear] == k, majority[clear] == k) for k in range(7)]
    voted = (guess == majority)[clear].float().mean().item()
    return {
        "old": (guess == old).float().mean().item(),
        "votes": voted,
        "votes_macro": sum(f1) / 7,
        "n": int(clear.sum()),
    }


def _f1(guess: Tensor, truth: Tensor) -> float:
    return float(2 * (guess & truth).sum() / (guess.sum() + truth.sum()).clamp(min=1))


def step_of(
    model: nn.Module, faces: Faces, targets: Tensor, rows: Tensor, side: int, chance: np.random.Generator
) -> Tensor:
    seen, wanted = spoilt(faces.pixels[rows], side, chance), targets[rows]
    if chance.random() < 0.3:
        share, other = float(chance.beta(0.3, 0.3)), torch.from_numpy(chance.permutation(len(rows)))
        seen, wanted = share * seen + (1 - share) * seen[other], share * wanted + (1 - share) * wanted[other]
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(seen).float()
    return F.cross_entropy(logits, wanted)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--rate", type=float, default=0.08)
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    options.out.mkdir(parents=True, exist_ok=True)
    train(FaceReader(), Faces(options.data), options)


def train(model: FaceReader, faces: Faces, options: argparse.Namespace) -> None:
    plain = [p for p in model.parameters() if p.ndim < 2]
    heavy = [p for p in model.parameters() if p.ndim >= 2]
    optimizer = torch.optim.SGD(
        [{"params": heavy, "weight_decay": 5e-4}, {"params": plain, "weight_decay": 0.0}],
        lr=options.rate, momentum=0.9, nesterov=True,
    )  # fmt: skip
    ema = torch.optim.swa_utils.get_ema_multi_avg_fn(0.998)
    average = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=ema, use_buffers=True)
    last, parts = options.out / "last.pt", {"model": model, "average": average, "optimizer": optimizer}
    state = resumed(last, parts)
    learnt = ((faces.split == 0) & (faces.dup == 0)).nonzero().squeeze(1).numpy()
    targets, public, budget = faces.targets(), faces.split == 1, options.minutes * 60
    rare = learnt[np.isin(faces.old[learnt].numpy(), [CLASSES.index("disgust")])]
    while state["seconds"] < budget:
        chance = np.random.default_rng(state["epoch"])
        order = chance.permutation(np.concatenate([learnt, rare, rare]))
        told, begun = [], time.monotonic()
        for part in np.array_split(order, math.ceil(len(order) / BATCH)):
            begin, progress = time.monotonic(), min(state["seconds"] / budget, 1.0)
            scale = min(state["step"] / 400, 1.0) * 0.5 * (1 + math.cos(math.pi * progress))
            for group in optimizer.param_groups:
                group["lr"] = options.rate * scale
            side = 48 if progress < 0.8 else 64
            loss = step_of(model, faces, targets, torch.from_numpy(part), side, chance)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(model)
            told.append(loss.item())
            state["step"] += 1
            state["seconds"] += time.monotonic() - begin
            if state["step"] % 100 == 0:
                store(last, parts, state)
            if state["seconds"] >= budget:
                break
        state["epoch"] += 1
        store(last, parts, state)
        found = scores(logits_of(average.module, faces.pixels[public]), faces, public)
        line = {"epoch": state["epoch"], "loss": sum(told) / len(told), "took": time.monotonic() - begun, **found}
        print(json.dumps({k: round(v, 4) for k, v in line.items()}), f"{state['seconds']:.0f} s", flush=True)
    torch.save(average.module.state_dict(), options.out / "final.pt")


if __name__ == "__main__":
    main()
