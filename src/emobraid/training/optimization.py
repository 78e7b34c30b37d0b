"""How weights move: AdamW, warmup and cosine."""

import math

import torch
from torch import nn

from emobraid.config import Config
from emobraid.encoders.pretrained import Tower


def schedule(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate: linear warmup, then a cosine to zero (Loshchilov & Hutter 2017)."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def optimizer_for(model: nn.Module, config: Config, *, fused: bool) -> torch.optim.AdamW:
    """AdamW; biases, gains and other vectors do not decay. Weights inside pretrained encoders have their own rate."""
    settings = config.training
    tuned = {id(p) for tower in model.modules() if isinstance(tower, Tower) for p in tower.parameters()}
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in model.parameters():
        if p.requires_grad:
            peak = settings.encoder_learning_rate if id(p) in tuned else settings.learning_rate
            by_kind.setdefault((peak, settings.weight_decay if p.dim() >= 2 else 0.0), []).append(p)
    groups = [{"params": some, "peak": peak, "weight_decay": decay} for (peak, decay), some in by_kind.items()]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)
