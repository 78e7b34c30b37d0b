"""The table evaluation works on: predict once, then every figure and picture is a pure function of it.

Shapes: N utterances, C classes, M modalities. A subset of modalities is written with "+": "text+audio".
"""

import csv
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

FIXED = ("id", "true", "predicted", "confidence")  # then p_<class> for each class, and last `modalities`


def subsets(modalities: Sequence[str]) -> list[tuple[str, ...]]:
    """All non-empty subsets of `modalities`, each in the given order: single ones first, the full set last."""
    return [kept for size in range(1, len(modalities) + 1) for kept in combinations(modalities, size)]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a model said about N utterances, once per modality subset, beside what is true.

    `logits` holds at least the full subset, its key being all `modalities` joined by "+". A row's label may be soft:
    scores then take its largest class. ValueError when the shapes disagree or a row that can be scored is not finite.
    """

    ids: tuple[str, ...]
    classes: tuple[str, ...]
    labels: NDArray[np.floating[Any]]  # (N, C) one-hot or soft; a row of NaN is unlabelled
    logits: Mapping[str, NDArray[np.floating[Any]]]  # (N, C) each, by subset: "text", "text+audio", ...
    present: NDArray[np.bool_]  # (N, M) which modalities the row really has
    modalities: tuple[str, ...]
    groups: tuple[str, ...] = ()  # N speakers or dialogues, or empty

    def __post_init__(self) -> None:
        self._check_names()
        n, c, m = len(self.ids), len(self.classes), len(self.modalities)
        _check_shape("labels", self.labels, (n, c))
        _check_shape("present", self.present, (n, m))
        if self.present.dtype != np.bool_:
            raise ValueError(f"present must be bool, got {self.present.dtype}")
        if self.groups and len(self.groups) != n:
            raise ValueError(f"{len(self.groups)} groups for {n} utterances: give one each, or none")
        self._check_labels()
        for subset, logits in self.logits.items():
            _check_shape(f"logits of {subset!r}", logits, (n, c))
            broken = self.readable(subset) & ~np.isfinite(logits).all(axis=1)
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
        fine |= ~np.isnan(self.labels).any(axis=1) & (weights >= 0).all(axis=1) & (weights.sum(axis=1) > 0)
        if not fine.all():
            row = int((~fine).argmax())
            raise ValueError(
                f"the label of {self.ids[row]!r} is {self.labels[row].tolist()}: give non-negative weights, "
                "at least one above zero, or a row of NaN for an unlabelled utterance"
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
    def true(self) -> NDArray[np.intp]:
        """(N,) the column of each row's largest label weight, -1 where the row is unlabelled."""
        labelled = ~np.isnan(self.labels).any(axis=1)
        return np.where(labelled, np.nan_to_num(self.labels).argmax(axis=1), -1)

    def readable(self, subset: str) -> NDArray[np.bool_]:
        """(N,) bool: rows that have at least one modality of `subset`; ValueError if it names an unknown one."""
        kept = subset.split("+")
        if not set(kept) <= set(self.modalities):
            raise ValueError(f"unknown modality in subset {subset!r}, known: {', '.join(self.modalities)}")
        columns = [i for i, m in enumerate(self.modalities) if m in kept]
        return np.asarray(self.present[:, columns].any(axis=1))

    def rows(self, subset: str) -> NDArray[np.bool_]:
        """(N,) bool: the rows scored for `subset`, that is labelled and with at least one of its modalities."""
        return self.readable(subset) & (self.true >= 0)

    def probabilities(self, subset: str, temperature: float = 1.0) -> NDArray[np.float64]:
        """(N, C) softmax of the logits of `subset` over `temperature`; ValueError if the subset was not predicted."""
        if subset not in self.logits:
            raise ValueError(f"no predictions from {subset!r}, there are: {', '.join(self.subsets)}")
        if not temperature > 0:
            raise ValueError(f"a temperature is above zero, got {temperature}")
        probabilities: NDArray[np.float64] = softmax(self.logits[subset].astype(np.float64) / temperature, axis=1)
        return probabilities

    def save_csv(self, path: Path | str, temperatures: Mapping[str, float]) -> None:
        """Write the full subset as UTF-8 CSV, one row per utterance in order, ending with the modalities it had.

        Columns: `id, true, predicted, confidence, p_<class>..., modalities`. `temperatures` are by subset, 1 where
        absent. `true` is empty for an unlabelled row; a row without any modality has no prediction and empty cells.
        Text is written as it is, so a cell may look like a formula to a spreadsheet.
        """
        probabilities = self.probabilities(self.full, temperatures.get(self.full, 1.0))
        readable, true = self.readable(self.full), self.true
        # every cell quoted, and CRLF: an id holding any kind of line break comes back unchanged
        with open(path, "w", encoding="utf-8", newline="") as file:
            table = csv.writer(file, quoting=csv.QUOTE_ALL)
            table.writerow([*FIXED, *(f"p_{c}" for c in self.classes), "modalities"])
            for i, name in enumerate(self.ids):
                row = probabilities[i]
                said = [self.classes[int(row.argmax())], float(row.max()), *map(float, row)] if readable[i] else None
                had = "+".join(m for m, there in zip(self.modalities, self.present[i], strict=True) if there)
                label = self.classes[true[i]] if true[i] >= 0 else ""
                table.writerow([name, label, *(said or [""] * (2 + len(row))), had])

    @classmethod
    def load_csv(cls, path: Path | str, modalities: Sequence[str] | None = None) -> "Predictions":
        """What `save_csv` wrote: the full subset, with labels one-hot and the temperature already in the logits.

        Modalities are read from the rows, or given (a column no row has leaves no trace in the file). ValueError names
        the file and the row that cannot be read.
        """
        with open(path, encoding="utf-8-sig", newline="") as file:
            header, *rows = list(csv.reader(file)) or [[]]
        classes = tuple(h.removeprefix("p_") for h in header[4:-1])
        if not classes or header != [*FIXED, *(f"p_{c}" for c in classes), "modalities"]:
            raise ValueError(f"{path} has columns {header}, need {', '.join(FIXED)}, p_<class>..., modalities")
        parsed = [_parse_row(path, number, row, classes) for number, row in enumerate(rows, start=1)]
        labels, logits = (np.array([p[k] for p in parsed]).reshape(-1, len(classes)) for k in (0, 1))
        had = [tuple(row[-1].split("+")) if row[-1] else () for row in rows]
        known = tuple(modalities) if modalities is not None else _ordered(had)
        if stray := {m for row in had for m in row} - set(known):
            raise ValueError(f"{path} has the modalities {sorted(stray)} beside the given {list(known)}")
        present = np.array([[m in row for m in known] for row in had], dtype=bool).reshape(len(had), len(known))
        return cls(tuple(row[0] for row in rows), classes, labels, {"+".join(known): logits}, present, known)


