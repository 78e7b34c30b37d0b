"""A trained model taught new classes from a few utterances, itself left as it is.

Shapes: B batch, T time, M modalities, D fusion width, P prompts, W = (M + 1) * D reading, C classes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.config import ModelConfig
from emobraid.fusion import Fused
from emobraid.fusion.added import reading
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.optimization import schedule

STEPS, RATE, WARMUP = 20, 3e-3, 0.1
HEAD_RATE = 10.0  # the head is new, all else begins as no change: it learns this much faster
SCALE = 10.0  # what cosines are multiplied by at first, so that a softmax of them can be sure


def by_class(labels: Tensor, classes: int) -> list[Tensor]:
    """The rows of each class."""
    return [(labels == c).nonzero().squeeze(1) for c in range(classes)]


def nearness(readings: Tensor, prototypes: Tensor) -> Tensor:
    """(B, W) and (C, W) -> minus the squared distances (B, C)."""
    return -(readings[:, None] - prototypes[None]).square().sum(dim=-1)


class CosineHead(nn.Module):
    """Classes as directions from the centre of what was taught; a logit is a cosine, times a learned scale.

    It begins with the class means (imprinted weights, Qi et al. 2018, arXiv:1712.07136), centred and of unit length
    (SimpleShot, Wang et al. 2019, arXiv:1911.04623), and so as a nearest class mean.
    """

    centre: Tensor

    def __init__(self, width: int, classes: int) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(width))
        self.weight = nn.Parameter(torch.zeros(classes, width))
        self.scale = nn.Parameter(torch.tensor(SCALE))

    @torch.no_grad()
    def imprint(self, readings: Tensor, labels: Tensor, classes: int) -> None:
        """Begin from readings (B, W) and labels (B,) in 0..classes - 1, each of which must occur."""
        means = torch.stack([readings[rows].mean(dim=0) for rows in by_class(labels, classes)])  # (C, W)
        self.centre = means.mean(dim=0)
        learns = self.weight.requires_grad
        self.weight = nn.Parameter(F.normalize(means - self.centre, dim=1), requires_grad=learns)
        self.scale = nn.Parameter(torch.full_like(self.scale, SCALE), requires_grad=learns)

    def forward(self, readings: Tensor) -> Tensor:
        return self.scale * F.normalize(readings - self.centre, dim=1) @ F.normalize(self.weight, dim=1).T


class Adapter(nn.Module):
    """A narrow path of `size` units beside a stream's values, which begins as zero (Houlsby et al. 2019,
    arXiv:1902.00751)."""

    def __init__(self, dim: int, size: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, size), nn.Linear(size, dim)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, values: Tensor) -> Tensor:
        added: Tensor = self.up(F.gelu(self.down(values)))
        return values + added


class Reader(Protocol):
    """Something that learns: it turns what it is given into readings (B, W), from which its head tells classes."""

    head: CosineHead

    def read(self, given: Any) -> Tensor: ...

    def parameters(self) -> Iterable[nn.Parameter]: ...


class FewShotModel(nn.Module):
    """`base_model` frozen, with what learns from a few utterances around its fusion: `learn(streams, labels)`.

    `config.prompt_length` learned tokens stand in front of each modality's encoded stream (prompt tuning, Lester et al.
    2021, arXiv:2104.08691), behind a bottleneck of `config.adapter_size` units, and a new head of `config.labels` reads
    the fusion. `base_model` itself stays as it is and may be trained on; this model sees its numbers change then.
    """

    def __init__(self, base_model: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__()
        self.base, self.config = base_model.frozen_twin(), replace(config)
        dim, names = base_model.config.fusion_hidden_size, base_model.config.modalities
        self.prompts = nn.ParameterDict({m: torch.randn(config.prompt_length, dim) * 0.02 for m in names})
        self.adapters = nn.ModuleDict({m: Adapter(dim, config.adapter_size) for m in names})
        self.head = CosineHead((len(names) + 1) * dim, len(config.labels))

    def train(self, mode: bool = True) -> Self:
        """The base stays in evaluation mode: dropout inside it would hide half of the little that is shown."""
        super().train(mode)
        self.base.eval()
        return self

    def learned(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def share(self) -> float:
        """Those beside all of the base's, frozen encoders included."""
        below = sum(tower.frozen_parameters() for tower in self.base.towers().values())
        return self.learned() / (sum(p.numel() for p in self.base.parameters()) + below)

    def fuse(self, encoded: Mapping[str, Stream]) -> Fused:
        """Streams (B, T, D) as the base's encoders give them -> what its fusion reads behind adapters and prompts."""
        return self.base.fuse({m: self._led(m, s) for m, s in encoded.items()})

    def _led(self, modality: str, stream: Stream) -> Stream:
        values, mask = stream.blanked()
        values = self.adapters[modality](values)
        prompts = self.prompts[modality].to(values.dtype).expand(len(values), -1, -1)
        # a missing modality stays missing: prompts alone say nothing
        there = stream.present[:, None].expand(-1, prompts.shape[1])
        return Stream(torch.cat([prompts, values], dim=1), torch.cat([there, mask], dim=1))

    def read(self, given: Mapping[str, Stream]) -> Tensor:
        return reading(self.fuse(given))

    def learn(
        self, streams: Mapping[str, Stream], labels: Tensor, *, steps: int = STEPS, rate: float = RATE
    ) -> "FewShotModel":
        """Learn from prepared streams (B, T, ...) and labels (B,), places in `config.labels`; the encoders run once.

        ValueError when a class has no utterance.
        """
        classes = len(self.config.labels)
        if absent := [self.config.labels[c] for c in range(classes) if not (labels == c).any()]:
            raise ValueError(f"no utterance of {', '.join(absent)} to learn from")
        with torch.no_grad():
            encoded = self.base.encode(streams)
        learn(self, encoded, labels, classes, steps=steps, rate=rate)
        return self.eval()

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        """Prepared streams -> the base's reading, with logits (B, C) of the new classes in place of its own."""
        read = self.fuse(self.base.encode(streams))
        return read._replace(logits=self.head(reading(read)), unimodal=None, members=None)


def learn(
    reader: Reader,
    given: Any,
    labels: Tensor,
    classes: int,
    *,
    steps: int,
    rate: float,
    loss: Callable[[Tensor], Tensor] | None = None,
) -> None:
    """The budget that every method has: class means, then AdamW on all that is shown at once, warmup and cosine.

    `loss` of the readings (B, W) takes the place of the head's cross-entropy.
    """
    with torch.no_grad():
        reader.head.imprint(reader.read(given), labels, classes)
    head = {id(p) for p in reader.head.parameters()}
    learning = [p for p in reader.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in learning if (id(p) in head) == in_head], "peak": rate * (HEAD_RATE if in_head else 1.0)}
        for in_head in (True, False)
    ]
    # no clipping: Adam's steps do not grow with the gradient, and there is no batch but this one
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01, fused=True)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * schedule(step, steps, WARMUP)
        readings = reader.read(given)
        error = loss(readings) if loss else F.cross_entropy(reader.head(readings), labels)
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
