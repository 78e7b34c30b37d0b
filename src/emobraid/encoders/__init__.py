"""One encoder per modality, chosen by configuration."""

from emobraid.config import ModelConfig
from emobraid.encoders.adapters import Tuning
from emobraid.encoders.audio import PretrainedAudio
from emobraid.encoders.base import Encoder
from emobraid.encoders.compact_audio import CompactAudio
from emobraid.encoders.compact_text import CompactText
from emobraid.encoders.compact_video import CompactVideo
from emobraid.encoders.face_stem import FaceStem
from emobraid.encoders.features import Features
from emobraid.encoders.minilm_stem import MiniLmStem
from emobraid.encoders.motion import MOCAP_WIDTH, CompactMotion
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo
from emobraid.encoders.whisper_stem import WhisperStem

__all__ = ["Encoder", "build"]


def build(modality: str, config: ModelConfig) -> Encoder:
    """The encoder that `config` names for `modality`."""
    kind = getattr(config, f"{modality}_encoder")
    if kind == "features":
        width = getattr(config, f"{modality}_width")
        if width is None:
            raise ValueError(f"{modality}_width is not set: training finds it in the data, a model alone cannot")
        return Features(width, config.encoder_dim)
    if kind == "whisper_stem":
        return WhisperStem(config.encoder_dim, precision=config.encoder_precision)
    if kind == "minilm_stem":
        return MiniLmStem(config.text_model_name, config.encoder_dim, max_length=config.text_max_length)
    if kind == "face_stem":
        return FaceStem(config.video_model_name, config.encoder_dim)
    return _pretrained(modality, config) if kind == "pretrained" else _compact(modality, config)


def _compact(modality: str, config: ModelConfig) -> Encoder:
    if modality == "text":
        return CompactText(config.encoder_dim, max_length=config.text_max_length)
    if modality == "audio":
        return CompactAudio(config.encoder_dim, rate=config.audio_sample_rate, level=config.audio_levelled)
    if modality == "motion":
        return CompactMotion(config.motion_width or MOCAP_WIDTH, config.encoder_dim)
    return CompactVideo(config.encoder_dim, gradients=config.face_gradients)


def _pretrained(modality: str, config: ModelConfig) -> Encoder:
    tuning = Tuning(
        getattr(config, f"{modality}_tuning"),
        adapter_size=config.adapter_size,
        lora_rank=config.lora_rank,
        prompt_length=config.prompt_length,
    )
    name, precision = getattr(config, f"{modality}_model_name"), config.encoder_precision
    if modality == "text":
        return PretrainedText(name, max_length=config.text_max_length, tuning=tuning, precision=precision)
    if modality == "audio":
        return PretrainedAudio(
            name, rate=config.audio_sample_rate, pool=config.audio_pool, tuning=tuning, precision=precision
        )
    return PretrainedVideo(name, hidden=config.encoder_dim, tuning=tuning, precision=precision)
