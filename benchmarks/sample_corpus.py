"""How hard the sample corpus is: plain classifiers on each modality alone, and the sum of their log-probabilities.

    python benchmarks/sample_corpus.py DIR [--split val]

Text is TF-IDF with logistic regression; voice is statistics of log-mel bands and pitch, face is HOG of the face crop,
both with a shrunken linear discriminant whose temperature is fitted on folds of the training split. A missing modality
adds nothing to a sum; alone it is a guess.
"""

import argparse
import csv
import itertools
import wave
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from cv2.data import haarcascades
from numpy.typing import NDArray
from sklearn.base import ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

Row = Mapping[str, str]
Features = NDArray[np.float64]
CASCADE = haarcascades + "haarcascade_frontalface_default.xml"
RATE, FFT, HOP, BANDS = 16_000, 512, 160, 32


def read_rows(folder: Path, split: str) -> list[Row]:
    with (folder / f"{split}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def mel_bank() -> Features:
    """Triangles over the FFT bins, evenly spaced in mel between 60 and 7600 Hz, (BANDS, bins)."""
    mel = np.linspace(2595 * np.log10(1 + 60 / 700), 2595 * np.log10(1 + 7600 / 700), BANDS + 2)
    corners = 700 * (10 ** (mel / 2595) - 1)
    bins = np.fft.rfftfreq(FFT, 1 / RATE)
    rising = (bins - corners[:-2, None]) / np.diff(corners)[:-1, None]
    falling = (corners[2:, None] - bins) / np.diff(corners)[1:, None]
    return np.clip(np.minimum(rising, falling), 0, None)


def voice_features(path: Path) -> Features:
    """Level, spread and movement of every mel band, and of the pitch in semitones; the end of the pitch by itself."""
    with wave.open(str(path), "rb") as file:
        samples = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768
    frames = np.lib.stride_tricks.sliding_window_view(samples, FFT)[::HOP] * np.hanning(FFT)
    power = np.abs(np.fft.rfft(frames)) ** 2
    loud = 10 * np.log10(power.sum(axis=1) + 1e-9)
    voiced = loud > loud.max() - 30
    mel = 10 * np.log10(power @ mel_bank().T + 1e-7)
    bands = [mel[voiced].mean(axis=0), mel[voiced].std(axis=0), np.abs(np.diff(mel, axis=0)).mean(axis=0)]
    correlation = np.fft.irfft(power)[:, RATE // 500 : RATE // 70]
    pitch = 12 * np.log2(RATE / (RATE // 500 + correlation.argmax(axis=1)) / 100)
    sure = voiced & (correlation.max(axis=1) > 0.3 * power.mean(axis=1))
    pitch = pitch[sure] if sure.sum() > 8 else np.zeros(9)
    third = len(pitch) // 3
    shape = [np.median(pitch), pitch.std(), *np.percentile(pitch, (10, 90)), np.abs(np.diff(pitch)).mean()]
    ends = [np.median(pitch[-third:]) - np.median(pitch[:third]), np.median(pitch[-5:]) - np.median(pitch)]
    return np.concatenate([*bands, shape, ends, [loud[voiced].std(), voiced.mean(), np.abs(np.diff(loud)).mean()]])


def face_features(path: Path) -> Features:
    """HOG of the face crop, its mean and its maximum over every third frame."""
    cascade = cv2.CascadeClassifier(CASCADE)
    hog = cv2.HOGDescriptor((64, 64), (16, 16), (8, 8), (8, 8), 9)
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format="gray") for frame in itertools.islice(container.decode(video=0), 0, None, 3)]
    crops = []
    for frame in frames:
        boxes = cascade.detectMultiScale(frame, 1.1, minSize=(50, 50))
        if len(boxes):
            x, y, w, h = max(boxes, key=lambda box: box[2])
            crops.append(np.ravel(hog.compute(cv2.resize(frame[y : y + h, x : x + w], (64, 64)))))
    if not crops:
        raise ValueError(f"no face found in {path}")
    return np.concatenate([np.mean(crops, axis=0), np.max(crops, axis=0)])


def discriminant(components: int | None) -> ClassifierMixin:
    """A linear discriminant, of all features or of so many principal components of them."""
    reduced = [] if components is None else [PCA(components, random_state=0)]
    linear = make_pipeline(StandardScaler(), *reduced, LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto"))
    return CalibratedClassifierCV(linear, method="temperature", ensemble=False, cv=5)


def log_probabilities(
    train: Sequence[Row],
    tested: Sequence[Row],
    column: str,
    features: Callable[[Sequence[str]], Any],
    model: ClassifierMixin,
) -> Features:
    """(rows, classes) for `tested`, in the order of the sorted labels; zero where `column` is empty."""
    seen = [row for row in train if row[column]]
    model.fit(features([row[column] for row in seen]), [row["emotion"] for row in seen])
    there = np.array([bool(row[column]) for row in tested])
    result = np.zeros((len(tested), len(model.classes_)))
    result[there] = np.log(model.predict_proba(features([row[column] for row in tested if row[column]])) + 1e-4)
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--split", choices=("val", "test"), default="val")
    chosen = parser.parse_args()
    train, tested = read_rows(chosen.folder, "train"), read_rows(chosen.folder, chosen.split)
    with ProcessPoolExecutor(2) as pool:

        def of_files(extract: Callable[[Path], Features]) -> Callable[[Sequence[str]], Features]:
            return lambda names: np.stack(list(pool.map(extract, [chosen.folder / n for n in names], chunksize=8)))

        text = make_pipeline(TfidfVectorizer(sublinear_tf=True), LogisticRegression(C=20.0, max_iter=1000))
        logs = {
            "text": log_probabilities(train, tested, "text", list, text),
            "voice": log_probabilities(train, tested, "audio_path", of_files(voice_features), discriminant(None)),
            "face": log_probabilities(train, tested, "video_path", of_files(face_features), discriminant(80)),
        }
    report(logs, [row["emotion"] for row in tested])


def report(logs: Mapping[str, Features], truth: Sequence[str]) -> None:
    labels = np.array(sorted(set(truth)))
    print(f"{'modalities':18} {'accuracy':>8} {'macro-F1':>8}   ({len(truth)} rows, {len(labels)} classes)")
    for size in (1, 2, 3):
        for chosen in itertools.combinations(logs, size):
            guess = labels[np.sum([logs[name] for name in chosen], axis=0).argmax(axis=1)]
            scores = accuracy_score(truth, guess), f1_score(truth, guess, average="macro")
            print(f"{' + '.join(chosen):18} {scores[0]:8.3f} {scores[1]:8.3f}")


if __name__ == "__main__":
    main()
