"""Whisper's first layers (Radford et al. 2022, arXiv:2212.04356) without a model library: they hear how something is
said; later ones keep the words and lose the voice.

Shapes: N samples, T frames of log-mel (100 a second), S states (50 a second), W width.
"""

import json
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from emobraid.encoders.int8 import Int8Linear, RoundedLinear

RATE, WINDOW, HOP, BANDS = 16_000, 400, 160, 80
DEEPEST = 8.0  # what lies further than this below the loudest cell, in powers of ten, is heard as this (Whisper's)
PEAK = 1.5  # where the loudest cell is put, in powers of ten: the usual place in Whisper's own training
SILENT = 4.0  # frames at both ends further below the loudest frame are left out
FAINTEST = -4.0  # of the loudest cell of any sound whose peak is one; digital silence is below it, and stays quiet
EDGE = 5  # frames that are kept beyond them
LONGEST = 1_500  # states: 30 s, as far as Whisper's positions go
SCALE = ".scale"  # ends the name of the row scales (fp16) beside a tensor in 8 bits


def slaney_filters(bands: int = BANDS) -> Tensor:
    """(WINDOW // 2 + 1, F): triangles of equal area, linear below 1 kHz and logarithmic above, up to 8 kHz."""
    linear, step, corner = 200 / 3, np.log(6.4) / 27, 15.0
    mels = np.linspace(0, corner + np.log(RATE / 2_000) / step, bands + 2)
    edges = np.where(mels < corner, linear * mels, 1_000 * np.exp(step * (mels - corner)))
    bins = np.linspace(0, RATE / 2, WINDOW // 2 + 1)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = np.maximum(0, np.minimum(rising, falling)) * 2 / (edges[2:] - edges[:-2])
    return torch.from_numpy(filters.astype(np.float32))


def log_mel(wave: Tensor, filters: Tensor) -> Tensor:
    """Mono samples (N,) -> (T, F) as Whisper hears them, but with the loudest cell always at the same height, so that
    the level of the recording changes nothing; silence at both ends is left out."""
    wave = wave - wave.mean()
    wave = wave / wave.abs().max().clamp(min=1e-9)
    wave = F.pad(wave, (WINDOW // 2, WINDOW // 2 + max(0, 2 * HOP - len(wave))))
    spectrum = torch.stft(wave, WINDOW, HOP, window=torch.hann_window(WINDOW), center=False, return_complex=True)
    power = (spectrum.abs().square().T @ filters).clamp(min=1e-12)  # (T, F)
    loudness = power.sum(dim=1).log10()
    loud = (loudness >= loudness.max() - SILENT).nonzero()
    power = power[max(0, int(loud.min()) - EDGE) : int(loud.max()) + EDGE + 1]
    bands = power.log10()
    top = bands.max().clamp(min=FAINTEST)
    return (torch.maximum(bands, top - DEEPEST) - top + PEAK + 4) / 4


def sinusoids(width: int, length: int = LONGEST) -> Tensor:
    """(length, W): Whisper's fixed positions, sines then cosines."""
    falling = torch.exp(-np.log(10_000) / (width // 2 - 1) * torch.arange(width // 2))
    angles = torch.arange(length)[:, None] * falling
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class WhisperLayer(nn.Module):
    """Self-attention, then two linear maps, a layer norm before each."""

    def __init__(self, width: int, heads: int, inner: int) -> None:
        super().__init__()
        self.heads = heads
        self.before, self.between = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width)  # queries, keys, values
        self.joined = nn.Linear(width, width)
        self.wider, self.back = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """(S, W) of one recording -> the same."""
        q, k, v = self.attend(self.before(x)).view(len(x), 3, self.heads, -1).permute(1, 2, 0, 3).unbind(0)
        seen = F.scaled_dot_product_attention(q[None], k[None], v[None])[0].transpose(0, 1).flatten(1)
        x = x + self.joined(seen)
        return x + self.back(F.gelu(self.wider(self.between(x))))


class WhisperLayers(nn.Module):
    """(T, F) of `log_mel` -> the states after each layer. One recording at a time: nothing is padded."""

    def __init__(self, *, width: int = 512, heads: int = 8, inner: int = 2_048, layers: int = 2) -> None:
        super().__init__()
        self.sizes = {"width": width, "heads": heads, "inner": inner, "layers": layers}
        self.conv = nn.Conv1d(BANDS, width, 3, padding=1)
        self.strided = nn.Conv1d(width, width, 3, stride=2, padding=1)
        self.layers = nn.ModuleList(WhisperLayer(width, heads, inner) for _ in range(layers))
        self.register_buffer("positions", sinusoids(width), persistent=False)

    positions: Tensor

    def forward(self, mel: Tensor) -> list[Tensor]:
        """(T, F), 30 s at most -> after each layer (S, W)."""
        x = F.gelu(self.strided(F.gelu(self.conv(mel.T[None]))))[0].T
        x = x + self.positions[: len(x)]
        states = []
        for layer in self.layers:
            x = layer(x)
            states.append(x)
        return states

    def lowered(self, arithmetic: str) -> Self:
        """Its own linear maps in that arithmetic (bfloat16, int8), for inference; float32 leaves all as it is."""
        if arithmetic == "float32":
            return self
        make: Callable[[nn.Linear], nn.Module]
        make = (lambda m: RoundedLinear(m, torch.bfloat16)) if arithmetic == "bfloat16" else Int8Linear
        for layer in self.layers:
            for name in ("attend", "joined", "wider", "back"):
                setattr(layer, name, make(layer.get_submodule(name)))  # type: ignore[arg-type]
        return self

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """As `save` kept them. ValueError if the file holds something else."""
        with safe_open(path, "pt") as file:
            sizes = (file.metadata() or {}).get("sizes")
        if sizes is None:
            raise ValueError(f"{path} holds no layers of Whisper; install emobraid again")
        made = cls(**json.loads(sizes))
        made.load_state_dict(from_rows(load_file(path)))
        return made.requires_grad_(False).eval()

    @classmethod
    def from_whisper(cls, path: Path, *, layers: int = 2, heads: int = 8) -> Self:
        """The first layers of an encoder that transformers saved (the names of its WhisperEncoder)."""
        state = {name: values.float() for name, values in load_file(path).items()}
        inner, width = state["layers.0.fc1.weight"].shape
        made = cls(width=width, heads=heads, inner=inner, layers=layers)
        made.load_state_dict(_renamed(state, layers))
        return made.requires_grad_(False).eval()

    def save(self, path: Path) -> None:
        """Linear maps in 8 bits with one scale a row, all else in 16."""
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(in_rows(self.state_dict()), path, metadata={"sizes": json.dumps(self.sizes)})


def file_hash(path: Path) -> str:
    return sha256(path.read_bytes()).hexdigest()


def in_rows(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    small = {}
    for name, values in state.items():
        if values.ndim < 2:
            small[name] = values.half().contiguous()
            continue
        flat = values.flatten(1)
        scale = (flat.abs().amax(1) / 127).clamp(min=1e-7).half()
        small[name] = (flat / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8).view(values.shape)
        small[name + SCALE] = scale
    return small


def from_rows(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: values.float() * state[name + SCALE].float().view(-1, *[1] * (values.ndim - 1))
        if name + SCALE in state
        else values.float()
        for name, values in state.items()
        if not name.endswith(SCALE)
    }


def _renamed(state: Mapping[str, Tensor], layers: int) -> dict[str, Tensor]:
    names = {"before": "self_attn_layer_norm", "joined": "self_attn.out_proj", "between": "final_layer_norm"}
    names |= {"wider": "fc1", "back": "fc2"}
    ours: dict[str, Tensor] = {}
    width = len(state["conv1.bias"])
    for part in ("weight", "bias"):
        ours |= {f"{new}.{part}": state[f"{old}.{part}"] for new, old in (("conv", "conv1"), ("strided", "conv2"))}
        for i in range(layers):
            at = f"layers.{i}."
            # keys have no bias, as it would shift all scores of a query alike
            none = torch.zeros(width)
            maps = [state.get(f"{at}self_attn.{name}_proj.{part}", none) for name in ("q", "k", "v")]
            ours[f"{at}attend.{part}"] = torch.cat(maps)
            ours |= {f"{at}{new}.{part}": state[f"{at}{old}.{part}"] for new, old in names.items()}
    return ours
