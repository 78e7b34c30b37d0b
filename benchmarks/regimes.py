"""Distillation and robust training on published features: RAVDESS (two modalities, five folds), CMU-MOSI (three).

    python benchmarks/regimes.py distillation ravdess FEATURES_DIR runs/regimes --seeds 0 1 2 3 4
    python benchmarks/regimes.py distillation mosi FEATURES_DIR runs/sizes --sizes tiny small base
    python benchmarks/regimes.py robust mosi FEATURES_DIR runs/regimes --seeds 0 1 2 3 4
    python benchmarks/regimes.py robust ravdess FEATURES_DIR runs/regimes --fusion early

FEATURES_DIR is what benchmarks/ravdess_features.py or benchmarks/mosi_features.py read. For RAVDESS each fold is tested
once, the next one is validation and the other three train; MOSI has its published split, with videos held out of train
as validation. Every choice (epoch, temperature) is made on validation. What has been run is not run again.
The robust study has the fixed and the random protocol, not the one inside streams.

Beside each fold's distillation.md, .tex and .csv lies distillation.png: macro-F1 against latency and against size.
The students learn for twice as many epochs as the teacher, alone as well as taught.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

import torch

from emobraid.config import Config, parse
from emobraid.evaluation.missing import Plan
from emobraid.fusion import FUSIONS
from emobraid.recipes import load_recipe
from emobraid.study.robustness import robustness
from emobraid.study.teaching import shipped_lessons, teaching
from emobraid.study.trial import Trial, run_trial
from emobraid.training.distillation import SIZES
from mosi_features import LABELS, write_tables
from ravdess_features import Quiet
from ravdess_folds import FOLDS, three_ways, write_folds


def ravdess(features: Path, folder: Path, fold: int, fusion: str) -> Config:
    """Three folds train, the next one after `fold` is validation."""
    labels = write_folds(features, folder, three_ways(fold), label="emotion8")
    two = {"modalities": ["audio", "video"], "text_encoder": "compact", "labels": labels}
    return _config(features, folder, {"fusion_type": fusion, **two})


def mosi(features: Path, folder: Path, fold: int, fusion: str) -> Config:
    write_tables(features, folder)
    return _config(features, folder, {"fusion_type": fusion, "labels": list(LABELS)})


def _config(features: Path, folder: Path, model: Mapping[str, object]) -> Config:
    recipe = load_recipe("features")
    recipe["model"] |= model
    recipe["data"] = {"data_root": folder, "allow_outside": features, "cache": False}
    return parse(recipe, "features")


CORPORA = {"ravdess": (ravdess, len(FOLDS)), "mosi": (mosi, 1)}


def distillation(
    config: Config, folder: Path, seeds: Sequence[int], sizes: Sequence[str] = ("tiny",)
) -> dict[str, dict[int, dict[str, float]]]:
    """Scores by name and seed; the teacher is of seed 0."""
    trial = Trial(name="teacher", config=config, folder=folder / "teacher")
    teacher = run_trial(trial, Quiet())
    epochs = 2 * config.training.num_epochs
    longer = replace(config, training=replace(config.training, num_epochs=epochs, patience=epochs))
    table, results = teaching(
        longer, teacher, trial.best, folder, Quiet(), lessons=shipped_lessons(), sizes=sizes, seeds=seeds
    )
    table.save(folder, "distillation")
    found = {name: {r.seed: {"macro_f1": r.score()} for r in own} for name, own in results.items()}
    share = results[sizes[0]][0].parameters / teacher.parameters
    return {"teacher": {s: {"macro_f1": teacher.score(), "student's parameters": share} for s in seeds}, **found}


def robust(config: Config, folder: Path, seeds: Sequence[int]) -> dict[str, dict[int, dict[str, float]]]:
    table, sums = robustness(config, folder, Quiet(), seeds=seeds, plan=Plan(frame_draws=0))
    table.save(folder, "robust")
    keys = ("whole", "incomplete", "worst")
    return {
        name: {
            seed: {**{k: one[k] for k in keys if one[k] is not None}, "random area": one["random_area"]["mean"]}
            for seed, one in zip(seeds, own, strict=True)
        }
        for name, own in sums.items()
    }


def summary(folds: Sequence[Mapping[str, Mapping[int, Mapping[str, float]]]], reference: str) -> str:
    """Each score as the mean over folds, then mean and deviation over seeds, and the paired difference."""
    lines = []
    for name, by_seed in folds[0].items():
        cells = []
        for key in next(iter(by_seed.values())):
            own = [100 * mean(fold[name][seed][key] for fold in folds) for seed in by_seed]
            spread = f" +- {stdev(own):.1f}" if len(own) > 1 else ""
            cell = f"{key} {mean(own):.1f}{spread}"
            if name != reference and key in next(iter(folds[0][reference].values())):
                other = [100 * mean(fold[reference][seed][key] for fold in folds) for seed in by_seed]
                apart = [a - b for a, b in zip(own, other, strict=True)]
                wins = sum(d > 0 for d in apart)
                cell += f" ({mean(apart):+.1f}, better in {wins} of {len(apart)} seeds)"
            cells.append(cell)
        lines.append(f"{name:26s} {'; '.join(cells)}")
    return "\n".join([*lines, f"differences are against {reference!r}, seed by seed"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", choices=("distillation", "robust"))
    parser.add_argument("corpus", choices=CORPORA)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument("--folds", nargs="+", type=int)
    parser.add_argument("--fusion", choices=tuple(FUSIONS), default="hierarchical")
    parser.add_argument("--sizes", nargs="+", choices=tuple(SIZES), default=["tiny"], help="students of distillation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    prepare, count = CORPORA[args.corpus]
    found = []
    name = "-".join([args.study, args.corpus, *([args.fusion] if args.fusion != "hierarchical" else [])])
    for fold in args.folds or range(count):
        place = args.out / f"{name}-{fold}"
        config = prepare(args.features, place / "data", fold, args.fusion)
        if args.study == "distillation":
            found.append(distillation(config, place, args.seeds, args.sizes))
        else:
            found.append(robust(config, place, args.seeds))
        print(f"fold {fold} done", flush=True)
    text = summary(found, {"distillation": f"{args.sizes[0]} alone", "robust": "standard"}[args.study])
    (args.out / f"{name}.json").write_text(json.dumps(found, indent=1))
    print(text)


if __name__ == "__main__":
    main()
