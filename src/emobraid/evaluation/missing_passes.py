"""Models run on spoilt inputs: gaps inside the prepared streams, or noise on them.

Shapes: N utterances, B batch, T positions of a prepared stream, C classes.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emobraid.data.prepared import PreparedSplit
from emobraid.encoders.features import Features
from emobraid.evaluation.missing import ALL, noise, position_mask
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, present

NOTHING = -1  # as an answer: there was nothing to read

#: (rows of the split, their streams, level, draw) -> the same streams, spoilt
Damage = Callable[[range, Mapping[str, Stream], float, int], dict[str, Stream]]
Said = dict[tuple[str, float, int], NDArray[np.intp]]  # by part, level and draw: (N,) columns, or NOTHING


def gaps(split: PreparedSplit, seed: int) -> Damage:
    """Hide a share of the positions of every stream; the values stay where they are."""

    def spoil(rows: range, streams: Mapping[str, Stream], level: float, draw: int) -> dict[str, Stream]:
        spoilt = {}
        for modality, stream in streams.items():
            mask = stream.mask.clone()
            for own, i in zip(mask, rows, strict=True):
                length, name = len(split.tensors[modality][i]), split.samples[i].id
                hidden = position_mask(length, name, modality, rate=level, draw=draw, seed=seed)
                own[:length] &= torch.from_numpy(~hidden)
            spoilt[modality] = Stream(stream.values, mask)
        return spoilt

    return spoil


def noisy_modalities(model: MultimodalEmotionModel, split: PreparedSplit) -> tuple[str, ...]:
    """Those that noise has a meaning for: pictures and features. Words are no numbers, nor is a flag for a voice."""
    return tuple(
        modality
        for modality, encoder in model.by_modality().items()
        if split.tensors[modality]
        and split.tensors[modality][0].dtype != torch.int64
        and (isinstance(encoder, Features) or encoder.has_stem or split.tensors[modality][0].dtype == torch.uint8)
    )


def noised(split: PreparedSplit, modalities: Sequence[str], seed: int) -> Damage:
    """Add Gaussian noise to the streams of `modalities`, `level` spreads of the stream strong."""
    spreads = {m: spread(split.tensors[m]) for m in modalities}

    def spoil(rows: range, streams: Mapping[str, Stream], level: float, draw: int) -> dict[str, Stream]:
        spoilt = dict(streams)
        for modality, scale in spreads.items():
            values, mask = streams[modality]
            loud = values.float().clone()  # float() of floats is the same tensor, which other draws start from
            for own, i in zip(loud, rows, strict=True):
                clean = split.tensors[modality][i]
                sound = noise(tuple(clean.shape), split.samples[i].id, modality, draw=draw, seed=seed)
                own[: len(clean)] += level * scale * torch.from_numpy(sound)
            spoilt[modality] = Stream(loud.round().clamp(0, 255).byte() if values.dtype == torch.uint8 else loud, mask)
        return spoilt

    return spoil


def spread(tensors: Sequence[Tensor]) -> Tensor:
    """Standard deviation over all positions of a split: of each column of features, of all pixels of pictures."""
    there = [t.double() for t in tensors if len(t)]
    if not there:
        return torch.ones(())
    axes = tuple(range(there[0].dim())) if tensors[0].dtype == torch.uint8 else (0,)
    counts = sum(t.numel() if len(axes) > 1 else len(t) for t in there)
    mean = torch.stack([t.sum(dim=axes) for t in there]).sum(dim=0) / counts
    square = torch.stack([(t - mean).square().sum(dim=axes) for t in there]).sum(dim=0) / counts
    return square.sqrt().float()


@torch.no_grad()
def read_spoilt(
    model: MultimodalEmotionModel,
    split: PreparedSplit,
    damage: Damage,
    parts: Sequence[str],
    *,
    levels: Sequence[float],
    draws: int,
    batch_size: int = 32,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> Said:
    """What the model answers with each of `parts` (a modality, or ALL) spoilt at each level and draw.

    The encoders run once for the clean streams and once for each level and draw: a part takes its streams from either.
    """
    model.eval()
    told: dict[tuple[str, float, int], list[NDArray[np.intp]]] = {}
    for start in range(0, len(split), batch_size):
        rows = range(start, min(start + batch_size, len(split)))
        streams = split.batch(rows).streams
        whole = model.encode(_on(streams, device))
        for draw in range(draws):
            for level in levels:
                spoilt = model.encode(_on(damage(rows, streams, level, draw), device))
                for part in parts:
                    mixed = spoilt if part == ALL else {**whole, part: spoilt[part]}
                    told.setdefault((part, level, draw), []).append(_answers(model, mixed))
        if progress:
            progress(rows.stop, len(split))
    return {key: np.concatenate(some) for key, some in told.items()}


def _on(streams: Mapping[str, Stream], device: torch.device | str) -> dict[str, Stream]:
    return {m: s.to(device) for m, s in streams.items()}


def _answers(model: MultimodalEmotionModel, encoded: Mapping[str, Stream]) -> NDArray[np.intp]:
    """(B,) the column of the largest logit, NOTHING where no modality is left."""
    largest = model.fuse(encoded).logits.argmax(dim=1)
    return largest.masked_fill(~present(encoded).any(dim=1), NOTHING).cpu().numpy().astype(np.intp)
