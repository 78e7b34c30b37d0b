"""Masked, NaN-free attention and pooling, used by every encoder and fusion.

Shapes: B batch, T time, S source time, D width, H heads. All attention goes through
`scaled_dot_product_attention` with a boolean mask, which gives zero with clean gradients for a row that may
attend to nothing; `nn.MultiheadAttention` gives NaN there.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from emobraid.stream import Stream


def attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, heads: int) -> Tensor:
    """Multi-head attention of (B, T, D) over (B, S, D); `mask` (B, S) or (B, T, S) bool, True where allowed."""

    def split(x: Tensor) -> Tensor:
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, H, T, D/H)

    if mask is not None:
        mask = mask[:, None, None, :] if mask.dim() == 2 else mask[:, None]
    out = F.scaled_dot_product_attention(split(query), split(key), split(value), attn_mask=mask)
    return out.transpose(1, 2).flatten(2)


def positions(length: int, dim: int, *, like: Tensor) -> Tensor:
    """Sinusoidal positions (T, D) (Vaswani et al. 2017, arXiv:1706.03762)."""
    steps = torch.arange(length, device=like.device, dtype=torch.float32)[:, None]
    rates = torch.exp(torch.arange(0, dim, 2, device=like.device) * (-math.log(10_000.0) / dim))
    table = torch.cat([torch.sin(steps * rates), torch.cos(steps * rates)], dim=1)[:, :dim]
    return table.to(like.dtype)


class FeedForward(nn.Sequential):
    """Two linear layers with GELU and dropout, four times as wide inside."""

    def __init__(self, dim: int, dropout: float, *, out: int | None = None) -> None:
        super().__init__(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(4 * dim, out or dim))


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward over a Stream's real positions (Xiong et al. 2020, arXiv:2002.04745)."""

    def __init__(self, dim: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm_in, self.norm_out = nn.LayerNorm(dim), nn.LayerNorm(dim)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.feed_forward = FeedForward(dim, dropout)
        self.drop = nn.Dropout(dropout)

    def forward(self, stream: Stream) -> Stream:
        x, mask = stream.blanked()
        query, key, value = self.qkv(self.norm_in(x)).chunk(3, dim=-1)
        x = x + self.drop(self.out(attend(query, key, value, mask, self.heads)))
        x = x + self.drop(self.feed_forward(self.norm_out(x)))
        return Stream(x, mask)


class AttentionPool(nn.Module):
    """A Stream in; one summary (B, D) and the attention weights over time (B, T) out; zeros where nothing is real.

    (Self-attentive pooling, Lin et al. 2017, arXiv:1703.03130; here with one learned score a position.)
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1))

    def forward(self, stream: Stream) -> tuple[Tensor, Tensor]:
        values, mask = stream.blanked()
        weights = masked_softmax(self.score(values).squeeze(-1), mask)
        return torch.einsum("bt,btd->bd", weights, values), weights


class WindowPool(nn.Module):
    """Temporal attention: every `window` neighbouring positions become one, weighed by a learned score.

    A Stream (B, T, D) in; a Stream (B, ceil(T / window), D) out, and the attention weights (B, T), which sum to 1 over
    the real positions of each window.
    """

    def __init__(self, dim: int, window: int) -> None:
        super().__init__()
        self.window, hidden = window, min(dim, 128)  # a score needs no wider layer, and this one is half of the cost
        self.score = nn.Sequential(nn.Linear(dim, hidden), nn.Tanh(), nn.Linear(hidden, 1))

    def forward(self, stream: Stream) -> tuple[Stream, Tensor]:
        values, mask = stream.blanked()
        steps = mask.shape[1]
        missing = -steps % self.window
        values, mask = F.pad(values, (0, 0, 0, missing)), F.pad(mask, (0, missing))
        scores = self.score(values).squeeze(-1).unflatten(1, (-1, self.window))  # (B, T', window)
        by_window = mask.unflatten(1, (-1, self.window))
        weights = masked_softmax(scores, by_window)
        pooled = torch.einsum("btw,btwd->btd", weights, values.unflatten(1, (-1, self.window)))
        return Stream(pooled, by_window.any(dim=2)), weights.flatten(1)[:, :steps]


class BiLSTM(nn.Module):
    """A bidirectional LSTM over a Stream's real positions: (B, T, D) -> (B, T, 2 * hidden). A hole in the middle is as
    if the position had never been there."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.lstm = nn.LSTM(dim, hidden, batch_first=True, bidirectional=True)

    def forward(self, stream: Stream) -> Stream:
        values, mask = stream
        lengths = mask.sum(dim=1)
        front = torch.arange(mask.shape[1], device=mask.device)[None] < lengths[:, None]
        holes = not torch.equal(front, mask)
        if holes:
            values = torch.zeros_like(values).masked_scatter(front[..., None], values[mask])
        packed = nn.utils.rnn.pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        out, _ = nn.utils.rnn.pad_packed_sequence(self.lstm(packed)[0], batch_first=True, total_length=mask.shape[1])
        if not holes:
            return Stream(out, mask)
        # real positions first; back to where they were
        back = (~mask).long().argsort(dim=1, stable=True).argsort(dim=1)[..., None].expand_as(out)
        return Stream(out.gather(1, back), mask)


def masked_softmax(scores: Tensor, mask: Tensor) -> Tensor:
    """Softmax over the last dimension where `mask` is True; zeros, not NaN, in a row with nothing allowed."""
    if scores.shape[-1] == 0:
        return scores
    # a finite floor, so that a row with nothing allowed has a finite softmax, and so finite gradients
    floor = torch.finfo(scores.dtype).min
    return torch.softmax(scores.masked_fill(~mask, floor), dim=-1).masked_fill(~mask, 0.0)
