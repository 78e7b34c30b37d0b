"""What was said before an utterance in its dialogue."""

from collections.abc import Sequence
from typing import NamedTuple


class Turn(NamedTuple):
    """A row's place in its dialogue, and what is said there."""

    turn: float
    line: int
    speaker: str
    text: str


def before(turns: Sequence[Turn], line: int, count: int) -> tuple[tuple[str, str], ...]:
    """(speaker, words) of the `count` turns before the one at `line`, oldest first; turns without words say nothing.

    `turns` are those of one dialogue, in their order.
    """
    place = next((i for i, turn in enumerate(turns) if turn.line == line), 0)
    return tuple((t.speaker, t.text) for t in turns[max(0, place - count) : place] if t.text)
