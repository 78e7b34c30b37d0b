"""How much of validation and test a model has met in training: speakers, episodes, broadcast time, words.

MELD's splits are by dialogue within one series, so results on it say little about new people.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from emobraid.data.audit.findings import Finding, State
from emobraid.data.audit.times import span
from emobraid.data.meld import Row

SHARED = 0.5  # seconds of broadcast time that a row has in common with one of train, from which it counts

Tables = Mapping[str, Sequence[Row]]


def overlap_findings(tables: Tables) -> list[Finding]:
    say = "the split is the authors': leave it, and say so beside the results"
    return [
        _shared("speakers in train", tables, lambda r: r.speaker, say),
        _shared("episodes in train", tables, lambda r: f"season {r.season} episode {r.episode}", say),
        _shared("words in train", tables, lambda r: r.text, "mostly short answers such as 'What?'; leave them"),
        _in_time(tables),
    ]


def _shared(check: str, tables: Tables, key: Callable[[Row], str], advice: str) -> Finding:
    known = {key(r) for r in tables["train"]}
    shared = {own: Counter(k for r in tables[own] if (k := key(r)) in known) for own in ("dev", "test")}
    places = [f"{own} {k}: {n} rows" for own, counts in shared.items() for k, n in counts.most_common()]
    return _finding(check, tables, {own: counts.total() for own, counts in shared.items()}, places, advice)


def _in_time(tables: Tables) -> Finding:
    aired: dict[tuple[str, str], list[tuple[float, float, str]]] = {}
    for r in tables["train"]:
        if (times := span(r)) is not None:
            aired.setdefault((r.season, r.episode), []).append((*times, r.name))
    numbers, places = {}, []
    for own in ("dev", "test"):
        found = [(r, near) for r in tables[own] if (near := _most_shared(r, aired.get((r.season, r.episode), [])))]
        numbers[own] = len(found)
        places += [f"{own} {r.name}: {near[0]:.1f} s shared with train {near[1]}" for r, near in found]
    advice = f"the same {SHARED:g} s and more of sound and picture are in train: leave them out of a strict comparison"
    return _finding("time shared with train", tables, numbers, places, advice)


def _most_shared(row: Row, aired: Sequence[tuple[float, float, str]]) -> tuple[float, str] | None:
    if (times := span(row)) is None:
        return None
    shared, name = max(((min(times[1], end) - max(times[0], start), n) for start, end, n in aired), default=(0.0, ""))
    return (shared, name) if shared > SHARED else None


def _finding(check: str, tables: Tables, numbers: dict[str, int], places: list[str], advice: str) -> Finding:
    found = ", ".join(f"{n:,} of {len(tables[own]):,} {own} rows" for own, n in numbers.items())
    state: State = "know" if places else "fine"
    return Finding(check=check, state=state, found=found, advice=advice, places=tuple(places), numbers=numbers)
