"""from models.fusion_layers import MultFusion: the seven fusions, the same as in emobraid."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.fusion import FUSIONS, Fused, Fusion, build
from emobraid.fusion.adaptive import AdaptiveFusion
from emobraid.fusion.contrastive import ContrastiveFusion
from emobraid.fusion.early import EarlyFusion
from emobraid.fusion.graph import GraphFusion
from emobraid.fusion.hierarchical import HierarchicalFusion
from emobraid.fusion.late import LateFusion
from emobraid.fusion.mult import MultFusion

__all__ = [
    "FUSIONS",
    "AdaptiveFusion",
    "ContrastiveFusion",
    "EarlyFusion",
    "Fused",
    "Fusion",
    "GraphFusion",
    "HierarchicalFusion",
    "LateFusion",
    "MultFusion",
    "build",
]
