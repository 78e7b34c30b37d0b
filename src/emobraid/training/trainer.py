"""One trainer for every recipe: AdamW, warmup and cosine, clipping, early stopping on validation macro-F1.

It is given training and validation data only; it has no way to the test split.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from accelerate import Accelerator
from torch import Tensor, nn

from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.prepared import PreparedSplit, training_order
from emobraid.encoders.pretrained import Tower
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.metrics import macro_f1
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, drop_modalities
from emobraid.training import state
from emobraid.training.log import MetricsLog
from emobraid.training.objectives import Classification, labelled, weighted_losses
from emobraid.training.signals import Interrupted, StopRequests
from emobraid.training.state import Standing


class NonFiniteLoss(ArithmeticError):
    """Training met a loss or gradient that is not a number; nothing was overwritten."""


class Watcher(Protocol):
    """Somebody who looks on: a progress bar, TensorBoard."""

    def step(self, standing: Standing, values: Mapping[str, float]) -> None: ...

    def epoch(self, standing: Standing, values: Mapping[str, float]) -> None: ...


def class_weights(labels: Tensor, weighting: bool) -> Tensor:
    """(C,) mean 1 over the labelled rows: inverse square root of frequency; 1 for a class without rows."""
    counts = labels[labelled(labels)].sum(dim=0)
    if not weighting:
        return torch.ones_like(counts)
    weights = torch.where(counts > 0, counts.clamp(min=1).rsqrt(), 0.0)
    mean = (weights * counts).sum() / counts.sum().clamp(min=1)
    return torch.where(counts > 0, weights / mean.clamp(min=1e-9), 1.0)


def schedule(step: int, total: int, warmup: float) -> float:
    """Share of the peak learning rate: linear warmup, then a cosine to zero (Loshchilov & Hutter 2017)."""
    rise = max(1, round(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, total - rise)))


def optimizer_for(model: nn.Module, config: Config, *, fused: bool) -> torch.optim.AdamW:
    """AdamW; biases, gains and other vectors do not decay. Weights inside pretrained encoders have their own rate."""
    settings = config.training
    tuned = {id(p) for tower in model.modules() if isinstance(tower, Tower) for p in tower.parameters()}
    by_kind: dict[tuple[float, float], list[nn.Parameter]] = {}
    for p in model.parameters():
        if p.requires_grad:
            peak = settings.encoder_learning_rate if id(p) in tuned else settings.learning_rate
            by_kind.setdefault((peak, settings.weight_decay if p.dim() >= 2 else 0.0), []).append(p)
    groups = [{"params": some, "peak": peak, "weight_decay": decay} for (peak, decay), some in by_kind.items()]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, fused=fused)


@dataclass(frozen=True)
class Outcome:
    best_epoch: int
    best_macro_f1: float
    steps: int


class Trainer:
    """Trains `model` on `train`, choosing by `val`, inside `folder`. `resume` first, to go on."""

    def __init__(
        self,
        model: MultimodalEmotionModel,
        train: PreparedSplit,
        val: PreparedSplit,
        config: Config,
        folder: Path,
        *,
        loss_weights: Mapping[str, float],
        on_best: "BestHook",
        watchers: Sequence[Watcher] = (),
    ) -> None:
        self.config, self.folder, self.train, self.val = config, folder, train, val
        self.loss_weights, self.on_best, self.watchers = loss_weights, on_best, watchers
        settings = config.training
        self.accelerator = Accelerator(cpu=settings.device == "cpu", mixed_precision=settings.mixed_precision)
        self.raw_model = model
        for tower in model.towers().values():
            if settings.gradient_checkpointing:
                tower.checkpoint_gradients()
            if settings.compile:
                tower.compile_layers()
        self.model, self.optimizer = self.accelerator.prepare(model, optimizer_for(model, config, fused=True))
        self.classification = Classification(
            class_weights(train.labels, settings.class_weighting), settings.label_smoothing
        )
        self.lengths = train.lengths()
        self.steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        self.total_steps = self.steps_per_epoch * settings.num_epochs
        self.standing = Standing()

    def resume(self, saved: state.Saved) -> None:
        """Take over a saved state: weights, moments, place in the data."""
        checkpoint.check_bases(self.raw_model, {"bases.json": saved.bases}, self.folder)
        checkpoint.load_weights(self.raw_model, saved.weights, self.folder)
        state.restore_optimizer(self.optimizer.optimizer, saved.moments)
        self.standing = saved.standing

    def fit(self) -> Outcome:
        """Train to the end, or until a stop is asked for (Interrupted), saving on the way."""
        settings = self.config.training
        self.log = MetricsLog(self.folder / "metrics.jsonl", self.standing.log_bytes)
        try:
            if not self.standing.step:
                self._save()  # from here on, a run that is killed can be resumed
            with StopRequests() as stop:
                while self.standing.epoch < settings.num_epochs and not self.standing.stopped:
                    self._epoch(stop)
        finally:
            self.log.close()
        return Outcome(self.standing.best_epoch, self.standing.best_score, self.standing.step)

    def _epoch(self, stop: StopRequests) -> None:
        now, settings = self.standing, self.config.training
        order = training_order(self.lengths, settings.batch_size, seed=settings.seed, epoch=now.epoch)
        for index in order[now.batch :]:
            self._step(self.train.batch(index))
            if stop.number is not None and now.batch < len(order):
                self._save()
                raise Interrupted(stop.number)
            if now.step % settings.save_every == 0 and now.batch < len(order):
                self._save()
        self._validate()
        self._save()
        if stop.number is not None:
            raise Interrupted(stop.number)

    def _step(self, batch: Batch) -> None:
        now, settings = self.standing, self.config.training
        share = schedule(now.step, self.total_steps, settings.warmup)
        rate = settings.learning_rate * share
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        losses = self._losses(batch)
        loss = torch.stack(list(losses.values())).sum()
        self.optimizer.zero_grad()
        self.accelerator.backward(loss)
        norm = float(self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm))
        if not (math.isfinite(norm) and bool(loss.isfinite())):
            raise NonFiniteLoss(
                f"loss {loss.item()}, gradient norm {norm} at step {now.step} (learning rate {rate:.2e}), batch: "
                f"{', '.join(batch.ids)}; nothing was overwritten. Try a smaller learning_rate"
            )
        self.optimizer.step()
        now.step, now.batch, now.loss_sum = now.step + 1, now.batch + 1, now.loss_sum + loss.item()
        values = {"loss": loss.item(), **{k: v.item() for k, v in losses.items()}, "lr": rate, "grad_norm": norm}
        self.log.write(step=now.step, epoch=now.epoch, **values)
        for watcher in self.watchers:
            watcher.step(now, values)

    def _losses(self, batch: Batch) -> dict[str, Tensor]:
        """The student sees the varied batch with modalities dropped; the objectives see the untouched labels."""
        settings, now = self.config.training, self.standing
        self.model.train()
        # everything random in a step follows from the seed and the step alone
        torch.manual_seed(settings.seed * 1_000_003 + now.step)
        generator = torch.Generator().manual_seed(settings.seed * 1_000_003 + now.step)
        seen = batch.to(self.accelerator.device)
        if settings.augment:
            seen = self.raw_model.augment(seen, generator)
        streams = drop_modalities(seen.streams, settings.modality_dropout, generator)
        with self.accelerator.autocast():
            prediction = self.model(streams)
        return weighted_losses(prediction, seen, self.classification, self.loss_weights)

    def _validate(self) -> None:
        """Score the validation split; a better macro-F1 (or the same with a lower loss) is the new best."""
        now, settings = self.standing, self.config.training
        scores = self._scores()
        values = {"train_loss": now.loss_sum / max(1, now.batch), **scores}
        better = (scores["val_macro_f1"], -scores["val_loss"]) > (now.best_score, -now.best_loss)
        if better:
            now.best_score, now.best_loss, now.best_epoch = scores["val_macro_f1"], scores["val_loss"], now.epoch
            self.on_best(self.raw_model, now)
        self.log.write(step=now.step, epoch=now.epoch, **values, best=better)
        for watcher in self.watchers:
            watcher.epoch(now, values)
        now.stopped = now.epoch - now.best_epoch >= settings.patience
        now.epoch, now.batch, now.loss_sum = now.epoch + 1, 0, 0.0

    def _scores(self) -> dict[str, float]:
        device = self.accelerator.device
        try:
            read = predict_split(self.raw_model, self.val, whole_only=True, batch_size=64, device=device)
        except ValueError as error:  # the table of predictions refuses what is not finite, and names the row
            raise NonFiniteLoss(
                f"validation after step {self.standing.step}: {error}; nothing was overwritten. "
                "Try a smaller learning_rate"
            ) from None
        logits = torch.from_numpy(read.logits[read.full])
        labels = torch.from_numpy(read.labels).to(logits.dtype)
        counted = labelled(labels)
        loss = self.classification.loss(logits, labels, counted).item()
        truth = labels[counted].argmax(dim=-1).numpy()
        guessed = logits[counted].argmax(dim=-1).numpy()
        return {
            "val_loss": loss,
            "val_macro_f1": float(macro_f1(truth, guessed, labels.shape[1])),
            "val_accuracy": float(np.mean(truth == guessed)) if len(truth) else 0.0,
        }

    def _save(self) -> None:
        self.standing.log_bytes = self.log.sync()
        state.save_standing(self.folder / "resume", self.standing, self.raw_model, self.optimizer, self.config)


class BestHook(Protocol):
    def __call__(self, model: MultimodalEmotionModel, standing: Standing) -> None: ...
