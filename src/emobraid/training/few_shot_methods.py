"""What few-shot learning is compared with, each on the same episodes with the same steps.

Shapes: B batch, Q queries, W reading, C classes, K shots.
"""

import copy
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from peft import LoraConfig, inject_adapter_in_model
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

from emobraid.config import ModelConfig
from emobraid.data.few_shot import Episode
from emobraid.fusion.added import reading
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream
from emobraid.training.few_shot import CosineHead, FewShotModel, by_class, learn, nearness
from emobraid.training.few_shot_frozen import Frozen

#: what development episodes choose a learning rate among, the same for all; a head learns ten times as fast
RATES = (3e-4, 1e-3, 3e-3, 1e-2)


class Method(nn.Module, ABC):
    """`predict` learns an episode's support and tells its queries, from nothing but the seed and the base."""

    #: the learning rates that development episodes choose among; empty where nothing learns by steps
    rates: ClassVar[tuple[float, ...]] = ()
    #: for tables
    title: ClassVar[str]

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.head = CosineHead((len(base.config.modalities) + 1) * base.config.fusion_hidden_size, len(config.labels))

    def begin(self) -> None:  # a head is imprinted anew in any case
        """Forget all that was learnt; what begins at random draws from torch's generator."""

    @abstractmethod
    def given(self, frozen: Frozen, rows: tuple[int, ...], subset: tuple[str, ...]) -> Any:
        """What `read` needs of these rows."""

    @abstractmethod
    def read(self, given: Any) -> Tensor:
        """(B, W)."""

    def fit(self, given: Any, labels: Tensor, classes: int, *, steps: int, rate: float) -> None:
        learn(self, given, labels, classes, steps=steps, rate=rate)

    def tell(self, readings: Tensor) -> Tensor:
        """Readings (B, W) -> logits (B, C)."""
        logits: Tensor = self.head(readings)
        return logits

    def learned(self) -> int:
        """How many numbers learn."""
        return sum(p.numel() for p in self.parameters() if p.requires_grad)

    def predict(
        self, frozen: Frozen, episode: Episode, subset: tuple[str, ...], *, steps: int, rate: float, seed: int
    ) -> Tensor:
        """Logits (Q, C) of the queries."""
        torch.manual_seed(seed)
        self.begin()
        labels = torch.tensor(episode.support_labels)
        self.fit(self.given(frozen, episode.support, subset), labels, len(episode.classes), steps=steps, rate=rate)
        with torch.no_grad():
            return self.tell(self.read(self.given(frozen, episode.query, subset)))


class PromptsAndAdapters(Method):
    """Ours: `FewShotModel`."""

    title = "prompts + adapters (ours)"
    rates: ClassVar[tuple[float, ...]] = RATES

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__(base, config)
        self.base = base.frozen_twin()
        self.begin()

    def begin(self) -> None:
        self.model = FewShotModel(self.base, self.config)
        self.model.head = self.head

    def given(self, frozen: Frozen, rows: tuple[int, ...], subset: tuple[str, ...]) -> Mapping[str, Stream]:
        return frozen.streams(rows, subset)

    def read(self, given: Mapping[str, Stream]) -> Tensor:
        return self.model.read(given)


class Lora(Method):
    """Low-rank updates (Hu et al. 2021, arXiv:2106.09685) of every linear map in the fusion that readings hang on."""

    title = "LoRA on the fusion"
    rates: ClassVar[tuple[float, ...]] = RATES

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__(base, config)
        # the same model but for a fusion of its own
        self.model = copy.copy(base)
        self.model._modules = dict(base._modules)
        self.model.fusion = copy.deepcopy(base.fusion)
        names = reached(self.model)
        inject_adapter_in_model(
            LoraConfig(r=config.lora_rank, lora_alpha=2 * config.lora_rank, target_modules=names), self.model.fusion
        )
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_("lora_" in name)

    def begin(self) -> None:
        for layer in self.model.fusion.modules():
            if isinstance(layer, LoraLayer):
                layer.reset_lora_parameters("default", init_lora_weights=True)  # type: ignore[no-untyped-call]

    def given(self, frozen: Frozen, rows: tuple[int, ...], subset: tuple[str, ...]) -> Mapping[str, Stream]:
        return frozen.streams(rows, subset)

    def read(self, given: Mapping[str, Stream]) -> Tensor:
        return reading(self.model.fuse(given))


