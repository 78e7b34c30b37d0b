"""All seven fusions on published RAVDESS features: wav2vec2 vectors and action units, 8 classes, subject-wise 5 folds.

    python benchmarks/ravdess_features.py FEATURES_DIR runs/ravdess_features --seeds 0 1 2

FEATURES_DIR holds clips.csv and features.npz. For each fusion and test fold, the length of the schedule is chosen among
LENGTHS by cross-validation inside the four training folds (two of them train, two judge, then the other way round, seed
0): accuracy at the end, over all clips of the four folds. Then each seed is trained on all four for that long. The test
fold is opened only to score. Every run is one line of results.jsonl in the output folder, every choice one of
lengths.jsonl; what is there is not repeated. One recipe for all fusions, src/emobraid/recipes/features.toml: it, and
the design of the fusions, were tuned by cross-validation inside the training folds of test fold 0, whose actors
were not looked at.
"""

import argparse
import csv
import json
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Self

import torch

from emobraid.config import Config, parse
from emobraid.data.preparer import Progress
from emobraid.evaluation.sealed import evaluate
from emobraid.fusion import FUSIONS
from emobraid.recipes import load_recipe
from emobraid.training.run import train
from emobraid.training.run_folder import BEST
from ravdess_folds import FOLDS, write_folds

# the baselines of the same folds: logistic regression on each part, on both concatenated
FLOORS = {"audio": 58.4, "video": 56.8, "early-fusion logistic regression": 75.2}
LENGTHS = (10, 20)  # epochs: a cosine schedule is at its best when it ends, so whole schedules are compared


class Quiet:
    def say(self, line: str) -> None: ...

    def progress(self, task: str) -> Progress:
        return lambda done, of: None

    def named(self, name: str) -> AbstractContextManager[Self]:
        return nullcontext(self)

    def watchers(self, *_: Any) -> list[Any]:
        return []


def write_fold(features: Path, fold: int, folder: Path, *, judge: int | None) -> None:
    """The mission's CSV layout for one test fold; of the other four in order, the even or odd ones judge.

    `judge` 0 or 1 holds those two folds out of training as validation, and leaves the test fold out altogether. None
    trains on all four; validation, which the trainer needs, is then two folds that were trained on and tells nothing.
    """
    others = [f for f in FOLDS if f != FOLDS[fold]]
    judging = others[judge or 0 :: 2]
    splits = {"train": others if judge is None else [f for f in others if f not in judging], "val": judging}
    if judge is None:
        splits["test"] = [FOLDS[fold]]
    write_folds(features, folder, splits, label="emotion8")


def fitted(
    features: Path, folder: Path, fusion: str, fold: int, seed: int, epochs: int, *, judge: int | None = None
) -> Config:
    """Train into `folder` for `epochs`; the settings. `judge` as in `write_fold`."""
    data = folder / "data"
    write_fold(features, fold, data, judge=judge)
    recipe = load_recipe("features")
    with (data / "train.csv").open() as file:
        labels = sorted({row["emotion"] for row in csv.DictReader(file)})
    recipe["model"] |= {"fusion_type": fusion, "modalities": ["audio", "video"], "labels": labels}
    recipe["model"] |= {"text_encoder": "compact"}
    recipe["training"] |= {"seed": seed, "num_epochs": epochs, "patience": epochs}
    recipe["data"] = {"data_root": data, "allow_outside": features, "cache": False}
    config: Config = parse(recipe, "features")
    train(config, folder, resume=False, overwrite=True, reporter=Quiet())
    return config


def score_inside(features: Path, folder: Path, fusion: str, fold: int, epochs: int) -> float:
    """Accuracy on the four training folds, each judged by a model that did not train on it, after the last epoch."""
    right, seen = 0.0, 0
    for judge in (0, 1):
        fitted(features, folder, fusion, fold, 0, epochs, judge=judge)
        log = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        with (folder / "data" / "val.csv").open() as file:
            count = sum(1 for _ in csv.DictReader(file))
        right += [line["val_accuracy"] for line in log if "val_accuracy" in line][-1] * count
        seen += count
        shutil.rmtree(folder)
    return right / seen


def chosen_length(features: Path, out: Path, scratch: Path, fusion: str, fold: int) -> int:
    """The length of schedule that the training folds ask for, remembered in lengths.jsonl."""
    log = out / "lengths.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    for choice in known:
        if (choice["fusion"], choice["fold"]) == (fusion, fold):
            return int(choice["epochs"])
    folder = scratch / f"{fusion}-{fold}-inside"
    scores = {length: score_inside(features, folder, fusion, fold, length) for length in LENGTHS}
    best = max(scores, key=lambda length: scores[length])
    with log.open("a") as file:
        file.write(json.dumps({"fusion": fusion, "fold": fold, "epochs": best, "scores": scores}) + "\n")
    return best


def run(features: Path, out: Path, scratch: Path, fusion: str, fold: int, seed: int) -> dict[str, Any]:
    epochs = chosen_length(features, out, scratch, fusion, fold)
    folder = scratch / f"{fusion}-{fold}-{seed}"
    config = fitted(features, folder, fusion, fold, seed, epochs)
    metrics = evaluate(folder / BEST, config.data, folder / "results", Quiet(), pictures=False)
    shutil.rmtree(folder)
    return {
        "fusion": fusion,
        "fold": fold,
        "seed": seed,
        "epochs": epochs,
        "accuracy": metrics["all"]["accuracy"],
        "macro_f1": metrics["all"]["macro_f1"],
        "audio": metrics["subsets"]["audio"]["accuracy"],
        "video": metrics["subsets"]["video"]["accuracy"],
        "n": metrics["all"]["n"],
    }


def table(results: list[dict[str, Any]]) -> str:
    """Accuracy over all clips of all folds, mean and standard deviation over seeds."""
    lines = [f"{'fusion':14s} {'accuracy':>14s} {'audio only':>11s} {'video only':>11s} {'runs':>5s}"]
    for fusion in FUSIONS:
        own = [r for r in results if r["fusion"] == fusion]
        if not own:
            continue

        def by_seed(key: str, own: list[dict[str, Any]] = own) -> list[float]:
            seeds = sorted({r["seed"] for r in own})
            parts = [[r for r in own if r["seed"] == s] for s in seeds]
            return [100 * sum(r[key] * r["n"] for r in p) / sum(r["n"] for r in p) for p in parts]

        scores = by_seed("accuracy")
        spread = f" +- {stdev(scores):.1f}" if len(scores) > 1 else ""
        lines.append(
            f"{fusion:14s} {mean(scores):8.1f}{spread:6s} {mean(by_seed('audio')):11.1f} "
            f"{mean(by_seed('video')):11.1f} {len(own):5d}"
        )
    return "\n".join([*lines, *(f"floor: {name} {value}" for name, value in FLOORS.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fusions", nargs="+", default=list(FUSIONS))
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(5)))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--scratch", type=Path, help="where models are kept until scored; default: the output folder")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    log = args.out / "results.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    done = {(r["fusion"], r["fold"], r["seed"]) for r in results}
    for seed in args.seeds:
        for fusion in args.fusions:
            for fold in args.folds:
                if (fusion, fold, seed) in done:
                    continue
                results.append(run(args.features, args.out, args.scratch or args.out, fusion, fold, seed))
                with log.open("a") as file:
                    file.write(json.dumps(results[-1]) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
