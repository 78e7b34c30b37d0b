"""One model through all protocols of the missing-modality benchmark.

Only the frame protocol and the noise study run it. Whole modalities go missing in the table of its predictions: an
utterance read without them is a row of that subset's column.

Shapes: N utterances, C classes, M modalities.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from emobraid.data.prepared import PreparedSplit
from emobraid.evaluation.counts import COUNTED, confusions
from emobraid.evaluation.missing import (
    ALL,
    FRAME_RATES,
    NOISE_LEVELS,
    RATES,
    Frozen,
    Mask,
    Plan,
    subset_mask,
)
from emobraid.evaluation.missing_passes import (
    NOTHING,
    Damage,
    Said,
    gaps,
    noised,
    noisy_modalities,
    read_spoilt,
)
from emobraid.evaluation.predictions import Predictions, subsets
from emobraid.evaluation.significance import mean_and_std
from emobraid.model import MultimodalEmotionModel

Row = dict[str, Any]
Tell = Callable[[str], Callable[[int, int], None]]  # a task's name -> its progress
SCORES = ("macro_f1", "weighted_f1", "accuracy")


@dataclass(frozen=True, eq=False)
class Contender:
    """A model in the benchmark, the utterances as it reads them, and what it answers where it has nothing to read."""

    name: str
    model: MultimodalEmotionModel
    split: PreparedSplit
    read: Predictions  # from every subset of its modalities
    guess: int  # the commonest class of the training split

    @property
    def modalities(self) -> tuple[str, ...]:
        return self.read.modalities

    def answers(self, hidden: Mask, modalities: Sequence[str]) -> NDArray[np.intp]:
        """(N,) columns with `hidden` (N, M) of `modalities` missing; NOTHING where that leaves it none of its own."""
        said = np.full(len(hidden), NOTHING)
        own = hidden[:, [modalities.index(m) for m in self.modalities]]
        for subset in self.read.subsets:
            left_out = [m not in subset.split("+") for m in self.modalities]
            rows = (own == left_out).all(axis=1) & self.read.readable(subset)
            said[rows] = self.read.logits[subset][rows].argmax(axis=1)
        return said


def contender(
    name: str, model: MultimodalEmotionModel, split: PreparedSplit, read: Predictions, known: Tensor
) -> Contender:
    """A model made ready from its split and its predictions there. ValueError for a multi-label one.

    `known` (N', C) are labels of the training split, which say what is commonest, the first on a tie; rows of NaN do
    not count.
    """
    if read.kind != "exclusive":
        raise ValueError(f"{name}: the missing-modality benchmark scores exclusive classes, this model is multi-label")
    if not len(labelled := known[~known.isnan().any(dim=1)]):
        raise ValueError("no training row has a label, so nothing says what to answer where nothing is left to read")
    return Contender(name, model, split, read, int(labelled.sum(dim=0).argmax()))


def lengths(contender: Contender) -> dict[str, list[int]]:
    """By modality, how many positions each utterance's prepared stream has."""
    return {m: [len(t) for t in contender.split.tensors[m]] for m in contender.modalities}


@dataclass(frozen=True, eq=False)
class Scorer:
    """One contender through all protocols."""

    own: Contender
    main: Contender
    frozen: Frozen
    plan: Plan
    tell: Tell | None
    device: torch.device | str

    def rows(self) -> Iterator[Row]:
        for kept in subsets(self.main.modalities):
            yield self.row("fixed", "+".join(kept), None, None, [self.without(kept)])
        for rate in RATES:
            masks = [self.frozen.random[rate, draw] for draw in range(self.plan.draws)]
            each = [self.own.answers(mask, self.main.modalities) for mask in masks]
            yield self.row("random", "", rate, self.frozen.achieved["random", rate], each)
        if self.plan.frame_draws:
            yield from self.frames()
        if self.plan.noise:
            yield from self.noise()

    def frames(self) -> Iterator[Row]:
        """At rate 0 and 1 the table of predictions knows the answer, and so it does for what a model does not read."""
        modalities, draws = self.main.modalities, self.plan.frame_draws
        parts = (*modalities, ALL) if len(modalities) > 1 else modalities
        read = [p for p in parts if p == ALL or p in self.own.modalities]
        said = self.run(gaps(self.own.split, self.plan.seed), read, FRAME_RATES[1:-1], "gaps")
        for part in parts:
            gone = self.without([m for m in modalities if part not in (m, ALL)])
            known = {0.0: self.without(modalities), 1.0: gone}
            for rate in FRAME_RATES:
                each = [known.get(rate, said.get((part, rate, d), known[0.0])) for d in range(draws)]
                yield self.row("frames", part, rate, self.frozen.achieved[part, rate], each)

    def noise(self) -> Iterator[Row]:
        """On the modalities that noise has a meaning for, in the main model's way of reading and this one's."""
        main = noisy_modalities(self.main.model, self.main.split)
        own = [m for m in noisy_modalities(self.own.model, self.own.split) if m in main]
        whole = len(main) > 1 and own and own == [m for m in main if m in self.own.modalities]
        parts = (*own, ALL) if whole else tuple(own)
        said = self.run(noised(self.own.split, own, self.plan.seed), parts, NOISE_LEVELS[1:], "noise")
        clean = self.without(self.main.modalities)
        for part in parts:
            for level in NOISE_LEVELS:
                each = [said.get((part, level, d), clean) for d in range(self.plan.frame_draws)]
                yield self.row("noise", part, level, None, each)

    def run(self, damage: Damage, parts: Sequence[str], levels: Sequence[float], task: str) -> Said:
        draws, tell = self.plan.frame_draws, self.tell(f"{task}, {self.own.name}") if self.tell else None
        own = self.own
        return read_spoilt(
            own.model, own.split, damage, parts, levels=levels, draws=draws, device=self.device, progress=tell
        )

    def without(self, kept: Sequence[str]) -> NDArray[np.intp]:
        """What the contender answers when only `kept` is there."""
        everything = self.main.modalities
        return self.own.answers(subset_mask(kept, everything, len(self.own.read.ids)), everything)

    def row(
        self, protocol: str, part: str, rate: float | None, hidden: float | None, each: Sequence[NDArray[np.intp]]
    ) -> Row:
        """One line of the table; a fixed subset is scored where it has something, all else on the same rows."""
        read = self.main.read
        scored = read.rows(part if protocol == "fixed" else read.full)
        row: Row = {"model": self.own.name, "protocol": protocol, "part": part, "rate": rate, "achieved": hidden}
        row |= {"draws": len(each), "n": int(scored.sum())}
        row["guessed"] = float(np.mean([(said[scored] == NOTHING).sum() for said in each]))
        found = self.scores(np.stack(each), scored)
        for name in SCORES:
            row[name], row[f"{name}_std"] = mean_and_std(found[name]) if found else (None, None)
        row["each_macro_f1"] = found.get("macro_f1", [])
        return row

    def scores(self, each: NDArray[np.intp], scored: NDArray[np.bool_]) -> dict[str, list[float]]:
        """Of answers (R, N) on the `scored` (N,) rows: R numbers for each score; empty where there are no rows."""
        if not scored.any():
            return {}
        answered = np.where(each == NOTHING, self.own.guess, each)[:, scored]
        counts = confusions(self.main.read.true[scored], answered, len(self.main.read.classes))
        return {name: COUNTED[name](counts).tolist() for name in SCORES}
