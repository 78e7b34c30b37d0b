"""Few-shot learning as a study: a base, learning rates chosen on validation episodes, then the test split's episodes.

Everything up to the choice happens here without the test split; `Study.score` is handed one by evaluation, which opens
it. Each cell of the tables is kept as a line of cells.jsonl once it is done.
"""

import hashlib
import json
import shutil
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from emobraid import checkpoint
from emobraid.config import Config, FewShotConfig, ModelConfig
from emobraid.data.few_shot import FewShotDataset
from emobraid.data.layouts import open_corpus
from emobraid.data.prepared import PreparedSplit, targets
from emobraid.data.preparer import Reporter, read_split
from emobraid.evaluation.metrics import macro_f1
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import subsets
from emobraid.training.few_shot_cells import Cell, keep_cell, kept_cells
from emobraid.training.few_shot_frozen import Frozen
from emobraid.training.few_shot_methods import METHODS, build
from emobraid.training.few_shot_plan import SIZES, draw, fitted, refuse_changed_base, refuse_ways
from emobraid.training.run import TrainingReporter, needs_labels, train
from emobraid.training.run_folder import BEST
from emobraid.training.signals import Interrupted, StopRequests

FOLDER, CELLS = "few_shot", "cells.jsonl"
EVERY_SUBSET = ("prompt_adapter", "class_mean")  # the others are compared with all modalities together


def without_labels(config: Config) -> Config:
    """The settings with which a base is trained that has never seen a label; ValueError where that cannot be."""
    settings = config.training
    if settings.pretrain_epochs not in (0, settings.num_epochs):
        raise ValueError("--mode few_shot trains its base without labels throughout: leave --pretrain_epochs out")
    if len(config.model.modalities) < 2:
        raise ValueError("a base of one modality cannot be trained without labels; give --base_model")
    return replace(config, training=replace(settings, pretrain_epochs=settings.num_epochs))


def prepare(
    config: Config,
    folder: Path,
    *,
    resume: bool,
    overwrite: bool,
    reporter: TrainingReporter,
    given: Collection[str] = (),
) -> "Study":
    """A base, trained into `folder` when none is given, and the learning rates that validation episodes choose."""
    if resume and overwrite:
        raise ValueError("--resume continues a study, --overwrite takes it away: give one of them")
    if config.model.label_kind != "exclusive":
        raise ValueError("few-shot episodes draw utterances of one class each; multi-label classes have none")
    kept = folder / FOLDER
    if kept.exists() and not (resume or overwrite):
        raise ValueError(f"{kept} holds a study already: --resume continues it, --overwrite starts anew")
    config = _task(config)
    refuse_ways(config)
    config = _fitted_to_tables(config, reporter)
    base_path = config.few_shot.base_model
    if base_path is None:
        base_path = folder / BEST
        own = replace(without_labels(config), few_shot=FewShotConfig())
        train(own, folder, resume=resume, overwrite=overwrite, reporter=reporter, given=given)
    if overwrite:
        shutil.rmtree(kept, ignore_errors=True)
    base = checkpoint.load_trained(base_path)
    if config.few_shot.base_model:
        refuse_changed_base(base.config, config)
    labels = config.model.labels if config.model.labels != ModelConfig().labels else base.config.model.labels
    sizes = {name: getattr(config.model, name) for name in SIZES}
    task = replace(config, model=replace(base.config.model, labels=labels, **sizes))
    kept.mkdir(parents=True, exist_ok=True)
    study = Study(base_path, base.model, task, kept, reporter, saw_labels=needs_labels(base.config))
    study.choose()
    return study


def _fitted_to_tables(config: Config, reporter: Reporter) -> Config:
    """The plan as the validation table allows it, before anything is decoded or trained."""
    rows = open_corpus(config.data, config.model).split("val")
    known = PreparedSplit(tuple(rows), {}, targets(rows, len(config.model.labels)))
    return fitted(known, config, 1, "val", reporter)


def _task(config: Config) -> Config:
    """The settings with the classes that the base has, unless others were asked for."""
    if config.few_shot.base_model is None or config.model.labels != ModelConfig().labels:
        return config
    folder = checkpoint.resolve(config.few_shot.base_model)
    labels = checkpoint.load_config(folder, checkpoint.read(folder)).model.labels
    return replace(config, model=replace(config.model, labels=labels))


