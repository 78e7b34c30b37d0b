"""Pretrained models as the three encoders use them: loaded from a folder, tuned or frozen, in the precision that pays.

Shapes: B batch, T time, L layers, D the model's width.
"""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import safe_open
from torch import Tensor, nn

from emobraid.encoders import hub
from emobraid.encoders.adapters import Tuning, layers_of, tune
from emobraid.encoders.base import Encoder
from emobraid.encoders.deberta import remember_distances
from emobraid.encoders.hub import Kind
from emobraid.encoders.reports import quiet

Precision = Literal["auto", "float32", "bfloat16", "int8"]


def resolve(precision: Precision, device: torch.device) -> str:
    """What `auto` means here: bfloat16 where the processor multiplies it natively, float32 elsewhere."""
    if precision != "auto":
        return precision
    return "bfloat16" if multiplies_bfloat16(device) else "float32"


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether the processor does so natively; where it does not, float32 is quicker."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    probes = ("_is_amx_tile_supported", "_is_avx512_bf16_supported")
    return any(getattr(torch.cpu, probe, lambda: False)() for probe in probes)


def arithmetic(precision: Precision, device: torch.device) -> str:
    """What a frozen output depends on besides weights; what 8 bits leave is worked out in bfloat16 where that is
    quick."""
    taken = resolve(precision, device)
    if taken != "int8":
        return taken
    return "int8:2+bfloat16" if multiplies_bfloat16(device) else "int8:2"


