"""One encoder per modality, chosen by configuration."""

from emobraid.config import ModelConfig
from emobraid.encoders.base import Encoder
from emobraid.encoders.compact_audio import CompactAudio
from emobraid.encoders.compact_text import CompactText
from emobraid.encoders.compact_video import CompactVideo
from emobraid.encoders.features import Features


def build(modality: str, config: ModelConfig) -> Encoder:
    """The encoder that `config` names for `modality`."""
    if getattr(config, f"{modality}_encoder") == "features":
        width = getattr(config, f"{modality}_width")
        if width is None:
            raise ValueError(f"{modality}_width is not set: training finds it in the data, a model alone cannot")
        return Features(width, config.encoder_dim)
    if modality == "text":
        return CompactText(config.encoder_dim, max_length=config.text_max_length)
    if modality == "audio":
        return CompactAudio(config.encoder_dim, rate=config.audio_sample_rate)
    return CompactVideo(config.encoder_dim)


__all__ = ["CompactAudio", "CompactText", "CompactVideo", "Encoder", "Features", "build"]
