"""Settings of the regimes beyond standard training."""

from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as checked

from emobraid.config.kinds import STRICT, FewShotMethod, FusionType


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
    every_subset: bool = True
    """Measure these two with every subset of the modalities as well."""

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
    jobs: int | None = Field(default=None, ge=1)
    """Trials side by side, each in a process of its own with one thread; results are the same with any number. Default:
    the number of cores, but 1 with pretrained encoders or a GPU, where one trial is given all threads."""
    switch_off: tuple[str, ...] | None = None
    """Parts that the ablation also trains without, one at a time: text, audio, video, modality_dropout, augment;
    default: all that the settings have. `--switch_off` alone: none."""

    @model_validator(mode="after")
    def _some_of_each(self) -> "StudyConfig":
        for name in ("seeds", "fusions"):
            if not getattr(self, name) or len(set(getattr(self, name))) != len(getattr(self, name)):
                raise ValueError(f"{name} must be one or more, each once")
        return self
