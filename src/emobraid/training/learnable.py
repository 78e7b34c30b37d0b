"""What a training split can teach: the modalities that some row has, the classes that some row is.

What was never learnt is never read: a modality without a row is left out of the model, a class without one is refused.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from emobraid.config import Config, ModelConfig
from emobraid.data.corpus import Sample
from emobraid.data.features import ArrayCell
from emobraid.data.prepared import PreparedSplit, targets
from emobraid.data.preparer import Reporter
from emobraid.data.shelf import source
from emobraid.training.objectives import labelled

FEW = 10  # labelled validation rows, under which the best epoch is a matter of luck


def given(config: ModelConfig, rows: Sequence[Sample]) -> list[str]:
    """The modalities that any row names something for; nothing is decoded."""
    return [m for m in config.modalities if any(source(m, row) is not None for row in rows)]


def read(split: PreparedSplit) -> list[str]:
    """The modalities that any row of a prepared split has."""
    return [m for m, tensors in split.tensors.items() if any(len(t) for t in tensors)]


def only(config: Config, kept: Sequence[str], reporter: Reporter) -> Config:
    """The settings without the modalities that are not `kept`, which the user is told; ValueError when none stays."""
    lost = [m for m in config.model.modalities if m not in kept]
    if not lost:
        return config
    if not kept:
        raise ValueError(f"no training row has {' or '.join(lost)}: there is nothing to learn from; fill some cells")
    for modality in lost:
        reporter.say(f"no training row has {modality}: it cannot be learnt, so the model is made without it")
    return replace(
        config, model=replace(config.model, modalities=tuple(m for m in config.model.modalities if m in kept))
    )


def without(split: PreparedSplit, config: ModelConfig) -> PreparedSplit:
    """The split with the model's own modalities alone."""
    return replace(split, tensors={m: split.tensors[m] for m in config.modalities})


def refuse_untaught(labels: Tensor, config: ModelConfig, where: str) -> None:
    """ValueError naming the classes that no row of (N, C) is, not even in part; rows of NaN are unlabelled."""
    taught = (labels.nan_to_num() > 0).any(dim=0)
    lacking = [name for name, some in zip(config.labels, taught.tolist(), strict=True) if not some]
    if not lacking:
        return
    if len(lacking) == len(config.labels):
        raise ValueError(f"{where} has no labelled row; training needs some")
    kept = [f"'{name}'" if " " in name else name for name in config.labels if name not in lacking]
    remedy = f"--labels {' '.join(kept)} makes a model without" if len(kept) > 1 else "a model needs two classes"
    raise ValueError(
        f"{where}: no row is {', '.join(lacking)}, and a class without a row cannot be learnt; add rows, or {remedy}"
    )


def look_over(
    splits: Mapping[str, PreparedSplit], config: ModelConfig, table: Callable[[str], Path], reporter: Reporter
) -> None:
    """ValueError where labels are lacking to learn from or to choose by; a line where they are few to choose by."""
    for name, split in splits.items():
        if not labelled(split.labels).any():
            raise ValueError(f"{table(name)} has no labelled row; training needs some")
    refuse_untaught_split(splits["train"], config, str(table("train")))
    if doubt := judged_on(splits["val"], config):
        reporter.say(doubt)


def refuse_untaught_rows(rows: Sequence[Sample], config: ModelConfig, where: str) -> None:
    """The same of rows that were not decoded yet."""
    refuse_untaught(targets(rows, len(config.labels)), config, where)


def refuse_untaught_split(split: PreparedSplit, config: ModelConfig, where: str) -> None:
    """The same of what was read: a row that has no modality left teaches nothing."""
    there = torch.tensor([any(len(t[i]) for t in split.tensors.values()) for i in range(len(split))])
    refuse_untaught(split.labels.masked_fill(~there[:, None], float("nan")), config, where)


def judged_on(val: PreparedSplit, config: ModelConfig) -> str:
    """What is to be said of a validation split that is too small to choose an epoch by; empty when it is not."""
    labelled = ~val.labels.isnan().any(dim=1)
    some = (val.labels[labelled] > 0).any(dim=0).tolist()
    absent = [name for name, there in zip(config.labels, some, strict=True) if not there]
    parts = [f"{int(labelled.sum())} labelled rows"] * (int(labelled.sum()) < FEW)
    parts += [f"no row is {', '.join(absent)}"] * bool(absent)
    return f"val: {'; '.join(parts)}: which epoch is best is chosen on these rows, and says little" if parts else ""


def with_feature_widths(config: Config, rows: Sequence[Sample]) -> ModelConfig:
    """The model's settings with the width of each feature encoder, and of motion, read from its first training row."""
    found = {}
    for modality in config.model.modalities:
        if getattr(config.model, f"{modality}_encoder") != "features" and modality != "motion":
            continue
        cells = [c for s in rows if isinstance(c := s.cells[modality], ArrayCell)]
        assert cells, f"{modality} was not left out"
        found[f"{modality}_width"] = cells[0].load().shape[-1]
    return replace(config.model, **found)
