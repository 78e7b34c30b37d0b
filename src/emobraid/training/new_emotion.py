"""A new emotion for a trained model, from a few examples; what it knew stays to the last bit.

The model gets one row more (`emobraid.fusion.added`), which reads what the fusion reads. Old logits are the old ones:
among the old classes every utterance keeps its order and its odds. All that can be forgotten is an utterance that the
new class takes, and rehearsed ones hold that down (rehearsal: Robins 1995, doi:10.1080/09540099550039318; a class added
to features that stay: Gidaris and Komodakis 2018, arXiv:1804.09458).

Shapes: N utterances, V views, W reading, C old classes.
"""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from emobraid.data.corpus import Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.emotions import LabelSpace
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.metrics import classification
from emobraid.fusion.added import reading
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import subsets
from emobraid.training.few_shot_frozen import Frozen
from emobraid.training.new_emotion_row import Evidence, Row, learn_row

WHOLE_SHARE = 0.5  # what an utterance seen whole counts; the views with modalities left out share the rest
EACH = 64  # utterances of each old class that are rehearsed


def add_emotion(
    model: MultimodalEmotionModel,
    name: str,
    examples: PreparedSplit,
    rehearsal: PreparedSplit,
    *,
    temperatures: Mapping[str, float] | None = None,
    seed: int = 0,
) -> MultimodalEmotionModel:
    """`model` with the class `name` as its last, learned from `examples` (their labels are not looked at).

    `rehearsal` holds labelled TRAINING utterances of the old classes. `temperatures` by subset of modalities, as the
    checkpoint has them: the new class is fitted to the probabilities that they give. The model that is given stays as
    it is, and shares its weights with the one that comes back. ValueError for a name that is known, for classes that do
    not exclude each other, and where nothing can be read.
    """
    check_name(name, model)
    seen, rehearsed = (witnessed(model, split, temperatures or {}) for split in (examples, rehearsal))
    if not len(seen.groups) or not len(rehearsed.groups):
        raise ValueError(f"no utterance {f'of {name}' if not len(seen.groups) else 'to rehearse'} can be read")
    balance = balanced(readable(model, rehearsal))
    return with_row(model, name, learn_row(seen, rehearsed, balance, seed=seed))


def check_name(name: str, model: MultimodalEmotionModel) -> None:
    """ValueError when `model` cannot have a class of that name added."""
    known = model.config.labels
    if model.config.label_kind != "exclusive":
        raise ValueError("a class can be added where classes exclude each other; this model reads several at once")
    plain = name.replace(" ", "").replace("-", "").replace("_", "")
    if not plain.isalnum() or name != name.strip() or len(name) > 40:
        raise ValueError(f"emotion name {name!r}: give letters, digits, inner spaces, - and _, at most 40 in all")
    if LabelSpace.key(name) in map(LabelSpace.key, known):
        raise ValueError(f"the model knows {name!r} already; it reads {', '.join(known)}")


def readable(model: MultimodalEmotionModel, split: PreparedSplit) -> PreparedSplit:
    """The utterances of a split that have any of the model's modalities."""
    kept = [i for i in range(len(split)) if any(len(split.tensors[m][i]) for m in model.config.modalities)]
    return replace(
        split,
        samples=tuple(split.samples[i] for i in kept),
        tensors={m: tuple(tensors[i] for i in kept) for m, tensors in split.tensors.items()},
        labels=split.labels[kept],
        affect=None if split.affect is None else split.affect[kept],
    )


def balanced(split: PreparedSplit) -> Tensor:
    """(N,) what each utterance counts, so that all of a class count one. ValueError when one has no label."""
    labels = split.truth()
    if labels.isnan().any():
        raise ValueError("rehearsed utterances need a label")
    column = labels.argmax(dim=1)
    return 1.0 / torch.bincount(column).to(torch.float64)[column]


