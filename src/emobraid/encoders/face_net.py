"""A residual net that reads the expression of one grey face crop.

Shapes: N faces, S side of a crop, D width.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 128, 256)


class ResidualBlock(nn.Module):
    """Two convolutions past which their input runs (He et al. 2016, arXiv:1512.03385), halved by a mean (ResNet-D)."""

    def __init__(self, wide_in: int, wide_out: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(wide_in, wide_out, 3, stride, 1, bias=False)
        self.first_norm = nn.BatchNorm2d(wide_out)
        self.second = nn.Conv2d(wide_out, wide_out, 3, 1, 1, bias=False)
        self.second_norm = nn.BatchNorm2d(wide_out)
        same = wide_in == wide_out and stride == 1
        self.past: nn.Module = nn.Identity()
        if not same:
            halved: nn.Module = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
            bare = nn.Conv2d(wide_in, wide_out, 1, bias=False)
            self.past = nn.Sequential(halved, bare, nn.BatchNorm2d(wide_out))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.first_norm(self.first(x)))
        return F.relu(self.second_norm(self.second(inner)) + self.past(x))


class FaceNet(nn.Module):
    """Grey faces (N, S, S), 0..255 -> (N, D): 1.6 million parameters, 100 million products a face of 64 pixels."""

    dim = WIDTHS[-1]

    def __init__(self) -> None:
        super().__init__()
        stem = (nn.Conv2d(1, WIDTHS[0], 3, 2, 1, bias=False), nn.BatchNorm2d(WIDTHS[0]), nn.ReLU())
        blocks = [ResidualBlock(WIDTHS[0], WIDTHS[0])]
        for narrow, wide in pairwise(WIDTHS):
            blocks.append(ResidualBlock(narrow, wide, 2))
            if wide < WIDTHS[-1]:
                blocks.append(ResidualBlock(wide, wide))
        self.layers = nn.Sequential(*stem, *blocks)
        for part in self.layers.modules():  # a quarter quicker on processors
            if isinstance(part, nn.Conv2d):
                part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)

    def forward(self, faces: Tensor) -> Tensor:
        flat = faces.float()[:, None] / 127.5 - 1.0
        flat = flat - flat.mean(dim=(2, 3), keepdim=True)  # a darker room or skin is no emotion
        flat = flat / flat.std(dim=(2, 3), keepdim=True).clamp(min=0.05)
        maps: Tensor = self.layers(flat.contiguous(memory_format=torch.channels_last))
        return maps.float().mean(dim=(2, 3))
