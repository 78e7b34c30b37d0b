"""MulT written plainly from the paper (Tsai et al. 2019, arXiv:1906.00295): the baseline of fusion_step.py.

One small transformer for each directed pair of modalities, padded batches, a key padding mask. The paper runs the
self-attention on the concatenated pairs, (M - 1) * D wide, and reads one position of it; here `wide` does the first,
without it they are projected back to width D as emobraid's `mult` does, and both models pool by attention. Then
`copy_weights` gives both the same outputs, so that equal work is compared.

Shapes: B batch, T target and S source time, D width, M modalities.
"""

from collections.abc import Mapping
from itertools import permutations
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.fusion.mult import MultFusion
from emobraid.fusion.summary import Summaries
from emobraid.layers import positions
from emobraid.stream import Stream

# How attention is called: nn.MultiheadAttention as it comes, which returns its weights; the same without them; or
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
        seen: Tensor
        seen, _ = self(target, source, source, key_padding_mask=padding, need_weights=self.call == "weights")
        return seen

    def _by_hand(self, target: Tensor, source: Tensor, padding: Tensor) -> Tensor:
        weight, bias, dim = self.in_proj_weight, self.in_proj_bias, self.embed_dim
        if target is source:
            projected = F.linear(source, weight, bias).chunk(3, dim=-1)
        else:
            query = F.linear(target, weight[:dim], bias[:dim])
            projected = (query, *F.linear(source, weight[dim:], bias[dim:]).chunk(2, dim=-1))
        query, key, value = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in projected)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, ~padding[:, None, None], dropout)
        return F.linear(seen.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)


class Layer(nn.Module):
    """Pre-norm attention and feed-forward, over another modality (`cross`) or over itself."""

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
        return x + self.drop(self.narrow(F.relu(self.widen(self.norm_out(x)))))


class Transformer(nn.ModuleList):
    """A stack of layers; `source` None is self-attention."""

    def forward(self, x: Tensor, source: Tensor | None, padding: Tensor) -> Tensor:
        for layer in self:
            x = layer(x, x if source is None else source, padding)
        return x


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

        def transformer(width: int, *, cross: bool) -> Transformer:
            settings = {"cross": cross, "attention_dropout": attention_dropout, "call": call}
            return Transformer(Layer(width, heads, dropout, **settings) for _ in range(depth))  # type: ignore[arg-type]

        joined = (len(modalities) - 1) * dim
        own = joined if wide else dim
        self.modalities = modalities
        self.pairs = nn.ModuleDict(
            {f"{s}_to_{t}": transformer(dim, cross=True) for s, t in permutations(modalities, 2)}
        )
        self.joins = nn.ModuleDict({m: nn.Identity() if wide else nn.Linear(joined, dim) for m in modalities})
        self.own = nn.ModuleDict({m: transformer(own, cross=False) for m in modalities})
        self.norms = nn.ModuleDict({m: nn.LayerNorm(own) for m in modalities})
        self.summaries = Summaries(modalities, own)
        self.mix = nn.Sequential(nn.Linear(len(modalities) * own, own), nn.GELU(), nn.Dropout(dropout))
        self.head = nn.Linear(own, classes)

    def _reread(self, target: str, values: Mapping[str, Tensor], padding: Mapping[str, Tensor]) -> Tensor:
        """(B, T, D), or (M - 1) * D when wide: the target as every source shows it, then as it shows itself."""
        sources = [m for m in self.modalities if m != target]
        seen = [self.pairs[f"{s}_to_{target}"](values[target], values[s], padding[s]) for s in sources]
        x = self.own[target](self.joins[target](torch.cat(seen, dim=-1)), None, padding[target])
        return self.norms[target](x)

    def forward(self, streams: Mapping[str, Stream]) -> Tensor:
        values = {m: v + positions(v.shape[1], v.shape[2], like=v) for m, (v, _) in streams.items()}
        padding = {m: ~mask for m, (_, mask) in streams.items()}
        reread = {m: Stream(self._reread(m, values, padding), streams[m].mask) for m in self.modalities}
        embeddings, _ = self.summaries(reread)
        return self.head(self.mix(embeddings.flatten(1)))


@torch.no_grad()
def copy_weights(ours: MultFusion, plain: PlainMult) -> None:
    """Give `plain` (not wide) the weights of `ours`: without dropout both then give the same outputs."""
    _copy_all(ours, plain)


def _copy_all(ours: Any, plain: Any) -> None:  # Any: module lists and dicts do not tell what they hold
    for t, target in ours.targets.items():
        sources = [m for m in ours.modalities if m != t]
        for lane, source in enumerate(sources):
            # (D, 2 D) of each layer
            key_values = target.key_values[lane].weight.T.chunk(target.depth, dim=1)
            for layer, cross, key_value in zip(plain.pairs[f"{source}_to_{t}"], target.cross, key_values, strict=True):
                _copy_layer(torch.cat([cross.query.weight[lane], key_value], dim=1), cross.after, lane, layer)
        for layer, own in zip(plain.own[t], target.own, strict=True):
            _copy_layer(own.query_key_value.weight[0], own.after, 0, layer)
        plain.joins[t].load_state_dict(target.join.state_dict())
        plain.norms[t].load_state_dict(target.norm.state_dict())
    for name in ("summaries", "mix", "head"):
        getattr(plain, name).load_state_dict(getattr(ours, name).state_dict())


def _copy_layer(query_key_value: Tensor, after: Any, lane: int, layer: Any) -> None:
    """`query_key_value` (D, 3 D). Norms of a new layer have a gain of one and no shift, and keep them."""
    attention, widen = layer.attention, after.widen.weight[lane]
    attention.in_proj_weight.copy_(query_key_value.T)
    attention.in_proj_bias.copy_(_bias(query_key_value))
    attention.out_proj.weight.copy_(after.out.weight[lane].T)
    attention.out_proj.bias.copy_(after.out.bias[lane, 0])
    layer.widen.weight.copy_(widen.T)
    layer.widen.bias.copy_(_bias(widen))
    layer.narrow.weight.copy_(after.narrow.weight[lane].T)
    layer.narrow.bias.copy_(after.narrow.bias[lane, 0])


def _bias(weight: Tensor) -> Tensor:
    """What the shift that `emobraid.fusion.mult.norm` adds to every feature becomes behind (in, out) weights."""
    return weight.sum(dim=0) * len(weight) ** -0.5
