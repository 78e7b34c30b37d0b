"""Few-shot tables on published features: RAVDESS (7 classes, wav2vec2 and action units) and CMU-MOSI (2 classes).

    python benchmarks/few_shot.py ravdess FEATURES_DIR runs/few_shot_ravdess --seed 0
    python benchmarks/few_shot.py mosi FEATURES_DIR runs/few_shot_mosi --seed 0

Writes train.csv, val.csv and test.csv into OUT/data and hands them to `emobraid train --mode few_shot`. RAVDESS: of the
five subject-wise folds one is the test split, the next one validation, on whose episodes learning rates are chosen, and
three train the base. MOSI: the published split by video, with twelve training videos as validation. The base learns
which modalities belong together, without labels. Run again, it goes on where it was stopped.
"""

import argparse
from pathlib import Path

import torch

from emobraid import cli
from mosi_features import LABELS
from mosi_features import write_tables as write_mosi
from ravdess_folds import three_ways, write_folds

EPOCHS = 20


def flags(corpus: str, features: Path, out: Path) -> list[str]:
    """The command; all else is what the recipes features and few_shot say."""
    modalities = {"ravdess": ["audio", "video"], "mosi": ["text", "audio", "video"]}[corpus]
    labels = ["--labels", *LABELS] if corpus == "mosi" else []
    compact = ["--text_encoder", "compact"] if corpus == "ravdess" else []
    data = ["--data_root", str(out / "data"), "--allow_outside", str(features), "--no_cache"]
    base = ["--config", "features", "--fusion_type", "contrastive", "--num_epochs", str(EPOCHS)]
    return ["train", "--mode", "few_shot", *base, "--modalities", *modalities, *compact, *labels, *data]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", choices=("ravdess", "mosi"))
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--fold", type=int, default=0, help="RAVDESS: which of the five folds is the test split")
    parser.add_argument("--dev_episodes", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    if args.corpus == "ravdess":
        write_folds(args.features, args.out / "data", three_ways(args.fold), label="emotion7")
    else:
        write_mosi(args.features, args.out / "data")
    own = ["--output_dir", str(args.out / "study"), "--seed", str(args.seed), "--resume"]
    own += ["--dev_episodes", str(args.dev_episodes)]
    return cli.main([*flags(args.corpus, args.features, args.out), *own])


if __name__ == "__main__":
    raise SystemExit(main())
