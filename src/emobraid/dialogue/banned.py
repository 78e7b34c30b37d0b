"""What no reply may hold (banned.toml): claims about a person, diagnoses, dismissals, orders, promises."""

import re
import tomllib
from functools import cache
from importlib import resources


def banned(text: str) -> str | None:
    """The first phrase in `text` that a reply must not hold, or None."""
    found = _banned().search(re.sub(r"[’‘]", "'", text))
    return found[0] if found else None


@cache
def _banned() -> re.Pattern[str]:
    table = tomllib.loads((resources.files(__package__) / "banned.toml").read_text(encoding="utf-8"))
    phrases = "|".join(p for group in table.values() for p in group)
    return re.compile(rf"\b(?:{phrases})", re.IGNORECASE)