def _check_shape(what: str, array: NDArray[Any], shape: tuple[int, int]) -> None:
    if array.shape != shape:
        raise ValueError(f"{what} must have shape {shape}, got {array.shape}")


def _parse_row(
    path: Path | str, number: int, row: Sequence[str], classes: Sequence[str]
) -> tuple[list[float], list[float]]:
    """The label and the log probabilities of one CSV row; a row without a prediction gets even ones."""
    if len(row) != len(classes) + 5:
        raise ValueError(f"{path}, row {number}: {len(row)} cells, need {len(classes) + 5}")
    if row[1] and row[1] not in classes:
        raise ValueError(f"{path}, row {number}: unknown class {row[1]!r}, known: {', '.join(classes)}")
    label = [float(c == row[1]) if row[1] else np.nan for c in classes]
    try:
        probabilities = [float(cell) if row[-1] else 1.0 for cell in row[4:-1]]
    except ValueError:
        raise ValueError(f"{path}, row {number}: {row[4:-1]} are not probabilities") from None
    if not all(0 <= p <= 1 for p in probabilities):
        raise ValueError(f"{path}, row {number}: {probabilities} are not probabilities")
    return label, np.log(np.maximum(probabilities, np.finfo(float).tiny)).tolist()


def _ordered(had: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    # the fullest rows first: they carry the order of the modalities
    return tuple(dict.fromkeys(m for row in sorted(had, key=len, reverse=True) for m in row))
