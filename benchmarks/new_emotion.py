"""A class added to a trained model, on published RAVDESS features: is it found, and are the others forgotten?

    python benchmarks/new_emotion.py FEATURES_DIR runs/new_emotion --fusions early

FEATURES_DIR holds clips.csv and features.npz. Of the five subject-wise folds one is the test, the next one validation,
three train. Each of the eight emotions in turn is left out of training and validation; it is then added to the model of
the seven others from k clips of the training actors, drawn anew DRAWS times (fewer clips are part of more), with 64
clips of each old class to rehearse. All eight are scored on the test actors. What a model gives is a few lines of
results.jsonl in the output folder; what is there is not repeated.

Beside it, on the same clips: the nearest class mean, in the reading that the new row reads; and the whole model
fine-tuned, on the k clips alone (20 steps) or with rehearsal (120 steps, as many as 20 epochs of the base, each with
the k clips and eight of every old class). The decay of the row was chosen on the validation actors of fold 0.
"""

import argparse
import csv
import itertools
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from emobraid import checkpoint
from emobraid.config import Config, parse
from emobraid.data.csv import read_rows
from emobraid.data.prepared import PreparedSplit
from emobraid.data.preparer import read_split
from emobraid.evaluation.metrics import macro_f1
from emobraid.fusion import FUSIONS
from emobraid.fusion.added import reading
from emobraid.model import MultimodalEmotionModel
from emobraid.recipes import load_recipe
from emobraid.training.few_shot import CosineHead
from emobraid.training.new_emotion import EACH, add_emotion, with_row
from emobraid.training.new_emotion_row import Row
from emobraid.training.optimization import schedule
from emobraid.training.run import train
from emobraid.training.run_folder import BEST
from ravdess_features import Quiet
from ravdess_folds import three_ways, write_folds

SHOTS, DRAWS = (1, 5, 10, 20), 3
RATE, WARMUP, AT_ONCE = 1e-3, 0.1, 8  # of fine-tuning; the rate is the one that the bases were trained with


def tables(features: Path, folder: Path, fold: int, emotion: str) -> list[str]:
    """All clips by split in `folder`/all, those without `emotion` in `folder`/data; the labels of the latter."""
    labels = write_folds(features, folder / "all", three_ways(fold), label="emotion8")
    (folder / "data").mkdir(exist_ok=True)
    for split in ("train", "val"):
        with (folder / "all" / f"{split}.csv").open() as file:
            rows = [row for row in csv.DictReader(file) if row["emotion"] != emotion]
        with (folder / "data" / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return [name for name in labels if name != emotion]


def train_base(features: Path, folder: Path, fusion: str, fold: int, seed: int, emotion: str) -> None:
    """The model of the seven other emotions, in `folder`/best_model."""
    labels = tables(features, folder, fold, emotion)
    recipe = load_recipe("features")
    recipe["model"] |= {"fusion_type": fusion, "modalities": ["audio", "video"], "labels": labels}
    recipe["model"] |= {"text_encoder": "compact"}
    recipe["training"] |= {"seed": seed}
    recipe["data"] = {"data_root": folder / "data", "allow_outside": features, "cache": False}
    train(parse(recipe, "features"), folder, resume=False, overwrite=True, reporter=Quiet())


def select(split: PreparedSplit, rows: list[int]) -> PreparedSplit:
    return PreparedSplit(
        tuple(split.samples[i] for i in rows),
        {m: tuple(tensors[i] for i in rows) for m, tensors in split.tensors.items()},
        split.labels[rows],
    )


@dataclass
class Task:
    """One base and one draw: what is learned from, and what is asked. The new emotion is the last column."""

    base: MultimodalEmotionModel
    temperatures: dict[str, float]
    emotion: str
    examples: PreparedSplit
    rehearsal: PreparedSplit
    test: PreparedSplit

    def streams(self, split: PreparedSplit) -> Any:
        return split.batch(range(len(split))).streams


def by_row(task: Task) -> Tensor:
    """Ours."""
    made = add_emotion(task.base, task.emotion, task.examples, task.rehearsal, temperatures=task.temperatures)
    with torch.no_grad():
        return made(task.streams(task.test)).logits


@torch.no_grad()
def by_class_mean(task: Task) -> Tensor:
    both = [task.rehearsal, task.examples]
    readings = torch.cat([reading(task.base(task.streams(split))) for split in both])
    labels = torch.cat([split.labels.argmax(dim=1) for split in both])
    head = CosineHead(readings.shape[1], classes := task.test.labels.shape[1])
    head.imprint(readings, labels, classes)
    logits: Tensor = head(reading(task.base(task.streams(task.test))))
    return logits


def by_tuning(task: Task, *, steps: int, rehearse: bool) -> Tensor:
    """Every weight learns, from the base and a row that is zero; dropout as in training."""
    copied = MultimodalEmotionModel(task.base.config)
    copied.load_state_dict(task.base.state_dict())
    width = (len(copied.config.modalities) + 1) * copied.config.fusion_hidden_size
    model = with_row(copied, task.emotion, Row(torch.zeros(width), 0.0))
    shown = (task.streams(task.examples), task.examples.labels.argmax(dim=1))
    of_class = task.rehearsal.labels.argmax(dim=1)
    olds = [(of_class == c).nonzero().squeeze(1) for c in range(len(task.base.config.labels))]
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE)
    torch.manual_seed(0)
    model.train()
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = RATE * schedule(step, steps, WARMUP)
        batches = [shown]
        if rehearse:
            drawn = torch.cat([own[torch.randperm(len(own))[:AT_ONCE]] for own in olds])
            batches.append((task.rehearsal.batch(drawn.tolist()).streams, of_class[drawn]))
        # the new class weighs what each old one does
        weights = (1.0, len(olds)) if rehearse else (1.0,)
        parts = [w * F.cross_entropy(model(x).logits, y) for w, (x, y) in zip(weights, batches, strict=True)]
        error = torch.stack(parts).sum() / sum(weights)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
    with torch.no_grad():
        return model.eval()(task.streams(task.test)).logits


