"""What one step asks of the model: which view of a batch it sees, and what its reading is held against.

A regime is a set of numbers here: modality dropout and corruption make the view; labels, a teacher, the whole
utterance, or what belongs together without any label make the losses.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import torch
from accelerate import Accelerator
from torch import Tensor

from emobraid.config import Config
from emobraid.data.prepared import PreparedSplit
from emobraid.encoders.acoustics import as_others
from emobraid.fusion import Fused
from emobraid.fusion.base import every_tensor
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Batch, Stream, drop_modalities, present
from emobraid.training.corruption import corrupt
from emobraid.training.guidance import Guide, guided_losses, reconstruction, towards_logits
from emobraid.training.objectives import Affect, Classification, belonging, weighted_losses
from emobraid.training.processes import Shares, touched
from emobraid.training.subset_views import chances, every_view, view_losses, whole

BY_LABELS = ("classification", "unimodal", "members", "whole")  # what a teacher may stand in for
STRIDE = 1_000_003  # a prime between the seeds of two runs, more than there are steps in one


class Reader(Protocol):
    """The model, or what wraps it on several devices."""

    def __call__(self, streams: Mapping[str, Stream], views: Tensor | None = None) -> Fused: ...


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """The losses of a step. `guide` holds a teacher's reading of every training utterance."""

    model: MultimodalEmotionModel
    config: Config
    classification: Classification
    weights: Mapping[str, float]
    guide: Guide | None = None

    def gradient(
        self,
        reader: Reader,
        train: PreparedSplit,
        index: Sequence[int],
        accelerator: Accelerator,
        *,
        step: int,
        progress: float,
        pretraining: bool,
    ) -> dict[str, Tensor]:
        """The losses of the utterances at `index`, their gradient left in the weights; read in pieces where the
        settings ask for it, each weighing what its share of the batch weighs."""
        total: dict[str, Tensor] = {}
        pieces = torch.tensor(index).tensor_split(min(self.config.training.accumulate, len(index)))
        for part, piece in enumerate(pieces):
            places = piece.tolist()
            losses = self.losses(
                reader,
                train.batch(places).to(accelerator.device),
                places,
                step=step,
                progress=progress,
                pretraining=pretraining,
                autocast=accelerator.autocast(),
                part=part,
            )
            losses = {name: loss * len(places) / len(index) for name, loss in losses.items()}
            accelerator.backward(torch.stack(list(losses.values())).sum())
            total = {name: loss.detach() + total.get(name, 0.0) for name, loss in losses.items()}
        return total

    def losses(
        self,
        reader: Reader,
        batch: Batch,
        index: Sequence[int],
        *,
        step: int,
        progress: float,
        pretraining: bool,
        autocast: AbstractContextManager[None],
        part: int = 0,
    ) -> dict[str, Tensor]:
        """Every loss of `batch` by name, weighted; everything random follows from the seed, `step` and `part` alone.

        `index` are the batch's places in the training split, `progress` (0 to 1) how far training has come; `part`
        tells the pieces apart in which a step may accumulate its gradient.
        """
        seed = self.config.training.seed * STRIDE + step + part * STRIDE**2
        torch.manual_seed(seed)
        with autocast:
            read, led, share = self._read(reader, batch, seed, 0.0 if pretraining else self.dropout_rate(progress))
        if pretraining:
            losses = {"belonging": belonging(read.embeddings, read.present)}
        elif share is None:
            losses = self._supervised(read, led, batch, index)
        else:
            losses = self._over_subsets(read, share, batch, index)
        if not isinstance(reader, Shares):
            return losses
        first = next(iter(losses))
        return losses | {first: losses[first] + touched(read)}

    def _read(self, reader: Reader, batch: Batch, seed: int, rate: float) -> tuple[Fused, Fused | None, Tensor | None]:
        """The reading, the one that it is led towards, and, of a reading with every subset of the modalities, how much
        each of them counts (B, V)."""
        if rate and self.config.training.subset_views == "all":
            seen = self._varied(self._spoilt(batch, seed), torch.Generator().manual_seed(seed)).streams
            views = every_view(self.config.model.modalities)
            share = chances(present(seen).cpu(), views, rate).to(batch.labels.device)
            return reader(seen, views), None, share
        view, entire = self._views(batch, seed, rate)
        if entire is None:
            return reader(view), None, None
        return *halves(reader(beside(view, entire))), None

    def _over_subsets(self, read: Fused, share: Tensor, batch: Batch, index: Sequence[int]) -> dict[str, Tensor]:
        """The losses of every subset; a teacher leads the reading of the whole."""
        losses = view_losses(
            read,
            batch,
            share,
            self.classification,
            self.weights,
            self._affect(),
            consistency=self.config.training.consistency_weight,
            exclusive=self.exclusive,
        )
        return self._led(losses, whole(read), index)

    @property
    def exclusive(self) -> bool:
        """Whether an utterance has one class."""
        return self.config.model.label_kind == "exclusive"

    def dropout_rate(self, progress: float) -> float:
        """The chance that a modality is hidden at this point of training."""
        settings = self.config.training
        rising = settings.modality_dropout_schedule == "rising"
        return settings.modality_dropout * (min(1.0, 2 * progress) if rising else 1.0)

    def _views(self, batch: Batch, seed: int, rate: float) -> tuple[dict[str, Stream], dict[str, Stream] | None]:
        """What the model sees, and beside it the same utterances whole where a reading of them is wanted."""
        generator = torch.Generator().manual_seed(seed)
        view = drop_modalities(self._varied(self._spoilt(batch, seed), generator).streams, rate, generator)
        if not self.config.training.consistency_weight:
            return view, None
        # the same seed: both views are varied alike, and differ only in what is hidden or spoilt
        return view, self._varied(batch, torch.Generator().manual_seed(seed)).streams

    def _spoilt(self, batch: Batch, seed: int) -> Batch:
        settings = self.config.training
        strength = {"holes": settings.position_dropout, "noise": settings.input_noise, "blur": settings.blur}
        if not any(strength.values()):
            return batch
        return batch._replace(streams=corrupt(batch.streams, torch.Generator().manual_seed(seed), **strength))

    def _varied(self, batch: Batch, generator: torch.Generator) -> Batch:
        if most := self.config.training.voice_change:
            heard = batch.streams["audio"]
            changed = Stream(as_others(heard.values, most, generator), heard.mask)
            batch = batch._replace(streams=batch.streams | {"audio": changed})
        return self.model.augment(batch, generator) if self.config.training.augment else batch

    def _supervised(self, read: Fused, led: Fused | None, batch: Batch, index: Sequence[int]) -> dict[str, Tensor]:
        settings = self.config.training
        losses = weighted_losses(read, batch, self.classification, self.weights, self._affect())
        if led is not None:
            losses["classification"] = losses["classification"] / 2
            losses["whole"] = self.classification(led, batch) / 2
            gap = towards_logits(read.logits, led.logits.detach(), exclusive=self.exclusive)
            losses["consistency"] = settings.consistency_weight * gap
        return self._led(losses, read, index)

    def _affect(self) -> Affect | None:
        return None if self.model.affect is None else Affect(self.model.affect.scale)

    def _led(self, losses: dict[str, Tensor], read: Fused, index: Sequence[int]) -> dict[str, Tensor]:
        """The losses with those towards what was there, and towards a teacher, beside them."""
        settings, taught = self.config.training, self.config.distillation
        if settings.reconstruction_weight and read.imagined is not None:
            losses["reconstruction"] = settings.reconstruction_weight * reconstruction(read.imagined, read.present)
        if self.guide is not None:
            losses = {n: loss * (taught.label_weight if n in BY_LABELS else 1.0) for n, loss in losses.items()}
            guide = self.guide.rows(torch.as_tensor(index)).to(read.logits.device)
            losses |= guided_losses(
                read,
                guide,
                teaching(self.config),
                temperature=taught.distillation_temperature,
                exclusive=self.exclusive,
            )
        return losses


def teaching(config: Config) -> dict[str, float]:
    """The weights of the losses towards a teacher, by name."""
    taught = config.distillation
    return {
        "logit": taught.logit_weight,
        "feature": taught.feature_weight,
        "relation": taught.relation_weight,
        "attention": taught.attention_weight,
    }


def beside(one: Mapping[str, Stream], other: Mapping[str, Stream]) -> dict[str, Stream]:
    """Two views of a batch as one batch, so that one pass reads both."""
    return {
        m: Stream(torch.cat([s.values, other[m].values]), torch.cat([s.mask, other[m].mask])) for m, s in one.items()
    }


def halves(read: Fused) -> tuple[Fused, Fused]:
    """The readings of the two views that `beside` put together."""

    return every_tensor(read, lambda x: x.chunk(2)[0]), every_tensor(read, lambda x: x.chunk(2)[1])
