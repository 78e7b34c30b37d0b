"""Frozen encoders in 8-bit integers: linear maps with a scale for each output of the weights, and a scale and an offset
for each position of what goes in, found on the way (vector-wise quantisation, Dettmers et al. 2022, arXiv:2208.07339,
outliers apart).

For CPUs with VNNI and no bfloat16. Never taken unasked: learned weights have outliers, and what it costs in accuracy on
a learned encoder is in docs/performance.md with what it gains. Shapes: N rows, I inputs, O outputs.
"""

import torch
from torch import Tensor, nn

from emobraid.encoders.adapters import layers_of

ROWS = 1024  # that go through at once: what lies between the steps stays small, the weights are seldom read again


class Int8Linear(nn.Module):
    """A linear map (..., I) -> (..., O) for inference."""

    weight: Tensor
    scale: Tensor
    edge: Tensor

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        weight = linear.weight.detach()
        scale = (weight.abs().amax(dim=1) / 127).clamp(min=1e-12)
        whole = (weight / scale[:, None]).round()
        bias = torch.zeros_like(scale) if linear.bias is None else linear.bias.detach()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("weight", whole.to(torch.int8).T.contiguous())  # (I, O)
        self.register_buffer("scale", scale)  # (O,)
        # what an input of one everywhere gives, and what every input gets
        self.register_buffer("edge", torch.stack([whole.sum(dim=1) * scale, bias]))  # (2, O)

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, self.in_features)
        out = x.new_empty(len(rows), self.out_features)
        for part, place in zip(rows.split(ROWS), out.split(ROWS), strict=True):
            self._rows(part, place)
        return out.view(*x.shape[:-1], self.out_features)

    def _rows(self, x: Tensor, out: Tensor) -> None:
        """Values from lowest to highest of each row become -128..127: x is about step * whole + middle."""
        low = x.amin(dim=1, keepdim=True)
        step = ((x.amax(dim=1, keepdim=True) - low) / 255).clamp_(min=1e-12)  # (N, 1)
        middle = torch.add(low, step, alpha=128)
        whole = torch.addcmul(-middle / step, x, 1 / step).round_().to(torch.int8)
        product = torch._int_mm(whole, self.weight).float().mul_(step).mul_(self.scale)  # (N, O)
        torch.addmm(product, torch.cat([middle, torch.ones_like(middle)], dim=1), self.edge, out=out)


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
