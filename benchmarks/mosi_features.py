"""All seven fusions on the published CMU-MOSI features of bc-LSTM: text, audio and video vectors, two classes.

    python benchmarks/mosi_features.py FEATURES_DIR runs/mosi_features --seeds 0 1 2 3 4

FEATURES_DIR holds utterances.csv and features.npz. The published split by video (1,447 / 752 utterances); twelve of the
62 training videos, the same for all, are held out as validation, on which the epoch is chosen. The test videos are
opened once a run, for all modality subsets of the one trained model. Every run is one line of results.jsonl; what is
there is not repeated. The published text and video extractors were trained on the labels of all 62 training videos, the
held-out ones included: validation flatters them, and a fusion net learns to trust text more than it should.
"""

import argparse
import csv
import json
import random
import shutil
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from emobraid.config import Config, parse
from emobraid.evaluation.sealed import evaluate
from emobraid.fusion import FUSIONS
from emobraid.recipes import load_recipe
from emobraid.training.run import train
from emobraid.training.run_folder import BEST
from ravdess_features import Quiet

HELD_OUT = 12  # videos
# logistic regression on the same features and split, and what bc-LSTM's paper reports with its video context
FLOORS = {"text": 75.7, "audio": 56.1, "video": 52.7, "all": 76.7}
PUBLISHED = {"bc-LSTM, all, with the other utterances of a video": 80.3}
LABELS = ("negative", "positive")


def write_tables(features: Path, folder: Path) -> None:
    """The mission's CSV layout."""
    with (features / "utterances.csv").open(encoding="utf-8") as file:
        utterances = list(csv.DictReader(file))
    videos = sorted({u["video"] for u in utterances if u["split"] == "train"})
    held_out = set(random.Random(0).sample(videos, HELD_OUT))
    arrays = (features / "features.npz").resolve()
    tables: dict[str, list[dict[str, str]]] = {"train": [], "val": [], "test": []}
    for u in utterances:
        cells = {f"{m}_path": f"{arrays}#{m}[{u['row']}]" for m in ("text", "audio", "video")}
        split = "val" if u["video"] in held_out else u["split"]
        place = {"speaker": u["video"], "dialogue": u["video"], "turn": u["order"]}
        tables[split].append(cells | place | {"emotion": LABELS[int(u["label_bin"])]})
    folder.mkdir(parents=True, exist_ok=True)
    for split, rows in tables.items():
        with (folder / f"{split}.csv").open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)


def run(features: Path, data: Path, scratch: Path, fusion: str, seed: int, context: int) -> dict[str, Any]:
    recipe = load_recipe("features")
    recipe["model"] |= {"fusion_type": fusion, "labels": list(LABELS), "context_features": context}
    recipe["training"] |= {"seed": seed}
    recipe["data"] = {"data_root": data, "allow_outside": features, "cache": False}
    config: Config = parse(recipe, "features")
    folder = scratch / f"{fusion}-{seed}"
    outcome = train(config, folder, resume=False, overwrite=True, reporter=Quiet())
    metrics = evaluate(folder / BEST, config.data, folder / "results", Quiet(), pictures=False)
    shutil.rmtree(folder)
    scores = {subset: figures["accuracy"] for subset, figures in metrics["subsets"].items()}
    whole = {"accuracy": metrics["all"]["accuracy"], "macro_f1": metrics["all"]["macro_f1"]}
    return {"fusion": fusion, "seed": seed, "epoch": outcome.best_epoch + 1, **whole, "subsets": scores}


def table(results: list[dict[str, Any]]) -> str:
    """Accuracy in percent on the test videos, mean over seeds, for every modality subset."""
    subsets = list(results[0]["subsets"])
    letters = ["".join(m[0].upper() for m in subset.split("+")) for subset in subsets]
    lines = ["fusion        " + " ".join(f"{name:>6s}" for name in letters) + "   +-  seeds"]
    for fusion in FUSIONS:
        own = [r for r in results if r["fusion"] == fusion]
        if own:
            means = [100 * mean(r["subsets"][s] for r in own) for s in subsets]
            spread = 100 * stdev(r["accuracy"] for r in own) if len(own) > 1 else 0.0
            lines.append(f"{fusion:13s} " + " ".join(f"{m:6.1f}" for m in means) + f" {spread:4.1f} {len(own):6d}")
    lines += [f"logistic regression, {name}: {value}" for name, value in FLOORS.items()]
    return "\n".join([*lines, *(f"published, {name}: {value}" for name, value in PUBLISHED.items())])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("features", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--fusions", nargs="+", default=list(FUSIONS))
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2, 3, 4])
    parser.add_argument(
        "--context_features", type=int, default=0, help="utterances before, in its video; take another OUT"
    )
    parser.add_argument("--scratch", type=Path, help="where runs lie while they last; default: in OUT")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.out.mkdir(parents=True, exist_ok=True)
    write_tables(args.features, args.out / "data")
    log = args.out / "results.jsonl"
    results = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    done = {(r["fusion"], r["seed"]) for r in results}
    for seed in args.seeds:
        for fusion in args.fusions:
            if (fusion, seed) not in done:
                scratch = args.scratch or args.out
                results.append(run(args.features, args.out / "data", scratch, fusion, seed, args.context_features))
                with log.open("a") as file:
                    file.write(json.dumps(results[-1]) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
