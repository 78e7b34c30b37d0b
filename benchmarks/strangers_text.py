"""How a folder of the text encoder `minilm_stem` reads people it never met: the evaluation sentences by
kind, and, when asked, a split of GoEmotions and MELD.

    python benchmarks/strangers_text.py FOLDER                          # strangers/sentences.csv, never trained on
    python benchmarks/strangers_text.py FOLDER --data DATA --split dev  # and GoEmotions and MELD, one split of theirs
"""

import argparse
import csv
from collections import defaultdict
from pathlib import Path

import torch
from torch import Tensor

from stems_ship import read_texts
from text_sentences import EMOTIONS, goemotions, meld
from text_tuning import HERE, score


def ece(read: Tensor, truth: list[int], bins: int = 15) -> float:
    """Expected calibration error of log-probabilities (N, C)."""
    sure, guess = read.exp().max(dim=1)
    right = (guess == torch.tensor(truth)).float()
    which = (sure * bins).long().clamp(max=bins - 1)
    gaps = [
        (sure[which == b].mean() - right[which == b].mean()).abs() * (which == b).float().mean() for b in which.unique()
    ]
    return float(sum(gaps))


def sentences(folder: Path, path: Path, *, wrong: bool) -> None:
    with path.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    read = read_texts(folder, [row["text"] for row in rows])
    truth = [EMOTIONS.index(row["emotion"]) for row in rows]
    right, kinds = (read.argmax(1) == torch.tensor(truth)).tolist(), defaultdict(list)
    for row, hit in zip(rows, right, strict=True):
        kinds[row["kind"]].append(hit)
        kinds[row["emotion"]].append(hit)
    print(f"{path.name}: {sum(right) / len(right):.3f} of {len(rows)} right, ECE {ece(read, truth):.3f}")
    for kind, hits in kinds.items():
        print(f"  {kind}: {sum(hits) / len(hits):.3f} of {len(hits)}")
    for row, values, hit in zip(rows, read, right, strict=True):
        if wrong and not hit:
            print(f"    {row['emotion']} read as {EMOTIONS[values.argmax()]} {values.max().exp():.2f}: {row['text']}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="as stems_ship.py text writes it")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--split", default="dev", choices=("dev", "test"))
    parser.add_argument("--sentences", type=Path, default=HERE / "sentences.csv")
    parser.add_argument("--wrong", action="store_true", help="list what was read wrong")
    options = parser.parse_args()
    torch.set_num_threads(1)
    sentences(options.folder, options.sentences, wrong=options.wrong)
    if options.data is None:
        return
    sets = {"GoEmotions, one label": [r for r in goemotions(options.data / "goemotions", options.split) if r.plain]}
    sets["MELD"] = meld(options.data / "meld_text", options.split)
    for name, rows in sets.items():
        read = read_texts(options.folder, [row.text for row in rows])
        error = ece(read, [EMOTIONS.index(row.plain or "neutral") for row in rows])
        found = {key: round(value, 3) for key, value in score(read, rows).items()}
        print(f"{name}, {options.split}, {len(rows)} rows: {found}, ECE {error:.3f}")


if __name__ == "__main__":
    main()
