"""Parameter-efficient tuning of a pretrained encoder: which few weights learn, and where they are put in.

adapter  a bottleneck after every feed-forward block (Houlsby 2019, arXiv:1902.00751, placed as Pfeiffer 2020,
         arXiv:2005.00247)
lora     low-rank updates of the attention's query and value maps (Hu 2021, arXiv:2106.09685), by `peft`
prompt   learned positions before the input of every layer (P-tuning v2, Liu 2021, arXiv:2110.07602; for pictures as
         in VPT-deep, Jia 2022, arXiv:2203.12119)
bitfit   the bias terms (Ben Zaken 2021, arXiv:2106.10199)
full     everything, but for voice the convolutions below the transformer, which stay frozen as is usual
"""

import re
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor, nn

Method = Literal["frozen", "adapter", "lora", "prompt", "bitfit", "full"]

# query and value maps by the names that the architectures give them
QUERY_VALUE = re.compile(r"\.(query|value|query_proj|value_proj|q_proj|v_proj|q_lin|v_lin|q|v|Wqkv|qkv)$")
#: they lay out windows, landmarks or relative places by the number of positions, which prompts would change
COUNTED = ("xlnet", "swin", "swinv2", "nystromformer")
FEED_FORWARD = re.compile(r"\.feed_forward\.(intermediate_dense|output_dense)$")


@dataclass(frozen=True)
class Tuning:
    """How an encoder learns: the method and its size."""

    method: Method = "frozen"
    adapter_size: int = 64
    lora_rank: int = 8
    prompt_length: int = 16


def layers_of(model: nn.Module) -> nn.ModuleList:
    """The transformer layers of an encoder."""
    stacks = [m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) and _attends(m[0])]
    if not stacks:
        raise ValueError(f"{type(model).__name__} has no stack of transformer layers")
    return max(stacks, key=len)


def _attends(layer: nn.Module) -> bool:
    return any("attention" in type(m).__name__.lower() for m in layer.modules())


def tune(model: Any, tuning: Tuning, kind: str) -> None:
    """Freeze `model` but for what `tuning` trains, and put the new weights in.

    All but prompts begin as no change.
    """
    model.requires_grad_(False)
    if tuning.method == "full":
        model.requires_grad_(True)
        for frozen in (getattr(model, n, None) for n in ("feature_extractor", "masked_spec_embed", "embed_positions")):
            if isinstance(frozen, nn.Module | nn.Parameter):
                frozen.requires_grad_(False)
    elif tuning.method == "bitfit":
        for name, parameter in layers_of(model).named_parameters():
            parameter.requires_grad_(name.endswith("bias"))
    elif tuning.method == "adapter":
        for layer in layers_of(model):
            add_bottleneck(layer, model.config, tuning.adapter_size)
    elif tuning.method == "lora":
        add_lora(model, tuning.lora_rank)
    elif tuning.method == "prompt":
        if model.config.model_type in COUNTED:
            raise ValueError(f"prompts do not fit {type(model).__name__}, whose layers count their places; use bitfit")
        words = model.get_input_embeddings() if kind == "text" else None
        if words is not None and words.embedding_dim != model.config.hidden_size:
            raise ValueError(f"prompts do not fit {type(model).__name__}: its embeddings are narrower; use adapter")
        place = {"video": 1, "audio": 0 if model.config.model_type == "whisper" else None}.get(kind)
        model.prompts = Prompts(model, tuning.prompt_length, put_in=place)
    if tuning.method != "frozen" and not any(p.requires_grad for p in model.parameters()):
        raise ValueError(f"{tuning.method} finds nothing to learn in {type(model).__name__}; use lora")


class Bottleneck(nn.Module):
    """A linear layer and, beside its output, a narrow path through `size` units that begins as zero."""

    def __init__(self, linear: nn.Linear, size: int) -> None:
        super().__init__()
        self.linear = linear
        self.down, self.up = nn.Linear(linear.out_features, size), nn.Linear(size, linear.out_features)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        out = self.linear(x)
        added: Tensor = self.up(nn.functional.gelu(self.down(out)))
        return out + added


def feed_forward_ends(layer: nn.Module, config: Any) -> list[str]:
    """Names of the maps that end a layer's feed-forward blocks, known by their shape."""
    inner = next(
        (v for n in ("intermediate_size", "encoder_ffn_dim", "hidden_dim") if (v := getattr(config, n, None))), 0
    )
    return [
        name
        for name, m in layer.named_modules()
        if isinstance(m, nn.Linear) and m.in_features == inner and m.out_features == config.hidden_size
    ]


def add_bottleneck(layer: nn.Module, config: Any, size: int) -> None:
    """Behind the map that ends a layer's feed-forward block."""
    ends = feed_forward_ends(layer, config)
    if not ends:
        raise ValueError(f"adapters do not know the feed-forward block of {type(layer).__name__}; use lora")
    parent, _, own = ends[-1].rpartition(".")
    where: Any = layer.get_submodule(parent)
    setattr(where, own, Bottleneck(getattr(where, own), size))


def add_lora(model: Any, rank: int) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    # WavLM hands its attention's weights to a function of torch, past any update of them: its feed-forward maps learn
    maps = FEED_FORWARD if model.config.model_type == "wavlm" else QUERY_VALUE
    stack = layers_of(model)
    prefix = next(name for name, m in model.named_modules() if m is stack)
    names = [
        f"{prefix}.{name}" for name, m in stack.named_modules() if isinstance(m, nn.Linear) and maps.search(f".{name}")
    ]
    if not names:
        raise ValueError(f"lora does not know the attention of {type(model).__name__}; use adapter")
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, target_modules=names), model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_("lora_" in name)


class Prompts(nn.Module):
    """P learned positions for each layer; in a layer, its own take the place of those of the layer before.

    The encoder puts the first layer's before its input with `before`; or they are put in here, at position `put_in`
    (1 for pictures: behind the class token).
    """

    def __init__(self, model: Any, length: int, *, put_in: int | None) -> None:
        super().__init__()
        layers = layers_of(model)
        self.tokens = nn.Parameter(torch.randn(len(layers), length, model.config.hidden_size) * 0.02)  # (L, P, D)
        for which, layer in enumerate(layers):
            if which or put_in is not None:
                # a partial of a method, not a closure: a copied model then meets its own prompts
                layer.register_forward_pre_hook(partial(self._into, which, put_in or 0))

    @property
    def length(self) -> int:
        return self.tokens.shape[1]

    def before(self, hidden: Tensor) -> Tensor:
        """The first layer's prompts, then `hidden`: (B, T, D) -> (B, P + T, D)."""
        return torch.cat([self.tokens[0].expand(len(hidden), -1, -1).to(hidden.dtype), hidden], dim=1)

    def _into(self, which: int, place: int, _: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        hidden = args[0]
        rest = place if which == 0 else place + self.length  # the layer before carried prompts of its own
        own = self.tokens[which].expand(len(hidden), -1, -1).to(hidden.dtype)
        return torch.cat([hidden[:, :place], own, hidden[:, rest:]], dim=1), *args[1:]
