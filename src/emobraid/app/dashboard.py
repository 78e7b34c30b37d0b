"""The dashboard as HTML: made from numbers, and from words that are escaped. No script, no picture, no link."""

from collections.abc import Mapping, Sequence
from html import escape

from emobraid.app.smoothing import Smoothed
from emobraid.app.visits import Shown
from emobraid.app.words import NAMES, NO_SUCH_INPUT, reason
from emobraid.dialogue import Point
from emobraid.emotions import CIRCUMPLEX, LabelSpace

SIDE, EDGE = 240, 26  # of the drawn plane and its margin
TRAIL = 40  # turns that it shows
LANDMARKS = ("happy", "surprise", "angry", "sad", "calm")


def percent(part: float) -> str:
    return f"{100 * part:.0f} %"


def tint(label: str) -> str:
    """A class for the colour of a label, which never carries its meaning alone."""
    key = LabelSpace.key(label)
    return f"e-{key}" if key in CIRCUMPLEX else "e-other"


def dashboard(shown: Shown, labels: LabelSpace, modalities: Sequence[str], course: Sequence[Point]) -> str:
    """All of it: headline, bars, plane, modalities. Its height does not depend on what is shown."""
    return (
        '<section class="eb-dash" aria-label="Reading">'
        + headline(shown)
        + bars(shown.fused, labels)
        + f'<div class="eb-pair">{plane(shown, labels, course)}{parts(shown, modalities)}</div>'
        + "</section>"
    )


def headline(shown: Shown) -> str:
    """The guess and how sure it is; `furniture.SPEAK` tells a screen reader when it changes."""
    fused = shown.fused
    if fused is None:
        return _headline("nothing yet", "e-other", "Turn on camera or microphone, or write.")
    name = escape(fused.emotion)
    label, kind = (name, tint(fused.emotion)) if fused.sure else ("not sure", "e-other")
    from_what = {"live": "", "paused": " · paused"}.get(shown.source, f" · from {escape(shown.source)}")
    beside = "fairly sure" if fused.sure else f"closest: {escape(fused.nearest)}"
    return _headline(label, kind, f"{beside}{from_what}", fused)


def _headline(label: str, kind: str, beside: str, fused: Smoothed | None = None) -> str:
    confidence, uncertainty = (fused.probabilities[fused.nearest], fused.uncertainty) if fused else (0.0, 0.0)
    figures = "".join(
        f'<div class="eb-figure"><dt>{title}</dt><dd>{percent(value) if fused else "–"}</dd>'
        f'<dd class="eb-track" aria-hidden="true"><span style="--p:{value:.3f}"></span></dd></div>'
        for title, value in (("Confidence", confidence), ("Uncertainty", uncertainty))
    )
    return (
        f'<div class="eb-headline {kind}"><div><p class="eb-kicker">My guess: expressed</p>'
        f'<p class="eb-guess">{label}</p><p class="eb-beside">{beside}</p></div>'
        f'<dl class="eb-figures">{figures}</dl></div>'
    )


def bars(fused: Smoothed | None, labels: LabelSpace) -> str:
    """One bar for each class, in the order of the model, so that none of them jumps."""
    rows = []
    for name in labels.names:
        p = fused.probabilities.get(name, 0.0) if fused else 0.0
        held = ' class="eb-held"' if fused and fused.nearest == name else ""
        rows.append(
            f'<li{held}><span class="eb-name">{escape(name)}</span>'
            f'<span class="eb-track {tint(name)}" aria-hidden="true"><span style="--p:{p:.3f}"></span></span>'
            f'<span class="eb-number">{percent(p) if fused else "–"}</span></li>'
        )
    return f'<ol class="eb-bars" aria-label="Probability of each emotion">{"".join(rows)}</ol>'


def parts(shown: Shown, modalities: Sequence[str]) -> str:
    """What each modality says alone, and its share in the guess; or why it is missing."""
    every = [*modalities, *(m for m in ("text", "audio", "video") if m not in modalities)]
    rows = "".join(_part(m, shown, m in modalities) for m in every)
    return (
        '<table class="eb-parts"><caption>Each on its own</caption><thead><tr><th scope="col">From</th>'
        '<th scope="col">Guess</th><th scope="col"><abbr title="how far it moved the probability of the guess: '
        f'Shapley value, in points of percent">Share</abbr></th></tr></thead><tbody>{rows}</tbody></table>'
    )


