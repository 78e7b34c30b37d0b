"""`encoders.py epoch`: epochs of the real trainer on features that lie in the cache, as many as RAVDESS has clips.

What is in the cache is drawn: 20 tokens of 768, 44 positions of 13 layers of 768, 30 faces of 768, as float16.
"""

import itertools
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

from emobraid.config import Config, ModelConfig, TrainingConfig
from emobraid.data.cache import TensorCache
from emobraid.data.corpus import Sample
from emobraid.data.prepared import PreparedSplit
from emobraid.model import MultimodalEmotionModel
from emobraid.training.trainer import Trainer

CLIPS, HELD_OUT = 1_440, 64
SHAPES = {"text": (20, 768), "audio": (44, 13, 768), "video": (30, 768)}
SIZES = ((256, 1), (128, 1), (40, 1))  # width and depth: of recipe pretrained, half of it, about MulT's own


class Clock:
    """A watcher of training that notes when epochs end."""

    def __init__(self) -> None:
        self.wall, self.cpu = [time.monotonic()], [time.process_time()]

    def step(self, *_: object) -> None: ...

    def epoch(self, *_: object) -> None:
        self.wall.append(time.monotonic())
        self.cpu.append(time.process_time())


def fill(cache: TensorCache, clips: int) -> None:
    draw = torch.Generator().manual_seed(0)
    for i in range(clips):
        for modality, shape in SHAPES.items():
            cache.put(f"{modality}{i}", torch.randn(shape, generator=draw).half(), group=modality)
    cache.flush()


def split(cache: TensorCache, places: range) -> PreparedSplit:
    made = [Sample(id=str(i), group="", cells={}, sound_from_video=False, label=i % 7) for i in places]
    found = {m: tuple(entry[0] for i in places if (entry := cache.get(f"{m}{i}"))) for m in SHAPES}
    return PreparedSplit(tuple(made), found, torch.eye(7)[[i % 7 for i in places]])


def train(
    folders: Mapping[str, Path], size: tuple[int, int], cache: TensorCache, clips: int, epochs: int, mixed: Any
) -> Clock:
    pretrained: dict[str, Any] = {f"{m}_encoder": "pretrained" for m in SHAPES}
    pretrained |= {f"{m}_model_name": str(folders[m]) for m in SHAPES}
    config = Config(
        model=ModelConfig(**pretrained, fusion_type="mult", fusion_hidden_size=size[0], fusion_depth=size[1]),
        training=TrainingConfig(num_epochs=epochs, device="cpu", mixed_precision=mixed),
    )
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(
            MultimodalEmotionModel(config.model), split(cache, range(clips)),
            split(cache, range(clips, clips + HELD_OUT)), config, Path(folder), loss_weights={},
            on_best=lambda *_: None,
        )  # fmt: skip
        clock = Clock()
        trainer.watchers = [clock]
        trainer.fit()
    return clock


def run(folders: Mapping[str, Path], args: Namespace) -> list[dict[str, Any]]:
    clips, epochs = (32, 1) if args.quick else (CLIPS, args.rounds)
    rows = []
    print(f"an epoch of mult on {clips} clips from the cache, batch 16, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        with TensorCache(Path(folder)) as cache:
            fill(cache, clips + HELD_OUT)
        for width, depth in SIZES:
            with TensorCache(Path(folder)) as cache:
                clock = train(folders, (width, depth), cache, clips, epochs, args.mixed_precision)
            wall, cpu = ([b - a for a, b in itertools.pairwise(at)] for at in (clock.wall, clock.cpu))
            print(
                f"  width {width}, depth {depth}: wall {min(wall):6.2f} s (median {median(wall):.2f}), "
                f"CPU {min(cpu):6.2f} s (median {median(cpu):.2f})"
            )
            rows.append({"width": width, "depth": depth, "wall": wall, "cpu": cpu})
    return rows
