"""Seven ways to braid modalities together, one constructor and one call for all."""

from collections.abc import Mapping

from emobraid.fusion.base import Fused, Fusion
from emobraid.fusion.hierarchical import MEMBERS, HierarchicalFusion

FUSIONS: Mapping[str, type[Fusion]] = {**MEMBERS, "hierarchical": HierarchicalFusion}


def build(
    name: str, modalities: tuple[str, ...], dim: int, classes: int, *, depth: int, heads: int, dropout: float
) -> Fusion:
    """The fusion called `name`, for streams of width `dim`; ValueError names the known ones."""
    if name not in FUSIONS:
        raise ValueError(f"unknown fusion {name!r}, known: {', '.join(FUSIONS)}")
    if dim % heads:
        raise ValueError(f"fusion_hidden_size {dim} must be a multiple of the number of heads, {heads}")
    return FUSIONS[name](modalities, dim, classes, depth=depth, heads=heads, dropout=dropout)


__all__ = ["FUSIONS", "Fused", "Fusion", "build"]
