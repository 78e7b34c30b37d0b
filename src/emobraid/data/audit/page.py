"""An audit on a terminal: a line a check, then what to do about those that are not fine."""

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from emobraid.data.audit.findings import Audit, Finding

STYLE = {"fine": "green", "know": "yellow", "broken": "bold red"}
LONGEST = 400  # characters of the line
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


def in_one_line(audit: Audit) -> str:
    """What is not fine, broken things first; empty when all is fine."""
    odd = sorted((f for f in audit.findings if f.state != "fine"), key=lambda f: f.state != "broken")
    if not odd:
        return ""
    told = "; ".join(f"{f.check}: {f.found}" for f in odd)
    line = _plain(told)
    line = line if len(line) <= LONGEST else f"{line[:LONGEST]} ..."
    mend = "broken" if odd[0].state == "broken" else "to know"
    return f"{mend}: {line} (emobraid doctor {_plain(audit.root)} tells where)"


def _plain(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _advise(finding: Finding, console: Console) -> None:
    console.print(f"\n[{STYLE[finding.state]}]{finding.check}[/]: {_safe(finding.advice)}", soft_wrap=True)
    for place in finding.places[:SHOWN]:
        console.print(f"  {_safe(place)}", soft_wrap=True, highlight=False)
    if (more := len(finding.places) - SHOWN) > 0:
        console.print(f"  and {more:,} more; --json lists all", highlight=False)


def _safe(text: str) -> str:
    # names and cells come from files: neither rich's markup nor the terminal may obey them
    return escape(_plain(text))
