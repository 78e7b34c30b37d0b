"""Frozen encoders in 8-bit integers: linear maps with a scale for each output of the weights and for each position of
what goes in, found on the way (vector-wise quantisation, Dettmers et al. 2022, arXiv:2208.07339, outliers apart).

About twice as quick as float32 on CPUs with VNNI and no bfloat16, at one to two percent of difference; what it gave on
which machine is in docs/performance.md. Shapes: N rows, I inputs, O outputs.
"""

import torch
from torch import Tensor, nn

from emobraid.encoders.adapters import layers_of

ROWS = 256  # that go through at once, and so stay in the processor's cache between the steps


class Int8Linear(nn.Module):
    """A linear map (..., I) -> (..., O) for inference."""

    weight: Tensor
    scale: Tensor
    bias: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", (weight / scale[:, None]).round().to(torch.int8).T.contiguous())  # (I, O)
        self.register_buffer("scale", scale)  # (O,)
        self.register_buffer("bias", torch.zeros_like(scale) if linear.bias is None else linear.bias.detach())

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        if not len(rows):
            return x.new_zeros(*x.shape[:-1], self.out_features)
        return torch.cat([self._rows(part) for part in rows.split(ROWS)]).view(*x.shape[:-1], self.out_features)

    def _rows(self, x: Tensor) -> Tensor:
        spread = (x.abs().amax(dim=1, keepdim=True) / 127).clamp_(min=1e-12)  # (N, 1)
        product = torch._int_mm((x / spread).round_().to(torch.int8), self.weight)  # (N, O) int32
        return product.float().mul_(spread).mul_(self.scale).add_(self.bias)


def quantise(model: nn.Module) -> nn.Module:
    """Replace the linear maps of a model's transformer layers; all else stays as it is."""
    for layer in layers_of(model):
        for name, linear in list(layer.named_modules()):
            # attention that takes the weights themselves, as WavLM's does, cannot be served
            if isinstance(linear, nn.Linear) and not _reads_weights(layer, name):
                parent, _, own = name.rpartition(".")
                setattr(layer.get_submodule(parent), own, Int8Linear(linear))
    return model


def _reads_weights(layer: nn.Module, name: str) -> bool:
    return "WavLM" in type(layer.get_submodule(name.rpartition(".")[0])).__name__ and "proj" in name
