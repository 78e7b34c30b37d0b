"""When CMU-MOSEI's segments are: before their video's start, too long, twice, one over another; and odd ratings."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from emobraid.data.audit.findings import Finding, counted
from emobraid.data.mosei_files import Segment

LONG = 30.0  # seconds
SHARED = 0.5  # seconds that two segments have in common, from which it counts

Videos = Mapping[str, Sequence[Segment]]


def time_findings(videos: Videos) -> list[Finding]:
    every = [segment for some in videos.values() for segment in some]
    long = [f"{s.name}: {s.span[1] - s.span[0]:.1f} s" for s in every if s.span[1] - s.span[0] > LONG]
    nothing = [f"{s.name}: {s.told[0]:g} to {s.told[1]:g}" for s in every if s.span[1] <= s.span[0]]
    return [
        counted(
            "negative starts",
            [f"{s.name}: {s.told[0]:g} s" for s in every if s.told[0] < 0],
            what="rows that begin before their video",
            state="know",
            advice="nothing: they are read from 0 s (239 as published)",
        ),
        counted("long rows", long, what=f"rows over {LONG:.0f} s", state="know", advice="nothing (88 as published)"),
        counted(
            "zero-length rows",
            nothing,
            what="rows that end where they start",
            state="know",
            advice="nothing can be seen or heard in them",
        ),
        counted(
            "out of order",
            [v for v, some in videos.items() if [s.place for s in some] != sorted(s.place for s in some)],
            what="videos whose rows are not by time in the file",
            state="know",
            advice="nothing: they are read by time (1,318 as published)",
        ),
        counted(
            "duplicates",
            list(_twice(videos)),
            what="rows with the times of another one",
            advice="keep one of each: the other counts it twice",
        ),
        counted(
            "overlaps",
            list(_overlapping(videos)),
            what=f"rows that share more than {SHARED:g} s with the one before",
            state="know",
            advice="nothing: both are of one video, so of one split",
        ),
        counted(
            "out of range",
            [f"{s.name}: {', '.join(f'{x:g}' for x in (s.rating.sentiment, *s.rating.intensities))}"
             for s in every if s.rating.out_of_range],
            what="rows rated beyond the scale",
            state="know",
            advice="nothing: they are read as the nearest on it (four as published)",
        ),
    ]  # fmt: skip


def _twice(videos: Videos) -> Iterator[str]:
    for some in videos.values():
        first: dict[tuple[float, float], Segment] = {}
        for segment in some:
            if (other := first.setdefault(segment.told, segment)) is not segment:
                yield f"{other.name} and {segment.name}: {segment.told[0]:g} to {segment.told[1]:g} s"


def _overlapping(videos: Videos) -> Iterator[str]:
    for some in videos.values():
        for before, after in pairwise(some):
            shared = min(before.span[1], after.span[1]) - after.span[0]
            if shared > SHARED and before.told != after.told:
                yield f"{after.name}: {shared:.1f} s shared with {before.name}"
