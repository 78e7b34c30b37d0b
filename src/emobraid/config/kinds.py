"""What settings may be, and how strictly they are read."""

from typing import Literal, get_args

from pydantic import ConfigDict

FusionType = Literal["early", "late", "mult", "graph", "contrastive", "adaptive", "hierarchical"]
WordsEncoderType = Literal["compact", "minilm_stem", "pretrained", "features"]
VoiceEncoderType = Literal["compact", "whisper_stem", "pretrained", "features"]
FaceEncoderType = Literal["compact", "face_stem", "pretrained", "features"]
TuningMethod = Literal["frozen", "adapter", "lora", "prompt", "bitfit", "full"]
Precision = Literal["auto", "float32", "bfloat16", "int8"]
FewShotMethod = Literal["prompt_adapter", "lora", "probe", "prototypes", "class_mean", "full"]
Modality = Literal["text", "audio", "video", "motion"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
USUAL: tuple[Modality, ...] = ("text", "audio", "video")

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
