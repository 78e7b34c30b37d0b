"""Pretrained picture encoders on face crops, then an LSTM over time: ViT (Dosovitskiy et al. 2021, arXiv:2010.11929)
and what transformers loads like it.

Shapes: B batch, T frames, S side of a crop, D the model's width, H width of the LSTM's one direction.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.adapters import Tuning
from emobraid.encoders.pretrained import Precision, PretrainedEncoder, Tower, preprocessing, width
from emobraid.layers import BiLSTM
from emobraid.stream import Stream

FRAMES = {"cpu": 6, "cuda": 256}  # that go through at once; on a CPU few, so that what lies between stays small


class PretrainedVideo(PretrainedEncoder):
    """Each face's class token, then a bidirectional LSTM over the frames."""

    def __init__(
        self,
        name: str,
        *,
        hidden: int = 128,
        tuning: Tuning | None = None,
        precision: Precision = "auto",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(name, "video", tuning, precision, dropout)
        side = self.tower.config.image_size
        self.crop = int(side if isinstance(side, int) else side[0])
        self.mean, self.std = normalisation(self.tower)
        self.preparation = f"faces:1:{self.crop}"
        self.width, self.dim = self.tower.config.hidden_size, 2 * hidden
        self.norm = nn.LayerNorm(self.width)
        self.lstm = BiLSTM(self.width, hidden)

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Face crops (T, S, S, 3) uint8 RGB -> (T, crop, crop, 3) uint8."""
        if not len(raw):
            return self.absent()
        faces = torch.as_tensor(np.ascontiguousarray(raw))
        return resized(faces, self.crop)

    def absent(self) -> Tensor:
        if self.has_stem:
            return torch.zeros(0, self.width)
        return torch.zeros(0, self.crop, self.crop, 3, dtype=torch.uint8)

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        return f"faces:2:{self.tower.identity(device)}:{self.mean}:{self.std}" if self.has_stem else ""

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        if not self.has_stem:
            return list(prepared)
        model = self.tower.network(device)
        size = FRAMES.get(torch.device(device).type, FRAMES["cuda"])
        frames = torch.cat(list(prepared))
        read = [self._faces(model, part.to(device)).float().cpu() for part in frames.split(size)]
        return list(torch.cat(read).split([len(p) for p in prepared]))

    def _faces(self, model: Any, frames: Tensor) -> Tensor:
        """(N, S, S, 3) uint8 -> class tokens (N, D)."""
        mean, std = (torch.tensor(v, device=frames.device) for v in (self.mean, self.std))
        pixels = ((frames.float() / 255 - mean) / std).permute(0, 3, 1, 2).contiguous()
        pixels = pixels.to(width(model))
        if self.has_stem and type(model).__name__ == "ViTModel":
            return class_tokens(model, pixels)
        tokens: Tensor = model(pixel_values=pixels).last_hidden_state
        return tokens[:, 0]

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream
        if self.has_stem:
            tokens = values.float()
        else:
            read = self._faces(self.tower.network(values.device), values[mask]).float()
            tokens = read.new_zeros(*mask.shape, self.width).masked_scatter(mask[..., None], read)
        return self.lstm(Stream(self.drop(self.norm(tokens)), mask))


def class_tokens(model: Any, pixels: Tensor) -> Tensor:
    """(N, 3, S, S) -> (N, D), as ViT gives them. In its last layer the class token alone asks and is transformed."""
    tokens = model.embeddings(pixels)
    *layers, last = model.layers
    for layer in layers:
        tokens = transformed(layer, tokens, asking=tokens.shape[1])
    normed: Tensor = model.layernorm(transformed(last, tokens, asking=1))
    return normed[:, 0]


def transformed(layer: Any, tokens: Tensor, *, asking: int) -> Tensor:
    """A layer of ViT for the first `asking` tokens, all of which are heard: (N, T, D) -> (N, asking, D)."""
    read, own = layer.layernorm_before(tokens), tokens[:, :asking]
    maps = layer.attention
    kind = getattr(maps.q_proj, "kind", tokens.dtype)  # maps in 8 bits say how what lies between them is multiplied
    query, key, value = (
        projected.to(kind).unflatten(-1, (maps.num_attention_heads, -1)).transpose(1, 2)
        for projected in (maps.q_proj(read[:, :asking]), maps.k_proj(read), maps.v_proj(read))
    )
    mixed = attended(query, key, value, maps.scaling).transpose(1, 2).flatten(2)
    own = own + maps.o_proj(mixed.to(tokens.dtype))
    whole: Tensor = own + layer.mlp(layer.layernorm_after(own))
    return whole


def attended(query: Tensor, key: Tensor, value: Tensor, scale: float) -> Tensor:
    """Attention over short sequences (N, H, T, E) without a mask."""
    if query.dtype != torch.bfloat16 or query.device.type != "cpu":
        return F.scaled_dot_product_attention(query, key, value, scale=scale)
    # two products take two thirds of that call's time here
    return (query @ key.mT).mul_(scale).softmax(dim=-1) @ value


def normalisation(tower: Tower) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of the pixels (0..1) that the model was trained with."""
    from transformers import AutoImageProcessor

    processor = preprocessing(AutoImageProcessor.from_pretrained, tower.folder, backend="pil")
    if not processor.do_normalize:
        return (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
    return tuple(map(float, processor.image_mean)), tuple(map(float, processor.image_std))


def resized(frames: Tensor, side: int) -> Tensor:
    """(T, S, S, 3) uint8 -> (T, side, side, 3) uint8."""
    if frames.shape[1:3] == (side, side):
        return frames
    small = F.interpolate(frames.permute(0, 3, 1, 2), (side, side), mode="bilinear", antialias=True)
    return small.permute(0, 2, 3, 1).contiguous()
