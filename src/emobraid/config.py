"""Every setting there is: one tree of frozen dataclasses <-> TOML <-> command-line flags.

A recipe (TOML) is read first, then flags; there is no third source. Names and defaults are the mission's.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import tomli_w
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked

from emobraid.emotions import AffectDimension, Emotion, LabelKind, LabelSpace, nearest

FusionType = Literal["early", "late", "mult", "graph", "contrastive", "adaptive", "hierarchical"]
EncoderType = Literal["compact", "pretrained", "features"]
TuningMethod = Literal["frozen", "adapter", "lora", "prompt", "bitfit", "full"]
Precision = Literal["auto", "float32", "bfloat16", "int8"]
FewShotMethod = Literal["prompt_adapter", "lora", "probe", "prototypes", "class_mean", "full"]
Modality = Literal["text", "audio", "video", "motion"]
MODALITIES: tuple[Modality, ...] = get_args(Modality)
USUAL: tuple[Modality, ...] = ("text", "audio", "video")

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@checked(frozen=True, kw_only=True, config=STRICT)
class ModelConfig:
    """What is built: encoders, fusion, classes."""

    modalities: tuple[Modality, ...] = USUAL
    """Which modalities the model has. Any of them may still be missing in any row."""
    labels: tuple[str, ...] = tuple(e.value for e in Emotion)
    """The classes, in the order of every table."""
    label_kind: LabelKind = "exclusive"
    """exclusive: one class an utterance; multi: any number of them, each with its own threshold."""
    affect: tuple[AffectDimension, ...] = ()
    """Dimensions that the model reads as numbers beside its classes, from columns of these names."""

    text_encoder: EncoderType = "compact"
    """compact: our own small one, trained from scratch; pretrained: text_model_name; features: vectors in text_path."""
    audio_encoder: EncoderType = "compact"
    """compact: our own; pretrained: audio_model_name; features: audio_path names cells such as f.npz#audio[12]."""
    video_encoder: EncoderType = "compact"
    """compact: our own; pretrained: video_model_name; features: video_path names cells such as f.npz#face[12]."""
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
    """Pretrained text encoder, with --text_encoder pretrained: a hub id that has been fetched, or a folder."""
    text_max_length: int = Field(default=512, ge=8)
    """Tokens (compact: words) that are read, context included; the rest is cut off."""
    text_tuning: TuningMethod = "frozen"
    """What of a pretrained text encoder learns; all but frozen and full leave its own weights as they are."""
    context_turns: int = Field(default=0, ge=0, le=64)
    """Turns of the dialogue before the utterance that its text is read with (columns dialogue, turn, speaker)."""
    audio_model_name: str = "facebook/wav2vec2-base-960h"
    """Pretrained voice encoder, with --audio_encoder pretrained: wav2vec 2.0, HuBERT, WavLM, Whisper."""
    audio_sample_rate: int = 16_000
    """Samples a second that audio is brought to: 16000, which all supported encoders were trained at."""
    audio_tuning: TuningMethod = "frozen"
    """What of a pretrained voice encoder learns. Its convolutions stay frozen in any case."""
    audio_pool: int = Field(default=4, ge=1, le=50)
    """Frames (20 ms) of a pretrained voice encoder that are averaged into one position."""
    video_model_name: str = "google/vit-base-patch16-224"
    """Pretrained picture encoder, with --video_encoder pretrained."""
    video_max_frames: int = Field(default=30, ge=1, le=600)
    """Face crops taken from a clip, evenly spaced in time."""
    video_tuning: TuningMethod = "frozen"
    """What of a pretrained picture encoder learns."""
    adapter_size: int = Field(default=64, ge=1)
    """Units of an adapter's bottleneck."""
    lora_rank: int = Field(default=8, ge=1)
    """Rank of LoRA's updates."""
    prompt_length: int = Field(default=16, ge=1)
    """Learned positions before the input of every layer."""
    encoder_precision: Precision = "auto"
    """Arithmetic of frozen encoders. auto: bfloat16 where the processor has it, else float32; int8 is the quickest on
    CPUs without bfloat16 and the least exact."""

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

    @model_validator(mode="after")
    def _can_be_built(self) -> "ModelConfig":
        if not self.modalities or len(set(self.modalities)) != len(self.modalities):
            raise ValueError(f"modalities must be one or more of {', '.join(MODALITIES)}, each once")
        LabelSpace(self.labels, self.label_kind)  # says what is wrong with them
        if len(set(self.affect)) != len(self.affect):
            raise ValueError("affect must name each dimension once")
        if self.fusion_hidden_size % self.fusion_heads:
            raise ValueError("fusion_hidden_size must be a multiple of fusion_heads")
        if self.audio_sample_rate != 16_000:
            raise ValueError("audio_sample_rate must be 16000: the encoders know no other")
        for modality in USUAL:
            if getattr(self, f"{modality}_encoder") == "pretrained":
                continue
            for name in (f"{modality}_model_name", f"{modality}_tuning"):
                if getattr(self, name) != getattr(ModelConfig, name):
                    raise ValueError(f"{name} needs --{modality}_encoder pretrained")
        return self


