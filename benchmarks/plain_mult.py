"""MulT written plainly from the paper (Tsai et al. 2019, arXiv:1906.00295): the baseline of fusion_step.py.

One small transformer for each directed pair of modalities, padded batches, a key padding mask. Where the paper leaves
a choice, this takes the one of emobraid's `mult`, so that both compute the same function and `copy_weights` makes
their outputs equal: GELU, a projection of the concatenated pairs back to width D, attention pooling. With `wide` the
self-attention runs at (M - 1) * D instead, as in the paper.

Shapes: B batch, T target time, S source time, D width, M modalities.
"""

from collections.abc import Mapping
from itertools import permutations
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.mult import MultFusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import positions
from emobraid.stream import Stream

# How attention is called: nn.MultiheadAttention as it comes (it returns its weights), the same without weights, or
# scaled_dot_product_attention by hand on the same parameters.
Call = Literal["weights", "module", "sdpa"]


class Attention(nn.MultiheadAttention):
    """Multi-head attention of (B, T, D) over (B, S, D); `padding` (B, S) is True where a source is not real."""

    def __init__(self, dim: int, heads: int, dropout: float, call: Call) -> None:
        super().__init__(dim, heads, dropout=dropout, batch_first=True)
        self.call = call

    def attend(self, target: Tensor, source: Tensor, padding: Tensor) -> Tensor:
        if self.call == "sdpa":
            return self._by_hand(target, source, padding)
        return self(target, source, source, key_padding_mask=padding, need_weights=self.call == "weights")[0]

    def _by_hand(self, target: Tensor, source: Tensor, padding: Tensor) -> Tensor:
        weight, bias, dim = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if target is source:
            query, key, value = F.linear(source, weight, bias).chunk(3, dim=-1)
        else:
            query = F.linear(target, weight[:dim], bias[:dim])
            key, value = F.linear(source, weight[dim:], bias[dim:]).chunk(2, dim=-1)
        query, key, value = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (query, key, value))
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, ~padding[:, None, None], dropout)
        return self.out_proj(seen.transpose(1, 2).flatten(2))


class Layer(nn.Module):
    """Pre-norm attention and feed-forward; over another modality when it has a norm for it, else over itself."""

    def __init__(
        self, dim: int, heads: int, dropout: float, *, cross: bool, attention_dropout: float, call: Call
    ) -> None:
        super().__init__()
        self.norm_target, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.norm_source = nn.LayerNorm(dim) if cross else None
        self.attention = Attention(dim, heads, attention_dropout, call)
        self.widen, self.narrow = nn.Linear(dim, 4 * dim), nn.Linear(4 * dim, dim)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, source: Tensor, padding: Tensor) -> Tensor:
        target = self.norm_target(x)
        source = target if self.norm_source is None else self.norm_source(source)
        x = x + self.drop(self.attention.attend(target, source, padding))
        return x + self.drop(self.narrow(F.gelu(self.widen(self.norm_out(x)))))


class PlainMult(nn.Module):
    """Streams of width D in, logits (B, C) out. Every sample must have every modality: a row without keys gives NaN."""

    def __init__(
        self,
        modalities: tuple[str, ...],
        dim: int,
        classes: int,
        *,
        depth: int,
        heads: int,
        dropout: float,
        attention_dropout: float = 0.1,
        call: Call = "weights",
        wide: bool = False,
    ) -> None:
        super().__init__()
        joined = (len(modalities) - 1) * dim
        own = joined if wide else dim

        def transformer(width: int, cross: bool) -> nn.ModuleList:
            return nn.ModuleList(
                Layer(width, heads, dropout, cross=cross, attention_dropout=attention_dropout, call=call)
                for _ in range(depth)
            )

        self.modalities = modalities
        self.pairs = nn.ModuleDict({f"{s}_to_{t}": transformer(dim, True) for t, s in permutations(modalities, 2)})
        self.joins = nn.ModuleDict({m: nn.Identity() if wide else nn.Linear(joined, dim) for m in modalities})
        self.own = nn.ModuleDict({m: transformer(own, False) for m in modalities})
        self.norms = nn.ModuleDict({m: nn.LayerNorm(own) for m in modalities})
        self.summaries = Summaries(modalities, own)
        self.mix = nn.Sequential(nn.Linear(len(modalities) * own, own), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(own, classes)

    def _reread(self, target: str, values: Mapping[str, Tensor], padding: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D or (M - 1) * D): the target as every source shows it, then as it shows itself."""
        seen = []
        for source in self.modalities:
            if source != target:
                x = values[target]
                for layer in self.pairs[f"{source}_to_{target}"]:  # type: ignore[attr-defined]
                    x = layer(x, values[source], padding[source])
                seen.append(x)
        x = self.joins[target](torch.cat(seen, dim=-1))
        for layer in self.own[target]:  # type: ignore[attr-defined]
            x = layer(x, x, padding[target])
        return self.norms[target](x)

    def forward(self, streams: Mapping[str, Stream]) -> Tensor:
        values = {m: v + positions(v.shape[1], v.shape[2], like=v) for m, (v, _) in streams.items()}
        padding = {m: ~mask for m, (_, mask) in streams.items()}
        reread = {m: Stream(self._reread(m, values, padding), streams[m].mask) for m in self.modalities}
        embeddings, _ = self.summaries(reread)
        return self.head(self.mix(embeddings.flatten(1)))


def _copy_lane(source: nn.Module, lane: int, target: nn.Module) -> None:
    """One lane of a LaneLinear or LaneNorm into an nn.Linear or nn.LayerNorm."""
    for ours, plain in (("weight", "weight"), ("gain", "weight"), ("bias", "bias"), ("shift", "bias")):
        if hasattr(source, ours):
            getattr(target, plain).copy_(getattr(source, ours)[lane].squeeze(0).T)


@torch.no_grad()
def copy_weights(ours: MultFusion, plain: PlainMult) -> None:
    """Give `plain` the weights of `ours`, so that both give the same outputs when nothing is dropped out."""
    raise NotImplementedError
