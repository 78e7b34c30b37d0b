"""Finds which move of a conversation an utterance makes, by likeness of sentence vectors to the utterances of moves."""

import hashlib
import re
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from emobraid.dialogue.moves import CHEER, Move, moves, situation_of
from emobraid.dialogue.net import Net, pieces

if TYPE_CHECKING:
    from torch import Tensor

    from emobraid.encoders.minilm import MiniLm

VECTORS = "moves.safetensors"
SURE = 0.6  # likeness from which a move is taken for the one that was made
SURE_ANY = 0.56  # ... where it may come at any time
SURE_HERE = 0.5  # ... where it belongs to what is spoken of
SURE_GOOD = 0.63  # ... where its answer is glad: cheer in the wrong place hurts more than a plain word
ALIKE = 0.75  # likeness of two moves that mean nearly the same
AHEAD, CLEAR = 0.08, 0.09  # a move that is so far ahead of the next one may be less like by this
BELONGS = 0.38  # likeness to what is spoken of, from which words that were not understood go on with it
# moves of a word or two, which mean little at the head of a longer turn
WORDS = {"ok_short", "yes_plain", "no_plain", "maybe", "i_do_not_know", "haha", "nothing", "hello", "swearing_mild"}
FEW = 5
NEVER = 2.0  # a likeness that nothing reaches
SAME = 0.84  # likeness from which words are one of the utterances, but for spelling
HERE = 0.06  # what a move of the situation that is spoken of is preferred by
AGAIN = 0.03  # ... and the situation itself, over another one
NEAR = 12  # utterances that tell the mood of what was not understood
READ = 8  # parts of an utterance that are looked at
PLAINLY = 0.8  # likeness from which the mood of what lies near is not asked
# moves whose answer speaks of a death, and the words without one of which it is not taken for granted
_OF_DEATH = ("death_", "pet_died", "miscarriage", "suicide_bereavement", "funeral_soon", "anniversary_of_death")
_DEATH = re.compile(
    r"\b(?:di(?:e[ds]?|ying)|dead|death|lost|los(?:e|ing)|loss|passed|gone|funeral|buri\w+|grave|cremat\w+|"
    r"kill\w*|suicide|"
    r"miss(?:ing|ed)?|miscarr\w+|stillb\w+|put (?:him|her|it|them|\w+) (?:down|to sleep)|heartbeat|"
    r"mourn\w*|griev\w*|grief|"
    r"widow\w*|without (?:him|her|them)|anniversary|ashes|coffin|eulogy|wake|hang(?:ed)?|own life|jumped)\b",
    re.IGNORECASE,
)
_ALIVE = re.compile(r"(?:\bnot|n.?t) (?:dead|dying|gone)\b|\bstill alive\b", re.IGNORECASE)
_NOT = re.compile(r"\b(?:not|no|never|nobody|nothing|none|hardly|without|cannot|\w+n.?t)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Found:
    """The likeliest move of an utterance and its likeness (-1 to 1); `here` is the likeness to the situation that is
    spoken of; `good` and `bad` are the shares of such moods among the nearest utterances (0 to 1 each)."""

    move: Move
    likeness: float
    needed: float  # the likeness from which it is sure
    here: float
    good: float
    bad: float
    ahead: float  # how much more like it is than the next one

    @property
    def sure(self) -> bool:
        return self.likeness >= self.needed

    @property
    def belongs(self) -> bool:
        """Whether words that were not understood still seem to speak of the same situation."""
        return self.here >= BELONGS


class Understanding:
    """`Understanding.shipped().find("I lost my job")` -> Found(move=laid_off, ...). Threads may share one."""

    def __init__(self, encoder: "MiniLm", known: Mapping[str, Move], vectors: Mapping[int, "Tensor"]) -> None:
        import torch

        self.encoder, self.moves = encoder, tuple(known.values())
        said = [(text, i) for i, move in enumerate(self.moves) for text in move.said]
        new = [text for text, _ in said if mark(text) not in vectors]  # an operator's own lines
        own = dict(zip(new, self._embed(new), strict=True)) if new else {}
        self.said = tuple(text for text, _ in said)
        rows = [own[text] if text in own else vectors[mark(text)] for text, _ in said]
        self.vectors = torch.stack(rows)  # (N, W), N utterances
        self.owner = torch.tensor([i for _, i in said])  # (N,) the move of each
        sums = torch.zeros(len(self.moves), self.vectors.shape[1]).index_add_(0, self.owner, self.vectors)
        self.centres = sums / sums.norm(dim=1, keepdim=True)  # (M, W), M moves

    @classmethod
    def shipped(cls) -> "Understanding":
        """Of the moves in the package, made once."""
        with _MAKING:
            return _shipped()

    @classmethod
    def of(cls, known: Mapping[str, Move]) -> "Understanding":
        """Of moves that may differ from the shipped ones; utterances that are new are read once, now."""
        return cls(Net.shipped().encoder, known, read_vectors(_FOLDER))

    def find(self, text: str, *, situation: str = "") -> Found | None:
        """The likeliest move of `text` while `situation` is spoken of; None for no words."""
        parts = pieces(text)[:READ]
        if not parts:
            return None
        found = [self._nearest(part, vector, situation) for part, vector in zip(parts, self._embed(parts), strict=True)]
        # a greeting beside news is no greeting: what opens a subject comes first where it is sure
        opening = [f for f in found if f.sure and (f.move.opens or f.move.after)]
        telling = [f for f in found if f.move.id not in WORDS or len(text.split()) <= FEW]  # "Okay, driving home now."
        return max(opening or telling or found, key=lambda f: f.likeness - f.needed)

    def _nearest(self, text: str, vector: "Tensor", situation: str) -> Found:
        import torch

        cosines = self.vectors @ vector
        nearest = torch.full((len(self.moves),), -1.0).scatter_reduce(0, self.owner, cosines, "amax")
        # the middle of its utterances tells a move best, but for words that are one of them
        best = torch.where(nearest > SAME, nearest, self.centres @ vector)
        preferred = torch.tensor([self._preferred(move, situation) for move in self.moves])
        index = int((best + preferred).argmax())
        near = cosines.topk(min(NEAR, len(cosines)))
        moods = [self.moves[int(i)].mood for i in self.owner[near.indices]]
        share = {mood: moods.count(mood) / len(moods) for mood in ("good", "bad")}
        own = [situation_of(move.id) == situation for move in self.moves] if situation else []
        here = float(best[torch.tensor(own)].max()) if any(own) else -1.0
        # the next one that means something else: not of the same situation, and not nearly the same move
        same = self.centres @ self.centres[index] > ALIKE
        same |= torch.tensor([situation_of(m.id) == situation_of(self.moves[index].id) for m in self.moves])
        ahead = float(best[index] - (best + preferred.clamp(max=0)).masked_fill(same, -1.0).max())
        found = Found(self.moves[index], float(best[index]), 0.0, here, share["good"], share["bad"], ahead)
        return replace(found, needed=self._needed(text, found, index, cosines, situation))

    def _needed(self, text: str, found: Found, index: int, cosines: "Tensor", situation: str) -> float:
        """How like a move must be to be believed: more where its answer is glad, and never against a "not", against the
        mood of what lies near, or of a death that nobody spoke of."""
        move = found.move
        if move.id.startswith(_OF_DEATH) and not move.after and (not _DEATH.search(text) or _ALIVE.search(text)):
            return NEVER
        against = (found.good > found.bad and move.mood == "bad") or (found.bad > found.good and move.mood == "good")
        if against and found.likeness < PLAINLY:
            return NEVER
        clear = CLEAR if found.ahead >= AHEAD else 0.0
        if not cheers(move):
            return SURE_HERE if move.after and move.after == situation else (SURE if move.opens else SURE_ANY) - clear
        closest = int(cosines.masked_fill(self.owner != index, -2.0).argmax())
        denied = bool(_NOT.search(text)) != bool(_NOT.search(self.said[closest]))
        return NEVER if denied else SURE_GOOD - clear

    def _preferred(self, move: Move, situation: str) -> float:
        if move.after:
            return HERE if move.after == situation else -1.0
        return AGAIN if situation and situation_of(move.id) == situation else 0.0

    def _embed(self, texts: Sequence[str]) -> "Tensor":
        import torch

        return torch.cat([self.encoder.embed(texts[i : i + 32]) for i in range(0, len(texts), 32)])


_MAKING = threading.Lock()
_FOLDER = Path(str(resources.files("emobraid") / "weights" / "dialogue"))


@cache
def _shipped() -> Understanding:
    return Understanding.of(moves())


@cache
def cheers(move: Move) -> bool:
    """Whether an answer to `move` is glad of something."""
    return move.mood == "good" or any(CHEER.search(line) for line in move.reply)


def mark(text: str) -> int:
    """By which the vector of an utterance is found again."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big", signed=True)


def write_vectors(folder: Path, encoder: "MiniLm", said: Sequence[str]) -> None:
    """A vector for each of `said`, in 8 bits, so that starting a conversation reads none of them."""
    import torch
    from safetensors.torch import save_file

    vectors = torch.cat([encoder.embed(said[i : i + 32]) for i in range(0, len(said), 32)])
    scale = vectors.abs().amax(1) / 127
    table = {
        "marks": torch.tensor([mark(text) for text in said]),
        "vectors": (vectors / scale[:, None]).round().to(torch.int8),
        "scale": scale,
    }
    save_file(table, folder / VECTORS)


def read_vectors(folder: Path) -> dict[int, "Tensor"]:
    """The vectors that write_vectors kept, by mark."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        table = load_file(folder / VECTORS)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{folder}: no vectors of the dialogue: {error}") from None
    vectors = table["vectors"].float() * table["scale"][:, None]
    return dict(zip(table["marks"].tolist(), vectors, strict=True))
