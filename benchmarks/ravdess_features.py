"""All seven fusions on published RAVDESS features: wav2vec2 vectors and action units, 8 classes, subject-wise 5 folds.

    python benchmarks/ravdess_features.py FEATURES_DIR runs/ravdess_features --seeds 0 1 2

FEATURES_DIR holds clips.csv and features.npz. For each fusion and fold, three actors of the four training folds are
held out to choose how many epochs to train (seed 0); then each seed is trained on all four folds for that many. The
fifth fold is opened only to score. Every run is one line of results.jsonl in the output folder, every choice one of
epochs.jsonl; what is there is not repeated.
"""

import argparse
import csv
import json
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from emobraid.config import Config, load_recipe, parse
from emobraid.data.preparer import Progress
from emobraid.evaluation.sealed import evaluate
from emobraid.fusion import FUSIONS
from emobraid.training.run import BEST, train

# the baselines of the same folds: logistic regression on each part, on both concatenated
FLOORS = {"audio": 58.4, "video": 56.8, "early-fusion logistic regression": 75.2}


class Quiet:
    def say(self, line: str) -> None: ...

    def progress(self, task: str) -> Progress:
        return lambda done, of: None

    def watchers(self, *_: Any) -> list[Any]:
        return []


def write_fold(features: Path, fold: int, folder: Path, *, refit: bool) -> None:
    """The mission's CSV layout for one fold: test actors are the fold's, three of the next fold's choose the epochs.

    With `refit`, those three are trained on as well, so that what validation says of them means nothing any more.
    """
    with (features / "clips.csv").open() as file:
        clips = list(csv.DictReader(file))
    folds = sorted({c["fold5"] for c in clips})
    following = folds[(fold + 1) % len(folds)]
    held_out = sorted({int(c["actor"]) for c in clips if c["fold5"] == following})[:3]
    arrays = (features / "features.npz").resolve()
    tables: dict[str, list[dict[str, str]]] = {"train": [], "val": [], "test": []}
    for clip in clips:
        row = {
            "audio_path": f"{arrays}#audio_w2v2[{clip['row']}]",
            "video_path": f"{arrays}#visual_au[{clip['row']}]",
            "emotion": clip["emotion8"],
            "speaker": clip["actor"],
        }
        if clip["fold5"] == folds[fold]:
            tables["test"].append(row)
            continue
        chooses = int(clip["actor"]) in held_out
        if chooses:
            tables["val"].append(row)
        if refit or not chooses:
            tables["train"].append(row)
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in tables.items():
        with (folder / f"{split}.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def fitted(
    features: Path, out: Path, fusion: str, fold: int, seed: int, epochs: int | None
) -> tuple[Path, Config, int]:
    """The folder of a trained model, its settings, and its best epoch; `epochs` given means a refit on all folds."""
    folder = out / f"{fusion}-{fold}-{seed}"
    data = folder / "data"
    write_fold(features, fold, data, refit=epochs is not None)
    recipe = load_recipe("features")
    with (data / "train.csv").open() as file:
        labels = sorted({row["emotion"] for row in csv.DictReader(file)})
    recipe["model"] |= {"fusion_type": fusion, "modalities": ["audio", "video"], "labels": labels}
    recipe["model"] |= {"text_encoder": "compact"}
    recipe["training"] |= {"seed": seed} | ({"num_epochs": epochs} if epochs else {})
    recipe["data"] = {"data_root": data, "allow_outside": features, "cache": False}
    config: Config = parse(recipe, "features")
    outcome = train(config, folder, resume=False, overwrite=True, reporter=Quiet())
    return folder, config, outcome.best_epoch


def chosen_epochs(features: Path, out: Path, fusion: str, fold: int) -> int:
    """How many epochs the held-out training actors ask for, remembered in epochs.jsonl."""
    log = out / "epochs.jsonl"
    known = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    for choice in known:
        if (choice["fusion"], choice["fold"]) == (fusion, fold):
            return int(choice["epochs"])
    folder, _, best = fitted(features, out, fusion, fold, 0, None)
    shutil.rmtree(folder)
    with log.open("a") as file:
        file.write(json.dumps({"fusion": fusion, "fold": fold, "epochs": best + 1}) + "\n")
    return best + 1


def run(features: Path, out: Path, fusion: str, fold: int, seed: int) -> dict[str, Any]:
    epochs = chosen_epochs(features, out, fusion, fold)
    folder, config, _ = fitted(features, out, fusion, fold, seed, epochs)
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
                results.append(run(args.features, args.out, fusion, fold, seed))
                with log.open("a") as file:
                    file.write(json.dumps(results[-1]) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
