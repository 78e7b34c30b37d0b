"""`encoders.py tune`: every encoder at its real size takes a training step with every way of tuning, is saved, and is
read back into a fresh one. Each case has a process of its own, so that its peak of memory is its own."""

import multiprocessing
import resource
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any, get_args

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from emobraid.checkpoint import load_weights
from emobraid.config import Modality, ModelConfig, TuningMethod
from emobraid.encoders.pretrained import count_parameters
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, pad

BATCH = 4
LENGTHS = {"text": 32, "audio": 3 * 16_000, "video": 4}  # tokens, samples, frames


def inputs(modality: Modality, model: MultimodalEmotionModel) -> dict[str, Stream]:
    draw = torch.Generator().manual_seed(0)
    length, encoder = LENGTHS[modality], model.by_modality()[modality]
    if modality == "text":
        ids = torch.randint(4, 100, (BATCH, length), generator=draw)
        return {modality: pad(list(torch.stack([ids, torch.ones_like(ids)], dim=-1)))}
    if modality == "audio":
        prepared = [encoder.prepare(torch.randn(length, generator=draw).numpy()) for _ in range(BATCH)]
    else:
        shape = (length, 224, 224, 3)
        prepared = [encoder.prepare(torch.randint(256, shape, generator=draw).byte().numpy()) for _ in range(BATCH)]
    return {modality: pad(encoder.stem(prepared))}


def case(folder: Path, modality: Modality, method: TuningMethod, threads: int) -> dict[str, Any]:
    """One step, the checkpoint's size, and whether a fresh model that reads it says the same."""
    torch.set_num_threads(threads)
    chosen: dict[str, Any] = {f"{modality}_encoder": "pretrained", f"{modality}_tuning": method}
    chosen[f"{modality}_model_name"] = str(folder)
    config = ModelConfig(modalities=(modality,), fusion_type="early", **chosen)
    model = MultimodalEmotionModel(config)
    streams = inputs(modality, model)
    learns = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(learns, lr=1e-3, fused=True)
    started = time.process_time()
    loss = F.cross_entropy(model.train()(streams).logits, torch.arange(BATCH))
    loss.backward()
    optimizer.step()
    seconds = time.process_time() - started
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch, "model.safetensors")
        save_file({k: v.contiguous() for k, v in model.own_state().items()}, path)
        size, said = path.stat().st_size, logits(model, streams)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        del model, optimizer, learns
        fresh = MultimodalEmotionModel(config)
        load_weights(fresh, load_file(path), Path(scratch))
        tower = next(iter(fresh.towers().values()))
        tuned = sum(p.numel() for p in tower.parameters() if p.requires_grad)
        return {
            "modality": modality,
            "method": method,
            "share": tuned / count_parameters(folder),
            "bytes": size,
            "seconds": seconds,
            "peak": peak,
            "same": logits(fresh, streams).equal(said),
            "loss": loss.item(),
        }


@torch.no_grad()
def logits(model: MultimodalEmotionModel, streams: Mapping[str, Stream]) -> Tensor:
    given: Tensor = model.eval()(streams).logits
    return given


def run(folders: Mapping[str, Path], args: Namespace) -> list[dict[str, Any]]:
    methods = [m for m in get_args(TuningMethod) if m != "frozen"]
    rows = []
    print(f"one training step, batch {BATCH}: {LENGTHS['text']} tokens, 3 s, {LENGTHS['video']} frames")
    print(f"  {'':14s} {'trained':>9s} {'checkpoint':>12s} {'of full':>8s} {'CPU s':>7s} {'peak':>9s}  read back")
    modalities: list[Modality] = ["video"] if args.quick else [m for m in get_args(Modality) if m in folders]
    for modality in modalities:
        own = []
        for method in methods[:1] if args.quick else methods:
            with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
                own.append(pool.submit(case, folders[modality], modality, method, torch.get_num_threads()).result())
        for row in own:
            print(
                f"  {modality:6s}{row['method']:8s} {row['share']:9.2%} {row['bytes'] / 1e6:9.1f} MB "
                f"{row['bytes'] / own[-1]['bytes']:8.1%} {row['seconds']:7.1f} {row['peak'] / 1e9:6.1f} GB  "
                f"{'the same' if row['same'] else 'DIFFERENT'}",
                flush=True,
            )
        rows += own
    return rows
