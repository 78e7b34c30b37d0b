"""The conversation as HTML: what was said, what was answered, and the way the readings went. All words are escaped."""

from collections.abc import Sequence
from html import escape

from emobraid.app.dashboard import percent, tint
from emobraid.app.smoothing import entropy, is_sure
from emobraid.dialogue import History, Point, Turn
from emobraid.recognizer import Prediction

SHOWN = 100  # turns; all of them are in the export
COLUMNS = 30  # of the course
SOURCES = {"built-in": "", "llm": "written by a language model", "safety": ""}
EMPTY = (
    '<p class="eb-empty">Write how it is going. The answer takes up what you say and what it seemed to express. '
    "While the camera or the microphone is on, the last seconds of both count as well.</p>"
    '<p class="eb-empty">For example: “I passed my exam!”, or “I have ten minutes, any ideas?”</p>'
)


def conversation(history: History, saying: str | None = None, reply: str = "") -> str:
    """All turns, the newest last; `saying` is one whose `reply` is still on its way."""
    turns = "".join(map(turn_of, history.turns[-SHOWN:]))
    if saying is not None:
        waiting = paragraphs(reply) if reply else '<p class="eb-wait">…</p>'
        turns += said(saying, None) + f'<li class="eb-reply" aria-busy="true">{waiting}</li>'
    body = f'<ol aria-label="Conversation">{turns}</ol>' if turns else EMPTY
    return f'<div class="eb-talk" tabindex="0" role="region" aria-label="Conversation, newest last">{body}</div>'


def turn_of(turn: Turn) -> str:
    reply = turn.reply
    source = SOURCES.get(reply.source, "")
    by = f'<p class="eb-source">{source}</p>' if source else ""
    offers = "".join(f"<li>{escape(s)}</li>" for s in reply.suggestions)
    offered = f'<p class="eb-offer">You could try</p><ul>{offers}</ul>' if offers else ""
    kind = "eb-reply eb-help" if reply.source == "safety" else "eb-reply"
    return said(turn.said, turn.prediction) + f'<li class="{kind}">{paragraphs(reply.text)}{offered}{by}</li>'


def said(text: str, prediction: Prediction | None) -> str:
    words = paragraphs(text) if text else "<p><em>without words</em></p>"
    return f'<li class="eb-said">{words}{chip(prediction)}</li>'


def chip(prediction: Prediction | None) -> str:
    """The guess about one turn."""
    if prediction is None:
        return ""
    sure = is_sure(prediction.confidence, entropy(prediction.probabilities))
    guess = f"{escape(prediction.emotion)} {percent(prediction.confidence)}"
    told = guess if sure else f"not sure (closest: {guess})"
    return (
        f'<p class="eb-chip"><i class="eb-dot {tint(prediction.emotion)}" aria-hidden="true"></i>my guess: {told}</p>'
    )


def paragraphs(text: str) -> str:
    return "".join(f"<p>{escape(part)}</p>" for part in text.split("\n") if part.strip())


def course(points: Sequence[Point], summary: str) -> str:
    """A column for each reading: its height is the confidence, its name stands below."""
    columns = "".join(
        f'<li><span class="eb-column {tint(p.emotion)}" style="--p:{p.confidence:.3f}" aria-hidden="true"></span>'
        f"<b>{escape(p.emotion)}</b><small>{percent(p.confidence)}</small></li>"
        for p in points[-COLUMNS:]
    )
    drawn = f"<ol>{columns}</ol>" if columns else '<p class="eb-empty">No turn yet.</p>'
    return (
        f'<section class="eb-course" aria-label="Emotional course"><h2>Course of the conversation</h2>'
        f'<div class="eb-scroll" tabindex="0" role="region" aria-label="Guess of each turn">{drawn}</div>'
        f"<p>{escape(summary)}</p></section>"
    )
