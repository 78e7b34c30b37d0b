"""The front door: a trained model, and what it reads in one utterance.

Shapes: B batch, N audio samples, T frames, C classes, M modalities.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from emobraid import checkpoint
from emobraid.config import Config
from emobraid.data.corpus import Cell, Sample
from emobraid.data.mocap import motion_cell
from emobraid.data.preparer import Preparer
from emobraid.data.shelf import Input
from emobraid.emotions import LabelSpace
from emobraid.given import taken
from emobraid.media import SAMPLE_RATE, MediaBytes, MediaReader
from emobraid.media.kinds import SILENCE
from emobraid.model import MultimodalEmotionModel
from emobraid.prediction import Prediction, Reading, shapley
from emobraid.stream import Stream, pad, stacked, subsets

__all__ = ["NothingToRead", "Prediction", "Reading", "Recognizer", "shapley"]

SHORTEST = 0.025  # seconds


class NothingToRead(ValueError):
    """No modality was left to read; the message gives each one's reason."""


def unheard(samples: np.ndarray) -> str:
    """Why there is nothing to hear in samples (N,), in the words for files; empty when there is."""
    if len(samples) < SHORTEST * SAMPLE_RATE:
        return f"too short ({1000 * len(samples) / SAMPLE_RATE:.0f} ms)"
    return "silent" if samples.std(dtype=np.float64) < SILENCE else ""


def require_something(inputs: Mapping[str, Input]) -> None:
    """NothingToRead when no modality is there."""
    if not any(len(x.tensor) for x in inputs.values()):
        raise NothingToRead("nothing to read: " + "; ".join(f"{m}: {x.note}" for m, x in inputs.items()))


def told(one: Input) -> bool:
    """Whether a prediction has something to say of an input: that it was not given, its giver knows."""
    return bool(one.note) and one.note != "not given"


