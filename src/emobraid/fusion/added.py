"""Classes added to a trained model: a row each, beside heads that stay as they were.

Shapes: B batch, M modalities, D width, W = (M + 1) * D reading, C classes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.base import Fused


def reading(read: Fused) -> Tensor:
    """(B, W): the fusion's features and each modality's embedding, of unit length each; zero where missing."""
    parts = torch.cat([read.features[:, None], read.embeddings], dim=1)  # (B, 1 + M, D)
    return F.normalize(parts.float(), dim=-1).flatten(1)


class AddedClasses(nn.Module):
    """`count` more logits, each one row's product with the reading; the logits before them keep every bit.

    A row is a map of its own. In one product with the others, the order of summation might change with its height.
    """

    def __init__(self, count: int, modalities: int, dim: int) -> None:
        super().__init__()
        self.rows = nn.ModuleList(nn.Linear((modalities + 1) * dim, 1) for _ in range(count))

    def forward(self, read: Fused) -> Fused:
        """Logits (B, C) -> (B, C + count). What modalities and members say alone knows the first classes only: None."""
        if not len(self.rows):
            return read
        seen = reading(read)
        more = [row(seen).to(read.logits.dtype) for row in self.rows]
        return read._replace(logits=torch.cat([read.logits, *more], dim=1), unimodal=None, members=None)
