"""Read one clip of a corpus from each modality alone and from all together.

python examples/one_clip.py checkpoints/best_model sample
"""

import csv
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from emobraid import Recognizer


def main(model_path: str, corpus: str) -> None:
    root = Path(corpus)
    with (root / "test.csv").open(encoding="utf-8", newline="") as file:
        # the first clip that has everything, whatever the model makes of it
        row = next(row for row in csv.DictReader(file) if row["text"] and row["audio_path"] and row["video_path"])
    given = {"text": row["text"], "audio": root / row["audio_path"], "video": root / row["video_path"]}
    table = Table(title=f'"{row["text"]}" ({row["video_path"]}), labelled {row["emotion"]}')
    for column in ("read from", "expressed", "confidence", "what counted"):
        table.add_column(column)
    with Recognizer.from_pretrained(model_path) as recognizer:
        for kept in [["text"], ["audio"], ["video"], list(given)]:
            # sound=False: a video's own sound track would be a second modality
            prediction = recognizer.predict(**{m: given[m] for m in kept}, sound=False)
            shares = "  ".join(f"{m} {share:+.2f}" for m, share in prediction.contributions.items())
            table.add_row(" + ".join(kept), prediction.emotion, f"{prediction.confidence:.2f}", shares)
    Console().print(table)


if __name__ == "__main__":
    main(*sys.argv[1:])