@dataclass
class Study:
    """What is compared, on what; `chosen` tells the learning rate of each method by shots."""

    base_path: Path
    base: MultimodalEmotionModel
    config: Config
    folder: Path
    reporter: Reporter
    saw_labels: bool
    chosen: dict[str, dict[int, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.methods = build(self.config.few_shot.methods, self.base, self.config.model)
        manifest = (checkpoint.resolve(self.base_path) / "manifest.json").read_bytes()
        self.base_hash = hashlib.sha256(manifest).hexdigest()
        for name, method in self.methods.items():
            share = 100 * method.learned() / sum(p.numel() for p in self.base.parameters())
            self.reporter.say(f"{name}: {method.learned():,} numbers learn, {share:.1f} % of the base's")

    @property
    def whole(self) -> tuple[str, ...]:
        return tuple(self.base.config.modalities)

    def choose(self) -> None:
        """Try each method's learning rates on validation episodes; the one with the largest mean macro-F1 is taken."""
        asked = self.config.few_shot
        samples = open_corpus(self.config.data, self.config.model).split("val")
        split = read_split(self.base.by_modality(), samples, self.config, "val", self.reporter)
        self.config = fitted(readable(split), self.config, asked.dev_episodes, "val", self.reporter)
        asked = self.config.few_shot
        cells = [
            Cell("dev", name, self.whole, shots, rate)
            for shots in asked.shots
            for name, method in self.methods.items()
            for rate in method.rates
        ]
        scores = dict(zip(cells, self._scores(cells, split, asked.dev_episodes), strict=True))
        for name, method in self.methods.items():
            self.chosen[name] = {}
            for shots in asked.shots:
                own = {c.rate: c_scores for c, c_scores in scores.items() if (c.method, c.shots) == (name, shots)}
                means = {rate: sum(s["macro_f1"]) / len(s["macro_f1"]) for rate, s in own.items()}
                self.chosen[name][shots] = max(means, key=lambda r: means[r]) if method.rates else 0.0

    def score(self, split: PreparedSplit) -> dict[str, Any]:
        """The final table: every cell on the episodes of `split`, with the rates that were chosen before."""
        count = self.config.few_shot.episodes
        self.config = fitted(readable(split), self.config, count, "test", self.reporter, new=False)
        asked = self.config.few_shot
        cells = [
            Cell("test", name, subset, shots, self.chosen[name][shots])
            for subset in reversed(subsets(self.whole))  # what all are compared on first
            for shots in asked.shots
            for name in self.methods
            if subset == self.whole or (asked.every_subset and name in EVERY_SUBSET)
        ]
        done = self._scores(cells, split, asked.episodes)
        rows = [
            {**asdict(c), "subset": "+".join(c.subset), "learned": self.methods[c.method].learned(), **d}
            for c, d in zip(cells, done, strict=True)
        ]
        return {"protocol": self._protocol(split), "rows": rows}

    def _scores(self, cells: Sequence[Cell], split: PreparedSplit, count: int) -> list[dict[str, Any]]:
        split = readable(split)
        drawn = {shots: draw(split, self.config, shots, count) for shots in self.config.few_shot.shots}
        hashes = {shots: dataset.hash for shots, dataset in drawn.items()}
        held = split.fingerprint()
        kept = dict(kept_cells(self.folder / CELLS))
        frozen = Frozen(self.base, split)
        report = self.reporter.progress(f"{cells[0].stage if cells else 'dev'} episodes")
        found = []
        with StopRequests() as stop:
            for i, cell in enumerate(cells):
                key = self._key(cell, hashes[cell.shots], held)
                if key not in kept:
                    kept[key] = self._run(cell, frozen, drawn[cell.shots], stop)
                    keep_cell(self.folder / CELLS, {"key": key, **asdict(cell), **kept[key]})
                found.append({k: kept[key][k] for k in ("macro_f1", "seconds")} | {"episodes_hash": hashes[cell.shots]})
                report(i + 1, len(cells))
        return found

    def _run(self, cell: Cell, frozen: Frozen, episodes: FewShotDataset, stop: StopRequests) -> dict[str, Any]:
        method, scores, begun = self.methods[cell.method], [], time.process_time()
        for number, episode in enumerate(episodes):
            if stop.number is not None:
                raise Interrupted(stop.number)
            logits = method.predict(
                frozen,
                episode,
                cell.subset,
                steps=self.config.few_shot.adaptation_steps,
                rate=cell.rate,
                seed=self.config.training.seed * 1_000_003 + number,
            )
            there = frozen.readable(episode.query, cell.subset)
            true = torch.tensor(episode.query_labels)[there].numpy()
            scores.append(macro_f1(true, logits[there].argmax(dim=1).numpy(), len(episode.classes)))
        return {"macro_f1": scores, "seconds": (time.process_time() - begun) / len(scores)}

    def _key(self, cell: Cell, episodes_hash: str, held: str) -> str:
        """Everything that a cell's numbers hang on."""
        model, asked = self.config.model, self.config.few_shot
        sizes = [getattr(model, name) for name in SIZES]
        parts = [
            asdict(cell),
            episodes_hash,
            held,
            self.base_hash,
            sizes,
            asked.adaptation_steps,
            self.config.training.seed,
        ]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:16]

    def _protocol(self, split: PreparedSplit) -> dict[str, Any]:
        asked = self.config.few_shot
        example = draw(readable(split), self.config, max(asked.shots), 1)
        return {
            "base": str(self.base_path),
            "base_sha256": self.base_hash,
            "base_saw_labels": self.saw_labels,
            "fusion_type": self.base.config.fusion_type,
            "classes": list(self.config.model.labels),
            "modalities": list(self.whole),
            "ways": example.n_way,
            "queries": asked.queries,
            "speaker_disjoint": example.speaker_disjoint,
            "seed": self.config.training.seed,
            "steps": asked.adaptation_steps,
            "episodes": asked.episodes,
            "dev_episodes": asked.dev_episodes,
            "rates": {name: METHODS[name].rates for name in self.methods},
            "titles": {name: METHODS[name].title for name in self.methods},
            "sizes": {name: getattr(self.config.model, name) for name in SIZES},
            "base_parameters": sum(p.numel() for p in self.base.parameters()),
        }


def readable(split: PreparedSplit) -> PreparedSplit:
    """The split with rows that have no modality at all taken for unlabelled, so that no episode draws them."""
    there = torch.tensor([any(len(t[i]) for t in split.tensors.values()) for i in range(len(split))])
    return replace(split, labels=split.truth().masked_fill(~there[:, None], float("nan")))
