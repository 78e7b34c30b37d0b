"""A recording's course as HTML: lanes and lines that fit any width, a sentence, and a table. All words are escaped."""

from collections.abc import Iterator, Sequence
from html import escape

from emobraid.app.dashboard import percent, tint
from emobraid.app.recording import PATIENCE, Course
from emobraid.app.smoothing import entropy, is_sure
from emobraid.app.words import NAMES
from emobraid.timeline import Window
from emobraid.timeline_files import summary

EMPTY = '<section class="eb-over"></section>'
TALLEST = 0.86  # of a lane
HIDDEN = 'aria-hidden="true"'
AXES = ("valence", "arousal")  # one line is drawn through, the other dashed

Span = tuple[float, float, Window]  # from where to where a window is drawn: until the next one begins


def drawn(course: Course, name: str, labels: Sequence[str], modalities: Sequence[str]) -> str:
    """The course of the recording called `name`; its height does not depend on how much of it is there."""
    spans = list(_spans(course))
    bars = "".join(_bar(start, end, w, labels) for start, end, w in spans)
    lines = "".join(_line(axis, spans) for axis in AXES)
    media = [m for m in ("audio", "video") if m in modalities]
    there = "".join(_there(m, row, spans) for row, m in enumerate(media))
    zero = f'<path class="eb-zero" d="M0 1H{course.seconds:.1f}"/>'
    return (
        f'<section class="eb-over" aria-label="Over time" aria-busy="{str(not course.done).lower()}">'
        f"<h2>Over time</h2><p>{escape(name)}, {clock(course.seconds)}</p>"
        + _chart("eb-lanes", labels, bars, course.seconds)
        + _chart("eb-lines", AXES, zero + lines, course.seconds)
        + _chart("eb-there", [NAMES[m] for m in media], there, course.seconds)
        + _clocks(course.seconds)
        + f'<p role="status">{escape(sentence(course))}</p>{_table(spans)}</section>'
    )


def failed(sentence: str) -> str:
    """Why there is no course, where it would be."""
    return f'<section class="eb-over" aria-label="Over time"><h2>Over time</h2><p>{escape(sentence)}</p></section>'


def sentence(course: Course) -> str:
    """All of it in words."""
    if not course.windows:
        return "It is being read …"
    counts = summary(course.windows)
    parts = [f"{e} in {n}" for e, n in counts.items() if e]
    parts += [f"nothing to read in {counts['']}"] if "" in counts else []
    told = f"My guess for {len(course.windows)} windows of {course.plan.window:g} s: {', '.join(parts)}."
    if gone := _missing(course.windows):
        told += f" {gone}"
    read = course.windows[-1].end
    if not course.done:
        return f"{told} More is being read …"
    if read < course.seconds - course.plan.step:
        told += (
            f" Only the first {clock(read)} of {clock(course.seconds)} were read, as this computer took more than "
            f"{PATIENCE:.0f} s for them."
        )
    return told


def _missing(windows: Sequence[Window]) -> str:
    """Which modality was not there, in how many windows, and the reason it mostly had."""
    told = []
    for m in sorted({m for w in windows for m in w.missing if not w.reading or m not in w.reading.per_modality}):
        why = [w.missing[m] for w in windows if m in w.missing]
        told.append(f"{NAMES.get(m, m)} missing in {len(why)}: {max(why, key=why.count)}.")
    return " ".join(told)


def clock(seconds: float) -> str:
    """2:05"""
    return f"{int(seconds + 0.5) // 60}:{int(seconds + 0.5) % 60:02d}"


def _spans(course: Course) -> Iterator[Span]:
    starts = [w.start for w in course.windows[1:]]
    for i, w in enumerate(course.windows):
        yield w.start, starts[i] if i < len(starts) else w.end, w


def _chart(kind: str, names: Sequence[str], inside: str, seconds: float) -> str:
    """Names on the left in the size of all text, on the right a drawing that is stretched to the width there is."""
    rows = "".join(f"<li>{escape(name)}</li>" for name in names)
    seen = 'role="img" aria-label="The guess over time; the words and the table below say the same"'
    return (
        f'<div class="eb-time {kind}" style="--n:{len(names)}"><ol aria-hidden="true">{rows}</ol>'
        f'<svg viewBox="0 0 {seconds:.1f} {len(names)}" preserveAspectRatio="none" '
        f"{seen if kind == 'eb-lanes' else HIDDEN}>{inside}</svg></div>"
    )


def _bar(start: float, end: float, window: Window, labels: Sequence[str]) -> str:
    """In the lane of the guess, as tall as it is sure; hollow where it is not sure."""
    reading = window.reading
    if reading is None or reading.emotion not in labels:
        return ""
    sure = is_sure(reading.confidence, entropy(reading.probabilities))
    tall = max(0.12, TALLEST * reading.confidence)
    kind = tint(reading.emotion) + ("" if sure else " eb-unsure")
    top = labels.index(reading.emotion) + 0.95 - tall
    return f'<rect class="{kind}" x="{start:.2f}" y="{top:.3f}" width="{end - start:.2f}" height="{tall:.3f}"/>'


def _line(axis: str, spans: Sequence[Span]) -> str:
    """From -1 at the bottom to 1 at the top, broken where nothing was read."""
    path, on = "", False
    for start, end, w in spans:
        place = w.reading.affect.get(axis) if w.reading else None
        if place is not None:
            path += f"{'L' if on else 'M'}{(start + end) / 2:.2f} {1 - max(-1.0, min(1.0, place)):.3f}"
        on = place is not None
    return f'<path class="eb-{axis}" d="{path}"/>'


def _there(modality: str, row: int, spans: Sequence[Span]) -> str:
    return "".join(
        f'<rect x="{start:.2f}" y="{row + 0.3:.1f}" width="{end - start:.2f}" height="0.4"/>'
        for start, end, w in spans
        if w.reading and modality in w.reading.per_modality
    )


def _clocks(seconds: float) -> str:
    marks = "".join(f"<span>{clock(part * seconds)}</span>" for part in (0, 0.5, 1))
    return f'<div class="eb-clocks" aria-hidden="true">{marks}</div>'


def _table(spans: Sequence[Span]) -> str:
    """A row for each stretch with the same guess."""
    rows: list[tuple[float, float, str, list[float]]] = []
    for start, end, w in spans:
        guess, sure = (w.reading.emotion, w.reading.confidence) if w.reading else ("nothing to read", 0.0)
        same = bool(rows) and rows[-1][2] == guess
        since, _, _, before = rows.pop() if same else (start, end, guess, [])
        rows.append((since, end, guess, [*before, sure]))
    cells = "".join(
        f'<tr><th scope="row">{clock(start)}–{clock(end)}</th><td>{escape(guess)}</td>'
        f'<td class="eb-number">{percent(sum(sure) / len(sure)) if any(sure) else "–"}</td></tr>'
        for start, end, guess, sure in rows
    )
    return (
        '<details><summary>As a table</summary><div class="eb-rows" tabindex="0" role="region" aria-label="Course as a '
        'table"><table><thead><tr><th scope="col">Time</th><th scope="col">Guess</th><th scope="col">Confidence</th>'
        f"</tr></thead><tbody>{cells}</tbody></table></div></details>"
    )
