"""What an audit says: findings, each with its places and what to do about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

#: fine; know: a property of the corpus to be told with results; broken: something to mend before training
State = Literal["fine", "know", "broken"]
Progress = Callable[[int, int], None]  # (done, of)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The outcome of one check."""

    check: str
    state: State
    found: str
    expected: str = ""
    advice: str = ""
    places: tuple[str, ...] = ()
    """Where: every one, `train.csv line 12: ...`."""
    numbers: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Audit:
    """All findings about one folder."""

    dataset: str
    root: str
    findings: tuple[Finding, ...]

    @property
    def broken(self) -> bool:
        return any(f.state == "broken" for f in self.findings)

    def finding(self, check: str) -> Finding:
        return next(f for f in self.findings if f.check == check)

    def to_json(self) -> dict[str, Any]:
        rows = [{**vars(f), "places": list(f.places), "numbers": dict(f.numbers)} for f in self.findings]
        return {"dataset": self.dataset, "root": self.root, "broken": self.broken, "findings": rows}


def counted(check: str, places: list[str], *, what: str, advice: str, state: State = "broken") -> Finding:
    """A finding that is fine when there are no `places`; `what` names them: "rows twice"."""
    return Finding(
        check=check,
        state=state if places else "fine",
        found=f"{what}: {len(places):,}" if places else f"{what}: none",
        advice=advice if places else "",
        places=tuple(places),
        numbers={"count": len(places)},
    )


def per_split(numbers: Mapping[str, int]) -> str:
    """`9,989 train, 1,109 dev`."""
    return ", ".join(f"{count:,} {name}" for name, count in numbers.items())
