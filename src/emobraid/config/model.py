"""Settings of what is built."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as checked
from tyro.conf import Fixed, Suppress

from emobraid.config.kinds import (
    MODALITIES,
    STRICT,
    USUAL,
    FaceEncoderType,
    FusionType,
    Modality,
    Precision,
    TuningMethod,
    VoiceEncoderType,
    WordsEncoderType,
)
from emobraid.emotions import AffectDimension, Emotion, LabelKind, LabelSpace, nearest

#: settings of training that a ModelConfig may carry as well; in a Config they stand in its training section alone
BUDGET: Mapping[str, Any] = {"batch_size": 16, "learning_rate": 1e-4, "num_epochs": 100}

#: encoders whose weights lie where *_model_name says
NAMED: Mapping[Modality, tuple[str, ...]] = {
    "text": ("pretrained", "minilm_stem"),
    "audio": ("pretrained",),
    "video": ("pretrained", "face_stem"),
}


@checked(kw_only=True, config=STRICT)
class ModelConfig:
    """What is built: encoders, fusion, classes."""

    # it may be changed, and each change is checked; a Config holds a copy, and moves BUDGET to its training section

    modalities: tuple[Modality, ...] = USUAL
    """Which modalities the model has. Any of them may still be missing in any row."""
    labels: tuple[str, ...] = tuple(e.value for e in Emotion)
    """The classes, in the order of every table."""
    label_kind: LabelKind = "exclusive"
    """exclusive: one class an utterance; multi: any number of them, each with its own threshold."""
    added_labels: int = Field(default=0, ge=0)
    """How many of the last labels were added to a trained model; written by `emobraid add-emotion`, never asked for."""
    affect: tuple[AffectDimension, ...] = ()
    """Dimensions that the model reads as numbers beside its classes, from columns of these names."""

    text_encoder: WordsEncoderType = "compact"
    """compact: our own small one, trained from scratch; minilm_stem: on MiniLM tuned for emotion, in the folder
    text_model_name; pretrained: text_model_name; features: vectors in text_path."""
    audio_encoder: VoiceEncoderType = "compact"
    """compact: our own; whisper_stem: on Whisper's first layers, which come with the package; pretrained:
    audio_model_name; features: audio_path names cells such as f.npz#audio[12]."""
    video_encoder: FaceEncoderType = "compact"
    """compact: our own; face_stem: on a face net trained for expression, in the folder video_model_name; pretrained:
    video_model_name; features: video_path names cells such as f.npz#face[12]."""
    motion_encoder: Literal["compact", "features"] = "compact"
    """compact: our own, for motion capture; features: motion_path names cells such as f.npz#motion[12]."""
    encoder_dim: int = Field(default=128, ge=8, multiple_of=8)
    """Width of the compact and feature encoders."""

    text_width: int | None = Field(default=None, ge=1)
    """Width of the text features; found in the training data when left out."""
    audio_width: int | None = Field(default=None, ge=1)
    """Width of the audio features; found in the training data when left out."""
    video_width: int | None = Field(default=None, ge=1)
    """Width of the video features; found in the training data when left out."""
    motion_width: int | None = Field(default=None, ge=1)
    """Values of a frame of motion; found in the training data when left out."""

    text_model_name: str = "microsoft/deberta-v3-base"
    """Pretrained text encoder, with --text_encoder pretrained: a hub id that has been fetched, or a folder; with
    minilm_stem the folder of its weights."""
    text_max_length: int = Field(default=512, ge=8)
    """Tokens (compact: words) that are read, context included; the rest is cut off."""
    text_tuning: TuningMethod = "frozen"
    """What of a pretrained text encoder learns; all but frozen and full leave its own weights as they are."""
    context_turns: int = Field(default=0, ge=0, le=64)
    """Turns of the dialogue before the utterance that its text is read with (columns dialogue, turn, speaker)."""
    context_features: int = Field(default=0, ge=0, le=64)
    """Utterances of the dialogue before this one whose published features are read with its own, a position each."""
    audio_model_name: str = "facebook/wav2vec2-base-960h"
    """Pretrained voice encoder, with --audio_encoder pretrained: wav2vec 2.0, HuBERT, WavLM, Whisper."""
    audio_sample_rate: int = 16_000
    """Samples a second that audio is brought to: 16000, which all supported encoders were trained at."""
    audio_tuning: TuningMethod = "frozen"
    """What of a pretrained voice encoder learns. Its convolutions stay frozen in any case."""
    audio_pool: int = Field(default=4, ge=1, le=50)
    """Frames (20 ms) of a pretrained voice encoder that are averaged into one position."""
    audio_levelled: bool = True
    """The compact audio encoder brings every voice to one level first: how loud it was recorded counts no longer."""
    video_model_name: str = "google/vit-base-patch16-224"
    """Pretrained picture encoder, with --video_encoder pretrained; with face_stem the folder of its weights."""
    video_max_frames: int = Field(default=30, ge=1, le=600)
    """Face crops taken from a clip, evenly spaced in time."""
    face_gradients: bool = True
    """The compact video encoder reads histograms of oriented gradients beside what it learns; they need few faces."""
    video_tuning: TuningMethod = "frozen"
    """What of a pretrained picture encoder learns."""
    adapter_size: int = Field(default=64, ge=1)
    """Units of an adapter's bottleneck."""
    lora_rank: int = Field(default=8, ge=1)
    """Rank of LoRA's updates."""
    prompt_length: int = Field(default=16, ge=1)
    """Learned positions before the input of every layer."""
    encoder_precision: Precision = "auto"
    """Arithmetic of frozen encoders. auto: bfloat16 where the processor has it, else float32; int8, with
    bfloat16 beside it where the processor has it, is the quickest on CPUs and the least exact."""

    fusion_type: FusionType = "hierarchical"
    """How the modalities are braided together."""
    fusion_hidden_size: int = Field(default=512, ge=8)
    """Width of the fusion."""
    fusion_depth: int = Field(default=2, ge=1)
    """Layers of the fusion."""
    fusion_heads: int = Field(default=4, ge=1)
    """Attention heads of the fusion."""
    fusion_dropout: float = Field(default=0.2, ge=0, lt=1)
    """Dropout inside the fusion."""
    fill_missing: bool = False
    """Imagine a missing modality from those that are there, and give the fusion that in its place."""

    batch_size: Annotated[int, Fixed, Suppress] = Field(default=16, ge=1)
    """As in TrainingConfig, for whoever writes all settings in one place."""
    learning_rate: Annotated[float, Fixed, Suppress] = Field(default=1e-4, gt=0)
    """As in TrainingConfig."""
    num_epochs: Annotated[int, Fixed, Suppress] = Field(default=100, ge=1)
    """As in TrainingConfig."""

    def __setattr__(self, name: str, value: object) -> None:
        """Change a setting; ValueError, and all stays as it was, for one that there is not or that does not fit."""
        if name not in type(self).__dataclass_fields__:
            known = list(type(self).__dataclass_fields__)
            raise ValueError(f"{name} is not a setting{nearest(name, known)}".rstrip(","))
        object.__setattr__(self, name, getattr(replace(self, **{name: value}), name))  # type: ignore[arg-type]

    @model_validator(mode="after")
    def _can_be_built(self) -> "ModelConfig":
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"modalities must be one or more of {', '.join(MODALITIES)}, each once")
        LabelSpace(self.labels, self.label_kind)  # says what is wrong with them
        if self.added_labels >= len(self.labels):
            raise ValueError("added_labels counts the last of the labels, and not all of them")
        if len(set(self.affect)) != len(self.affect):
            raise ValueError("affect must name each dimension once")
        if self.fusion_hidden_size % self.fusion_heads:
            raise ValueError("fusion_hidden_size must be a multiple of fusion_heads")
        if self.context_features and all(getattr(self, f"{m}_encoder") != "features" for m in self.modalities):
            raise ValueError("context_features is for published features: it needs an encoder that is features")
        if self.audio_sample_rate != 16_000:
            raise ValueError("audio_sample_rate must be 16000: the encoders know no other")
        for modality in USUAL:
            kind = getattr(self, f"{modality}_encoder")
            for name, kinds in ((f"{modality}_model_name", NAMED[modality]), (f"{modality}_tuning", ("pretrained",))):
                if kind not in kinds and getattr(self, name) != getattr(ModelConfig, name):
                    raise ValueError(f"{name} needs --{modality}_encoder {' or '.join(kinds)}")
        return self
