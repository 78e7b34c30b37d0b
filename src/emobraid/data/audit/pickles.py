"""A feature pickle of MMSA: whether it can be read safely, its rows, and videos that two of its splits share."""

from collections import Counter
from pathlib import Path

from emobraid.data.audit.findings import Finding, counted, per_split
from emobraid.data.mmsa import OWN_NAMES, read_splits

PUBLISHED = {"train": 16326, "valid": 1871, "test": 4659}


def pickle_findings(path: Path) -> list[Finding]:
    try:
        splits = read_splits(path)
    except ValueError as error:
        advice = "take the file from its authors again; nothing in it was executed"
        return [counted(path.name, [str(error)], what="files that cannot be read", advice=advice)]
    ids = {own: [str(name) for name in splits[own]["id"]] for own in OWN_NAMES.values()}
    rows = {own: len(names) for own, names in ids.items()}
    of_video: dict[str, set[str]] = {}
    for own, names in ids.items():
        for name in names:
            of_video.setdefault(name.partition("$_$")[0], set()).add(own)
    twice = [f"{own} {name}" for own, names in ids.items() for name, n in Counter(names).items() if n > 1]
    labels = [float(x) for own in ids for x in splits[own]["regression_labels"]]
    held = ", ".join(name for name in ("text", "audio", "vision", "raw_text") if name in splits["train"])
    return [
        Finding(
            check=path.name,
            state="fine" if rows == PUBLISHED else "know",
            found=f"{per_split(rows)}; {held}",
            expected=per_split(PUBLISHED),
            advice="another release than the usual one: say so beside the results",
            numbers=rows,
        ),
        counted(f"{path.name} ids", twice, what="ids of several rows", advice="take the file from its authors again"),
        counted(
            f"{path.name} videos",
            [f"{v}: {', '.join(sorted(owns))}" for v, owns in of_video.items() if len(owns) > 1],
            what="videos in several splits",
            advice="a leak: say so beside the results, or use other splits",
        ),
        counted(
            f"{path.name} ratings",
            [f"{x:g}" for x in labels if not abs(x) <= 3],
            what="sentiments beyond -3 to 3",
            state="know",
            advice="nothing: they are read as the nearest in it",
        ),
    ]
