"""A small student that learns from a large teacher's reading of every training utterance.

The teacher reads each utterance once, whole and unvaried, with all the modalities it knows; the student may know fewer
(cross-modal distillation) and sees it varied, spoilt and with modalities hidden as the recipe says.

Shapes: N utterances, C classes, D' the teacher's width, M the student's modalities.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import nn

from emobraid import checkpoint
from emobraid.config import Config, ModelConfig
from emobraid.data.contents import contents
from emobraid.data.corpus import Sample
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import Reporter, read_split
from emobraid.emotions import LabelSpace
from emobraid.fusion import Fused
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.guidance import Guide


def _size(fusion_type: str, *, encoder: int, fusion: int, heads: int) -> dict[str, Any]:
    return {
        "fusion_type": fusion_type,
        "encoder_dim": encoder,
        "fusion_hidden_size": fusion,
        "fusion_depth": 1,
        "fusion_heads": heads,
    }


#: what --student_size sets; the encoders' kinds, the classes and the modalities stay as the settings say
SIZES: Mapping[str, Mapping[str, Any]] = {
    "tiny": _size("early", encoder=48, fusion=48, heads=4),
    "small": _size("early", encoder=64, fusion=64, heads=4),
    "base": _size("adaptive", encoder=96, fusion=128, heads=4),
}
KEPT = "teacher.safetensors"


def sized(config: ModelConfig, size: str | None) -> ModelConfig:
    """The settings of a student of this size; None: as they are."""
    return replace(config, **SIZES[size]) if size else config


class KnowledgeDistillationModel(nn.Module):
    """A frozen teacher and a student: calling it is calling the student.

    `student_config` is the student's ModelConfig: the teacher's classes, any subset of its modalities. ValueError when
    the two cannot go together. The teacher is a frozen twin of `teacher_model`, which stays as it is.
    """

    def __init__(self, teacher_model: MultimodalEmotionModel, student_config: ModelConfig) -> None:
        super().__init__()
        self.columns = shared_classes(teacher_model.config, student_config)
        if unknown := [m for m in student_config.modalities if m not in teacher_model.config.modalities]:
            raise ValueError(f"the teacher does not read {', '.join(unknown)}, so it cannot teach a student that does")
        self.teacher = teacher_model.frozen_twin()
        self.student = MultimodalEmotionModel(student_config)

    def train(self, mode: bool = True) -> Self:
        """Only the student changes its mode."""
        self.training = mode
        self.student.train(mode)
        return self

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        read: Fused = self.student({m: streams[m] for m in self.student.config.modalities})
        return read

    @torch.no_grad()
    def guide(self, streams: Mapping[str, Stream]) -> Guide:
        """What the teacher says of utterances prepared by its own encoders, in the order of the student's classes."""
        said = Guide.of(self.teacher(streams))
        weights = said.weights
        if weights is not None:
            names = self.teacher.config.modalities
            weights = weights[:, [names.index(m) for m in self.student.config.modalities]]
        return Guide(said.logits[:, self.columns], said.features, weights)


def teacher_of(config: Config) -> checkpoint.Trained | None:
    """The teacher that the settings name, if any; ValueError, before a row is read, when its classes are others."""
    if (path := config.distillation.teacher_model) is None:
        return None
    teacher = checkpoint.load_trained(path)
    shared_classes(teacher.config.model, config.model)
    return teacher


def shared_classes(teacher: ModelConfig, student: ModelConfig) -> list[int]:
    """The teacher's column of each of the student's classes; ValueError unless they have the same ones."""
    theirs, ours = ([LabelSpace.key(n) for n in c.labels] for c in (teacher, student))
    if sorted(theirs) != sorted(ours):
        raise ValueError(
            f"the teacher's classes are {', '.join(theirs)}, the student's {', '.join(ours)}; see --labels"
        )
    if teacher.label_kind != student.label_kind:
        raise ValueError(f"the teacher's classes are {teacher.label_kind}, the student's {student.label_kind}")
    return [theirs.index(name) for name in ours]


def teachers_reading(
    pair: KnowledgeDistillationModel,
    teacher: Config,
    config: Config,
    train: PreparedSplit,
    folder: Path,
    reporter: Reporter,
    *,
    batch_size: int = 32,
) -> Guide:
    """The teacher's reading of the training split, from `folder` when an earlier start has left it there."""
    settings = Config(model=teacher.model, training=config.training, data=config.data)
    rows = open_corpus(config.data, teacher.model).split("train")
    key = teachers_key(config, teacher, rows)
    if kept := _kept(folder / KEPT, key):
        return kept
    if [r.id for r in rows] != [s.id for s in train.samples]:
        raise ValueError("teacher and student do not read the same rows of this corpus; give both the same --labels")
    split = read_split(pair.teacher.by_modality(), rows, settings, "train for the teacher", reporter)
    heard = [pair.guide(batch.streams) for batch in split.batches(batch_size)]
    weights = [g.weights for g in heard if g.weights is not None]
    guide = Guide(
        torch.cat([g.logits for g in heard]),
        torch.cat([g.features for g in heard]),
        torch.cat(weights) if weights else None,
    )
    folder.mkdir(parents=True, exist_ok=True)
    _keep(folder / KEPT, key, guide)
    return guide


def teachers_key(config: Config, teacher: Config, rows: Sequence[Sample]) -> str:
    """Changes with the teacher's weights, what its rows hold, and what the student takes from it."""
    assert config.distillation.teacher_model
    files = checkpoint.read(checkpoint.resolve(config.distillation.teacher_model))
    weights = hashlib.sha256(files["model.safetensors"]).hexdigest()
    held = contents(rows, teacher.model.modalities)
    asked = [config.model.labels, config.model.modalities, teacher.model.modalities, config.data.half_features]
    return hashlib.sha256(json.dumps([weights, held, *asked]).encode()).hexdigest()


def key_of_kept(folder: Path) -> str:
    """What a reading that `teachers_reading` left in `folder` was made from."""
    with safe_open(folder / KEPT, "pt") as file:
        return str((file.metadata() or {}).get("key"))[:16]


def _kept(path: Path, key: str) -> Guide | None:
    try:
        with safe_open(path, "pt") as file:
            if (file.metadata() or {}).get("key") != key:
                return None
            names = set(file.keys())
            weights = file.get_tensor("weights") if "weights" in names else None
            return Guide(file.get_tensor("logits"), file.get_tensor("features"), weights)
    except (OSError, SafetensorError):  # not there yet, or cut short by a kill
        return None


def _keep(path: Path, key: str, guide: Guide) -> None:
    aside = path.with_suffix(".writing")
    save_file({n: t.contiguous() for n, t in guide._asdict().items() if t is not None}, aside, {"key": key})
    os.replace(aside, path)
