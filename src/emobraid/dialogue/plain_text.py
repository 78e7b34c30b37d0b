"""A language model's words as plain text, sentence by sentence, looked over before anybody reads them."""

import re
import unicodedata
from collections.abc import Iterator

from emobraid.dialogue.endpoint import Broken

RUN = 7  # words in a row that also stand in the system prompt
HELD = 240  # characters after which a sentence without an end is let through at a space
_END = re.compile(r"[.!?…][\"'”’)]*(?=\s)|\n")
_THOUGHT = re.compile(r"<think(?:ing)?>.*?(?:</think(?:ing)?>|$)", re.DOTALL)
_TAG = re.compile(r"</?[a-zA-Z!][^<>]*>?")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|\b(?:https?://|www\.)\S+")
_MARK = re.compile(r"^\s{0,3}(?:#{1,6}|[-*+>]|\d+[.)])\s+|[*_`~]{1,3}(?=\S)|(?<=\S)[*_`~]{1,3}", re.MULTILINE)


def sentences(pieces: Iterator[str], *, hidden: str) -> Iterator[str]:
    """The sentences in `pieces`, each with the space before it; Broken when they repeat from `hidden`."""
    pending, told = "", ""
    for piece in pieces:
        pending += piece
        if _thinking(pending):
            continue
        pending = _THOUGHT.sub("", pending)
        while (end := _end(pending)) > 0:
            sentence, pending = pending[:end], pending[end:]
            told = _looked_over(told, sentence, hidden)
            yield from _shown(sentence, told)
    told = _looked_over(told, pending, hidden)
    yield from _shown(_THOUGHT.sub("", pending), told)


def plain(text: str) -> str:
    """`text` without markup, links, control and direction signs; white space as single spaces."""
    bare = _LINK.sub(r"\1", _TAG.sub(" ", text))
    bare = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in _MARK.sub("", bare))
    return " ".join(bare.split())


def _shown(sentence: str, told: str) -> Iterator[str]:
    if text := plain(sentence):
        yield text if told == sentence or not plain(told[: -len(sentence)]) else f" {text}"


def _looked_over(told: str, sentence: str, hidden: str) -> str:
    """Everything so far, `sentence` included, when none of it was told in secret."""
    whole = told + sentence
    said, secret = (re.findall(r"\w+", t.casefold()) for t in (whole, hidden))
    runs = {tuple(secret[i : i + RUN]) for i in range(len(secret) - RUN + 1)}
    mark = re.search(r"[0-9a-f]{16}", hidden)
    if (mark and mark[0] in "".join(said)) or any(tuple(said[i : i + RUN]) in runs for i in range(len(said) - RUN + 1)):
        raise Broken("it repeated what it was told")
    return whole


def _thinking(pending: str) -> bool:
    """Within the thoughts that some models write before their answer."""
    start = pending.lstrip()
    return (start.startswith("<think") and "</think" not in start) or (
        "<think".startswith(start[:6]) and 0 < len(start) < 6
    )


def _end(pending: str) -> int:
    """Where the first sentence ends, 0 while it has no end."""
    if found := _END.search(pending):
        return found.end()
    return pending.rfind(" ", 0, HELD) if len(pending) > HELD else 0