def _part(modality: str, shown: Shown, known: bool) -> str:
    name = escape(NAMES.get(modality, modality))
    alone = shown.alone.get(modality)
    if alone is None or shown.reading is None:
        note = shown.notes.get(modality, "not given") if known else NO_SUCH_INPUT
        why = escape(reason(modality, note))
        return f'<tr class="eb-missing"><th scope="row">{name}</th><td colspan="2">{why}</td></tr>'
    share = shown.reading.contributions.get(modality, 0.0)
    told = shown.notes.get(modality, "")
    odd = f" <small>{escape(told)}</small>" if told else ""
    return (
        f'<tr><th scope="row">{name}</th><td><i class="eb-dot {tint(alone.emotion)}" aria-hidden="true"></i>'
        f"{escape(alone.emotion)} {percent(alone.confidence)}{odd}</td>"
        f'<td class="eb-number">{100 * share:+.0f}</td></tr>'
    )


def plane(shown: Shown, labels: LabelSpace, course: Sequence[Point]) -> str:
    """Valence to the right, arousal upwards; the trail of the conversation, and where it is now."""
    trail = [(p.valence, p.arousal) for p in course if p.valence is not None and p.arousal is not None][-TRAIL:]
    now = _place(shown, labels)
    told = f"valence {now[0]:+.2f}, arousal {now[1]:+.2f}" if now else "nowhere yet"
    steps = [*trail, *([now] if now else [])]
    line = " ".join("{:.1f},{:.1f}".format(*_spot(*step)) for step in steps)
    dots = "".join(
        f'<circle class="eb-was" cx="{x:.1f}" cy="{y:.1f}" r="3.5" opacity="{0.25 + 0.6 * (i + 1) / len(trail):.2f}"/>'
        for i, (x, y) in enumerate(_spot(*step) for step in trail)
    )
    here = '<circle class="eb-now" cx="{:.1f}" cy="{:.1f}" r="7"/>'.format(*_spot(*now)) if now else ""
    marks = "".join(
        f'<text class="eb-mark" x="{x:.0f}" y="{y:.0f}">{mark}</text>'
        for mark, (x, y) in ((m, _spot(*CIRCUMPLEX[m])) for m in LANDMARKS)
    )
    middle, low, high = SIDE / 2, EDGE, SIDE - EDGE
    return (
        f'<figure class="eb-plane"><svg viewBox="0 0 {SIDE} {SIDE}" role="img" aria-label="Valence-arousal plane: '
        f'{told}; {len(trail)} turns before"><rect x="{low}" y="{low}" width="{high - low}" height="{high - low}" '
        f'rx="10"/><path class="eb-axes" d="M{low} {middle}H{high}M{middle} {low}V{high}"/>{marks}'
        f'<polyline points="{line}"/>{dots}{here}<text x="{middle}" y="{high + 17}">unpleasant → pleasant</text>'
        f'<text transform="rotate(-90)" x="-{middle}" y="{low - 9}">calm → excited</text></svg>'
        f"<figcaption>Now: {told}</figcaption></figure>"
    )


def _place(shown: Shown, labels: LabelSpace) -> tuple[float, float] | None:
    if shown.fused is None:
        return None
    if shown.source in ("live", "paused"):
        place: Mapping[str, float] = labels.affect([shown.fused.probabilities[n] for n in labels.names])
    else:
        place = shown.reading.affect if shown.reading else {}
    return (place["valence"], place["arousal"]) if {"valence", "arousal"} <= set(place) else None


def _spot(valence: float, arousal: float) -> tuple[float, float]:
    half = SIDE / 2 - EDGE - 6
    held = [max(-1.0, min(1.0, v)) for v in (valence, arousal)]
    return SIDE / 2 + half * held[0], SIDE / 2 - half * held[1]
