"""Every setting there is: one tree of frozen dataclasses <-> TOML <-> command-line flags.

A recipe (TOML) is read first, then flags; there is no third source. Names and defaults are the mission's.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import field, replace
from typing import Any

import tomli_w
from pydantic import TypeAdapter, ValidationError, model_validator
from pydantic.dataclasses import dataclass as checked

from emobraid.config.data import DataConfig
from emobraid.config.kinds import (
    MODALITIES,
    STRICT,
    USUAL,
    FaceEncoderType,
    FewShotMethod,
    FusionType,
    Modality,
    Precision,
    TuningMethod,
    VoiceEncoderType,
    WordsEncoderType,
)
from emobraid.config.model import BUDGET, ModelConfig
from emobraid.config.regimes import DistillationConfig, FewShotConfig, StudyConfig
from emobraid.config.training import TrainingConfig
from emobraid.emotions import nearest

__all__ = [
    "ADAPTER",
    "MODALITIES",
    "SECTIONS",
    "STRICT",
    "USUAL",
    "Config",
    "DataConfig",
    "DistillationConfig",
    "FaceEncoderType",
    "FewShotConfig",
    "FewShotMethod",
    "FusionType",
    "Modality",
    "ModelConfig",
    "Precision",
    "StudyConfig",
    "TrainingConfig",
    "TuningMethod",
    "VoiceEncoderType",
    "WordsEncoderType",
    "explain",
    "fields_of",
    "fingerprint",
    "parse",
    "to_toml",
    "to_tree",
]


@checked(frozen=True, kw_only=True, config=STRICT)
class Config:
    """The whole tree."""

    model: ModelConfig = field(default_factory=ModelConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    data: DataConfig = field(default_factory=DataConfig)
    distillation: DistillationConfig = field(default_factory=DistillationConfig)
    few_shot: FewShotConfig = field(default_factory=FewShotConfig)

    @model_validator(mode="after")
    def _one_budget(self) -> "Config":
        """What a ModelConfig says of the training moves there; the copy that stays is nobody else's to change."""
        asked = {n: getattr(self.model, n) for n, usual in BUDGET.items() if getattr(self.model, n) != usual}
        for name, value in asked.items():
            if (other := getattr(self.training, name)) not in (value, BUDGET[name]):
                raise ValueError(f"{name} is {value} in the model's settings and {other} in those of training")
        object.__setattr__(self, "training", replace(self.training, **asked))
        object.__setattr__(self, "model", replace(self.model, **BUDGET))
        return self


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
    for name in BUDGET:
        del tree["model"][name]
    return {s: {k: v for k, v in values.items() if v is not None} for s, values in tree.items()}


def to_toml(config: Config) -> str:
    return tomli_w.dumps(to_tree(config))


#: settings of the data that a result does not depend on
ELSEWHERE = ("data_root", "workers", "cache_dir", "cache", "allow_outside")

#: settings that came after the first studies, with the value that stands for what was done before they existed
LATER = {
    ("model", "added_labels"): 0,
    ("model", "audio_levelled"): False,
    ("model", "face_gradients"): False,
    ("training", "subset_views"): "drawn",
    ("training", "voice_change"): 0.0,
    ("few_shot", "every_subset"): True,
}


def as_it_was(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that were stored earlier, with those that did not exist then standing at what was done."""
    stored = {section: dict(values) for section, values in tree.items()}
    for (section, name), usual in LATER.items():
        stored.setdefault(section, {}).setdefault(name, usual)
    return stored


def fingerprint(config: Config) -> str:
    """A short hash of everything that shapes a result; where things lie and how fast they come does not."""
    tree = to_tree(config)
    for name in ELSEWHERE:
        tree["data"].pop(name, None)
    for (section, name), usual in LATER.items():
        if tree[section].get(name) == usual:
            del tree[section][name]
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:12]