METHODS: dict[str, tuple[str, Callable[[Task], Tensor]]] = {
    "row": ("one new row (ours)", by_row),
    "class_mean": ("nearest class mean", by_class_mean),
    "examples": ("whole model, the clips alone", lambda task: by_tuning(task, steps=20, rehearse=False)),
    "rehearsed": ("whole model, clips and rehearsal", lambda task: by_tuning(task, steps=120, rehearse=True)),
}


def score(logits: Tensor, before: Tensor, true: Tensor) -> dict[str, float]:
    """`logits` (N, C + 1) and `before` (N, C) against the true columns (N,), of which C is the new class."""
    new = logits.shape[1] - 1
    old, said, said_before = true < new, logits.argmax(dim=1), before.argmax(dim=1)
    hits, taken = int((said[~old] == new).sum()), int((said[old] == new).sum())
    return {
        "old_before": macro_f1(true[old].numpy(), said_before[old].numpy(), new),
        "old_after": macro_f1(true[old].numpy(), said[old].numpy(), new + 1),
        "taken": taken / int(old.sum()),
        "recall": hits / int((~old).sum()),
        "f1": 2 * hits / (int((~old).sum()) + hits + taken),
        "all": macro_f1(true.numpy(), said.numpy(), new + 1),
    }


def tasks(folder: Path, emotion: str, seed: int) -> Iterator[tuple[int, int, Task]]:
    """(k, draw, task) for a base that is trained."""
    model, config, temperatures = checkpoint.load_model(folder / BEST)
    labels = (*config.model.labels, emotion)
    wider: Config = replace(config, model=replace(config.model, labels=labels, added_labels=1))
    splits = {}
    for name in ("train", "test"):
        rows = list(read_rows(folder / "all" / f"{name}.csv", wider.model, allow_outside=config.data.allow_outside))
        splits[name] = read_split(model.by_modality(), rows, wider, name, Quiet())
    column = splits["train"].labels.argmax(dim=1)
    for draw in range(DRAWS):
        order = np.random.default_rng([seed, draw])
        of_class = [order.permutation((column == c).nonzero().squeeze(1).numpy()) for c in range(len(labels))]
        rehearsal = select(splits["train"], [int(i) for own in of_class[:-1] for i in own[:EACH]])
        for k in SHOTS:
            examples = select(splits["train"], [int(i) for i in of_class[-1][:k]])
            yield k, draw, Task(model, temperatures, emotion, examples, rehearsal, splits["test"])


def rows_of(folder: Path, emotion: str, seed: int, method: str) -> Iterator[dict[str, Any]]:
    for k, draw, task in tasks(folder, emotion, seed):
        with torch.no_grad():
            before = task.base(task.streams(task.test)).logits
        true = task.test.labels.argmax(dim=1)
        yield {"k": k, "draw": draw, "method": method, **score(METHODS[method][1](task), before, true)}


def table(results: list[dict[str, Any]]) -> str:
    """Means over emotions, folds, seeds and draws."""
    columns = ("old_before", "old_after", "taken", "recall", "f1", "all")
    lines = []
    for fusion in [f for f in FUSIONS if any(r["fusion"] == f for r in results)]:
        lines.append(
            f"{fusion:12s}  k  {'old before':>10s} {'after':>6s} {'taken':>6s} {'recall':>6s} {'F1':>6s} {'all':>6s}"
        )
        for k in SHOTS:
            for method, (title, _) in METHODS.items():
                own = [r for r in results if (r["fusion"], r["k"], r["method"]) == (fusion, k, method)]
                if own:
                    means = [100 * mean(r[c] for r in own) for c in columns]
                    lines.append(f"{title:34s} {k:3d} " + " ".join(f"{m:6.1f}" for m in means) + f"  n={len(own)}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fusions", nargs="+", default=["early"], choices=list(FUSIONS))
    parser.add_argument("--folds", nargs="+", type=int, default=[0])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "results.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    done = {(r["fusion"], r["fold"], r["seed"], r["method"], r["emotion"]) for r in results}
    emotions = write_folds(args.features, args.out / "every", {"all": range(5)}, label="emotion8")
    for cell in itertools.product(args.fusions, args.folds, args.seeds, METHODS, emotions):
        if cell in done:
            continue
        fusion, fold, seed, method, emotion = cell
        folder = args.out / f"{fusion}-{fold}-{seed}-{emotion}"
        if not (folder / BEST / "calibration.json").is_file():
            train_base(args.features, folder, fusion, fold, seed, emotion)
        about = {"fusion": fusion, "fold": fold, "seed": seed, "emotion": emotion}
        found = [{**about, **row} for row in rows_of(folder, emotion, seed, method)]
        # one write: a cell that a kill cut short is not half there
        with log.open("a") as file:
            file.write("".join(json.dumps(row) + "\n" for row in found))
        results += found
    print(table(results))


if __name__ == "__main__":
    main()
