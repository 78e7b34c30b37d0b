"""Picks lines that have not been said lately."""

import random
import re
from collections.abc import Sequence
from functools import cache

from emobraid.dialogue.history import RECENT


class Choice:
    """Picks lines that none of the recent replies holds."""

    def __init__(self, rng: random.Random, recent: Sequence[str]) -> None:
        self.rng, self.recent = rng, recent  # newest first

    def __call__(self, lines: Sequence[str], **filled: str) -> str:
        """One of `lines`, filled; where all were said lately, one of those said longest ago."""
        ages = {line: self._age(line) for line in lines}
        oldest = max(ages.values())
        return self.rng.choice([line for line, age in ages.items() if age == oldest]).format_map(filled)

    def fresh(self, lines: Sequence[str]) -> list[str]:
        """Those of `lines` that no recent reply holds."""
        return [line for line in lines if self._age(line) >= RECENT]

    def used(self, lines: Sequence[str], turns: int) -> bool:
        """Whether one of `lines` was said in the last `turns` turns."""
        return any(self._age(line) < turns for line in lines)

    def _age(self, line: str) -> int:
        anchor = _anchor(line)
        return next((i for i, text in enumerate(self.recent) if anchor in text), RECENT)


@cache
def _anchor(line: str) -> str:
    """What stays the same of a line, whatever the topic."""
    return max(re.split(r"\{.*?\}", line), key=len)
