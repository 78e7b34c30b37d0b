"""Every bad row of an audit as one table: where it is, and all that is wrong with it."""

import re
from collections.abc import Iterable
from typing import NamedTuple

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emobraid.data.audit.findings import Audit

_PLACE = re.compile(r"^(?P<table>\S+\.csv) line (?P<line>\d+)(?:: (?P<reason>.*))?$", re.DOTALL)


class BadRow(NamedTuple):
    """A row that training stops at or reads otherwise than meant."""

    table: str
    line: int
    reasons: tuple[str, ...]


def bad_rows(audit: Audit) -> list[BadRow]:
    """The rows with lines that its broken findings name, by table and line; each once, with every reason."""
    found: dict[tuple[str, int], list[str]] = {}
    for finding in audit.findings:
        if finding.state != "broken":
            continue
        for place in finding.places:
            if match := _PLACE.match(place):
                reason = match["reason"] or finding.check
                found.setdefault((match["table"], int(match["line"])), []).append(reason)
    return [BadRow(table, line, tuple(reasons)) for (table, line), reasons in sorted(found.items())]


def show_bad_rows(rows: Iterable[BadRow], console: Console, *, limit: int) -> None:
    """The first `limit` of them; nothing when there are none."""
    every = list(rows)
    if not every or not limit:
        return
    table = Table(title=f"{len(every):,} bad rows", title_justify="left", box=None, padding=(0, 1))
    for name in ("table", "line", "what is wrong"):
        table.add_column(name, justify="right" if name == "line" else "left", overflow="fold")
    for row in every[:limit]:
        table.add_row(_safe(row.table), str(row.line), _safe("; ".join(row.reasons)))
    console.print()
    console.print(table)
    if (more := len(every) - limit) > 0:
        console.print(f"and {more:,} more; --rows {len(every)} lists all", highlight=False)


def _safe(text: str) -> str:
    # names and cells come from files: neither rich's markup nor the terminal may obey them
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
