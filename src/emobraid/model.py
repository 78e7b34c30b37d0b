"""The model: encoders, projections to one width, a fusion.

Shapes: B batch, T time, D fusion width, K affect dimensions.
"""

import copy
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from emobraid import encoders, fusion
from emobraid.config import ModelConfig
from emobraid.encoders import Encoder
from emobraid.encoders.pretrained import Tower
from emobraid.fusion import Fused
from emobraid.fusion.added import AddedClasses
from emobraid.fusion.base import every_tensor
from emobraid.fusion.imagination import Imagination, honest
from emobraid.stream import Batch, Stream, keep_only, present


class AffectHead(nn.Module):
    """Affect dimensions (B, K) in the corpus's own units, from the features (B, D) that the classes are read from."""

    center: Tensor
    scale: Tensor

    def __init__(self, dim: int, dimensions: int, dropout: float) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.LayerNorm(dim), nn.Dropout(dropout), nn.Linear(dim, dimensions))
        self.register_buffer("center", torch.zeros(dimensions))
        self.register_buffer("scale", torch.ones(dimensions))

    def fit(self, targets: Tensor) -> None:
        """Take each dimension's mean and spread from TRAINING targets (N, K), NaN where absent."""
        for k, column in enumerate(targets.T):
            if len(known := column[~column.isnan()]):
                self.center[k] = known.mean()
                self.scale[k] = known.std(correction=0).clamp(min=1e-3)

    def forward(self, features: Tensor) -> Tensor:
        return self.center + self.scale * self.read(features).float()


class MultimodalEmotionModel(nn.Module):
    """`model(streams)` reads any subset of its modalities; `encode` and `fuse` are its two halves."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config = replace(config)  # the caller's may be changed later
        self.encoders = nn.ModuleDict({m: encoders.build(m, config) for m in config.modalities})
        width = config.fusion_hidden_size
        self.projections = nn.ModuleDict(
            {m: nn.Sequential(nn.Linear(e.dim, width), nn.LayerNorm(width)) for m, e in self.by_modality().items()}
        )
        self.fusion = fusion.build(
            config.fusion_type,
            config.modalities,
            width,
            len(config.labels) - config.added_labels,
            depth=config.fusion_depth,
            heads=config.fusion_heads,
            dropout=config.fusion_dropout,
        )
        self.added = AddedClasses(config.added_labels, len(config.modalities), width)
        self.imagination = Imagination(config.modalities, width, config.fusion_dropout) if config.fill_missing else None
        self.affect = AffectHead(width, len(config.affect), config.fusion_dropout) if config.affect else None

    def by_modality(self) -> dict[str, Encoder]:
        return {m: e for m, e in self.encoders.items() if isinstance(e, Encoder)}

    def towers(self) -> dict[str, Tower]:
        """The pretrained models inside the encoders, by the name of their place."""
        return {name: m for name, m in self.named_modules() if isinstance(m, Tower)}

    def frozen_twin(self) -> Self:
        """The same model in evaluation mode, whose weights ask for no gradients; it holds the same numbers, not copies,
        and this one stays as it is."""
        memo: dict[int, Any] = {id(p): nn.Parameter(p.detach(), requires_grad=False) for p in self.parameters()}
        memo |= {id(b): b for b in self.buffers()}
        memo |= {id(f): f for tower in self.towers().values() for f in tower.frozen()}  # large, and never changed
        twin: Self = copy.deepcopy(self, memo)
        return twin.requires_grad_(False).eval()

    def own_state(self) -> dict[str, Tensor]:
        """The weights a checkpoint must hold: all but those that pretrained models brought along unchanged."""
        brought = {f"{place}.{n}" for place, tower in self.towers().items() for n in tower.brought()}
        return {name: value for name, value in self.state_dict().items() if name not in brought}

    def bases(self) -> dict[str, dict[str, str]]:
        """Name and sha256 of the pretrained model, or the net of a stem, below each modality that has one."""
        towers = {t.kind: t for t in self.towers().values()}
        named = {m: base for m, encoder in self.by_modality().items() if (base := encoder.base())}
        return {**{kind: {"name": t.name, "sha256": t.base} for kind, t in towers.items()}, **named}

    def fit_inputs(self, prepared: Mapping[str, Iterable[Tensor]]) -> None:
        """Let the encoders take their input statistics from prepared TRAINING inputs."""
        for modality, encoder in self.by_modality().items():
            encoder.fit(prepared[modality])

    def fit_affect(self, targets: Tensor | None) -> None:
        """Let the affect head take its units from TRAINING targets (N, K), NaN where absent."""
        if self.affect is not None and targets is not None:
            self.affect.fit(targets)

    def augment(self, batch: Batch, generator: torch.Generator) -> Batch:
        """A training-time variation of a batch, by each encoder for its own modality."""
        varied = {m: e.augment(batch.streams[m], generator) for m, e in self.by_modality().items()}
        return batch._replace(streams=varied)

    def encode(self, streams: Mapping[str, Stream]) -> dict[str, Stream]:
        """Prepared streams -> streams of the fusion's width (B, T', D)."""
        encoded = {m: encoder(streams[m]) for m, encoder in self.encoders.items()}
        return {m: Stream(self.projections[m](s.values), s.mask) for m, s in encoded.items()}

    def fuse(self, encoded: Mapping[str, Stream]) -> Fused:
        read = self.added(self._braid(encoded))
        return read if self.affect is None else read._replace(affect=self.affect(read.features))

    def _braid(self, encoded: Mapping[str, Stream]) -> Fused:
        if self.imagination is None:
            read: Fused = self.fusion(encoded)
            return read
        filled, imagined = self.imagination(encoded)
        return honest(self.fusion(filled), imagined, present(encoded))

    def forward(self, streams: Mapping[str, Stream], views: Tensor | None = None) -> Fused:
        """One reading of each utterance; with `views` (V, M) bool, one with each of these subsets of the modalities
        kept, every tensor (B, V, ...). The encoders run once."""
        encoded = self.encode(streams)
        return self.fuse(encoded) if views is None else self._fuse_views(encoded, views)

    def _fuse_views(self, encoded: Mapping[str, Stream], views: Tensor) -> Fused:
        count = len(views)

        def repeated(stream: Stream, kept: Tensor) -> Stream:
            values, mask = (x.repeat_interleave(count, dim=0) for x in stream)  # (B * V, T, ...)
            return Stream(values, mask & kept.repeat(len(stream.mask))[:, None])

        kept = views.T.to(next(iter(encoded.values())).mask.device)  # (M, V)
        read = self.fuse({m: repeated(s, k) for (m, s), k in zip(encoded.items(), kept, strict=True)})
        every: Fused = every_tensor(read, lambda x: x.unflatten(0, (-1, count)))
        return every

    @torch.no_grad()
    def fuse_subsets(self, streams: Mapping[str, Stream], subsets: Iterable[tuple[str, ...]]) -> dict[str, Fused]:
        """What is read with only each subset kept, keyed "text+audio"; the encoders run once."""
        encoded = self.encode(streams)
        return {"+".join(s): self.fuse(keep_only(encoded, s)) for s in subsets}

    def read_subsets(self, streams: Mapping[str, Stream], subsets: Iterable[tuple[str, ...]]) -> dict[str, Tensor]:
        """Logits (B, C) with only each subset kept, keyed "text+audio"; the encoders run once."""
        return {s: read.logits for s, read in self.fuse_subsets(streams, subsets).items()}
