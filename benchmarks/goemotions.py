"""The mission's CSV layout from GoEmotions (Demszky et al. 2020, arXiv:2005.00547), Ekman grouping, official split.

    python benchmarks/goemotions.py DATA/goemotions runs/goemotions         # DATA/goemotions/ekman/{train,dev,test}.tsv

A row has any of seven labels, written with `|` between them and called as the common seven are (joy is happy).

    emobraid train --config goemotions --data_root runs/goemotions --output_dir runs/goemotions/compact --seed 0
    emobraid evaluate --model_path runs/goemotions/compact/best_model --data_root runs/goemotions \\
        --output_dir runs/goemotions/compact/results
"""

import argparse
import csv
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from emobraid.data.labels import to_common

SPLITS = {"train": "train", "val": "dev", "test": "test"}


def rows(path: Path, names: list[str]) -> Iterator[dict[str, str]]:
    """Text, tab, ids of labels with commas between them, tab, id of the comment."""
    with path.open(encoding="utf-8", newline="") as file:
        for text, ids, comment in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
            labels = [str(to_common("goemotions", names[int(i)])) for i in ids.split(",")]
            yield {"id": comment, "text": text, "emotion": "|".join(labels)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with ekman/labels.txt and the three tables")
    parser.add_argument("output", type=Path, help="where train.csv, val.csv and test.csv go")
    args = parser.parse_args()
    names = (args.data / "ekman" / "labels.txt").read_text(encoding="utf-8").split()
    args.output.mkdir(parents=True, exist_ok=True)
    for split, own in SPLITS.items():
        table = list(rows(args.data / "ekman" / f"{own}.tsv", names))
        with (args.output / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, ["id", "text", "emotion"])
            writer.writeheader()
            writer.writerows(table)
        several = sum("|" in row["emotion"] for row in table)
        counts = Counter(label for row in table for label in row["emotion"].split("|"))
        print(f"{split}: {len(table):,} rows, {several:,} with several labels; {dict(counts.most_common())}")


if __name__ == "__main__":
    main()
