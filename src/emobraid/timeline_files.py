"""A timeline as files: JSON, CSV, subtitles and a picture. All of them appear at once, or none."""

import csv
import io
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from emobraid.timeline import Plan, Window

ASIDE = ".timeline.writing"  # the folder in which the files are made


def write_timeline(
    folder: Path, windows: Sequence[Window], *, name: str, seconds: float, plan: Plan, pictures: bool = True
) -> list[Path]:
    """Write timeline.json, .csv, .srt and, with `pictures`, .png into `folder`; the paths that were written.

    An earlier timeline there stays as it is until the new one is complete. ValueError when matplotlib is not there.
    """
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(parents=True)
    try:
        texts = {
            "json": json.dumps(as_json(windows, name=name, seconds=seconds, plan=plan), ensure_ascii=False, indent=1),
            "csv": as_csv(windows),
            "srt": as_srt(windows),
        }
        for kind, text in texts.items():
            (aside / f"timeline.{kind}").write_text(text, encoding="utf-8", newline="")
        if pictures:
            from emobraid.timeline_plot import draw

            draw(windows, aside / "timeline.png", title=name)
        made = sorted(aside.iterdir())
        for path in made:
            os.replace(path, folder / path.name)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return [folder / path.name for path in made]


def as_json(windows: Sequence[Window], *, name: str, seconds: float, plan: Plan) -> dict[str, Any]:
    return {
        "file": name,
        "seconds": seconds,
        "window": plan.window,
        "step": plan.step,
        "windows": [w.to_json() for w in windows],
    }


def as_csv(windows: Sequence[Window]) -> str:
    """A row a window; for each modality that is missing somewhere, a column with the reason."""
    readings = [w.reading for w in windows if w.reading]
    classes = list(readings[0].probabilities) if readings else []
    axes = list(readings[0].affect) if readings else []
    gone = sorted({m for w in windows for m in w.missing})
    out = io.StringIO(newline="")
    table = csv.writer(out)
    table.writerow(["start", "end", "emotion", "confidence", *axes, *classes, *(f"{m}_missing" for m in gone)])
    for w in windows:
        said: list[object] = [""] * (2 + len(axes) + len(classes))
        if w.reading:
            numbers = [w.reading.confidence, *w.reading.affect.values(), *w.reading.probabilities.values()]
            said = [w.reading.emotion, *(f"{x:.4f}" for x in numbers)]
        table.writerow([f"{w.start:.2f}", f"{w.end:.2f}", *said, *(w.missing.get(m, "") for m in gone)])
    return out.getvalue()


def as_srt(windows: Sequence[Window]) -> str:
    """Subtitles: a line for each run of windows with the same emotion, until the next window begins."""
    cues: list[tuple[float, float, str, list[float]]] = []
    for w, following in zip(windows, [*windows[1:], None], strict=True):
        until = w.end if following is None else min(w.end, following.start)
        if w.reading is None:
            continue
        if cues and cues[-1][2] == w.reading.emotion and abs(cues[-1][1] - w.start) < 1e-6:
            begin, _, emotion, confidences = cues.pop()
            cues.append((begin, until, emotion, [*confidences, w.reading.confidence]))
        else:
            cues.append((w.start, until, w.reading.emotion, [w.reading.confidence]))
    blocks = [
        f"{i}\n{stamp(begin)} --> {stamp(end)}\n{emotion} ({sum(confidences) / len(confidences):.2f})\n"
        for i, (begin, end, emotion, confidences) in enumerate(cues, 1)
    ]
    return "\n".join(blocks)


def stamp(seconds: float) -> str:
    """01:02:03,450"""
    milliseconds = round(1000 * seconds)
    minutes, rest = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{rest // 1000:02d},{rest % 1000:03d}"


def summary(windows: Sequence[Window]) -> Mapping[str, int]:
    """How many windows express what, most first; under an empty name those in which nothing could be read."""
    found: dict[str, int] = {}
    for w in windows:
        name = w.reading.emotion if w.reading else ""
        found[name] = found.get(name, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))
