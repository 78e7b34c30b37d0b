"""An audit on a terminal: a line a check, then what to do about those that are not fine."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emobraid.data.audit.findings import Audit, Finding

STYLE = {"fine": "green", "know": "yellow", "broken": "bold red"}
SHOWN = 5  # places of each finding; --json has all


def show(audit: Audit, console: Console) -> None:
    table = Table(title=f"{_safe(audit.root)}, {audit.dataset}", title_justify="left", box=None, padding=(0, 1))
    for name in ("", "check", "found", "expected"):
        table.add_column(name, overflow="fold", no_wrap=name == "check")
    for f in audit.findings:
        table.add_row(f"[{STYLE[f.state]}]{f.state}[/]", f.check, _safe(f.found), _safe(f.expected))
    console.print(table)
    for f in audit.findings:
        if f.state != "fine":
            _advise(f, console)
    console.print("something is broken" if audit.broken else "nothing is broken")


def _advise(finding: Finding, console: Console) -> None:
    console.print(f"\n[{STYLE[finding.state]}]{finding.check}[/]: {_safe(finding.advice)}", soft_wrap=True)
    for place in finding.places[:SHOWN]:
        console.print(f"  {_safe(place)}", soft_wrap=True, highlight=False)
    if (more := len(finding.places) - SHOWN) > 0:
        console.print(f"  and {more:,} more; --json lists all", highlight=False)


def _safe(text: str) -> str:
    # names and cells come from files: neither rich's markup nor the terminal may obey them
    return escape("".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text))
