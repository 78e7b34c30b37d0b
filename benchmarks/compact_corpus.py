"""The tables that the shipped model `emobraid/compact` is trained on, from folders of five corpora.

    python benchmarks/compact_corpus.py DATA runs/compact

DATA holds `goemotions` (words), `ravdess_speech`, `emodb`, `nemo` (voices), `fer2013` (faces), and for the last test
`ravdess_av_actor01`. Media are named where they lie, so DATA is given as --allow_outside; FER2013's are unpacked.

    emobraid train --config compact --data_root runs/compact --allow_outside DATA --output_dir runs/compact/run
    emobraid evaluate --model_path runs/compact/run/best_model --data_root runs/compact/only/emodb \\
        --allow_outside DATA --output_dir runs/compact/results/emodb     # for fer2013 --allow_outside runs/compact

No row of these corpora has words, voice and face. Training rows have one of them each, and some are COMPOSED: words, a
voice and a face of the same label from three people. Validation and `test.csv` are composed, so that every subset of
modalities has its temperature from rows that have just these; `only/NAME` holds each corpus as it is.
Splits: GoEmotions' and FER2013's own, voices by speaker; actor 01 of RAVDESS is in `only/actor01_*` and nowhere else.
"""

import argparse
import csv
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from emobraid.data.labels import to_common

Row = dict[str, str]
SPLITS = {"train": ("train", 0), "val": ("dev", 1), "test": ("test", 2)}  # GoEmotions' name, FER2013's number
VOICES = ("ravdess_speech", "emodb", "nemo")
COLUMNS = ("id", "text", "audio_path", "video_path", "emotion", "speaker", "start", "end")
#: how often an epoch meets each row: words are learnt by heart soonest, faces last
PASSES = {"text": 1, "audio": 2, "video": 5}
EVENED = 4  # times at most that a small corpus of voices is repeated to be heard as often as the largest
COMPOSED = {"train": 8_000, "val": 4_000, "test": 4_000}


def words(folder: Path, split: str) -> list[Row]:
    """Comments with exactly one of the seven labels."""
    names = (folder / "ekman" / "labels.txt").read_text(encoding="utf-8").split()
    with (folder / "ekman" / f"{SPLITS[split][0]}.tsv").open(encoding="utf-8", newline="") as file:
        found = list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    return [
        {"id": f"text-{name}", "text": text, "emotion": str(to_common("goemotions", names[int(label)]))}
        for text, label, name in found
        if label.isdigit()
    ]


def voices(folder: Path, split: str) -> list[Row]:
    """Utterances of a corpus of acted speech, without actor 01. EmoDB's are cut to two seconds: some of its fear and
    disgust could only be had that long, and the length would give them away."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["split"] == split and r["speaker"] != "RAV01"]
    cut = {"end": "2"} if folder.name == "emodb" else {}
    return [
        {
            "id": f"{folder.name}-{Path(r['path']).stem}",
            "audio_path": str((folder / r["path"]).resolve()),
            "emotion": r["emotion"],
            "speaker": r["speaker"],
            **cut,
        }
        for r in rows
    ]


def faces(folder: Path, split: str, out: Path) -> list[Row]:
    """Stills, unpacked into `out`; copies of another still are left out of training and validation."""
    kept = np.load(folder / "fer2013_jpeg.npz")
    blob, offsets, classes = kept["blob"], kept["offset"], kept["classes"]
    wanted = (kept["split"] == SPLITS[split][1]) & ((kept["dup"] == 0) | (split == "test"))
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for i in np.flatnonzero(wanted):
        path = out / f"{i}.jpg"
        path.write_bytes(blob[offsets[i] : offsets[i + 1]].tobytes())
        rows.append({"id": f"fer2013-{i}", "video_path": str(path.resolve()), "emotion": str(classes[kept["y"][i]])})
    return rows


def takes(folder: Path, kind: str) -> list[Row]:
    """Actor 01's audio-visual takes; no audio_path, so their own sound is their audio, and no words: they are fixed."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = [r for r in csv.DictReader(file) if r["path"].startswith(f"{kind}/")]
    return [
        {"id": r["path"], "text": "", "video_path": str((folder / r["path"]).resolve()), "emotion": r["emotion"]}
        for r in rows
    ]


def composed(kinds: Sequence[Sequence[Row]], count: int, draw: random.Random) -> list[Row]:
    """Rows that join one of each kind, strangers of the same label. Of each label as the square root of what the
    scarcest kind has of it, so that few faces of disgust are not met a hundred times."""
    by_label: list[dict[str, list[Row]]] = []
    for rows in kinds:
        by_label.append(defaultdict(list))
        for row in rows:
            by_label[-1][row["emotion"]].append(row)
    shares = {label: min(len(some[label]) for some in by_label) ** 0.5 for label in by_label[0]}
    made = []
    for label, share in shares.items():
        for i in range(round(count * share / sum(shares.values()))):
            parts = [draw.choice(some[label]) for some in by_label]
            joined = {k: v for part in parts for k, v in part.items()}
            made.append({**joined, "id": f"composed-{label}-{i}", "speaker": ""})
    return made


def evened(corpora: Sequence[Sequence[Row]]) -> list[Row]:
    """All rows, those of smaller corpora several times: nine Polish speakers shall not outvote all others."""
    most = max(map(len, corpora))
    return [row for rows in corpora for row in list(rows) * min(EVENED, max(1, round(most / len(rows))))]


def write(path: Path, rows: Iterable[Row], columns: Sequence[str] = COLUMNS) -> None:
    rows = list(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(rows)
    print(f"{path}: {len(rows):,} rows; {dict(Counter(row['emotion'] for row in rows).most_common())}", flush=True)


def repeated(rows: Sequence[Row], times: int) -> list[Row]:
    return [{**row, "id": f"{row['id']}-{i}"} for i in range(times) for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the folders of the corpora")
    parser.add_argument("output", type=Path, help="where the tables and FER2013's pictures go")
    parser.add_argument("--seed", type=int, default=0, help="of who is composed with whom")
    args = parser.parse_args()
    draw = random.Random(args.seed)
    for split in SPLITS:
        own = {"goemotions": words(args.data / "goemotions", split)}
        own |= {name: voices(args.data / name, split) for name in VOICES}
        own["fer2013"] = faces(args.data / "fer2013", split, args.output / "faces")
        kinds = {"text": own["goemotions"], "audio": evened([own[v] for v in VOICES]), "video": own["fer2013"]}
        rows = composed(list(kinds.values()), COMPOSED[split], draw)
        if split == "train":
            rows += [row for kind, alone in kinds.items() for row in repeated(alone, PASSES[kind])]
        write(args.output / f"{split}.csv", rows)
        for name, some in own.items():
            write(args.output / "only" / name / f"{split}.csv", some)
    for kind in ("clips", "frames20"):
        plain = ("id", "text", "video_path", "emotion")
        write(
            args.output / "only" / f"actor01_{kind}" / "test.csv", takes(args.data / "ravdess_av_actor01", kind), plain
        )


if __name__ == "__main__":
    main()
