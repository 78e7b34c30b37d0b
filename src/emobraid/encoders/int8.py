"""Frozen encoders in 8-bit integers: linear maps with a scale for each output of the weights, and a scale and an offset
for each position of what goes in, found on the way (vector-wise quantisation, Dettmers et al. 2022, arXiv:2208.07339,
outliers apart).

What is no 8-bit product stays in float32, or goes through bfloat16 products where the processor has them: the class
token of a picture, which alone is kept and costs next to nothing; the maps that end the feed-forward blocks of words,
whose errors no later step averages; the convolutions of voice.

For CPUs with VNNI. Never taken unasked: learned weights have outliers, and what it costs in accuracy on a learned
encoder is in docs/performance.md with what it gains. Shapes: N rows, I inputs, O outputs.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.adapters import feed_forward_ends, layers_of
from emobraid.encoders.hub import Kind

ROWS = 600  # that go through at once: what lies between the steps stays small, the weights are seldom read again
NARROWEST = 1e-6  # a step, beside the lowest number: float32 tells no finer ones apart


class Int8Linear(nn.Module):
    """A linear map (..., I) -> (..., O) for inference; of (B, T, I) the first `exact` positions go through the map as
    it was, in `kind`."""

    weight: Tensor
    scale: Tensor
    edge: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear, *, exact: int = 0, kind: torch.dtype = torch.float32) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        whole = (weight / scale[:, None]).round()
        bias = torch.zeros_like(scale) if linear.bias is None else linear.bias.detach()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", whole.to(torch.int8).T.contiguous())  # (I, O)
        self.register_buffer("scale", scale)  # (O,)
        self.register_buffer("edge", whole.sum(dim=1) * scale)  # (O,) what an input of one everywhere gives
        self.register_buffer("bias", bias)  # (O,)
        self.exact, self.kind = exact, kind
        self.plain = RoundedLinear(linear, kind) if exact else None

    def forward(self, x: Tensor) -> Tensor:
        plain = self.plain if x.dim() == 3 else None
        if plain is not None and x.shape[1] <= self.exact:
            return plain(x)
        rows = x.reshape(-1, self.in_features)
        out = rows.new_empty(len(rows), self.out_features)
        most = min(ROWS, len(rows))
        numbers = rows.new_empty(most, self.in_features)
        whole = torch.empty_like(numbers, dtype=torch.int8)
        product = rows.new_empty(most, self.out_features, dtype=torch.int32)
        for part, place in zip(rows.split(ROWS), out.split(ROWS), strict=True):
            n = len(part)
            self._rows(part, place, numbers[:n], whole[:n], product[:n])
        out = out.view(*x.shape[:-1], self.out_features)
        if plain is not None:
            out[:, : self.exact] = plain(x[:, : self.exact])
        return out

    def _rows(self, x: Tensor, out: Tensor, numbers: Tensor, whole: Tensor, product: Tensor) -> None:
        """Values from lowest to highest of each row become -128..127: x is about step * whole + middle."""
        low = x.amin(dim=1, keepdim=True)
        step = ((x.amax(dim=1, keepdim=True) - low) / 255).clamp_(min=1e-12)  # (N, 1)
        step = torch.maximum(step, low.abs() * NARROWEST)
        middle = torch.add(low, step, alpha=128)
        whole.copy_(torch.sub(x, middle, out=numbers).mul_(1 / step).round_())
        out.copy_(torch._int_mm(whole, self.weight, out=product)).mul_(self.scale)
        torch.addcmul(self.bias, out, step, out=out).addr_(middle[:, 0], self.edge)


class RoundedLinear(nn.Module):
    """A linear map (..., I) -> (..., O) whose products are worked out in `kind`, for inference."""

    weight: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, kind: torch.dtype) -> None:
        super().__init__()
        self.register_buffer("weight", linear.weight.detach().to(kind))
        self.register_buffer("bias", None if linear.bias is None else linear.bias.detach().to(kind))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x.to(self.weight.dtype), self.weight, self.bias).to(x.dtype)


def quantise(model: Any, kind: Kind, *, half: bool) -> Any:
    """Replace the linear maps of a model's transformer layers; what stays exact goes through bfloat16 products if
    `half`."""
    rounded = torch.bfloat16 if half else torch.float32
    for layer in layers_of(model):
        spared = feed_forward_ends(layer, model.config) if half and kind == "text" else []
        for name, linear in list(layer.named_modules()):
            # attention that takes the weights themselves, as WavLM's does, cannot be served
            if not isinstance(linear, nn.Linear) or _reads_weights(layer, name):
                continue
            made: nn.Module = RoundedLinear(linear, rounded)
            if name not in spared:
                made = Int8Linear(linear, exact=1 if kind == "video" else 0, kind=rounded)
            parent, _, own = name.rpartition(".")
            setattr(layer.get_submodule(parent), own, made)
    if half and hasattr(model, "feature_extractor"):
        model.feature_extractor.bfloat16()
    return model


def _reads_weights(layer: nn.Module, name: str) -> bool:
    return "WavLM" in type(layer.get_submodule(name.rpartition(".")[0])).__name__ and "proj" in name
