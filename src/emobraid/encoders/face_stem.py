"""A video encoder on a face net trained for expression, frozen, whose weights lie in a folder that you name:
`--video_encoder face_stem --video_model_name FOLDER`.

Shapes: B batch, T frames, S side of a face crop, W width of the net, C its seven emotions, D our width.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.encoders.face_net import FaceNet
from emobraid.encoders.stem_folder import StemFolder
from emobraid.stream import Stream

WEIGHTS = "model.safetensors"
CLASSES = 7
FRAMES = 32  # that are read at once


class FaceStem(Encoder):
    """Each frame's own reading, and in every position beside it that of the whole clip, in which sure frames count
    more: one frame says what it can, and a stream of them says it better.

    `folder` is what `benchmarks/stems_ship.py face` writes; ModelNotHere, a ValueError, when it is not.
    """

    SIDE = 64
    has_stem = True
    title = "face_stem"

    def __init__(self, folder: str | Path, dim: int = 128, *, dropout: float = 0.2) -> None:
        super().__init__()
        self.folder = StemFolder(folder, "video", (WEIGHTS,))
        if self.folder.header(WEIGHTS)[0].get("seven.weight") != [CLASSES, FaceNet.dim]:
            raise self.folder.wrong(f"{WEIGHTS} is not of a face net for {CLASSES} emotions")
        self.dim = dim
        self.preparation = f"grey-faces:2:{self.SIDE}"
        self._network: list[FaceNetwork] = []  # in a list, so that it is no part of what learns
        self.norm_in = nn.LayerNorm(FaceNet.dim)
        self.drop = nn.Dropout(dropout)
        self.vector = nn.Linear(FaceNet.dim, dim)
        self.evidence = nn.Linear(CLASSES, dim)
        self.whole = nn.Linear(CLASSES, dim)
        self.norm = nn.LayerNorm(dim)

    def network(self) -> "FaceNetwork":
        """The frozen net, on the CPU; loaded when first asked for."""
        if not self._network:
            try:
                self._network.append(FaceNetwork.from_folder(self.folder.path))
            except (RuntimeError, SafetensorError, OSError) as error:
                raise self.folder.wrong(str(error).partition("\n")[0]) from None
        return self._network[0]

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Face crops (T, S, S, 3) uint8 RGB -> (T, SIDE, SIDE) uint8 grey."""
        if not len(raw):
            return torch.zeros(0, self.SIDE, self.SIDE, dtype=torch.uint8)
        grey = torch.as_tensor(np.ascontiguousarray(raw)).float() @ torch.tensor([0.299, 0.587, 0.114])
        small = F.interpolate(grey[:, None], (self.SIDE, self.SIDE), mode="bilinear", antialias=True)[:, 0]
        return small.round().clamp(0, 255).byte()

    def absent(self) -> Tensor:
        return torch.zeros(0, FaceNet.dim + CLASSES)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        return f"face-stem:2:{self.folder.sha256}"

    def base(self) -> dict[str, str] | None:
        return {"name": self.folder.name, "sha256": self.folder.sha256}

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        """Each (T, SIDE, SIDE) -> (T, W + C): the net's features, and log-probabilities of the seven emotions."""
        read = [self.network()(part) for part in torch.cat(list(prepared)).split(FRAMES)]
        return list(torch.cat(read).split([len(p) for p in prepared]))

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream.values.float(), stream.mask
        vector, evidence = values[..., : FaceNet.dim], values[..., FaceNet.dim :]
        x = self.vector(self.drop(self.norm_in(vector))) + self.evidence(evidence)
        x = self.norm(x + self.whole(clip_evidence(evidence, mask))[:, None])
        return Stream(x * mask[..., None], mask)


def clip_evidence(evidence: Tensor, mask: Tensor) -> Tensor:
    """Log-probabilities of frames (B, T, C), (B, T) -> of the clip (B, C): their mean, in which a frame counts by how
    far it is from undecided."""
    entropy = -(evidence.exp() * evidence).sum(dim=-1)  # (B, T), at most log C
    sure = torch.where(mask, (1.1 - entropy / np.log(CLASSES)).clamp(min=0.05), torch.zeros(()).to(entropy))
    return (evidence * sure[..., None]).sum(dim=1) / sure.sum(dim=1, keepdim=True).clamp(min=0.05)


class FaceNetwork(nn.Module):
    """The net and its map to the seven emotions: grey faces (N, S, S) -> (N, W + C)."""

    def __init__(self, state: dict[str, Tensor]) -> None:
        super().__init__()
        self.net = FaceNet()
        self.seven = nn.Linear(FaceNet.dim, CLASSES)
        self.load_state_dict(
            {name: value.float() if value.is_floating_point() else value for name, value in state.items()}
        )

    @classmethod
    def from_folder(cls, folder: Path) -> "FaceNetwork":
        return cls(load_file(folder / WEIGHTS)).eval()

    def forward(self, faces: Tensor) -> Tensor:
        features = self.net(faces)
        return torch.cat([features, self.seven(features).log_softmax(dim=-1)], dim=-1)