def load(folder: Path) -> Any:
    """The encoder in `folder` in float32, in evaluation mode, without pooler or decoder; nothing random is drawn."""
    from transformers import AutoModel

    with quiet(), torch.random.fork_rng(devices=[]):
        # an fp16 checkpoint would train in fp16 without the dtype
        whole, report = AutoModel.from_pretrained(
            folder,
            dtype=torch.float32,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    if missing := [key for key in sorted(report["missing_keys"]) if "pooler." not in key]:
        raise ValueError(f"{folder}: {len(missing)} weights are not in its files, {missing[0]} first; not this model's")
    model = whole.get_encoder() if whole.config.is_encoder_decoder else whole
    if getattr(model, "pooler", None) is not None:
        model.pooler = None  # random in most checkpoints, and nothing here reads it
    if hasattr(model.config, "layerdrop"):
        model.config.layerdrop = 0.0  # a dropped layer has no gradient, which distributed training takes for a fault
    return model.eval()


def settings(folder: Path) -> Any:
    """The settings of a model, without its weights."""
    from transformers import AutoConfig

    with quiet():
        return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def preprocessing(load: Any, folder: Path, **options: Any) -> Any:
    """A model's tokenizer, feature extractor or image processor, from its folder alone."""
    try:
        with quiet():
            return load(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError) as error:
        why = str(error).partition(". ")[0]
        raise hub.ModelNotHere(f"{folder} does not say how its inputs are read ({why}); copy it again") from None


class Tower(nn.Module):
    """A pretrained model: frozen and loaded only when something has to be computed, or part of the network and tuned.

    A checkpoint holds what was tuned or put in; all else is the base's, which it names by its hash.
    """

    def __init__(self, name: str, kind: Kind, tuning: Tuning, precision: Precision = "auto") -> None:
        super().__init__()
        self.name, self.kind, self.tuning, self.precision = name, kind, tuning, precision
        self.folder = hub.locate(name)
        hub.check_kind(self.folder, kind)
        self.config = settings(self.folder)
        self._frozen: list[nn.Module] = []  # in a list, so that it is no part of the network
        self.model: Any = None
        if tuning.method != "frozen":
            self.model = load(self.folder)
            tune(self.model, tuning, kind)
        self._brought = {n for n, p in self.named_parameters() if not p.requires_grad}

    def brought(self) -> set[str]:
        """Names of the weights that are as they were pretrained, which a checkpoint need not hold."""
        return self._brought | {n for n, _ in self.named_buffers()}

    def frozen(self) -> list[nn.Module]:
        """The frozen model, where it has been loaded."""
        return self._frozen

    @property
    def base(self) -> str:
        """sha256 of the pretrained weights and their settings."""
        return hub.weights_hash(self.folder)

    def network(self, device: torch.device | str = "cpu") -> Any:
        """The model to run: the tuned one, or the frozen one on `device` in its precision."""
        if self.model is not None:
            return self.model
        device = torch.device(device)
        if not self._frozen:
            frozen = remember_distances(load(self.folder).requires_grad_(False))
            self._frozen.append(lowered(frozen, self.kind, self.precision, device))
        return self._frozen[0].to(device)

    def frozen_parameters(self) -> int:
        """How many weights a frozen model has, from the headers of its files; 0 for a tuned one, which is counted as
        part of the network."""
        return 0 if self.model is not None else count_parameters(self.folder)

    def checkpoint_gradients(self) -> None:
        """Recompute layers in the backward pass in place of keeping what they gave; for a tuned model."""
        if self.model is not None:
            # renamed after transformers 5.20, which is still allowed
            named = getattr(self.model, "activation_checkpointing_enable", None)
            (named or self.model.gradient_checkpointing_enable)({"use_reentrant": False})

    def compile_layers(self) -> None:
        """Compile the transformer layers of a tuned model, one by one: they share one compilation, and all else, with
        its many lengths and masks, stays as it is."""
        if self.model is not None:
            for layer in layers_of(self.model):
                layer.compile(dynamic=True)

    @property
    def reading(self) -> str:
        """A hash of how inputs are read: tokenizer and preprocessor files."""
        files = sorted(p for p in self.folder.iterdir() if p.suffix in (".json", ".model", ".txt") and p.is_file())
        return hashlib.sha256(b"".join(p.name.encode() + b"\0" + p.read_bytes() for p in files)).hexdigest()

    def identity(self, device: torch.device | str) -> str:
        """What a frozen output depends on: weights and arithmetic."""
        return f"{self.base}:{arithmetic(self.precision, torch.device(device))}"


class PretrainedEncoder(Encoder):
    """An encoder that stands on a tower; a frozen one is its stem."""

    def __init__(self, name: str, kind: Kind, tuning: Tuning | None, precision: Precision, dropout: float) -> None:
        super().__init__()
        self.title = name
        self.tower = Tower(name, kind, tuning or Tuning(), precision)
        self.frozen = self.tower.model is None
        self.has_stem = self.frozen
        self.drop = nn.Dropout(dropout)


def count_parameters(folder: Path) -> int:
    """From the headers of the weight files: nothing is loaded."""
    total = 0
    for path in folder.glob("*.safetensors"):
        with safe_open(path, framework="pt") as file:
            total += sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118, not a mapping
    return total


def lowered(model: Any, kind: Kind, precision: Precision, device: torch.device) -> Any:
    taken = resolve(precision, device)
    if taken == "bfloat16":
        return model.bfloat16()
    if taken == "int8":
        from emobraid.encoders.int8 import quantise

        return quantise(model, kind, half=multiplies_bfloat16(device))
    return model


def width(model: nn.Module) -> torch.dtype:
    """The type of the numbers a network takes (8-bit weights take float32)."""
    return next(p for p in model.parameters() if p.is_floating_point()).dtype


@contextmanager
def watched(model: nn.Module) -> Iterator[list[Tensor]]:
    """Inside, a forward pass fills the list with the first layer's input and every layer's output (B, T, D)."""
    layers = layers_of(model)
    seen: list[Tensor] = [torch.empty(0)] * (len(layers) + 1)

    def before(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen[0] = args[0]

    def after(place: int) -> Any:
        def keep(_: nn.Module, __: tuple[Any, ...], out: Any) -> None:
            seen[place] = out if isinstance(out, Tensor) else out[0]

        return keep

    hooks = [layers[0].register_forward_pre_hook(before)]
    hooks += [layer.register_forward_hook(after(i + 1)) for i, layer in enumerate(layers)]
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


def buckets(lengths: Sequence[int], budget: int, *, slack: float = 0.1) -> list[list[int]]:
    """Indices of like length together: at most `budget` positions a bucket with its padding, none of it over `slack`
    of a sample. One sample alone may exceed the budget."""
    order = sorted(range(len(lengths)), key=lambda i: -lengths[i])
    made: list[list[int]] = []
    for i in order:
        longest = lengths[made[-1][0]] if made else 0
        if made and (len(made[-1]) + 1) * longest <= budget and lengths[i] >= (1 - slack) * longest:
            made[-1].append(i)
        else:
            made.append([i])
    return made
