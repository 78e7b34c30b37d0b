"""How far words without a net come on MELD: TF-IDF of words and marks, logistic regression, official splits.

    python benchmarks/meld_baseline.py MELD_DIR [--test]        # MELD_DIR/{train,dev,test}_sent_emo.csv
    python benchmarks/meld_baseline.py DIR [--test]             # or our own DIR/{train,val,test}.csv with words

Marks (`!`, `?`, `...`) count as words, and classes weigh the square root of their rarity, as in our own training: both
matter more than the kind of net. The best settings by weighted F1 on dev are the ones that `--test` is opened for.
"""

import argparse
import csv
import warnings
from collections import Counter
from itertools import product
from pathlib import Path

from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import Pipeline, make_pipeline

from emobraid.encoders.compact_text import WORD

PLAIN = r"(?u)\b\w\w+\b"  # scikit-learn's own: words of two letters and more, no marks
READINGS = {"words": (PLAIN, 1), "words and marks": (WORD.pattern, 1), "and pairs of them": (WORD.pattern, 2)}


def read(folder: Path, split: str) -> tuple[list[str], list[str]]:
    """Utterances and their emotions."""
    path, words, label = folder / f"{split}_sent_emo.csv", "Utterance", "Emotion"
    if not path.is_file():
        path, words, label = folder / f"{'val' if split == 'dev' else split}.csv", "text", "emotion"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return [row[words] for row in rows], [row[label] for row in rows]


def classifier(reading: str, weighted: bool, labels: list[str], strength: float) -> Pipeline:
    pattern, longest = READINGS[reading]
    weights = {label: (len(labels) / count) ** 0.5 for label, count in Counter(labels).items()}
    mean = sum(weights[label] for label in labels) / len(labels)
    return make_pipeline(
        TfidfVectorizer(token_pattern=pattern, ngram_range=(1, longest), sublinear_tf=True),
        LogisticRegression(
            C=strength,
            max_iter=200,
            class_weight={label: w / mean for label, w in weights.items()} if weighted else None,
        ),
    )


def scores(truth: list[str], said: list[str]) -> tuple[float, float, float]:
    """Weighted F1, accuracy and macro-F1 in percent."""
    weighted, macro = (100 * f1_score(truth, said, average=kind) for kind in ("weighted", "macro"))
    return weighted, 100 * accuracy_score(truth, said), macro


def told(name: str, values: tuple[float, float, float]) -> str:
    return f"{name:44s} " + " ".join(f"{v:6.1f}" for v in values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--test", action="store_true", help="open the test split for the best on dev")
    args = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    texts, labels = read(args.data, "train")
    dev_texts, dev_labels = read(args.data, "dev")
    print(f"{'dev':44s}    WF1    acc  macro")
    best: tuple[float, str, Pipeline] | None = None
    for reading, weighted, strength in product(READINGS, (False, True), (1.0, 3.0)):
        model = classifier(reading, weighted, labels, strength).fit(texts, labels)
        name = f"{reading}, C {strength:g}{', weighted' if weighted else ''}"
        found = scores(dev_labels, model.predict(dev_texts))
        print(told(name, found), flush=True)
        best = max(best or (-1.0, "", model), (found[0], name, model), key=lambda one: one[0])
    if args.test and best:
        test_texts, test_labels = read(args.data, "test")
        print(told(f"test: {best[1]}", scores(test_labels, best[2].predict(test_texts))))


if __name__ == "__main__":
    main()
