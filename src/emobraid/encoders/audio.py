"""Pretrained voice encoders: wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477), HuBERT, WavLM, Whisper's encoder.

The convolutions of `wav2vec2-base*` normalise over time, so padding and batch mates would change what they give: they
always run on one length at a time, unpadded. The transformer above them is masked, and its padding changes nothing.

Shapes: B batch, N samples, T frames (50 a second), T' after averaging, L layers + 1, D the model's width.
"""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.encoders.adapters import Tuning, layers_of
from emobraid.encoders.pretrained import Precision, PretrainedEncoder, buckets, preprocessing, watched, width
from emobraid.layers import WindowPool
from emobraid.stream import Stream, pad

BUDGET = {"cpu": 600, "cuda": 30_000}  # frames of a bucket
OTHERWISE = ("sew", "sew-d", "wav2vec2-bert")  # they squeeze frames on the way, or want spectra
SHORTEST = 400  # samples: the convolutions see nothing in fewer
WINDOW_SECONDS = 30  # longer recordings are read in stretches: attention over minutes costs memory by the square


class PretrainedAudio(PretrainedEncoder):
    """A learned weighted sum over all layers (SUPERB, Yang et al. 2021, arXiv:2105.01051), frames averaged by `pool`,
    then temporal attention over stretches of `window` of those."""

    def __init__(
        self,
        name: str,
        *,
        rate: int = 16_000,
        pool: int = 4,
        window: int = 4,
        tuning: Tuning | None = None,
        precision: Precision = "auto",
        dropout: float = 0.1,
    ) -> None:
        super().__init__(name, "audio", tuning, precision, dropout)
        config = self.tower.config
        if config.model_type in OTHERWISE:
            raise ValueError(f"{name} is of the kind {config.model_type}, which is not read yet; take wavlm or hubert")
        self.dim, self.rate, self.pool = config.hidden_size, rate, pool
        self.whisper = config.model_type == "whisper"
        self.has_stem = self.frozen or not self.whisper  # a tuned model's convolutions stay frozen, and are its stem
        layers = getattr(config, "encoder_layers", None) if self.whisper else config.num_hidden_layers
        self.layer_weights = nn.Parameter(torch.zeros(int(layers or 0) + 1))
        self.norm = nn.LayerNorm(self.dim)
        self.attention = WindowPool(self.dim, window)
        self._extractor: Any = None
        self.preparation = f"wave:1:{self.tower.reading}:{rate}"

    @property
    def extractor(self) -> Any:
        if self._extractor is None:
            from transformers import AutoFeatureExtractor

            self._extractor = preprocessing(AutoFeatureExtractor.from_pretrained, self.tower.folder)
            if self._extractor.sampling_rate != self.rate:
                raise ValueError(
                    f"{self.tower.name} hears {self._extractor.sampling_rate} samples a second; "
                    f"audio_sample_rate is {self.rate}"
                )
        return self._extractor

    def prepare(self, raw: np.ndarray) -> Tensor:
        """Mono samples (N,) at `rate` -> (N,) float32, zero mean and unit variance where the model was trained so."""
        wave = torch.as_tensor(np.ascontiguousarray(raw), dtype=torch.float32)
        if not wave.numel():
            return self.absent()
        if getattr(self.extractor, "do_normalize", False) and not self.whisper:
            wave = (wave - wave.mean()) / (wave.var(unbiased=False) + 1e-7).sqrt()
        return F.pad(wave, (0, max(0, SHORTEST - len(wave))))

    def absent(self) -> Tensor:
        if self.frozen:
            return torch.zeros(0, len(self.layer_weights), self.dim)
        return torch.zeros(0) if self.whisper else torch.zeros(0, self.tower.config.conv_dim[-1])

    def stem_identity(self, device: torch.device | str = "cpu") -> str:
        if not self.frozen:  # the convolutions alone, as they were pretrained, in float32
            return f"convolutions:2:{self.tower.base}" if self.has_stem else ""
        return f"voice:2:{self.tower.identity(device)}:{self.pool}:{WINDOW_SECONDS}"

    @torch.no_grad()
    def stem(self, prepared: Sequence[Tensor], device: torch.device | str = "cpu") -> list[Tensor]:
        if not self.has_stem:
            return list(prepared)
        model = self.tower.network(device)
        if not self.frozen:
            home = next(model.parameters()).device
            return [torch.cat([convolved(model, s.to(home)) for s in self._stretches(w)]).cpu() for w in prepared]
        whole = [self._stretches(wave) for wave in prepared]
        read = iter(self._states(model, [s for parts in whole for s in parts], torch.device(device)))
        return [torch.cat([next(read) for _ in parts]) for parts in whole]

    def _stretch(self) -> int:
        """Samples that are read at once."""
        return int(self.extractor.n_samples) if self.whisper else WINDOW_SECONDS * self.rate

    def _stretches(self, wave: Tensor) -> list[Tensor]:
        return [s for s in wave.split(self._stretch()) if len(s) >= SHORTEST]

    def _stretch_frames(self) -> int:
        """What the convolutions make of a whole stretch."""
        frames = self._stretch()
        for kernel, stride in zip(self.tower.config.conv_kernel, self.tower.config.conv_stride, strict=True):
            frames = (frames - kernel) // stride + 1
        return frames

    def _positions(self, wave: Tensor) -> int:
        """Whisper's output positions that hold sound."""
        most = int(self.tower.config.max_source_positions)
        return max(1, min(most, -(-len(wave) * most // self._stretch())))

    def _states(self, model: nn.Module, waves: list[Tensor], device: torch.device) -> list[Tensor]:
        """Every wave's (T', L, D), averaged over `pool` frames."""
        kind = width(layers_of(model))  # the convolutions below may be in bfloat16
        if self.whisper:
            frames = [mel_frames(self.extractor, wave, self.rate) for wave in waves]
        else:
            frames = [convolved(model, wave.to(device)) for wave in waves]
        made: list[Tensor] = [torch.empty(0)] * len(waves)
        lengths = [self._positions(wave) for wave in waves] if self.whisper else [len(f) for f in frames]
        for bucket in buckets(lengths, BUDGET.get(device.type, BUDGET["cuda"])):
            stream = pad([frames[i].to(device, kind) for i in bucket])
            for i, states in zip(bucket, self._layers(model, stream).unbind(0), strict=True):
                made[i] = averaged(states[: lengths[i]].float(), self.pool).cpu()
        return made

    def _layers(self, model: Any, stream: Stream) -> Tensor:
        """Convolved frames (or Whisper's spectrum) -> all layers (B, T, L, D)."""
        mask, prompts = stream.mask, getattr(model, "prompts", None)
        extra = 0 if prompts is None else prompts.length
        # WavLM adds a position bias to its boolean mask, in a way that torch deprecates; not only inside this call, as
        # gradient checkpointing does it again in the backward pass
        warnings.filterwarnings("ignore", "Support for mismatched key_padding_mask")
        with watched(model) as seen:
            if self.whisper:
                last = model(input_features=stream.values.transpose(1, 2)).last_hidden_state
            else:
                projected = model.feature_projection(stream.values)
                hidden = projected[0] if isinstance(projected, tuple) else projected
                if prompts is not None:
                    hidden = prompts.before(hidden)
                    mask = torch.cat([mask.new_ones(len(mask), extra), mask], dim=1)
                # a mask where nothing is padded would only cost time
                last = model.encoder(hidden, attention_mask=None if mask.all() else mask).last_hidden_state
        return torch.stack([*seen[:-1], last], dim=2)[:, extra:]

    def enter(self, stream: Stream) -> Stream:
        """The layers' weighted sum, first of all: thirteen layers of padding are not worth a zero."""
        return self._mixed(stream) if self.frozen else super().enter(stream)

    def encode(self, stream: Stream) -> Stream:
        values, mask = stream if self.frozen else self._mixed(self._tuned(stream))
        pooled, _ = self.attention(Stream(self.drop(self.norm(values)), mask))
        return pooled

    def _mixed(self, stream: Stream) -> Stream:
        """(B, T, L, D) -> (B, T, D), zero where nothing is real."""
        values, mask = stream
        weights = torch.softmax(self.layer_weights, dim=0)
        real = mask.flatten().nonzero()[:, 0]
        states = values.flatten(0, 1).index_select(0, real).float()  # (N, L, D)
        # as many small products, not einsum: that one copies all layers to another order first
        mixed = torch.bmm(weights.expand(len(states), 1, -1), states)[:, 0]
        whole = mixed.new_zeros(mask.numel(), self.dim).index_copy(0, real, mixed)
        return Stream(whole.view(*mask.shape, self.dim), mask)

    def _tuned(self, stream: Stream) -> Stream:
        """The same as frozen ones do in their stem, with gradients."""
        rows = [v[m].float() for v, m in zip(stream.values, stream.mask, strict=True)]
        whole = [self._stretches(r) if self.whisper else list(r.split(self._stretch_frames())) for r in rows]
        parts = [part for row in whole for part in row]
        lengths = [self._positions(p) if self.whisper else len(p) for p in parts]
        if self.whisper:
            parts = [mel_frames(self.extractor, p.cpu(), self.rate).to(p.device) for p in parts]
        states = self._layers(self.tower.network(stream.values.device), pad(parts))
        read = iter([averaged(s[:n], self.pool) for s, n in zip(states, lengths, strict=True)])
        return pad([torch.cat([next(read) for _ in row]) for row in whole])


def convolved(model: Any, wave: Tensor) -> Tensor:
    """(N,) float32 -> (T, conv width): the convolutions on one recording, unpadded."""
    if wave.device.type == "cpu":
        return convolved_in_rows(model.feature_extractor, wave)
    frames: Tensor = model.feature_extractor(wave.to(width(model.feature_extractor))[None])[0].T
    return frames


@torch.no_grad()
def convolved_in_rows(extractor: Any, wave: Tensor) -> Tensor:
    """The same with time along rows, where a convolution over neighbours is a product of matrices without a copy.

    The first convolution, which is cheap and meets samples as they are, is worked out in float32 whatever the weights.
    """
    hidden, kind = wave[:, None], width(extractor)  # (T, C)
    for layer in extractor.conv_layers:
        conv, norm = layer.conv, getattr(layer, "layer_norm", None)
        weight, bias, stride = conv.weight.to(hidden.dtype), conv.bias, conv.stride[0]
        if isinstance(norm, nn.GroupNorm):
            weight, bias = normalised_over_time(weight, norm, hidden, stride)
        hidden = strided_product(hidden, weight, bias, stride).to(kind)
        if isinstance(norm, nn.LayerNorm):
            hidden = norm(hidden)
        hidden = layer.activation(hidden)
    return hidden


def strided_product(rows: Tensor, weight: Tensor, bias: Tensor | None, stride: int) -> Tensor:
    """A convolution (O, C, K) over rows (T, C) -> (T', O). Taps within one stride lie side by side in memory."""
    (width, taps), steps = weight.shape[1:], (len(rows) - weight.shape[2]) // stride + 1
    out = rows.new_zeros(steps, len(weight)) if bias is None else bias.to(rows.dtype).repeat(steps, 1)
    for tap in range(0, taps, stride):
        side = min(stride, taps - tap) * width
        seen = rows.as_strided((steps, side), (stride * width, 1), rows.storage_offset() + tap * width)
        out.addmm_(seen, weight[:, :, tap : tap + stride].transpose(1, 2).flatten(1).T)
    return out


def normalised_over_time(weight: Tensor, norm: nn.GroupNorm, rows: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution over one channel that gives what `norm`, with a group for each channel, makes of
    its output (a bias before it would be lost): mean and variance follow from those of what a tap sees."""
    seen = rows[:, 0].unfold(0, weight.shape[2], stride).double()  # (T', K)
    mean, maps = seen.mean(dim=0), weight[:, 0].double()
    varies = seen.T @ seen / len(seen) - mean.outer(mean)
    gain = norm.weight / ((maps @ varies * maps).sum(dim=1).clamp(min=0) + norm.eps).sqrt()
    return (maps * gain[:, None]).float()[:, None], (norm.bias - gain * (maps @ mean)).float()


def mel_frames(extractor: Any, wave: Tensor, rate: int) -> Tensor:
    """(N,) -> (3000, bands): Whisper knows one length, thirty seconds."""
    made = extractor(wave.numpy(), sampling_rate=rate, return_tensors="np")["input_features"][0]
    return torch.from_numpy(np.ascontiguousarray(made.T)).float()


def averaged(states: Tensor, pool: int) -> Tensor:
    """(T, ...) -> (ceil(T / pool), ...): means of neighbouring frames, the last over what is left."""
    whole = len(states) // pool * pool
    means = [states[:whole].unflatten(0, (-1, pool)).mean(dim=1)] if whole else []
    rest = [states[whole:].mean(dim=0, keepdim=True)] if whole < len(states) else []
    return torch.cat([*means, *rest])
