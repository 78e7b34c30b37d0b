"""The model: encoders, projections to one width, a fusion.

Shapes: B batch, T time, D fusion width.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from emobraid import encoders, fusion
from emobraid.config import ModelConfig
from emobraid.encoders import Encoder
from emobraid.encoders.pretrained import Tower
from emobraid.fusion import Fused
from emobraid.stream import Batch, Stream, keep_only


class MultimodalEmotionModel(nn.Module):
    """`model(streams)` reads any subset of its modalities; `encode` and `fuse` are its two halves."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.encoders = nn.ModuleDict({m: encoders.build(m, config) for m in config.modalities})
        width = config.fusion_hidden_size
        self.projections = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(e.dim, width), nn.LayerNorm(width)) for m, e in self.by_modality().items()}
        )
        self.fusion = fusion.build(
            config.fusion_type,
            config.modalities,
            width,
            len(config.labels),
            depth=config.fusion_depth,
            heads=config.fusion_heads,
            dropout=config.fusion_dropout,
        )

    def by_modality(self) -> dict[str, Encoder]:
        return {m: e for m, e in self.encoders.items() if isinstance(e, Encoder)}

    def towers(self) -> dict[str, Tower]:
        """The pretrained models inside the encoders, by the name of their place."""
        return {name: m for name, m in self.named_modules() if isinstance(m, Tower)}

    def own_state(self) -> dict[str, Tensor]:
        """The weights a checkpoint must hold: all but those that pretrained models brought along unchanged."""
        brought = {f"{place}.{n}" for place, tower in self.towers().items() for n in tower.brought()}
        return {name: value for name, value in self.state_dict().items() if name not in brought}

    def bases(self) -> dict[str, dict[str, str]]:
        """Name and sha256 of the pretrained model below each modality that has one."""
        towers = {t.kind: t for t in self.towers().values()}
        return {kind: {"name": t.name, "sha256": t.base} for kind, t in towers.items()}

    def fit_inputs(self, prepared: Mapping[str, Iterable[Tensor]]) -> None:
        """Let the encoders take their input statistics from prepared TRAINING inputs."""
        for modality, encoder in self.by_modality().items():
            encoder.fit(prepared[modality])

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A training-time variation of a batch, by each encoder for its own modality."""
        varied = {m: e.augment(batch.streams[m], generator) for m, e in self.by_modality().items()}
        return batch._replace(streams=varied)

    def encode(self, streams: Mapping[str, Stream]) -> dict[str, Stream]:
        """Prepared streams -> streams of the fusion's width (B, T', D)."""
        encoded = {m: encoder(streams[m]) for m, encoder in self.encoders.items()}
        return {m: Stream(self.projections[m](s.values), s.mask) for m, s in encoded.items()}

    def fuse(self, encoded: Mapping[str, Stream]) -> Fused:
        read: Fused = self.fusion(encoded)
        return read

    def forward(self, streams: Mapping[str, Stream]) -> Fused:
        return self.fuse(self.encode(streams))

    @torch.no_grad()
    def read_subsets(self, streams: Mapping[str, Stream], subsets: Iterable[tuple[str, ...]]) -> dict[str, Tensor]:
        """Logits (B, C) with only each subset kept, keyed "text+audio"; the encoders run once."""
        encoded = self.encode(streams)
        return {"+".join(s): self.fuse(keep_only(encoded, s)).logits for s in subsets}
