"""The shape of a face without anything learned: histograms of oriented gradients.

Shapes: N pictures, S side, W width of a description.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

CELL, DIRECTIONS = 8, 9


def described(side: int) -> int:
    """W, how many numbers describe a picture of `side` pixels."""
    return (side // CELL - 1) ** 2 * 4 * DIRECTIONS


def histograms(pictures: Tensor) -> Tensor:
    """Pictures (N, 1, S, S) -> (N, W): in which directions the grey slopes, cell by cell of 8 pixels, and how steeply
    beside the cells around it.

    (Dalal and Triggs 2005, doi:10.1109/CVPR.2005.177: nine directions without a sign, each slope shared between the two
    nearest; blocks of 2 x 2 cells, each of unit length.)
    """
    right = F.pad(pictures[..., 2:] - pictures[..., :-2], (1, 1, 0, 0))
    down = F.pad(pictures[..., 2:, :] - pictures[..., :-2, :], (0, 0, 1, 1))
    steep = (right.square() + down.square() + 1e-12).sqrt()  # its gradient is finite on an even surface too
    place = torch.atan2(down, right) / torch.pi % 1.0 * DIRECTIONS  # a line has no front and no back
    lower = place.floor()
    share, first = place - lower, lower.long() % DIRECTIONS
    bins = pictures.new_zeros(len(pictures), DIRECTIONS, *pictures.shape[2:])
    bins = bins.scatter_add(1, first, steep * (1 - share)).scatter_add(1, (first + 1) % DIRECTIONS, steep * share)
    blocks = F.unfold(F.avg_pool2d(bins, CELL), 2)  # (N, DIRECTIONS * 4, blocks)
    return F.normalize(blocks, dim=1, eps=1e-2).flatten(1)