@checked(frozen=True, kw_only=True, config=STRICT)
class TrainingConfig:
    """How it is trained. The same budget for every fusion."""

    encoder_learning_rate: float = Field(default=1e-4, gt=0)
    """The same peak for weights inside pretrained encoders; 1e-5 to 3e-5 suits full tuning."""
    gradient_checkpointing: bool = False
    """Recompute the layers of tuned encoders in the backward pass: half the memory and more, a third more time."""
    compile: bool = False
    """torch.compile the layers of tuned encoders, on a GPU."""
    batch_size: int = Field(default=16, ge=1)
    """Utterances a step."""
    learning_rate: float = Field(default=1e-4, gt=0)
    """Peak of the schedule: linear warmup, then a cosine to zero."""
    num_epochs: int = Field(default=100, ge=1)
    """Passes over the training split, at most; early stopping may end sooner."""
    warmup: float = Field(default=0.05, ge=0, lt=1)
    """Share of all steps spent warming up."""
    weight_decay: float = Field(default=0.01, ge=0)
    """AdamW's decay, on matrices only."""
    clip_norm: float = Field(default=1.0, gt=0)
    """Gradients longer than this are shortened to it."""
    label_smoothing: float = Field(default=0.05, ge=0, lt=1)
    """Share of each target spread over all classes."""
    class_weighting: bool = True
    """Weigh each class by the inverse square root of its frequency in the training split."""
    modality_dropout: float = Field(default=0.2, ge=0, lt=1)
    """Chance that a modality of a training utterance is hidden; one always stays."""
    modality_dropout_schedule: Literal["constant", "rising"] = "constant"
    """rising: the chance grows evenly from nothing over the first half of training."""
    position_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Words, frames and moments of sound are hidden, in each stream a share drawn between nothing and this."""
    input_noise: float = Field(default=0.0, ge=0)
    """Gaussian noise on pictures, sound and features, in each stream up to this many of its spreads."""
    blur: float = Field(default=0.0, ge=0, le=1)
    """Chance that the pictures of a training clip are blurred."""
    consistency_weight: float = Field(default=0.0, ge=0)
    """Loss that leads the reading of what was hidden or spoilt towards the reading of the whole utterance."""
    reconstruction_weight: float = Field(default=0.0, ge=0)
    """Loss on imagining a modality from the others, with --fill_missing."""
    pretrain_epochs: int = Field(default=0, ge=0)
    """The first epochs learn without labels, from which modalities belong together; unlabelled rows count there."""
    augment: bool = True
    """Vary training inputs: word dropout, loudness and SpecAugment, mirrored and shifted faces, feature noise."""
    unimodal_weight: float | None = Field(default=None, ge=0)
    """Loss on each modality's own decision; default: what the fusion asks for."""
    alignment_weight: float | None = Field(default=None, ge=0)
    """Supervised contrastive loss across modalities; default: what the fusion asks for."""
    affect_weight: float | None = Field(default=None, ge=0)
    """Loss on the affect dimensions (1 - CCC and smooth L1); default: 1 when the model has some."""
    members_weight: float | None = Field(default=None, ge=0)
    """Loss on each member of a meta-fusion; default: what the fusion asks for."""
    patience: int = Field(default=15, ge=1)
    """Epochs without a better validation macro-F1 before training stops."""
    save_every: int = Field(default=200, ge=1)
    """Steps between checkpoints inside an epoch; one is always written at an epoch's end."""
    mixed_precision: Literal["no", "bf16"] = "no"
    """Arithmetic of the forward pass; losses and weights stay in float32."""
    device: Literal["auto", "cpu"] = "auto"
    """auto takes a GPU when there is one."""
    seed: int = Field(default=0, ge=0)
    """Seed of weights, order, dropout and augmentation."""