@torch.no_grad()
def witnessed(model: MultimodalEmotionModel, split: PreparedSplit, temperatures: Mapping[str, float]) -> Evidence:
    """What the model makes of the utterances that it can read; the encoders run once, the fusion once a view."""
    split = readable(model, split)
    frozen, names = Frozen(model, split), tuple(model.config.modalities)
    views, rows = subsets(names), tuple(range(len(split)))
    pieces = [rows[i : i + 64] for i in range(0, len(rows), 64)]
    readings, logits = [], []
    for view in views:
        read = [model.fuse(frozen.streams(piece, view)) for piece in pieces]
        width = (len(names) + 1) * model.config.fusion_hidden_size
        readings.append(torch.cat([torch.empty(0, width), *map(reading, read)]).to(torch.float64))
        logits.append(torch.cat([torch.empty(0, len(model.config.labels)), *(r.logits for r in read)]))
    heat = torch.tensor([1 / _temperature(view, names, temperatures) for view in views], dtype=torch.float64)
    old = torch.stack(logits, dim=1).to(torch.float64)  # (N, V, C)
    there = torch.stack([frozen.readable(rows, view) for view in views], dim=1)
    return Evidence(
        readings=torch.stack(readings, dim=1),
        against=(old * heat[:, None]).logsumexp(dim=-1),
        margin=old.amax(dim=-1),
        heat=heat,
        share=_shares(there),
        groups=tuple(s.group or f"row {i} of {s.table}" for i, s in enumerate(split.samples)),
    )


def _temperature(view: Sequence[str], whole: Sequence[str], temperatures: Mapping[str, float]) -> float:
    return temperatures.get("+".join(view), temperatures.get("+".join(whole), 1.0))


def _shares(there: Tensor) -> Tensor:
    """(N, V) from which views have anything (N, V) bool, the whole one last; they sum to 1."""
    parts = there[:, :-1].to(torch.float64)
    count = parts.sum(dim=1, keepdim=True)
    whole = torch.where(count > 0, WHOLE_SHARE, 1.0)
    return torch.cat([parts * (1 - whole) / count.clamp(min=1), whole], dim=1)


def with_row(model: MultimodalEmotionModel, name: str, row: Row) -> MultimodalEmotionModel:
    """The model with one class more; all else is the same tensors."""
    learned = nn.Linear(len(row.weight), 1)
    learned.weight.data, learned.bias.data = row.weight.float()[None], torch.tensor([row.bias]).float()
    grown = copy.copy(model)
    grown._modules = dict(model._modules)
    grown.added = copy.copy(model.added)
    grown.added._modules = {"rows": nn.ModuleList([*model.added.rows, learned])}
    labels = (*model.config.labels, name)
    grown.config = replace(model.config, labels=labels, added_labels=len(grown.added.rows))
    return grown.eval()


def rehearsable(samples: Sequence[Sample], labels: Sequence[str], *, each: int = EACH, seed: int = 0) -> list[Sample]:
    """At most `each` samples of every class, drawn by `seed`, in their order; ValueError names classes without any."""
    draw = np.random.default_rng(seed)
    of_class = [[i for i, s in enumerate(samples) if s.label == c] for c in range(len(labels))]
    if lacking := [name for name, own in zip(labels, of_class, strict=True) if not own]:
        raise ValueError(f"no training utterance of {', '.join(lacking)} to rehearse; --rehearse names a table of some")
    kept = sorted(i for own in of_class for i in draw.permutation(own)[:each].tolist())
    return [samples[i] for i in kept]


def remembered(grown: MultimodalEmotionModel, split: PreparedSplit) -> dict[str, Any]:
    """How the old classes are read without and with the last one, over the labelled utterances of `split`.

    `split` is labelled in the old classes. Macro-F1 is over those that occur, accuracy over all utterances.
    """
    old = grown.config.labels[:-1]
    # nobody in the split expresses the new class; a row without label stays one
    wider = replace(split, labels=torch.cat([split.labels, split.labels[:, :1] * 0], dim=1))
    read = predict_split(grown, wider, whole_only=True)
    rows = read.rows(read.full)
    logits, true = read.logits[read.full][rows], read.true[rows]
    before, after = classification(true, logits[:, :-1], old), classification(true, logits, grown.config.labels)
    taken = logits.argmax(axis=1) == len(old)
    return {
        "n": len(true),
        "before": {"macro_f1": before.macro_f1, "accuracy": before.accuracy},
        "after": {"macro_f1": after.macro_f1, "accuracy": after.accuracy},
        "taken": int(taken.sum()),
        "taken_that_were_right": int((taken & (logits[:, :-1].argmax(axis=1) == true)).sum()),
        "by_class": {
            name: {
                "n": int((true == c).sum()),
                "f1_before": before.per_class[name]["f1"],
                "f1_after": after.per_class[name]["f1"],
                "taken": int(taken[true == c].sum()),
            }
            for c, name in enumerate(old)
        },
    }
