"""What commands are tried on: the repository's scripts, raw clips and an untrained model.

A test file takes its fixtures by name: `model = command_fixtures.model`.
"""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from corpora import SMALL, clip_corpus
from emobraid import checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.model import MultimodalEmotionModel

REPOSITORY = Path(__file__).parents[1]


def python(*args, cwd):
    return subprocess.run([sys.executable, *map(str, args)], cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return clip_corpus(tmp_path_factory.mktemp("clips") / "data")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """An untrained model in a checkpoint: predicts from all three modalities."""
    torch.manual_seed(0)
    config = Config(model=ModelConfig(**SMALL, video_max_frames=4))
    model = MultimodalEmotionModel(config.model)
    folder = tmp_path_factory.mktemp("model") / "best_model"
    checkpoint.publish(folder, checkpoint.model_files(model, config, calibration={"text": 2.0}, card=""))
    return folder