def reached(model: MultimodalEmotionModel) -> list[str]:
    """The linear maps of a fusion that readings hang on; those of its own heads are not among them."""
    model.fusion.requires_grad_(True)
    values = torch.ones(1, 2, model.config.fusion_hidden_size)
    streams: dict[str, Stream] = {
        m: Stream(values, torch.ones(1, 2, dtype=torch.bool)) for m in model.config.modalities
    }
    reading(model.fuse(streams)).sum().backward()
    names = [n for n, m in model.fusion.named_modules() if isinstance(m, nn.Linear) and m.weight.grad is not None]
    model.fusion.zero_grad()
    return names


class FullTuning(Method):
    """Everything that is not frozen in the base itself learns: encoders, projections, fusion."""

    title = "full fine-tuning"
    rates: ClassVar[tuple[float, ...]] = RATES

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__(base, config)
        self.model = copy.deepcopy(base).eval()
        towers = {id(p) for tower in self.model.towers().values() for p in tower.parameters()}
        for parameter in self.model.parameters():
            # inside a pretrained encoder its own tuning says what learns; another method may have frozen the rest
            parameter.requires_grad_(parameter.requires_grad or id(parameter) not in towers)
        self.first = {k: v.clone() for k, v in base.state_dict().items()}

    def begin(self) -> None:
        self.model.load_state_dict(self.first)

    def given(self, frozen: Frozen, rows: tuple[int, ...], subset: tuple[str, ...]) -> Mapping[str, Stream]:
        return frozen.inputs(rows, subset)

    def read(self, given: Mapping[str, Stream]) -> Tensor:
        return reading(self.model(given))


class Probe(Method):
    """The head alone learns, on readings that are made once."""

    title = "linear probe"
    rates: ClassVar[tuple[float, ...]] = RATES

    def given(self, frozen: Frozen, rows: tuple[int, ...], subset: tuple[str, ...]) -> Tensor:
        return frozen.readings(subset)[list(rows)]

    def read(self, given: Tensor) -> Tensor:
        return given


class ClassMean(Probe):
    """What every head begins as."""

    title = "nearest class mean"
    rates: ClassVar[tuple[float, ...]] = ()

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__(base, config)
        self.requires_grad_(False)

    def fit(self, given: Tensor, labels: Tensor, classes: int, *, steps: int, rate: float) -> None:
        self.head.imprint(given, labels, classes)


class Prototypes(Probe):
    """A prototypical network (Snell et al. 2017, arXiv:1703.05175), trained on the support set alone.

    A linear map of the readings, the identity at first, learns episodes that are made of the support: at each step half
    of each class's shots, drawn anew, give prototypes, and the others are told by squared distance to them. One shot
    makes no such episode, and then nothing learns.
    """

    title = "prototypical network"
    rates: ClassVar[tuple[float, ...]] = RATES

    def __init__(self, base: MultimodalEmotionModel, config: ModelConfig) -> None:
        super().__init__(base, config)
        self.requires_grad_(False)  # prototypes take the head's place
        self.map = nn.Parameter(torch.eye(len(self.head.centre)))

    def begin(self) -> None:
        self.map.data = torch.eye(len(self.map))

    def read(self, given: Tensor) -> Tensor:
        return given @ self.map

    def fit(self, given: Tensor, labels: Tensor, classes: int, *, steps: int, rate: float) -> None:
        if len(labels) >= 2 * classes:

            def inner(readings: Tensor) -> Tensor:
                drawn = torch.stack([c[torch.randperm(c.numel())] for c in by_class(labels, classes)])  # (C, K)
                taught, asked = drawn.tensor_split([(drawn.shape[1] + 1) // 2], dim=1)
                logits = nearness(readings[asked].flatten(0, 1), readings[taught].mean(dim=1))
                return F.cross_entropy(logits, labels[asked].flatten())

            learn(self, given, labels, classes, steps=steps, rate=rate, loss=inner)
        with torch.no_grad():
            readings = self.read(given)
            self.prototypes = torch.stack([readings[rows].mean(dim=0) for rows in by_class(labels, classes)])

    def tell(self, readings: Tensor) -> Tensor:
        return nearness(readings, self.prototypes)


METHODS: Mapping[str, type[Method]] = {
    "prompt_adapter": PromptsAndAdapters,
    "lora": Lora,
    "probe": Probe,
    "prototypes": Prototypes,
    "class_mean": ClassMean,
    "full": FullTuning,
}


def build(names: Iterable[str], base: MultimodalEmotionModel, config: ModelConfig) -> dict[str, Method]:
    """Methods by name, in the order of the table. All but full fine-tuning freeze the base."""
    wanted = [n for n in METHODS if n in set(names)]
    # full fine-tuning first: what it copies still knows which of its parameters learn
    made = {n: METHODS[n](base, config) for n in sorted(wanted, key=lambda n: n != "full")}
    return {n: made[n] for n in wanted}
