"""How many labels change when a recording or a comment is the same to a person, but not to a machine.

    python benchmarks/label_stability.py DATA [--model_path emobraid/compact] [--rows 40] [--comments 150]

DATA (or the environment variable EMOBRAID_DATA) holds `ravdess_speech` (test takes) and `goemotions` (dev comments with
an apostrophe). Each is read as it is and in every way of the tables; a row tells how many labels differ from those of
the untouched ones, and how many are right. Any model with a voice or words may be given.
"""

import argparse
import csv
import html
import os
import random
import tempfile
import wave
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
import torch

from emobraid import Recognizer

RATE = 16_000
Samples = np.ndarray  # (N,) or (N, C) float
Ways = Mapping[str, Callable[[Samples], Samples]]


def hum(hertz: float, overtones: bool = False) -> Callable[[Samples], Samples]:
    def added(samples: Samples) -> Samples:
        at = 2 * np.pi * hertz * np.arange(len(samples)) / RATE
        return samples + 0.001 * (np.sin(at) + overtones * (np.sin(2 * at) / 2 + np.sin(3 * at) / 3))

    return added


def beside(channels: int, place: int) -> Callable[[Samples], Samples]:
    def put(samples: Samples) -> Samples:
        columns = np.zeros((len(samples), channels))
        columns[:, place] = samples
        return columns

    return put


SOUND: Ways = {
    "level x0.1": lambda x: 0.1 * x,
    "level x0.25": lambda x: 0.25 * x,
    "level x0.5": lambda x: 0.5 * x,
    "level x2": lambda x: 2 * x,
    "level x4": lambda x: 4 * x,
    "offset 0.003": lambda x: x + 0.003,
    "offset 0.01": lambda x: x + 0.01,
    "hum 50 Hz, 0.001": hum(50),
    "hum 60 Hz, 0.001": hum(60),
    "hum 50 Hz with overtones": hum(50, overtones=True),
    "left of stereo": beside(2, 0),
    "right of stereo": beside(2, 1),
    "centre of 5.1": beside(6, 2),
    "8 kHz": lambda x: soxr.resample(soxr.resample(x, RATE, 8000), 8000, RATE),
}
TEXT: Mapping[str, Callable[[str], str]] = {
    "&#39;": lambda t: t.replace("'", "&#39;"),
    "html.escape": html.escape,
    "U+2019": lambda t: t.replace("'", "\u2019"),
    "U+02BC": lambda t: t.replace("'", "\u02bc"),
    "backtick": lambda t: t.replace("'", "`"),
    "misread UTF-8": lambda t: t.replace("'", "\u00e2\u20ac\u2122"),
    "address at the end": lambda t: f"{t} https://t.co/AbC123xyz",
    "<br /> at the end": lambda t: f"{t}<br />",
    "<p> around": lambda t: f"<p>{t}</p>",
    "**bold** word": lambda t: t.replace(longest(t), f"**{longest(t)}**"),
    "zero-width space": lambda t: within(t, "\u200b"),
    "soft hyphen": lambda t: within(t, "\u00ad"),
    "fullwidth": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "mathematical bold": lambda t: "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in t),
    "no-break spaces": lambda t: t.replace(" ", "\u00a0"),
}


def longest(text: str) -> str:
    return max((w for w in text.split() if w.isalpha()), key=len, default=text)


def within(text: str, mark: str) -> str:
    word = longest(text)
    return text.replace(word, word[: len(word) // 2] + mark + word[len(word) // 2 :])


def wav(path: Path, samples: Samples) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if samples.ndim == 1 else samples.shape[1])
        file.setsampwidth(2)
        file.setframerate(RATE)
        file.writeframes((samples * 32767).round().clip(-32768, 32767).astype("<i2").tobytes())
    return path


def coded(path: Path, samples: Samples, codec: str) -> Path:
    """At 24 kbit/s."""
    with av.open(str(path), "w") as out:
        rate = 48_000 if codec == "libopus" else RATE
        stream: Any = out.add_stream(codec, rate=rate, layout="mono", options={"b": "24000"})
        stream.bit_rate = 24_000
        whole = soxr.resample(samples, RATE, rate).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(whole[None], "fltp", "mono")
        frame.sample_rate = rate
        out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def label(recognizer: Recognizer, **given: object) -> str:
    try:
        return recognizer.predict(**given).emotion  # type: ignore[arg-type]
    except ValueError:
        return "-"


def voices(recognizer: Recognizer, data: Path, rows: int, folder: Path) -> None:
    with (data / "ravdess_speech" / "manifest.csv").open(encoding="utf-8", newline="") as file:
        takes = [r for r in csv.DictReader(file) if r["split"] == "test"]
    random.Random(0).shuffle(takes)
    takes = takes[:rows]
    samples = [recognizer.reader.audio(data / "ravdess_speech" / r["path"]).samples for r in takes]
    said = [r["emotion"] for r in takes]
    plain = [label(recognizer, audio=wav(folder / "plain.wav", s)) for s in samples]
    print(f"\n| {rows} takes of RAVDESS | labels that change | right |\n|---|---|---|")
    print(f"| as they are | | {hits(plain, said)} |")
    for name, way in SOUND.items():
        read = [label(recognizer, audio=wav(folder / "way.wav", way(s))) for s in samples]
        print(f"| {name} | {len(read) - hits(read, plain)} | {hits(read, said)} |", flush=True)
    for codec, ending in (("libopus", "ogg"), ("aac", "m4a"), ("libmp3lame", "mp3")):
        read = [label(recognizer, audio=coded(folder / f"way.{ending}", s, codec)) for s in samples]
        print(f"| {codec} at 24 kbit/s | {len(read) - hits(read, plain)} | {hits(read, said)} |", flush=True)


def comments(recognizer: Recognizer, data: Path, count: int) -> None:
    with (data / "goemotions" / "ekman" / "dev.tsv").open(encoding="utf-8", newline="") as file:
        texts = [row[0] for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if "'" in row[0]][:count]
    plain = [label(recognizer, text=t) for t in texts]
    print(f"\n| {len(texts)} comments of GoEmotions | labels that change |\n|---|---|")
    for name, way in TEXT.items():
        read = [label(recognizer, text=way(t)) for t in texts]
        print(f"| {name} | {len(read) - hits(read, plain)} |", flush=True)


def hits(read: list[str], want: list[str]) -> int:
    return sum(a == b for a, b in zip(read, want, strict=True))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, nargs="?", default=os.environ.get("EMOBRAID_DATA"))
    parser.add_argument("--model_path", default="emobraid/compact")
    parser.add_argument("--rows", type=int, default=40, help="takes of RAVDESS")
    parser.add_argument("--comments", type=int, default=150, help="of GoEmotions")
    args = parser.parse_args()
    if args.data is None:
        parser.error("name the folder with the corpora, or set EMOBRAID_DATA")
    torch.set_num_threads(1)
    with Recognizer.from_pretrained(args.model_path) as recognizer, tempfile.TemporaryDirectory() as folder:
        if "audio" in recognizer.model.config.modalities and args.rows:
            voices(recognizer, Path(args.data), args.rows, Path(folder))
        if "text" in recognizer.model.config.modalities and args.comments:
            comments(recognizer, Path(args.data), args.comments)


if __name__ == "__main__":
    main()