class Recognizer:
    """Reads any non-empty subset of a model's modalities. Use it as a context manager, or `close` it."""

    def __init__(
        self,
        model: MultimodalEmotionModel,
        config: Config,
        temperatures: Mapping[str, float],
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
        synthetic: bool = False,
        terms: str = "",
        *,
        workers: int = 1,
    ) -> None:
        self.model, self.config, self.temperatures = model.eval(), config, dict(temperatures)
        self.thresholds = dict(thresholds or {})
        self.synthetic = synthetic  # it learned from people that nobody recorded
        self.terms = terms  # on which the model may be used; empty: not recorded
        self.labels = LabelSpace(config.model.labels, config.model.label_kind)
        self.reader = MediaReader(workers=workers)
        self.preparer = Preparer(
            model.by_modality(),
            self.reader,
            max_frames=config.model.video_max_frames,
            half=config.data.half_features,  # as the model was trained
        )

    @classmethod
    def from_pretrained(cls, path: str | Path, *, workers: int = 1) -> Self:
        """The model in a checkpoint folder, or the one that ships under a name (`emobraid/compact`); ValueError when
        there is none, or it is damaged."""
        return cls(*checkpoint.load_trained(Path(path)), workers=workers)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.reader.close()

    def predict(
        self, *, text: Any = None, audio: Any = None, video: Any = None, motion: Any = None, sound: bool = True
    ) -> Prediction:
        """Read one utterance from what is given; the rest is missing.

        `text` is a string; `audio` a file, its bytes, samples (N,) float at 16 kHz mono, (rate, samples) or {"array",
        "sampling_rate"}; `video` a file, its bytes, a picture or RGB frames (T, H, W, 3); `motion` a recording of
        markers as text, a cell `file.npz#array`, or values (T, W) at 20 frames a second, NaN where a marker was not
        seen. Files may be open, arrays of any library or lists; None and NaN are missing. With `sound`, a video file's
        own sound track is the audio when no other is given. NothingToRead when no modality is usable, MediaError when a
        file cannot be read, ValueError for anything else.
        """
        asked = {"text": text, "audio": audio, "video": video, "motion": motion}
        given = {m: taken(m, value, features=self._reads_features(m)) for m, value in asked.items()}
        audio, video = given["audio"], given["video"]
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

    def _reads_features(self, modality: str) -> bool:
        return getattr(self.config.model, f"{modality}_encoder") == "features"

    def _cell(self, modality: str, value: Any) -> Cell:
        if value is None or modality == "text" or isinstance(value, MediaBytes):
            return value
        return motion_cell(str(value)) if modality == "motion" else Path(value)

    def _array(self, modality: str, value: np.ndarray) -> Input:
        encoder = self.model.by_modality()[modality]
        if modality == "motion" or self._reads_features(modality):
            tensor = encoder.prepare(value)
            return Input(tensor, "" if len(tensor) else "not one finite number")
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
        require_something(inputs)
        notes = {m: x.note for m, x in inputs.items() if told(x)}
        return self.read_encoded({m: self.encode(m, x.tensor) for m, x in inputs.items()}, notes)

    @torch.no_grad()
    def read_many(self, many: Sequence[Mapping[str, Input]]) -> list[Prediction]:
        """Read prepared utterances, encoded side by side; each as `read` does it alone, within 1e-5."""
        for inputs in many:
            require_something(inputs)
        if not many:
            return []
        encoded = self.model.encode({m: pad([inputs[m].tensor for inputs in many]) for m in many[0]})
        notes = [{m: x.note for m, x in inputs.items() if told(x)} for inputs in many]
        read = self._by_subset(encoded)
        return [self._prediction(*one, own) for one, own in zip(read, notes, strict=True)]

    @torch.no_grad()
    def encode(self, modality: str, prepared: Tensor) -> Stream:
        """One modality's prepared input (T, ...) at the fusion's width (1, T', D), for `read_encoded`."""
        encoded = self.model.encoders[modality](pad([prepared]))
        return Stream(self.model.projections[modality](encoded.values), encoded.mask)

    def read_encoded(self, encoded: Mapping[str, Stream], notes: Mapping[str, str]) -> Prediction:
        """Read one utterance that `encode` has seen: with live media, only what is new has to be encoded again."""
        return self.read_all_encoded([(encoded, notes)])[0]

    def read_all_encoded(self, many: Sequence[tuple[Mapping[str, Stream], Mapping[str, str]]]) -> list[Prediction]:
        """The same for several utterances side by side, each as alone within 1e-5."""
        encoded = {m: stacked([one[m] for one, _ in many]) for m in many[0][0]}
        read = self._by_subset(encoded)
        return [self._prediction(*one, notes) for one, (_, notes) in zip(read, many, strict=True)]

    def _prediction(
        self, probabilities: Mapping[frozenset[str], Tensor], affect: Tensor | None, notes: Mapping[str, str]
    ) -> Prediction:
        whole_set = max(probabilities, key=len)
        there = tuple(m for m in self.model.config.modalities if m in whole_set)
        whole = probabilities[whole_set]
        top = int(whole.argmax())
        return Prediction(
            **vars(self._reading(whole)),
            contributions=shapley({s: float(p[top]) for s, p in probabilities.items()}, there),
            per_modality={m: self._reading(probabilities[frozenset({m})]) for m in there},
            **self._placed(whole, affect),
            notes=dict(notes),
            expressed=self._expressed(whole, "+".join(there)),
        )

    def _placed(self, probabilities: Tensor, affect: Tensor | None) -> dict[str, Any]:
        if affect is not None:
            return {
                "affect": dict(zip(self.config.model.affect, affect.tolist(), strict=True)),
                "affect_note": "read by the model, in the units of its training data",
            }
        place = self.labels.affect(probabilities.tolist())
        note = "where the probabilities lie on the valence-arousal plane; the model reads no affect"
        return {"affect": place, "affect_note": note if place else ""}

    def _expressed(self, probabilities: Tensor, subset: str) -> tuple[str, ...] | None:
        if self.labels.kind == "exclusive":
            return None
        full = "+".join(self.config.model.modalities)
        cuts = self.thresholds.get(subset, self.thresholds.get(full, {}))
        chosen = zip(self.labels.names, probabilities.tolist(), strict=True)
        return tuple(name for name, p in chosen if p >= cuts.get(name, 0.5))

    @torch.no_grad()
    def _by_subset(self, encoded: Mapping[str, Stream]) -> list[tuple[dict[frozenset[str], Tensor], Tensor | None]]:
        """For each of the B utterances: calibrated probabilities (C,) for every subset of what is there, the empty one
        too, and the affect (K,) of all that is there. The fusion runs once over all of these side by side."""
        there = {m: s.present.tolist() for m, s in encoded.items()}
        size = len(next(iter(there.values())))
        kept = [(i, k) for i in range(size) for k in ((), *subsets(m for m in encoded if there[m][i]))]
        rows = torch.tensor([i for i, _ in kept])
        beside = {
            m: Stream(s.values[rows], s.mask[rows] & torch.tensor([[m in k] for _, k in kept]))
            for m, s in encoded.items()
        }
        read = self.model.fuse(beside)
        heat = torch.tensor([[self.temperatures.get("+".join(k), 1.0)] for _, k in kept])
        cooled = read.logits / heat
        chances = cooled.sigmoid() if self.labels.kind == "multi" else cooled.softmax(dim=-1)
        found: list[tuple[dict[frozenset[str], Tensor], Tensor | None]] = [({}, None)] * size
        for at, (i, k) in enumerate(kept):
            # what is there comes last of an utterance's subsets, and so does its affect
            found[i] = ({**found[i][0], frozenset(k): chances[at]}, None if read.affect is None else read.affect[at])
        return found

    def _reading(self, probabilities: Tensor) -> Reading:
        values = probabilities.tolist()
        best = int(probabilities.argmax())
        return Reading(
            emotion=self.labels.names[best],
            confidence=values[best],
            probabilities=dict(zip(self.labels.names, values, strict=True)),
        )
