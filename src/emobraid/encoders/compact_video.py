"""Our own small video encoder: nothing to download, trained from the first step.

Shapes: B batch, T frames, S side of a face crop, D width.
"""

from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.base import Encoder
from emobraid.encoders.gradients import described, histograms
from emobraid.layers import BiLSTM
from emobraid.stream import Stream


class CompactVideo(Encoder):
    """A small CNN on each face crop, with `gradients` beside a linear map of its oriented gradients, then a
    bidirectional LSTM over the frames."""

    SIDE = 48

    def __init__(self, dim: int = 128, *, dropout: float = 0.2, gradients: bool = True) -> None:
        super().__init__()
        self.dim = dim
        self.preparation = f"grey-faces:1:{self.SIDE}"
        widths = (1, 32, 64, 96, 128)
        blocks: list[nn.Module] = []
        for i, o in pairwise(widths):
            # only real frames get here; once trained, the norm is a constant, so frames do not see each other
            blocks += [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o), nn.ReLU()]
        self.cnn = nn.Sequential(*blocks, nn.Flatten(1), nn.Dropout(dropout), nn.Linear(128 * 9, dim))
        # nothing of the histograms is learned, so a few hundred faces are enough to read them
        width = described(self.SIDE)
        read = nn.Sequential(nn.LayerNorm(width), nn.Dropout(dropout), nn.Linear(width, dim))
        self.gradients = read if gradients else None
        self.lstm = BiLSTM(dim, dim // 2)
        self.norm = nn.LayerNorm(dim)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Face crops (T, S, S, 3) uint8 RGB -> (T, SIDE, SIDE) uint8 grey."""
        if not len(raw):
            return self.absent()
        grey = torch.as_tensor(np.ascontiguousarray(raw)).float() @ torch.tensor([0.299, 0.587, 0.114])
        small = F.interpolate(grey[:, None], (self.SIDE, self.SIDE), mode="bilinear", antialias=True)[:, 0]
        return small.round().clamp(0, 255).byte()

    def absent(self) -> Tensor:
        return torch.zeros(0, self.SIDE, self.SIDE, dtype=torch.uint8)

    def augment(self, stream: Stream, generator: torch.Generator) -> Stream:
        """Mirrored or not, a shift of up to three pixels, brightness within a fifth; one choice a clip. Stills come
        as short clips, see `held`."""
        values = stream.values.clone()
        for i in range(len(values)):
            mirror, *shift = torch.randint(0, 7, (3,), generator=generator).tolist()
            clip = values[i].flip(-1) if mirror % 2 else values[i]
            values[i] = clip.roll((shift[0] - 3, shift[1] - 3), dims=(-2, -1))
        light = 0.8 + 0.4 * torch.rand(len(values), 1, 1, 1, generator=generator).to(values.device)
        return held(Stream((values.float() * light).clamp(0, 255), stream.mask), generator)

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream
        flat = values[mask].float()[:, None] / 127.5 - 1.0
        flat = flat - flat.mean(dim=(2, 3), keepdim=True)  # a darker room or skin is no emotion
        flat = flat / flat.std(dim=(2, 3), keepdim=True).clamp(min=0.05)
        faces = self.cnn(flat)
        if self.gradients is not None:
            faces = faces + self.gradients(histograms(flat))
        seen = faces.new_zeros(*mask.shape, self.dim).masked_scatter(mask[..., None], faces)
        return Stream(self.norm(self.lstm(Stream(seen, mask)).values + seen), mask)


def held(stills: Stream, generator: torch.Generator, most: int = 4) -> Stream:
    """A batch of stills (B, 1, S, S) as clips of one to `most` frames, each moved by up to a pixel: an LSTM that only
    ever saw one frame would be at a loss in the second. A batch with clips in it stays as it is."""
    values, mask = stills
    if mask.shape[1] != 1:
        return stills
    times = torch.randint(1, most + 1, (len(mask),), generator=generator)
    moves = torch.randint(-1, 2, (len(mask), most, 2), generator=generator).tolist()
    clips = [
        torch.stack([frame.roll(m, dims=(0, 1)) for m in some]) for frame, some in zip(values[:, 0], moves, strict=True)
    ]
    return Stream(torch.stack(clips), mask & (torch.arange(most) < times[:, None]).to(mask.device))
