"""from models.multimodal_model import MultimodalEmotionModel: the model and what learns around it."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.model import AffectHead, MultimodalEmotionModel
from emobraid.training.distillation import KnowledgeDistillationModel
from emobraid.training.few_shot import FewShotModel

__all__ = ["AffectHead", "FewShotModel", "KnowledgeDistillationModel", "MultimodalEmotionModel"]
