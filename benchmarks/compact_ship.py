"""Put a trained run into the package as `emobraid/compact`, with a card made of the reports on its tests.

    python benchmarks/compact_ship.py runs/compact --allow_outside DATA

Needs runs/compact as compact_corpus.py wrote it, the run in runs/compact/run, and a report of `emobraid evaluate` in
runs/compact/results/NAME for the composed test and for every table in `only`. Large matrices are kept as float16: the
readings of the validation split may move by 0.001 at most, or nothing is written.
"""

import argparse
import csv
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from emobraid import checkpoint
from emobraid import config as configuration
from emobraid.config import Config, DataConfig
from emobraid.data.layouts import open_corpus
from emobraid.data.preparer import read_split
from emobraid.evaluation.inference import predict_split
from emobraid.training.card import RESPONSIBLE_USE
from emobraid.training.display import TerminalReporter
from emobraid.weights import __file__ as weights

TERMS = "CC BY-NC-SA 4.0, not for commercial use"
MOST = 8_000_000  # bytes of the whole folder
LARGE = 4_096  # numbers in a tensor; norms and their statistics are smaller, and keep their digits
#: by report: its title in the card, the modality, and the simple baseline there is for it
TESTS = {
    "goemotions": ("GoEmotions, comments with one label", "text", "{text}"),
    "ravdess_speech": ("RAVDESS, actors 21-24", "audio", "0.47 (MFCC statistics + SVM, trained on RAVDESS alone)"),
    "emodb": ("EmoDB, speakers 15, 16, two seconds", "audio", "0.60 (the same, on EmoDB alone, whole utterances)"),
    "nemo": ("nEMO, speakers EB0, WR0", "audio", "0.33 (the same, on nEMO alone)"),
    "fer2013": ("FER2013, PrivateTest", "video", "0.38 (HOG + logistic regression, on all stills)"),
}


def halved(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {k: w.half() if w.is_floating_point() and w.numel() >= LARGE else w for k, w in weights.items()}


def furthest(one: Path, other: Path, config: Config) -> float:
    """The largest difference of any probability, in any subset of modalities, on the validation split."""
    rows = open_corpus(config.data, config.model).split("val")
    read = []
    for folder in (one, other):
        found = checkpoint.load_trained(folder)
        with TerminalReporter() as reporter:
            split = read_split(found.model.by_modality(), rows, config, "val", reporter)
        table = predict_split(found.model, split)
        read.append([table.probabilities(s, found.temperatures[s]) for s in table.subsets])
    return max(float(np.abs(a - b).max()) for a, b in zip(*read, strict=True))


def report(root: Path, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((root / "results" / name / "metrics.json").read_text(encoding="utf-8"))
    return found


def sureness(root: Path, name: str) -> str:
    """Mean confidence beside the share that was right, of all that each row has."""
    with (root / "results" / name / "predictions.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    mean = sum(float(row["confidence"]) for row in rows) / len(rows)
    return f"{mean:.2f} where {sum(row['true'] == row['predicted'] for row in rows) / len(rows):.2f} were right"


def line(figures: Mapping[str, Any], *before: str) -> str:
    told = [f"{figures[name]:.3f}" for name in ("macro_f1", "accuracy", "ece_after")]
    return f"| {' | '.join([*before, str(figures['n']), *told])} |\n"


def card(root: Path, config: Config, parameters: int, floor: str) -> str:
    template = (Path(__file__).with_name("compact_card.md")).read_text(encoding="utf-8")
    alone = "".join(
        line(report(root, name)["subsets"][m], title, m, floor if "{" in baseline else baseline)
        for name, (title, m, baseline) in TESTS.items()
    )
    together = "".join(line(f, s.replace("+", " + ")) for s, f in report(root, "composed")["subsets"].items())
    takes = "".join(
        line(report(root, name)["subsets"][s], title, s.replace("+", " + "))
        for name, title in (("actor01_clips", "11 clips"), ("actor01_frames20", "52 takes of 20 crops"))
        for s in ("audio", "video", "audio+video")
    )
    stills = report(root, "fer2013")
    unseen = stills["subsets"]["video"]["accuracy"] * stills["subsets"]["video"]["n"] / sum(stills["present"].values())
    words = {"alone": alone, "together": together, "takes": takes, "seed": str(config.training.seed)}
    words |= {"sure_clips": sureness(root, "actor01_clips"), "sure_takes": sureness(root, "actor01_frames20")}
    words |= {"all_stills": f"{unseen:.3f}", "parameters": f"{parameters:,}", "use": RESPONSIBLE_USE, "terms": TERMS}
    for name, value in words.items():
        template = template.replace(f"[[{name}]]", value.rstrip("\n"))
    return template


def clean(config: Config) -> Config:
    """Without where the data lay."""
    return replace(config, data=DataConfig(data_root=Path("compact")))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="the folder that compact_corpus.py wrote")
    parser.add_argument("--allow_outside", type=Path, required=True, help="the folder with the folders of the corpora")
    parser.add_argument("--text_floor", default="-", help="macro-F1 of the simple baseline on GoEmotions' comments")
    parser.add_argument("--output", type=Path, default=Path(weights).parent / "compact")
    args = parser.parse_args()
    torch.set_num_threads(1)
    run = args.root / "run" / "best_model"
    files = dict(checkpoint.read(run))
    config = checkpoint.load_config(run, files)
    stored = halved(checkpoint.tensors(files["model.safetensors"], run))
    parameters = sum(p.numel() for p in checkpoint.load_trained(run).model.parameters())
    files |= {
        "config.toml": configuration.to_toml(clean(config)).encode(),
        "model.safetensors": save(stored),
        "origin.json": json.dumps({"synthetic": False, "terms": TERMS}, indent=1).encode(),
        "README.md": card(args.root, config, parameters, args.text_floor).encode(),
    }
    aside = args.root / "shipped"
    checkpoint.publish(aside, files)
    data = replace(config.data, data_root=args.root, allow_outside=args.allow_outside)
    moved = furthest(run, aside, replace(config, data=data))
    size = sum(f.stat().st_size for f in aside.iterdir())
    print(f"{size:,} bytes; readings move by {moved:.6f} at most")
    if moved > 1e-3 or size > MOST:
        raise SystemExit(f"not shipped: at most 0.001 and {MOST:,} bytes")
    checkpoint.publish(args.output, files)
    print(args.output)


if __name__ == "__main__":
    main()
