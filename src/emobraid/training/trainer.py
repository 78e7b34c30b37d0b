"""One trainer for every recipe: AdamW, warmup and cosine, clipping, early stopping on validation macro-F1.

It is given training and validation data only; it has no way to the test split.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.prepared import PreparedSplit, training_order
from emobraid.evaluation.inference import predict_split
from emobraid.evaluation.missing import Plan
from emobraid.evaluation.missing_benchmark import benchmark
from emobraid.evaluation.missing_scores import contender
from emobraid.model import MultimodalEmotionModel
from emobraid.training import state
from emobraid.training.flow import EVERY, gradient_flow
from emobraid.training.guidance import Guide
from emobraid.training.lesson import Lesson
from emobraid.training.log import MetricsLog, NoLog
from emobraid.training.memory import told_what_fits
from emobraid.training.objectives import classification_for
from emobraid.training.optimization import schedule
from emobraid.training.processes import agreed, as_the_first
from emobraid.training.selection import pretraining_scores, validation_scores
from emobraid.training.sharding import Sharding, spread_out
from emobraid.training.signals import Interrupted, StopRequests
from emobraid.training.state import BestHook, Standing, Watcher


class NonFiniteLoss(ArithmeticError):
    """Training met a loss or gradient that is not a number; nothing was overwritten."""


@dataclass(frozen=True)
class Outcome:
    best_epoch: int
    best_macro_f1: float
    steps: int
    step_seconds: float = float("nan")  # the mean over the steps of this start
    best_model: Path | None = None  # its folder, once a whole run has ended


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
        on_best: BestHook,
        guide: Guide | None = None,
        watchers: Sequence[Watcher] = (),
        sharding: Sharding = "none",
    ) -> None:
        self.config, self.folder, self.train, self.val = config, folder, train, val
        self.on_best, self.watchers = on_best, watchers
        settings = config.training
        # a modality may be missing from a whole share, and its encoder then has no gradient there
        unused = DistributedDataParallelKwargs(find_unused_parameters=True)
        self.accelerator = Accelerator(
            cpu=settings.device == "cpu", mixed_precision=settings.mixed_precision, kwargs_handlers=[unused]
        )
        self.raw_model, self.sharded = model, sharding == "fsdp"
        self.model, self.optimizer, self.reader = spread_out(model, config, self.accelerator, sharding)
        self.classification = classification_for(
            config.model.label_kind,
            train.labels,
            weighting=settings.class_weighting,
            smoothing=settings.label_smoothing,
        )
        self.lesson = Lesson(
            model=model, config=config, classification=self.classification, weights=loss_weights, guide=guide
        )
        self.lengths = train.lengths()
        self.steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        self.total_steps = self.steps_per_epoch * settings.num_epochs
        self.pretraining_steps = self.steps_per_epoch * min(settings.pretrain_epochs, settings.num_epochs)
        data = f"{train.fingerprint()} {val.fingerprint()}"
        self.standing = Standing(processes=self.accelerator.num_processes, data=data)

    def resume(self, saved: state.Saved) -> None:
        """Take over a saved state: weights, moments, place in the data; ValueError when the data are others now."""
        state.refuse_other_data(saved.standing, self.standing, self.folder)
        checkpoint.check_bases(self.raw_model, {"bases.json": saved.bases}, self.folder)
        checkpoint.load_weights(self.raw_model, saved.weights, self.folder)
        state.restore_optimizer(self.optimizer.optimizer, saved.moments)
        now = self.standing
        self.standing = replace(saved.standing, processes=now.processes, data=now.data)

    def fit(self) -> Outcome:
        """Train to the end, or until a stop is asked for (Interrupted), saving on the way."""
        settings = self.config.training
        # the other processes compute the same and write nothing
        log = MetricsLog if self.accelerator.is_main_process else NoLog
        self.log = log(self.folder / "metrics.jsonl", self.standing.log_bytes)
        self.seconds, first = 0.0, self.standing.step
        try:
            if not self.standing.step:
                self._save()  # from here on, a run that is killed can be resumed
            with told_what_fits(self.standing, self.config, self.folder), StopRequests() as stop:
                while self.standing.epoch < settings.num_epochs and not self.standing.stopped:
                    self._epoch(stop)
        finally:
            self.log.close()
        now = self.standing
        each = self.seconds / (now.step - first) if now.step > first else float("nan")
        return Outcome(now.best_epoch, now.best_score, now.step, each)

    def _epoch(self, stop: StopRequests) -> None:
        now, settings = self.standing, self.config.training
        order = training_order(self.lengths, settings.batch_size, seed=settings.seed, epoch=now.epoch)
        for index in order[now.batch :]:
            started = time.perf_counter()
            self._step(index)
            self.seconds += time.perf_counter() - started
            stopped = agreed(stop.number, self.accelerator.state)
            if stopped is not None and now.batch < len(order):
                self._save()
                raise Interrupted(stopped)
            if now.step % settings.save_every == 0 and now.batch < len(order):
                self._save()
        self._validate()
        self._save()
        if (stopped := agreed(stop.number, self.accelerator.state)) is not None:
            raise Interrupted(stopped)

    def _stage(self) -> tuple[int, int, bool]:
        """Steps done in this stage, steps of the stage, and whether it is the one without labels."""
        if self.standing.step < self.pretraining_steps:
            return self.standing.step, self.pretraining_steps, True
        return self.standing.step - self.pretraining_steps, self.total_steps - self.pretraining_steps, False

    def _step(self, index: Sequence[int]) -> None:
        now, settings = self.standing, self.config.training
        done, of, pretraining = self._stage()
        share = schedule(done, of, settings.warmup)
        rate = settings.learning_rate * share
        for group in self.optimizer.param_groups:
            group["lr"] = group["peak"] * share
        self.model.train()
        self.optimizer.zero_grad()
        losses = self.lesson.gradient(
            self.reader,
            self.train,
            index,
            self.accelerator,
            step=now.step,
            progress=done / of,
            pretraining=pretraining,
        )
        loss = torch.stack(list(losses.values())).sum()
        flow = gradient_flow(self.raw_model) if (now.step + 1) % EVERY == 0 else {}
        norm = float(checkpoint.whole(self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm)))
        if not (math.isfinite(norm) and bool(loss.isfinite())):
            raise NonFiniteLoss(
                f"loss {loss.item()}, gradient norm {norm} at step {now.step} (learning rate {rate:.2e}), batch: "
                f"{', '.join(self.train.samples[i].id for i in index)}; nothing was overwritten. "
                "Try a smaller learning_rate"
            )
        self.optimizer.step()
        now.step, now.batch, now.loss_sum = now.step + 1, now.batch + 1, now.loss_sum + loss.item()
        values = {"loss": loss.item(), **{k: v.item() for k, v in losses.items()}, "lr": rate, "grad_norm": norm}
        self.log.write(step=now.step, epoch=now.epoch, **values, **flow)
        for watcher in self.watchers:
            watcher.step(now, values | flow)

    def _validate(self) -> None:
        """Score the validation split; a better macro-F1 (or the same with a lower loss) is the new best."""
        now, settings = self.standing, self.config.training
        if now.epoch < settings.pretrain_epochs:
            self._validate_pretraining()
            return
        scores = as_the_first(self._scores(), self.accelerator.state)
        values = {"train_loss": now.loss_sum / max(1, now.batch), **scores}
        better = (scores["val_macro_f1"], -scores["val_loss"]) > (now.best_score, -now.best_loss)
        if better:
            now.best_score, now.best_loss, now.best_epoch = scores["val_macro_f1"], scores["val_loss"], now.epoch
            self.on_best(self.raw_model, now)
        self._tell(values, better)
        now.stopped = now.epoch - now.best_epoch >= settings.patience
        now.epoch, now.batch, now.loss_sum = now.epoch + 1, 0, 0.0

    def _validate_pretraining(self) -> None:
        """The stage without labels: a lower loss is the new best; what follows begins with nothing to beat."""
        now, settings = self.standing, self.config.training
        found = pretraining_scores(self.raw_model, self.val, self.accelerator.device)
        scores = as_the_first(found, self.accelerator.state)
        values = {"train_loss": now.loss_sum / max(1, now.batch), **scores}
        better = scores["val_belonging"] < now.best_loss
        if better:
            now.best_score, now.best_loss, now.best_epoch = (
                scores["val_recall_at_10"],
                scores["val_belonging"],
                now.epoch,
            )
            self.on_best(self.raw_model, now)
        self._tell(values, better)
        now.epoch, now.batch, now.loss_sum = now.epoch + 1, 0, 0.0
        if now.epoch == settings.pretrain_epochs < settings.num_epochs:
            now.best_score, now.best_loss, now.best_epoch = -1.0, float("inf"), now.epoch - 1

    def _tell(self, values: Mapping[str, float], better: bool) -> None:
        now = self.standing
        self.log.write(step=now.step, epoch=now.epoch, **values, best=better)
        for watcher in self.watchers:
            watcher.epoch(now, values)

    def _scores(self) -> dict[str, float]:
        try:
            device = self.accelerator.device
            read = predict_split(self.raw_model, self.val, whole_only=True, batch_size=64, device=device)
            return validation_scores(read, self.classification)
        except ValueError as error:  # the table of predictions refuses what is not finite, and names the row
            raise NonFiniteLoss(
                f"validation after step {self.standing.step}: {error}; nothing was overwritten. "
                "Try a smaller learning_rate"
            ) from None

    def evaluate_robustness(self, *, draws: int = 10, frame_draws: int = 3, seed: int = 0) -> list[dict[str, Any]]:
        """The missing-modality benchmark on VALIDATION, one row a scenario: see docs/robustness.md for the columns."""
        if self.sharded:
            raise ValueError("weights are shared out here: load best_model in one process to evaluate it")
        device, plan = self.accelerator.device, Plan(draws=draws, frame_draws=frame_draws, seed=seed)
        read = predict_split(self.raw_model, self.val, device=device)
        own = contender(self.config.model.fusion_type, self.raw_model, self.val, read, self.train.labels)
        rows: list[dict[str, Any]] = benchmark([own], plan, device=device)["rows"]
        return rows

    def _save(self) -> None:
        self.standing.log_bytes = self.log.sync()
        writes, folder = self.accelerator.is_main_process, self.folder / "resume"
        if writes or self.sharded:
            state.save_standing(folder, self.standing, self.raw_model, self.optimizer, self.config, writes=writes)
