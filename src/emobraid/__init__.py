"""emobraid: the emotion a person expresses, read from any subset of text, voice and face."""

import importlib
from typing import TYPE_CHECKING, Any

from emobraid.release import version

if TYPE_CHECKING:
    from emobraid.config import Config
    from emobraid.config.data import DataConfig
    from emobraid.config.model import ModelConfig
    from emobraid.config.training import TrainingConfig
    from emobraid.data.corpus import Corpus
    from emobraid.data.few_shot import FewShotDataset
    from emobraid.dialogue.conversation import Conversation
    from emobraid.emotions import Emotion, LabelSpace
    from emobraid.model import MultimodalEmotionModel
    from emobraid.prediction import Prediction
    from emobraid.recognizer import NothingToRead, Recognizer
    from emobraid.scripting import evaluate, train
    from emobraid.stream import Batch, Stream
    from emobraid.training.distillation import KnowledgeDistillationModel
    from emobraid.training.few_shot import FewShotModel
    from emobraid.training.trainer import Trainer

__version__ = version()

# where each public name lives; loaded when first asked for, so that decoder processes start without torch
_HOMES = {
    "Batch": "stream",
    "Config": "config",
    "Conversation": "dialogue.conversation",
    "Corpus": "data.corpus",
    "DataConfig": "config.data",
    "Emotion": "emotions",
    "FewShotDataset": "data.few_shot",
    "FewShotModel": "training.few_shot",
    "KnowledgeDistillationModel": "training.distillation",
    "LabelSpace": "emotions",
    "ModelConfig": "config.model",
    "MultimodalEmotionModel": "model",
    "NothingToRead": "recognizer",
    "Prediction": "prediction",
    "Recognizer": "recognizer",
    "Stream": "stream",
    "Trainer": "training.trainer",
    "TrainingConfig": "config.training",
    "evaluate": "scripting",
    "train": "scripting",
}

__all__ = [
    "Batch",
    "Config",
    "Conversation",
    "Corpus",
    "DataConfig",
    "Emotion",
    "FewShotDataset",
    "FewShotModel",
    "KnowledgeDistillationModel",
    "LabelSpace",
    "ModelConfig",
    "MultimodalEmotionModel",
    "NothingToRead",
    "Prediction",
    "Recognizer",
    "Stream",
    "Trainer",
    "TrainingConfig",
    "evaluate",
    "train",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"emobraid has no {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(f"emobraid.{_HOMES[name]}"), name)
