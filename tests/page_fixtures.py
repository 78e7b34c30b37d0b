"""What the page shows, drawn without a browser, and a tiny model behind it.

A test file takes its fixtures by name: `recognizer = page_fixtures.recognizer`.
"""

from html.parser import HTMLParser

import pytest
import torch

from emobraid import Recognizer, checkpoint
from emobraid.app.actions import Actions
from emobraid.app.smoothing import Smoothed
from emobraid.app.visits import Shown
from emobraid.config import Config, ModelConfig
from emobraid.model import MultimodalEmotionModel
from emobraid.recognizer import Prediction, Reading


class Skeleton(HTMLParser):
    """Tags and attributes of a page without its text."""

    def __init__(self, html):
        super().__init__()
        self.found, self.text = [], ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, *attrs))

    def handle_endtag(self, tag):
        self.found.append(("/" + tag,))

    def handle_data(self, data):
        self.text += data

    def handle_comment(self, data):
        self.found.append(("comment", data))

    handle_decl = unknown_decl = handle_pi = handle_comment


NAMES = ("happy", "sad", "angry")


def smoothed(emotion="sad", names=NAMES, top=0.7):
    rest = (1 - top) / (len(names) - 1)
    return Smoothed(emotion=emotion, probabilities={n: top if n == emotion else rest for n in names})


def prediction(emotion="sad", names=NAMES, notes=None):
    probabilities = smoothed(emotion, names).probabilities
    alone = Reading(emotion=emotion, confidence=0.7, probabilities=probabilities)
    return Prediction(
        emotion=emotion,
        confidence=0.7,
        probabilities=probabilities,
        contributions={"text": 0.3},
        per_modality={"text": alone},
        affect={"valence": -0.5, "arousal": 0.25},
        notes=notes or {},
    )


def shown(text="", **changed):
    return Shown(
        **{
            "reading": prediction(),
            "fused": smoothed(),
            "alone": {"text": smoothed()},
            "notes": {"text": text, "audio": text},
            "source": text or "live",
            **changed,
        }
    )


@pytest.fixture(scope="module")
def recognizer(tmp_path_factory):
    torch.manual_seed(0)
    small = {"encoder_dim": 8, "fusion_hidden_size": 8, "fusion_heads": 2, "fusion_depth": 1, "video_max_frames": 4}
    config = Config(model=ModelConfig(**small, fusion_type="adaptive"))
    folder = tmp_path_factory.mktemp("model") / "best_model"
    files = checkpoint.model_files(MultimodalEmotionModel(config.model), config, calibration={}, card="")
    checkpoint.publish(folder, files)
    with Recognizer.from_pretrained(folder) as opened:
        yield opened


@pytest.fixture
def actions(recognizer):
    return Actions(lambda: recognizer, None, None)