@checked(frozen=True, kw_only=True, config=STRICT)
class DistillationConfig:
    """Whom a small model learns from, with --mode distillation, and what of it."""

    teacher_model: Path | None = None
    """The teacher: a folder that `train` wrote. It may read more modalities than the student."""
    student_size: Literal["tiny", "small", "base"] | None = None
    """Widths, depth and fusion of the student; without it they are what the model's own settings say."""
    logit_weight: float = Field(default=1.0, ge=0)
    """Loss towards the teacher's probabilities (Hinton et al. 2015, arXiv:1503.02531)."""
    distillation_temperature: float = Field(default=2.0, gt=0)
    """How much the teacher's probabilities are softened for it."""
    label_weight: float = Field(default=1.0, ge=0)
    """Weight of the labels beside it; 0: the teacher alone, so that unlabelled rows teach as much as labelled ones."""
    feature_weight: float = Field(default=0.0, ge=0)
    """Loss towards the teacher's likeness of utterances to each other (Tung and Mori 2019, arXiv:1907.09682)."""
    relation_weight: float = Field(default=0.0, ge=0)
    """Loss towards the teacher's distances between utterances (Park et al. 2019, arXiv:1904.05068)."""
    attention_weight: float = Field(default=0.0, ge=0)
    """Loss towards how much each modality counts for the teacher, where both fusions weigh modalities."""


@checked(frozen=True, kw_only=True, config=STRICT)
class FewShotConfig:
    """What --mode few_shot measures. How large prompts, adapters and LoRA are, the model's settings say."""

    base_model: Path | None = None
    """A folder that `train` wrote; without it a base is trained first, without labels."""
    shots: tuple[Annotated[int, Field(ge=1)], ...] = (1, 5, 10, 20)
    """Labelled utterances of each class."""
    ways: int | None = Field(default=None, ge=2)
    """Classes in an episode, drawn for each; default: all."""
    queries: int = Field(default=8, ge=1)
    """Utterances of each class that an episode is judged on, of other speakers than the shots."""
    episodes: int = Field(default=100, ge=2)
    """Episodes of the test split, the same for all methods."""
    dev_episodes: int = Field(default=20, ge=1)
    """Episodes of the validation split, on which each method's learning rate is chosen."""
    adaptation_steps: int = Field(default=20, ge=1)
    """Steps of every method that learns by steps, each on all shots at once."""
    methods: tuple[FewShotMethod, ...] = get_args(FewShotMethod)
    """What is compared. prompt_adapter is ours; class_mean is the nearest class mean."""

    @model_validator(mode="after")
    def _names_each_once(self) -> "FewShotConfig":
        for name in ("shots", "methods"):
            if not getattr(self, name) or len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} must be one or more, each once")
        return self


@checked(frozen=True, kw_only=True, config=STRICT)
class StudyConfig:
    """What --mode ablation and --mode all go through."""

    seeds: tuple[Annotated[int, Field(ge=0)], ...] = (0,)
    """Each trial is run with every seed."""
    fusions: tuple[FusionType, ...] = get_args(FusionType)
    """Fusions of the ablation; the others are compared with the first."""
    switch_off: tuple[str, ...] | None = None
    """Parts that the ablation also trains without, one at a time: text, audio, video, modality_dropout, augment;
    default: all that the settings have. `--switch_off` alone: none."""

    @model_validator(mode="after")
    def _some_of_each(self) -> "StudyConfig":
        for name in ("seeds", "fusions"):
            if not getattr(self, name) or len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} must be one or more, each once")
        return self


