"""The front door: a trained model, and what it reads in one utterance.

Shapes: B batch, N audio samples, T frames, C classes, M modalities.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import factorial
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.corpus import Cell, Sample
from emobraid.data.preparer import Preparer
from emobraid.data.shelf import Input
from emobraid.emotions import LabelSpace
from emobraid.media import SAMPLE_RATE, MediaReader
from emobraid.model import MultimodalEmotionModel
from emobraid.stream import Stream, pad, subsets

# the same bounds as for files, which are measured in the decoder process
SILENCE = 10 ** (-70 / 20)  # root mean square, full scale = 1
SHORTEST = 0.025  # seconds


class NothingToRead(ValueError):
    """No modality was left to read; the message gives each one's reason."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What one modality alone expresses, in the model's reading."""

    emotion: str
    confidence: float
    probabilities: dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Prediction(Reading):
    """What an utterance expresses, in the model's reading; never a claim about what a person feels.

    `confidence` is calibrated for the modalities that were there. `contributions` are Shapley values: how much each
    modality moved the probability of `emotion` away from what the model says of nothing at all; they add up to that
    difference. `affect` places the probabilities on the valence-arousal plane (each -1..1). `notes` tell, by
    modality, why it is missing or what is odd about it.
    """

    contributions: dict[str, float]
    per_modality: dict[str, Reading]
    affect: dict[str, float]
    notes: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def shapley(value: Mapping[frozenset[str], float], players: tuple[str, ...]) -> dict[str, float]:
    """Exact Shapley values (Shapley 1953) from the value of every subset, the empty one included."""
    size = len(players)
    shares = {}
    for player in players:
        rest = [s for s in value if player not in s]
        weigh = {s: factorial(len(s)) * factorial(size - len(s) - 1) / factorial(size) for s in rest}
        shares[player] = sum(weigh[s] * (value[s | {player}] - value[s]) for s in rest)
    return shares


def unheard(samples: np.ndarray) -> str:
    """Why there is nothing to hear in samples (N,), in the words for files; empty when there is."""
    if len(samples) < SHORTEST * SAMPLE_RATE:
        return f"too short ({1000 * len(samples) / SAMPLE_RATE:.0f} ms)"
    return "silent" if samples.std(dtype=np.float64) < SILENCE else ""


class Recognizer:
    """Reads any non-empty subset of a model's modalities. Use it as a context manager, or `close` it."""

    def __init__(
        self, model: MultimodalEmotionModel, config: Config, temperatures: Mapping[str, float], *, workers: int = 1
    ) -> None:
        self.model, self.config, self.temperatures = model.eval(), config, dict(temperatures)
        self.labels = LabelSpace(config.model.labels)
        self.reader = MediaReader(workers=workers)
        self.preparer = Preparer(
            model.by_modality(),
            self.reader,
            max_frames=config.model.video_max_frames,
            half=config.data.half_features,  # as the model was trained
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, *, workers: int = 1) -> Self:
        """The model in a checkpoint folder; ValueError when there is none, or it is damaged."""
        return cls(*checkpoint.load_model(Path(path)), workers=workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reader.close()

    def predict(
        self,
        *,
        text: str | None = None,
        audio: str | Path | np.ndarray | None = None,
        video: str | Path | np.ndarray | None = None,
        sound: bool = True,
    ) -> Prediction:
        """Read one utterance from what is given; the rest is missing.

        `audio` is a file or samples (N,) float at 16 kHz mono; `video` a file or RGB frames (T, H, W, 3) uint8. With
        `sound`, a video file's own sound track is the audio when no other is given. NothingToRead when no modality
        is usable, MediaError when a file cannot be read.
        """
        given = {"text": text, "audio": audio, "video": video}
        for modality, value in given.items():
            if value is not None and modality not in self.model.config.modalities:
                raise ValueError(f"this model reads {', '.join(self.model.config.modalities)}, not {modality}")
        from_video = sound and audio is None and video is not None and not isinstance(video, np.ndarray)
        arrays = {m: v for m, v in given.items() if isinstance(v, np.ndarray)}
        cells: dict[str, Cell] = {
            m: None if m in arrays else self._cell(m, given[m]) for m in self.model.config.modalities
        }
        sample = Sample(id="", group="", cells=cells, sound_from_video=from_video, label=None)
        inputs = self.preparer.sample(sample)
        inputs |= {m: self.preparer.finished(m, self._array(m, v)) for m, v in arrays.items()}
        return self.read(inputs)

    def predict_sample(self, sample: Sample) -> Prediction:
        """Read one row of a table."""
        return self.read(self.preparer.sample(sample))

    def _cell(self, modality: str, value: Any) -> Cell:
        if value is None or modality == "text":
            return value
        return Path(value)

    def _array(self, modality: str, value: np.ndarray) -> Input:
        encoder = self.model.by_modality()[modality]
        if getattr(self.config.model, f"{modality}_encoder") == "features":
            return Input(encoder.prepare(value))
        if modality == "audio":
            if value.ndim != 1 or not np.issubdtype(value.dtype, np.floating) or not np.isfinite(value).all():
                raise ValueError(f"audio must be finite float samples (N,) in -1..1, got {value.dtype} {value.shape}")
            if reason := unheard(value):
                return Input(encoder.absent(), reason)
            return Input(encoder.prepare(value))
        times = np.arange(len(value), dtype=np.float32)
        faces = self.reader.frames_to_faces(value, times, max_frames=self.preparer.max_frames, size=encoder.crop)
        return Input(encoder.prepare(faces.crops) if len(faces.crops) else encoder.absent(), faces.note)

    def read(self, inputs: Mapping[str, Input]) -> Prediction:
        """Read one prepared utterance."""
        there = tuple(m for m, x in inputs.items() if len(x.tensor))
        notes = {m: x.note for m, x in inputs.items() if x.note and not (x.note == "not given" and there)}
        if not there:
            raise NothingToRead("nothing to read: " + "; ".join(f"{m}: {x.note}" for m, x in inputs.items()))
        probabilities = self._by_subset(inputs, there)
        whole = probabilities[frozenset(there)]
        top = int(whole.argmax())
        return Prediction(
            **asdict(self._reading(whole)),
            contributions=shapley({s: float(p[top]) for s, p in probabilities.items()}, there),
            per_modality={m: self._reading(probabilities[frozenset({m})]) for m in there},
            affect=self.labels.affect(whole.tolist()),
            notes=notes,
        )

    @torch.no_grad()
    def _by_subset(self, inputs: Mapping[str, Input], there: tuple[str, ...]) -> dict[frozenset[str], Tensor]:
        """Calibrated probabilities (C,) for every subset of what is there, the empty one too: encoders run once, and
        the fusion once over all subsets side by side."""
        encoded = self.model.encode({m: pad([x.tensor]) for m, x in inputs.items()})
        kept = [(), *subsets(there)]
        beside = {
            m: Stream(
                s.values.expand(len(kept), -1, -1),
                s.mask & torch.tensor([[m in k] for k in kept]),
            )
            for m, s in encoded.items()
        }
        logits = self.model.fuse(beside).logits
        heat = torch.tensor([[self.temperatures.get("+".join(k), 1.0)] for k in kept])
        return {frozenset(k): p for k, p in zip(kept, torch.softmax(logits / heat, dim=-1), strict=True)}

    def _reading(self, probabilities: Tensor) -> Reading:
        values = probabilities.tolist()
        best = int(probabilities.argmax())
        return Reading(
            emotion=self.labels.names[best],
            confidence=values[best],
            probabilities=dict(zip(self.labels.names, values, strict=True)),
        )
