"""When MELD's rows were broadcast: times that cannot be, and clips cut by them."""

import re
from collections.abc import Mapping, Sequence

from emobraid.data.audit.findings import Finding, counted
from emobraid.data.meld import Row

LONG = 30.0  # seconds; nobody speaks for so long in one utterance of this series
STAMP = re.compile(r"(\d+):(\d\d):(\d\d),(\d{1,3})")
WHOLE = re.compile(r"\d+:\d\d:\d\d,\d{3}")


def stamp(value: str) -> float | None:
    """`00:14:38,127` in seconds; None for anything else. Thousandths may lack their zeros, as in three rows of MELD."""
    if not (match := STAMP.fullmatch(value)):
        return None
    hours, minutes, secs, thousandths = map(int, match.groups())
    return hours * 3600 + minutes * 60 + secs + thousandths / 1000


def span(row: Row) -> tuple[float, float] | None:
    """Start and end in seconds; None when they cannot be read or the end comes before the start."""
    start, end = stamp(row.start), stamp(row.end)
    return None if start is None or end is None or end < start else (start, end)


def seconds(row: Row) -> float | None:
    """How long the row's times say that its clip is."""
    times = span(row)
    return None if times is None else times[1] - times[0]


def time_findings(tables: Mapping[str, Sequence[Row]]) -> list[Finding]:
    rows = [(own, row) for own, table in tables.items() for row in table]
    lengths = [(own, row, seconds(row)) for own, row in rows]
    broken = [f"{own} {r.name}: {r.start!r} to {r.end!r}" for own, r, length in lengths if length is None]
    odd = [f"{own} {r.name}: {v}" for own, r in rows for v in (r.start, r.end) if stamp(v) and not WHOLE.fullmatch(v)]
    long = [f"{own} {r.name}: {length:.1f} s" for own, r, length in lengths if length is not None and length > LONG]
    zero = [f"{own} {r.name}: {r.start}" for own, r, length in lengths if length == 0]
    return [
        counted("times", broken, what="rows without usable times", advice="take the tables from the authors again"),
        counted(
            "odd times",
            odd,
            what="times with fewer than three digits of a second",
            state="know",
            advice="nothing: 47,28 is read as 47.028 s; it may have been 47.28 s",
        ),
        counted(
            "long rows",
            long,
            what=f"rows over {LONG:.0f} s",
            state="know",
            advice="wrong times: the clip holds more than the utterance; say so with results on voice or face",
        ),
        counted(
            "zero-length rows",
            zero,
            what="rows that end where they start",
            state="know",
            advice="wrong times: the clip, if any, is not the utterance",
        ),
        counted(
            "times out of order",
            _out_of_order(tables),
            what="dialogues",
            state="know",
            advice="nothing: turns are ordered by number; some were numbered otherwise than broadcast",
        ),
    ]


def _out_of_order(tables: Mapping[str, Sequence[Row]]) -> list[str]:
    places = []
    for own, table in tables.items():
        starts: dict[int, list[float]] = {}
        for row in sorted(table, key=lambda r: (r.dialogue, r.utterance)):
            if (times := span(row)) is not None:
                starts.setdefault(row.dialogue, []).append(times[0])
        places += [f"{own} dia{d}" for d, some in starts.items() if some != sorted(some)]
    return places