@checked(frozen=True, kw_only=True, config=STRICT)
class DataConfig:
    """Where utterances come from."""

    dataset: Literal["csv", "meld", "mosei", "iemocap"] = "csv"
    """How data_root is laid out. csv: our own tables; meld, mosei, iemocap: as their authors publish them."""
    data_root: Path = Path("data")
    """Folder with train.csv, val.csv, test.csv and the media they name, or with what --dataset publishes."""
    workers: int = Field(default=2, ge=1, le=8)
    """Decoder processes."""
    cache_dir: Path | None = None
    """Where prepared inputs are kept between runs; default: emobraid in the user's cache folder."""
    cache: bool = True
    """Keep prepared inputs between runs, so that a second run decodes nothing."""
    half_features: bool = True
    """Keep what frozen encoders give as float16: half the disk and memory."""
    video_features: Literal["facet", "openface"] = "facet"
    """Which of CMU-MOSEI's published face features are read with --video_encoder features: FACET 4.2 or OpenFace 2."""
    alignment: Literal["words", "none"] = "words"
    """CMU-MOSEI's published voice and face features: averaged over each word, or every frame as it is."""
    folds: Literal["standard", "random"] = "standard"
    """CMU-MOSEI's splits. standard: as published, from a file in data_root; random: drawn by video with split_seed."""
    split_seed: int = Field(default=0, ge=0)
    """Which random folds, and which dialogues validate in IEMOCAP's fold erc."""
    fold: Literal["session1", "session2", "session3", "session4", "session5", "erc"] | None = None
    """IEMOCAP's split: the session that is left out for the test (session5 without this), or erc, where sessions 1 to 4
    train and validate."""
    soft_labels: bool = False
    """Train on the shares of IEMOCAP's evaluators who saw each class; scores count the majority's label."""
    skip_unreadable: bool = False
    """Go on when a file cannot be read, with that modality missing; otherwise the first one stops the run."""
    allow_outside: Path | None = None
    """A second folder that paths in the CSV may point into; others outside data_root are refused."""

    @model_validator(mode="after")
    def _has_such_folds(self) -> "DataConfig":
        for name in ("fold", "soft_labels"):
            if getattr(self, name) and self.dataset != "iemocap":
                raise ValueError(f"{name} is for --dataset iemocap; {self.dataset} has nothing of that kind")
        return self


@checked(frozen=True, kw_only=True, config=STRICT)
class Config:
    """The whole tree."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    data: DataConfig = field(default_factory=DataConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    few_shot: FewShotConfig = field(default_factory=FewShotConfig)


ADAPTER = TypeAdapter(Config)


def fields_of(section: type) -> list[str]:
    return list(section.__dataclass_fields__)  # type: ignore[attr-defined]


SECTIONS: Mapping[str, type] = {
    "model": ModelConfig,
    "training": TrainingConfig,
    "data": DataConfig,
    "distillation": DistillationConfig,
    "few_shot": FewShotConfig,
}


def explain(problem: Mapping[str, Any]) -> str:
    """One pydantic finding as a clause: the setting's path, what is wrong with it, the nearest known name."""
    path = ".".join(str(p) for p in problem["loc"])
    if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        *parents, name = (str(p) for p in problem["loc"])
        known = fields_of(SECTIONS[parents[0]]) if parents and parents[0] in SECTIONS else list(SECTIONS)
        return f"{path} is not a setting{nearest(name, known)}".rstrip(",")
    message = str(problem["msg"]).removeprefix("Value error, ")
    return f"{path}: {message}" if problem["type"] != "value_error" else message


def parse(tree: Mapping[str, Any], source: str) -> Config:
    """A Config from nested values; ValueError is one line naming `source` and every bad setting."""
    try:
        return ADAPTER.validate_python(dict(tree))
    except ValidationError as error:
        raise ValueError(f"{source}: " + "; ".join(explain(p) for p in error.errors())) from None


def to_tree(config: Config) -> dict[str, Any]:
    """Nested plain values; settings that are None are left out, as TOML has no null."""
    tree: dict[str, dict[str, Any]] = ADAPTER.dump_python(config, mode="json")
    return {s: {k: v for k, v in values.items() if v is not None} for s, values in tree.items()}


def to_toml(config: Config) -> str:
    return tomli_w.dumps(to_tree(config))


def fingerprint(config: Config) -> str:
    """A short hash of everything that shapes a result: paths, workers and cache do not."""
    tree = to_tree(config)
    tree.pop("data")
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]
