"""What robust training does to an utterance besides hiding whole modalities: holes, noise, blur.

Shapes: B batch, T time, H height, W width.
"""

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from emobraid.stream import Stream


def corrupt(
    streams: Mapping[str, Stream], generator: torch.Generator, *, holes: float, noise: float, blur: float
) -> dict[str, Stream]:
    """The same streams spoilt, each sample and stream by an amount of its own.

    `holes` is the largest share of positions hidden (words, frames, moments of sound), never all of a stream; `noise`
    the largest Gaussian noise in spreads of the stream; `blur` the chance that a clip's pictures are blurred. Word
    numbers take no noise. Draws are made on the CPU, so they are the same on any device.
    """
    spoilt = dict(streams)
    for amount, spoil in ((holes, with_holes), (noise, noisy), (blur, blurred)):
        if amount:
            spoilt = {m: spoil(stream, amount, generator) for m, stream in spoilt.items()}
    return spoilt


def with_holes(stream: Stream, most: float, generator: torch.Generator) -> Stream:
    """Each sample loses a share of its positions, drawn between nothing and `most`; one position always stays."""
    size = tuple(stream.mask.shape)
    share = most * torch.rand(size[0], 1, generator=generator)
    kept = (torch.rand(size, generator=generator) >= share).to(stream.mask.device)
    mask = stream.mask & kept
    return Stream(stream.values, torch.where(mask.any(dim=1, keepdim=True), mask, stream.mask))


def noisy(stream: Stream, most: float, generator: torch.Generator) -> Stream:
    """Each sample gets Gaussian noise of a strength drawn between nothing and `most` spreads: of all pixels in
    pictures, of each feature in other streams (B, T, ...), as features may have units of their own."""
    values, mask = stream
    if not mask.any() or (not values.is_floating_point() and values.dtype != torch.uint8):
        return stream
    real = values[mask].float()  # (positions, ...)
    spread = real.std(correction=0) if values.dtype == torch.uint8 else real.std(dim=0, correction=0)
    strength = most * torch.rand(len(values), *[1] * (values.dim() - 1), generator=generator)
    noise = torch.randn(values.shape, generator=generator)
    louder = values.float() + (strength * noise).to(values.device) * spread
    return Stream(_as_before(louder, values.dtype), mask)


def blurred(stream: Stream, chance: float, generator: torch.Generator) -> Stream:
    """Pictures, which are uint8 (B, T, H, W) or (B, T, H, W, 3), averaged three times over 3 x 3 neighbours."""
    values, mask = stream
    if values.dtype != torch.uint8 or values.dim() < 4 or not values.numel():
        return stream
    chosen = (torch.rand(len(values), generator=generator) < chance).to(values.device)
    coloured = values.dim() == 5
    soft = (values.movedim(-1, 2) if coloured else values[:, :, None]).flatten(0, 1).float()  # (B * T, channels, H, W)
    for _ in range(3):
        soft = avg_pool2d(soft, 3, stride=1, padding=1, count_include_pad=False)
    soft = soft.unflatten(0, values.shape[:2])
    soft = _as_before(soft.movedim(2, -1) if coloured else soft[:, :, 0], values.dtype)
    return Stream(torch.where(chosen[(..., *[None] * (values.dim() - 1))], soft, values), mask)


def _as_before(values: Tensor, kind: torch.dtype) -> Tensor:
    return values.round().clamp(0, 255).to(kind) if kind == torch.uint8 else values.to(kind)
