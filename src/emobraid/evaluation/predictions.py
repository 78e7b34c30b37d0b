"""The table evaluation works on: predict once, then every figure and picture is a pure function of it.

Shapes: N utterances, C classes, M modalities, K affect dimensions. A subset of modalities is written
with "+": "text+audio".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from emobraid.emotions import LabelKind


def subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets of `modalities`, each in the given order: single ones first, the full set last."""
    return [kept for size in range(1, len(modalities) + 1) for kept in combinations(modalities, size)]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said about N utterances, once per modality subset, beside what is true.

    `logits` holds at least the full subset, its key being all `modalities` joined by "+". A row's label may be soft:
    scores then take its largest class. With `kind` "multi" each class is expressed (above 0.5) or not.
    ValueError when the shapes disagree or a row that can be scored is not finite.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.floating[Any]]  # (N, C) one-hot or soft; a row of NaN is unlabelled
    logits: Mapping[str, NDArray[np.floating[Any]]]  # (N, C) each, by subset: "text", "text+audio", ...
    present: NDArray[np.bool_]  # (N, M) which modalities the row really has
    modalities: tuple[str, ...]
    groups: tuple[str, ...] = ()  # N speakers or dialogues, or empty
    kind: LabelKind = "exclusive"
    dimensions: tuple[str, ...] = ()  # K
    affect: Mapping[str, NDArray[np.floating[Any]]] = field(default_factory=dict)  # (N, K) each, by subset
    affect_true: NDArray[np.floating[Any]] = field(default_factory=lambda: np.empty((0, 0)))  # (N, K), NaN absent
    nothing: NDArray[np.floating[Any]] | None = None  # (C,) logits of an utterance without any modality
    features: NDArray[np.floating[Any]] | None = None  # (N, D) what the logits of the full subset were read from

    def __post_init__(self) -> None:
        self._check_names()
        n, c, m = len(self.ids), len(self.classes), len(self.modalities)
        _check_shape("labels", self.labels, (n, c))
        _check_shape("present", self.present, (n, m))
        if self.dimensions:
            _check_shape("affect_true", self.affect_true, (n, len(self.dimensions)))
        if self.nothing is not None:
            _check_shape("nothing", self.nothing, (c,))
        if self.features is not None:
            _check_shape("features", self.features, (n, *self.features.shape[1:2]))
        if self.present.dtype != np.bool_:
            raise ValueError(f"present must be bool, got {self.present.dtype}")
        if self.groups and len(self.groups) != n:
            raise ValueError(f"{len(self.groups)} groups for {n} utterances: give one each, or none")
        self._check_labels()
        for subset, logits in self.logits.items():
            _check_shape(f"logits of {subset!r}", logits, (n, c))
            broken = self.readable(subset) & ~np.isfinite(logits).all(axis=1)
            if self.dimensions:
                _check_shape(f"affect of {subset!r}", self.affect[subset], (n, len(self.dimensions)))
                broken |= self.readable(subset) & ~np.isfinite(self.affect[subset]).all(axis=1)
            if broken.any():
                raise ValueError(f"the logits of {self.ids[int(broken.argmax())]!r} from {subset!r} are not finite")

    def _check_names(self) -> None:
        if not self.modalities or any(not m or "+" in m for m in self.modalities):
            raise ValueError(f"modalities need names without '+', got {list(self.modalities)}")
        for what, names in (("classes", self.classes), ("modalities", self.modalities)):
            if not all(names) or len(set(names)) != len(names):
                raise ValueError(f"{what} must be named and differ, got {list(names)}")
        known = ["+".join(s) for s in subsets(self.modalities)]
        for subset in self.logits:
            if subset not in known:
                raise ValueError(f"unknown modality subset {subset!r}, known: {', '.join(known)}")
        if self.full not in self.logits:
            raise ValueError(f"logits of the full subset {self.full!r} are needed, got {list(self.logits)}")

    def _check_labels(self) -> None:
        weights = np.nan_to_num(self.labels, nan=0.0, posinf=-1.0)
        # a row without a class would silently become the first class under argmax
        fine = np.isnan(self.labels).all(axis=1)
        whole = (weights >= 0).all(axis=1)
        # nothing expressed is a reading of its own where classes do not exclude each other
        whole &= (weights <= 1).all(axis=1) if self.kind == "multi" else weights.sum(axis=1) > 0
        fine |= ~np.isnan(self.labels).any(axis=1) & whole
        if not fine.all():
            row = int((~fine).argmax())
            raise ValueError(
                f"the label of {self.ids[row]!r} is {self.labels[row].tolist()}: give non-negative weights, "
                f"{'none above one' if self.kind == 'multi' else 'at least one above zero'}, "
                "or a row of NaN for an unlabelled utterance"
            )

    @property
    def full(self) -> str:
        """The key of the subset with all modalities."""
        return "+".join(self.modalities)

    @property
    def subsets(self) -> tuple[str, ...]:
        """The keys that have logits, single modalities first, the full subset last."""
        return tuple(key for key in ("+".join(s) for s in subsets(self.modalities)) if key in self.logits)

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) bool: rows with a label."""
        return np.asarray(~np.isnan(self.labels).any(axis=1))

    @property
    def true(self) -> NDArray[np.intp]:
        """(N,) the column of each row's largest label weight, -1 where the row is unlabelled."""
        return np.where(self.labelled, np.nan_to_num(self.labels).argmax(axis=1), -1)

    def readable(self, subset: str) -> NDArray[np.bool_]:
        """(N,) bool: rows that have at least one modality of `subset`; ValueError if it names an unknown one."""
        kept = subset.split("+")
        if not set(kept) <= set(self.modalities):
            raise ValueError(f"unknown modality in subset {subset!r}, known: {', '.join(self.modalities)}")
        columns = [i for i, m in enumerate(self.modalities) if m in kept]
        return np.asarray(self.present[:, columns].any(axis=1))

    def rows(self, subset: str) -> NDArray[np.bool_]:
        """(N,) bool: the rows scored for `subset`, that is labelled and with at least one of its modalities."""
        return self.readable(subset) & self.labelled

    def probabilities(self, subset: str, temperature: float = 1.0) -> NDArray[np.float64]:
        """(N, C) of the logits of `subset` over `temperature`: their softmax, or for multi-label each one's sigmoid.

        ValueError if the subset was not predicted.
        """
        if subset not in self.logits:
            raise ValueError(f"no predictions from {subset!r}, there are: {', '.join(self.subsets)}")
        if not temperature > 0:
            raise ValueError(f"a temperature is above zero, got {temperature}")
        return self.chances(self.logits[subset].astype(np.float64) / temperature)

    def chances(self, scores: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """(..., C) probabilities of logits (..., C): their softmax, or for multi-label each one's sigmoid."""
        return np.asarray(expit(scores) if self.kind == "multi" else softmax(scores, axis=-1), dtype=np.float64)

    def save_csv(
        self,
        path: Path | str,
        temperatures: Mapping[str, float],
        thresholds: Mapping[str, Mapping[str, float]] | None = None,
    ) -> None:
        """Write the full subset as UTF-8 CSV, one row per utterance in order.

        Columns: `id, true, predicted, confidence, p_<class>..., modalities`, then for each affect dimension
        `true_<dimension>, <dimension>`. `temperatures` are by subset, 1 where absent; `thresholds` of multi-label
        classes by subset and class, 0.5 where absent. Several labels have `|` between them, and none at all is a `|`
        alone. `true` is empty for an unlabelled row; a row without any modality has no prediction and empty cells.
        Text is written as it is, so a cell may look like a formula to a spreadsheet.
        """
        from emobraid.evaluation.predictions_csv import save  # which needs this class

        save(self, path, temperatures, thresholds or {})

    @classmethod
    def load_csv(
        cls, path: Path | str, modalities: Sequence[str] | None = None, kind: LabelKind = "exclusive"
    ) -> "Predictions":
        """What `save_csv` wrote: the full subset, with labels one-hot and the temperature already in the logits.

        Modalities are read from the rows, or given (a column no row has leaves no trace in the file). ValueError names
        the file and the row that cannot be read.
        """
        from emobraid.evaluation.predictions_csv import load

        return load(path, modalities, kind)


def _check_shape(what: str, array: NDArray[Any], shape: tuple[int, ...]) -> None:
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}, got {array.shape}")
