"""DeBERTa's attention for a frozen model: what it knows of positions is worked out once.

A score is the sum of what contents say of each other, what a content says of a distance, and a distance of a content
(He et al. 2021, arXiv:2006.03654). The library projects all distances in every layer of every call, for 128 tokens as
much work as a third of the layers, and multiplies with those that no pair of tokens has.

Shapes: B batch, T tokens, H heads, P distances, E width of a head.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def remember_distances(model: Any) -> Any:
    """The same model, its attention replaced where we know it; only for weights that will not change."""
    encoder: Any = getattr(model, "encoder", None)
    for layer in getattr(encoder, "layer", ()):
        attention: Any = getattr(getattr(layer, "attention", None), "self", None)
        if getattr(attention, "share_att_key", False) and {"c2p", "p2c"} <= set(attention.pos_att_type):
            layer.attention.self = RememberedAttention(attention, encoder.get_rel_embedding())
    return model


class RememberedAttention(nn.Module):
    """As the library's DisentangledSelfAttention: (B, T, D) -> (B, T, D)."""

    key_of_distance: Tensor
    query_of_distance: Tensor

    @torch.no_grad()
    def __init__(self, attention: Any, distances: Tensor) -> None:
        super().__init__()
        self.heads, self.span = attention.num_attention_heads, attention.pos_ebd_size
        self.query_proj, self.key_proj = attention.query_proj, attention.key_proj
        self.value_proj = attention.value_proj
        distances = distances[None, : 2 * self.span]
        self.register_buffer("key_of_distance", self._split(self.key_proj(distances)).clone())  # (1, H, P, E)
        self.register_buffer("query_of_distance", self._split(self.query_proj(distances)).clone())

    def _split(self, x: Tensor) -> Tensor:
        return x.unflatten(-1, (self.heads, -1)).transpose(1, 2)

    def forward(
        self,
        hidden_states: Tensor,
        attention_mask: Tensor,
        output_attentions: bool = False,
        query_states: Tensor | None = None,
        relative_pos: Tensor | None = None,
        rel_embeddings: Tensor | None = None,
    ) -> tuple[Tensor, None]:
        """The arguments are the library's; here no weights are returned, and embeddings of distances are known."""
        assert relative_pos is not None
        assert query_states is None
        query, key, value = (self._split(p(hidden_states)) for p in (self.query_proj, self.key_proj, self.value_proj))
        there, back = ((self.span + way * relative_pos).clamp(0, 2 * self.span - 1) for way in (1, -1))  # (1, T, T)
        first, last = int(there[0, 0, -1]), int(there[0, -1, 0])  # of the distances that these tokens have
        shape = (*query.shape[:2], -1, -1)
        heard = query @ self.key_of_distance[:, :, first : last + 1].mT  # (B, H, T, P)
        asked = key @ self.query_of_distance[:, :, first : last + 1].mT
        bias = heard.gather(-1, (there - first).expand(shape)) + asked.gather(-1, (back - first).expand(shape)).mT
        scale = (3 * query.shape[-1]) ** -0.5
        # not minus infinity: a padded position may attend to nothing, and NaN would spread from it
        bias = (bias * scale).masked_fill(~attention_mask.bool(), torch.finfo(bias.dtype).min / 2)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scale)
        return mixed.transpose(1, 2).flatten(2), None
