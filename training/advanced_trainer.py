"""from training.advanced_trainer import Trainer: the one trainer of every regime, and training from Python."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.scripting import evaluate, train
from emobraid.training.trainer import Outcome, Trainer

__all__ = ["Outcome", "Trainer", "evaluate", "train"]
