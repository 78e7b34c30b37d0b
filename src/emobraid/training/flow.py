"""How much gradient reaches each part of the model: a part that gets none learns nothing."""

from collections import defaultdict

import torch
from torch import Tensor, nn

from emobraid.checkpoint import whole

EVERY = 10  # steps between two looks
PREFIX = "gradient/"


def gradient_flow(model: nn.Module) -> dict[str, float]:
    """Euclidean norm of the gradient of each part that has one: `gradient/encoders.text`, `gradient/projections.text`,
    `gradient/fusion`, or `gradient/fusion.members.mult` in a meta-fusion."""
    parts: dict[str, list[Tensor]] = defaultdict(list)
    for name, weight in model.named_parameters():
        if weight.grad is not None:
            parts[part_of(name)].append(weight.grad)
    return {PREFIX + part: float(whole(torch.nn.utils.get_total_norm(grads))) for part, grads in parts.items()}


def part_of(name: str) -> str:
    """The part of the model that a weight of this name belongs to."""
    words = name.split(".")
    size = 2 if words[0] in ("encoders", "projections") else 3 if words[:2] == ["fusion", "members"] else 1
    return ".".join(words[:size])
