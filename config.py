"""Every setting, under the name that `from config import ModelConfig` looks for."""

from emobraid.config import Config, DataConfig, ModelConfig, TrainingConfig

__all__ = ["Config", "DataConfig", "ModelConfig", "TrainingConfig"]
