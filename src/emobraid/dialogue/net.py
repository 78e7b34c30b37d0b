"""The second layer of the safety net: a small classifier that hears danger where no pattern does.

It stands on the first layers of the dialogue's sentence encoder (MiniLm in 8 bits) and was trained on sentences that
several writers wrote for it (benchmarks/dialogue_train.py). It reads English; other languages have the patterns alone.
"""

import json
import re
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

from emobraid.dialogue.crisis import KINDS

if TYPE_CHECKING:
    from torch import Tensor, nn

    from emobraid.encoders.minilm import MiniLm

NET = "net.safetensors"
HEARD = ("nothing", *KINDS)  # what the linear map tells apart
FEW = 5  # words of which no language can be told
ENGLISH = 0.4  # share of words that are in the vocabulary, below which a text is no English
SCALE = 20.0  # of the unit vectors before the linear map
SINGLE = 24  # sentences up to which each is also read alone; a longer text is read in windows
WINDOW = 3  # sentences of a window
WHOLE = 60  # words up to which a text is also read as one
BREATH, AGAIN = 45, 12  # words of a part of a sentence without end, and those that two parts share
MOST = 240  # windows of one text
AT_ONCE = 16
_SENTENCE = re.compile(r"(?<=[.!?…])\s+|\n+")


@dataclass(frozen=True)
class Danger:
    """How likely a text tells of danger (0 to 1), and of which kind (one of crisis.KINDS) if it does."""

    likely: float
    kind: str


class Net:
    """`Net.shipped().hear("I gave my cat away, she is sorted now")` -> Danger. Threads may share one.

    The first layers are the sentence encoder's, the upper ones its own: what tells danger is not what tells a subject.
    """

    def __init__(self, encoder: "MiniLm", top: "nn.Sequential", *, crisis: float, caution: float) -> None:
        self.encoder, self.top = encoder, top  # the layers in between, then the linear map
        self._vocabulary = frozenset(encoder.pieces.vocabulary if encoder.pieces else ())
        self.crisis, self.caution = crisis, caution  # likelihoods from which a text is answered as one

    @classmethod
    def from_folder(cls, folder: Path) -> "Net":
        """The encoder and the net that benchmarks/dialogue_train.py saved. ValueError names what is wrong."""
        from safetensors import SafetensorError, safe_open
        from safetensors.torch import load_file

        from emobraid.encoders.minilm import MiniLm, from_rows

        try:
            with safe_open(folder / NET, "pt") as file:
                settings = json.loads(file.metadata()["settings"])
            state = from_rows(load_file(folder / NET))
        except (OSError, SafetensorError, KeyError, TypeError) as error:
            raise ValueError(f"{folder}: no net of the dialogue: {error}") from None
        encoder = MiniLm.from_folder(folder)
        top = new_top(encoder, settings["layers"])
        top.load_state_dict(state)
        return cls(encoder, top.eval(), crisis=settings["crisis"], caution=settings["caution"])

    @classmethod
    def shipped(cls) -> "Net":
        """The one in the package, loaded once."""
        with _LOADING:
            return _shipped()

    def reads(self, text: str) -> bool:
        """Whether `text` is in a language that the net knows: Latin letters, and of more than a few words enough that
        are in the English vocabulary."""
        words = re.findall(r"[^\W\d_]+", text.casefold())
        if sum(len(re.findall("[a-z]", word)) for word in words) < 0.5 * sum(map(len, words)):
            return False
        return len(words) < FEW or sum(word in self._vocabulary for word in words) >= ENGLISH * len(words)

    def hear(self, text: str) -> Danger:
        """The most dangerous reading of `text`: its sentences alone, its windows, and all of it where it is short."""
        parts = pieces(text)
        if not parts:
            return Danger(0.0, KINDS[0])
        likely = self.likely(parts)
        worst = int((1 - likely[:, 0]).argmax())
        return Danger(float(1 - likely[worst, 0]), HEARD[1 + int(likely[worst, 1:].argmax())])

    def likely(self, parts: Sequence[str]) -> "Tensor":
        """(N, 5): how likely each part tells of nothing, or of each kind of danger."""
        import torch

        with torch.inference_mode():
            some = [parts[i : i + AT_ONCE] for i in range(0, len(parts), AT_ONCE)]
            return torch.cat(
                [through(self.encoder, self.top, *self.encoder.batch(texts)).softmax(-1) for texts in some]
            )


def new_top(encoder: "MiniLm", layers: int, *, dropout: float = 0.0) -> "nn.Sequential":
    """`layers` layers and a linear map, to stand on the first layers of `encoder`."""
    from torch import nn

    from emobraid.encoders.minilm import BertLayer

    width, heads, inner = (encoder.sizes[name] for name in ("width", "heads", "inner"))
    own = [BertLayer(width, heads, inner, dropout) for _ in range(layers)]
    return nn.Sequential(*own, nn.Linear(width, len(HEARD)))


def through(encoder: "MiniLm", top: "nn.Sequential", ids: "Tensor", mask: "Tensor") -> "Tensor":
    """(B, 5) what a text tells of, before the softmax: the encoder's first layers, then the net's own."""
    from emobraid.encoders.minilm import mean

    *layers, last = top
    x = encoder(ids, mask, first=len(encoder.layers) - len(layers))
    for layer in layers:
        x = layer(x, mask)
    return last(SCALE * mean(x * mask.unsqueeze(-1), mask))


_LOADING = threading.Lock()


@cache
def _shipped() -> Net:
    return Net.from_folder(Path(str(resources.files("emobraid") / "weights" / "dialogue")))


def pieces(text: str) -> list[str]:
    """The parts of `text` that are read: what is dangerous may stand in one sentence, or only in two together."""
    sentences = [s for part in _SENTENCE.split(text) for s in _breaths(part.split())]
    whole = [" ".join(sentences)] if len(sentences) > 1 and len(text.split()) <= WHOLE else []
    if len(sentences) <= SINGLE:
        pairs = [" ".join(sentences[i : i + 2]) for i in range(len(sentences) - 1)] if not whole else []
        return [*sentences, *pairs, *whole]
    windows = [" ".join(sentences[i : i + WINDOW]) for i in range(0, len(sentences), WINDOW - 1)]
    return windows[:MOST]


def _breaths(words: list[str]) -> list[str]:
    """A sentence, or parts of one that is longer than the encoder reads."""
    if len(words) <= WHOLE:
        return [" ".join(words)] if words else []
    return [" ".join(words[i : i + BREATH]) for i in range(0, len(words) - AGAIN, BREATH - AGAIN)]
