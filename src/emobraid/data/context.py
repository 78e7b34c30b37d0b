"""Published features with those of the utterances before them in their dialogue or video."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from emobraid.data.corpus import Cell
from emobraid.data.features import ArrayCell


@dataclass(frozen=True)
class InContext(ArrayCell):
    """An utterance's features after a position for each utterance before it, oldest first; a last column is 1 there."""

    own: ArrayCell
    before: tuple[ArrayCell, ...]

    def load(self) -> np.ndarray:
        """(K + T, W + 1): the means of K utterances before, then the T positions of this one. T = 0 leaves nothing."""
        own = np.atleast_2d(self.own.load())
        if not len(own):
            return _marked(own, 0.0)
        if not np.isfinite(own).any():  # missing, whatever was said before; its mark would look like a number
            return np.full((1, own.shape[1] + 1), np.nan, np.float32)
        earlier = [_mean(rows) for cell in self.before if np.isfinite(rows := np.atleast_2d(cell.load())).any()]
        return np.concatenate([*(_marked(row[None], 1.0) for row in earlier), _marked(own, 0.0)])


def _mean(rows: np.ndarray) -> np.ndarray:
    """(W,) without infinities and NaN; what has no other value is 0, as the encoder has it."""
    finite = np.isfinite(rows)
    return np.where(finite, rows, 0).sum(axis=0) / np.maximum(finite.sum(axis=0), 1)


def _marked(rows: np.ndarray, mark: float) -> np.ndarray:
    return np.concatenate([rows.astype(np.float32), np.full((len(rows), 1), mark, np.float32)], axis=1)


def in_context(dialogue: Sequence[Mapping[str, Cell]], count: int) -> list[dict[str, Cell]]:
    """The cells of a dialogue's utterances, in their order, each with the features of the `count` before it.

    Words and media stay as they are, and what is missing stays missing.
    """
    if not count:
        return [dict(cells) for cells in dialogue]
    found = []
    for place, cells in enumerate(dialogue):
        near = dialogue[max(0, place - count) : place]
        found.append({m: _in_context(m, cell, near) for m, cell in cells.items()})
    return found


def by_dialogue(
    cells: Mapping[int, Mapping[str, Cell]], places: Mapping[int, tuple[str, float]], count: int
) -> dict[int, dict[str, Cell]]:
    """The same for the lines of a table, by the dialogue and the turn in `places`."""
    dialogues: dict[str, list[tuple[float, int]]] = {}
    for line in cells:
        dialogue, turn = places[line]
        dialogues.setdefault(dialogue, []).append((turn, line))
    found: dict[int, dict[str, Cell]] = {}
    for turns in dialogues.values():
        lines = [line for _, line in sorted(turns)]
        found |= zip(lines, in_context([cells[line] for line in lines], count), strict=True)
    return found


def _in_context(modality: str, cell: Cell, near: Sequence[Mapping[str, Cell]]) -> Cell:
    if not isinstance(cell, ArrayCell):
        return cell
    return InContext(cell, tuple(c for cells in near if isinstance(c := cells[modality], ArrayCell)))
