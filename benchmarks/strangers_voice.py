"""How voices of strangers are read: each corpus in turn is left out of training and tested on whole.

    python benchmarks/strangers_voice.py DATA runs/voice            # the table; --fit keeps a head for all corpora

DATA holds `ravdess_speech`, `emodb`, `nemo`, `urdu`, `emovo`, each with a manifest.csv. What the frozen layers hear is
kept in runs/voice, a file for each corpus, so a run that was stopped goes on where it was.

A stranger's score is macro-F1 over the classes that the left-out corpus has. Two ways are told beside each other: plain
logistic regression on the second layer, and ours on the second and third with classes and corpora evened. Choices are
made without --test, on the train and validation speakers of the corpus that is left out; --test opens the others.
Temperatures come from the four other left-out corpora. `--earlier 10` takes off the mean of the speaker's earlier
clips, in random order, as if the mean of all had been heard ten times before.
"""

import argparse
import csv
from pathlib import Path

import numpy as np
import torch

from emobraid.emotions import Emotion
from emobraid.encoders.whisper_stem import WhisperStem, utterance
from emobraid.media.reader import MediaReader
from voice_head import Array, VoiceHead, calibration_error, macro_f1, probabilities, temperature

CORPORA = ("ravdess_speech", "emodb", "nemo", "urdu", "emovo")
CUT = {"emodb": 2.0}  # seconds: some of its fear and disgust could only be had that long
LABELS = [e.value for e in Emotion]
WIDTH = 512  # of a layer
KEEP_EVERY = 200  # clips


def heard(folder: Path, out: Path) -> dict[str, Array]:
    """Labels, speakers, splits, and the figures (N, 4 * WIDTH) of each clip: means of two layers, then deviations."""
    with (folder / "manifest.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    kept = out / f"{folder.name}.npy"
    figures = list(np.load(kept)) if kept.is_file() else []
    encoder = WhisperStem()
    with MediaReader() as reader:
        for i in range(len(figures), len(rows)):
            wave = reader.audio(folder / rows[i]["path"], end=CUT.get(folder.name)).samples
            (moments,) = encoder.stem([encoder.prepare(wave)])
            whole = utterance(moments[None], torch.ones(1, len(moments), dtype=torch.bool), 2 * WIDTH)
            figures.append(whole[0].half().numpy())
            if len(figures) % KEEP_EVERY == 0 or len(figures) == len(rows):
                np.save(kept, np.stack(figures))
                print(f"{folder.name}: {len(figures)} of {len(rows)}", flush=True)
    return {
        "figures": np.stack(figures).astype(np.float32),
        "label": np.array([LABELS.index(r["emotion"]) for r in rows]),
        "speaker": np.array([r["speaker"] for r in rows]),
        "split": np.array([r["split"] for r in rows]),
        "corpus": np.array([folder.name] * len(rows)),
    }


def without_earlier(figures: Array, speakers: Array, prior: float, seed: int) -> Array:
    """Each clip less the mean of those that the same speaker gave before it, with `prior` clips at the mean of all."""
    usual, draw, made = figures.mean(axis=0), np.random.default_rng(seed), figures.copy()
    for speaker in sorted(set(speakers)):
        order = draw.permutation(np.flatnonzero(speakers == speaker))
        before = np.cumsum(figures[order], axis=0) - figures[order]
        made[order] -= (before + prior * usual) / (np.arange(len(order)) + prior)[:, None]
    return made


def second_layer(figures: Array) -> Array:
    return np.concatenate([figures[:, :WIDTH], figures[:, 2 * WIDTH : 3 * WIDTH]], axis=1)


def left_out(all_of: dict[str, Array], figures: Array, *, plain: bool, test: bool) -> dict[str, tuple[Array, Array]]:
    """Logits and labels of each corpus, read by a head that was fitted on the four others."""
    read = {}
    usable = np.ones(len(figures), bool) if test else all_of["split"] != "test"
    for corpus in CORPORA:
        learnt, asked = usable & (all_of["corpus"] != corpus), usable & (all_of["corpus"] == corpus)
        head = VoiceHead(plain=plain, decay=0.1 if plain else 1.0)
        head.fit(figures[learnt], all_of["label"][learnt], all_of["corpus"][learnt])
        read[corpus] = head(figures[asked]), all_of["label"][asked]
    return read


def tell(name: str, read: dict[str, tuple[Array, Array]]) -> None:
    """A line for each corpus: macro-F1, and the calibration error with a temperature of the others."""
    scores = []
    for corpus, (logits, truth) in read.items():
        scores.append(macro_f1(truth, logits.argmax(axis=1), sorted(set(truth))))
        others = [read[c] for c in read if c != corpus]
        even = np.concatenate([np.full(len(t), 1 / len(t)) for _, t in others])
        heat = temperature(np.concatenate([z for z, _ in others]), np.concatenate([t for _, t in others]), even)
        gap = calibration_error(probabilities(logits, heat), truth)
        print(f"| {name} | {corpus} | {len(truth)} | {scores[-1]:.3f} | {gap:.3f} | {heat:.2f} |", flush=True)
    print(f"| {name} | mean of {len(scores)} | | {np.mean(scores):.3f} | | |", flush=True)


def keep(all_of: dict[str, Array], figures: Array, path: Path) -> None:
    """A head for all corpora, of their train and validation speakers."""
    own = all_of["split"] != "test"
    head = VoiceHead().fit(figures[own], all_of["label"][own], all_of["corpus"][own])
    weight, bias = (x.detach().numpy() for x in (head.weight, head.bias))
    np.savez(path, mean=head.mean, scale=head.scale, weight=weight, bias=bias, labels=np.array(LABELS))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with the folders of the corpora")
    parser.add_argument("output", type=Path, help="where what was heard is kept, and the head")
    parser.add_argument("--test", action="store_true", help="whole corpora, their test speakers too")
    parser.add_argument("--earlier", type=float, help="take off the mean of earlier clips, with this prior")
    parser.add_argument("--seed", type=int, default=0, help="of the order in which a speaker's clips come")
    parser.add_argument("--fit", action="store_true", help="keep head.npz, of all corpora's train and validation")
    args = parser.parse_args()
    torch.set_num_threads(1)
    args.output.mkdir(parents=True, exist_ok=True)
    corpora = [heard(args.data / name, args.output) for name in CORPORA]
    all_of = {key: np.concatenate([c[key] for c in corpora]) for key in corpora[0]}
    figures = all_of["figures"]
    if args.earlier is not None:
        figures = without_earlier(figures, all_of["speaker"], args.earlier, args.seed)
    print("| way | left out | clips | macro-F1 | ECE | temperature |\n|---|---|---|---|---|---|")
    tell("plain, layer 2", left_out(all_of, second_layer(figures), plain=True, test=args.test))
    tell("ours, layers 2 and 3", left_out(all_of, figures, plain=False, test=args.test))
    if args.fit:
        keep(all_of, figures, args.output / "head.npz")


if __name__ == "__main__":
    main()
