"""from models.encoders import CompactText: the encoders of text, voice, face and motion, the same as in emobraid."""

import _source  # noqa: F401  # this clone's code, installed or not

from emobraid.encoders import Encoder, build
from emobraid.encoders.audio import PretrainedAudio
from emobraid.encoders.compact_audio import CompactAudio
from emobraid.encoders.compact_text import CompactText
from emobraid.encoders.compact_video import CompactVideo
from emobraid.encoders.features import Features
from emobraid.encoders.motion import CompactMotion
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo

__all__ = [
    "CompactAudio",
    "CompactMotion",
    "CompactText",
    "CompactVideo",
    "Encoder",
    "Features",
    "PretrainedAudio",
    "PretrainedText",
    "PretrainedVideo",
    "build",
]
