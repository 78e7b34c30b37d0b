"""Every setting, under the name that `from config import ModelConfig` looks for."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.config import Config, DataConfig, ModelConfig, TrainingConfig

__all__ = ["Config", "DataConfig", "ModelConfig", "TrainingConfig"]
