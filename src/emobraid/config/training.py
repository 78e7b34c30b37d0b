"""Settings of how it is trained."""

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as checked

from emobraid.config.kinds import STRICT


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
    """Utterances a step, over all processes."""
    accumulate: int = Field(default=1, ge=1)
    """Pieces in which a step reads its batch, to need less memory; contrastive losses see one piece at a time."""
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
    subset_views: Literal["drawn", "all"] = "drawn"
    """all: read each training utterance with every subset of its modalities, each as often as dropout would draw it."""
    position_dropout: float = Field(default=0.0, ge=0, lt=1)
    """Words, frames and moments of sound are hidden, in each stream a share drawn between nothing and this."""
    input_noise: float = Field(default=0.0, ge=0)
    """Gaussian noise on pictures, sound and features, up to this many spreads of each feature."""
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
    voice_change: float = Field(default=0.0, ge=0, le=0.5)
    """Voices sound as if others spoke elsewhere: mel spectra stretched by up to this share, retuned and coloured."""
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
