"""`encoders.py one`: 128 tokens, ten seconds, thirty frames; eager float32 calls of `transformers` beside our stems.

Inputs are ready for the models on both sides, by the library's own feature extractors for its calls. What is compared
is what we keep: every token's last hidden state, the voice's hidden states averaged over four frames, class tokens.
"""

import time
from argparse import Namespace
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import transformers
from torch import Tensor

from emobraid.encoders.audio import PretrainedAudio, averaged
from emobraid.encoders.pretrained import Precision, resolve
from emobraid.encoders.reports import quiet
from emobraid.encoders.text import PretrainedText
from emobraid.encoders.video import PretrainedVideo

Call = Callable[[], Tensor]
OURS: Mapping[str, Any] = {"text": PretrainedText, "audio": PretrainedAudio, "video": PretrainedVideo}
TOKENS, SECONDS, FRAMES = 128, 10, 30


def inputs(quick: bool) -> dict[str, np.ndarray]:
    """Tokens, a waveform, smooth pictures; all drawn, always the same."""
    draw = torch.Generator().manual_seed(0)
    wave = torch.randn((1 if quick else SECONDS) * 16_000, generator=draw).mul(0.1)
    coarse = torch.rand(2 if quick else FRAMES, 3, 14, 14, generator=draw)
    frames = F.interpolate(coarse, (224, 224), mode="bilinear").permute(0, 2, 3, 1).mul(255).to(torch.uint8)
    tokens = torch.randint(4, 128_000, (8 if quick else TOKENS,), generator=draw)
    return {"text": tokens.numpy(), "audio": wave.numpy(), "video": frames.numpy()}


def plain(modality: str, folder: Path, raw: np.ndarray) -> Call:
    """An eager float32 call of `transformers`."""
    with quiet():
        model = transformers.AutoModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32).eval()
        if modality == "text":
            ids = torch.from_numpy(raw)[None]
            return lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        if modality == "audio":
            extractor = transformers.AutoFeatureExtractor.from_pretrained(folder)
            wave = extractor(raw, sampling_rate=16_000, return_tensors="pt").input_values
            return lambda: torch.stack(model(wave, output_hidden_states=True).hidden_states, dim=2)[0]
        processor = transformers.AutoImageProcessor.from_pretrained(folder, backend="pil")
        pixels = processor(images=list(raw), return_tensors="pt").pixel_values
        return lambda: model(pixels).last_hidden_state[:, 0]


def ours(modality: str, folder: Path, raw: np.ndarray, precision: Precision) -> Call:
    encoder = OURS[modality](str(folder), precision=precision)
    if modality == "text":
        ids = torch.from_numpy(raw)
        prepared = torch.stack([ids, torch.ones_like(ids)], dim=1)
    else:
        prepared = encoder.prepare(raw)
    return lambda: encoder.stem([prepared])[0]


def race(calls: Mapping[str, Call], rounds: int) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """CPU seconds of every call in each round, after one to warm up, and what the calls gave."""
    seconds: dict[str, list[float]] = {name: [] for name in calls}
    given = {name: call() for name, call in calls.items()}
    for _ in range(rounds):
        for name, call in calls.items():
            started = time.process_time()
            call()
            seconds[name].append(time.process_time() - started)
    return seconds, given


def precisions() -> list[Precision]:
    """What `auto` takes here first; bfloat16 only where the processor multiplies it."""
    taken = resolve("auto", torch.device("cpu"))
    both: list[Precision] = ["float32", "int8"]
    return ["bfloat16", *both] if taken == "bfloat16" else both


@torch.inference_mode()
def run(folders: Mapping[str, Path], args: Namespace) -> list[dict[str, Any]]:
    raw, rows = inputs(args.quick), []
    for modality, folder in folders.items():
        calls = {"plain": plain(modality, folder, raw[modality])}
        calls |= {p: ours(modality, folder, raw[modality], p) for p in precisions()}
        seconds, given = race(calls, 1 if args.quick else args.rounds)
        expected = averaged(given["plain"], 4) if modality == "audio" else given["plain"]
        apart = {p: float((given[p] - expected).norm() / expected.norm()) for p in precisions()}
        rows.append({"modality": modality, "seconds": seconds, "difference": apart})
    print(
        f"{TOKENS} tokens, {SECONDS} s, {FRAMES} frames; one thread; auto takes {resolve('auto', torch.device('cpu'))}"
    )
    for precision in precisions():
        print(table(rows, precision))
    return rows


def table(rows: list[dict[str, Any]], precision: str) -> str:
    lines = [f"  {precision:8s} {'plain s':>17s} {'ours s':>17s} {'ratio':>6s} {'medians':>8s} {'difference':>11s}"]
    totals = [0.0] * 4
    for row in rows:
        a, b = row["seconds"]["plain"], row["seconds"][precision]
        figures = [min(a), median(a), min(b), median(b)]
        totals = [t + f for t, f in zip(totals, figures, strict=True)]
        lines.append(f"  {row['modality']:8s} {line(figures)} {row['difference'][precision]:11.4%}")
    return "\n".join([*lines, f"  {'total':8s} {line(totals)}", ""])


def line(figures: list[float]) -> str:
    a, a_median, b, b_median = figures
    return f"{a:8.3f} {a_median:8.3f} {b:8.3f} {b_median:8.3f} {a / b:6.2f} {a_median / b_median:8.2f}"
