"""Text as its writer saw it: what web pages, exports and keyboards put around and into it is taken away."""

import html
import re
import unicodedata

_INLINE = "a|abbr|b|bdi|bdo|big|cite|code|del|em|font|i|ins|kbd|mark|q|s|small|span|strike|strong|sub|sup|u|wbr"
_BLOCK = (
    "address|article|aside|blockquote|body|br|center|dd|div|dl|dt|figcaption|figure|footer|h[1-6]|head|header|hr|html|img"
    "|input|li|link|main|meta|nav|ol|option|p|picture|pre|section|select|source|table|tbody|td|tfoot|th|thead|title|tr|ul"
    "|video|audio|iframe|button|form|label"
)
# only names that HTML has: "<3", "a < b" and "<sarcasm>" are words
_WITHIN = re.compile(rf"</?(?:{_INLINE})(?:\s[^<>]{{0,2000}})?/?>", re.IGNORECASE)
_BETWEEN = re.compile(rf"</?(?:{_BLOCK})(?:\s[^<>]{{0,2000}})?/?>", re.IGNORECASE)
_UNSEEN = (("<!--", "-->"), ("<script", "</script>"), ("<style", "</style>"))

_LINK = re.compile(r"!?\[([^\[\]]{0,500})\]\((?:https?://|www\.|/|#|mailto:)[^\s()]{0,2000}\)")  # of Markdown
_TOP = "com|org|net|edu|gov|io|co|me|tv|ly|be|gl|gg|it|uk|de|fr|es|nl|pl|ru|br|us|eu|info|app|dev"
_ENDING = r"(?<![.,;:!?'\")\]}*>])"  # marks after an address are the writer's
_ADDRESS = re.compile(
    rf"(?:\b(?:https?|ftp)://|\bwww\.)[^\s<>\"]{{1,2000}}{_ENDING}"
    r"|(?<![\w.+-])[\w.+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,4}[a-z]{2,24}\b"
    rf"|(?<![\w.@/-])(?:[a-z0-9-]{{1,63}}\.){{1,4}}(?:{_TOP})/[^\s<>\"]{{1,2000}}{_ENDING}"
    r"|(?<![\w.@/-])(?:[a-z0-9-]{1,63}\.){1,4}(?:com|org|net|edu|gov|io)\b/?(?![\w-])",
    re.IGNORECASE,
)
_MARKUP = re.compile(r"(\*\*\*|\*\*|__|~~)(?=\S)([^\n*_~]{1,1000})(?<=\S)\1")  # bold, struck out
_CODE = re.compile(r"(?<!\w)(`{1,3})(?=\S)([^`\n]{1,1000})(?<=\S)\1(?!\w)")

# UTF-8 that was read as Windows-1252: only pairs that no language writes
_TAIL = (
    "[\x80-\xbf\u0152\u0153\u0160\u0161\u0178\u017d\u017e\u0192\u02c6\u02dc"
    "\u2013-\u2022\u2026\u2030\u2039\u203a\u20ac\u2122]"
)
_MISREAD = re.compile(
    f"[\xc2\xc3][\xa0-\xbf]|\xe2[\x80\x82\x84\u20ac\u201a\u201e\u02dc\u2122\u0161\u203a\u0153\x9d\u017e]{_TAIL}"
    f"|\xf0[\x9f\u0178]{_TAIL}{_TAIL}|\xef[\xb8\xbb]{_TAIL}"
)
_BYTES = {bytes([b]).decode("cp1252", errors="ignore") or chr(b): b for b in range(0x80, 0xA0)}

_APOSTROPHES = dict.fromkeys(map(ord, "\u2018\u2019\u201b\u02bc\u02b9\u02bb\u02bd\u2032\uff07\u05f3\u055a\ua78c"), "'")
_QUOTES = dict.fromkeys(map(ord, "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb"), '"')
_BLANK = dict.fromkeys(map(ord, "\u2800\u115f\u1160\u3164\uffa0\u2028\u2029\x85"), " ")
_DASHES = dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2212\ufe63"), "-")
_MARKS = _APOSTROPHES | _QUOTES | _BLANK | _DASHES
_BETWEEN_LETTERS = re.compile(r"(?<=[^\W\d_])[`\u00b4](?=[^\W\d_])")
_INVISIBLE = re.compile("[\ufe00-\ufe0f\u034f\u17b4\u17b5\u180b-\u180f]")
_JOINED = re.compile("[\u0600-\u0dff\u2190-\u2bff\U0001f000-\U0001faff\ufe0f]")  # scripts and pictures that join


def as_written(text: str) -> str:
    """`text` with entities decoded and tags, addresses, markup of bold, invisible characters and width variants gone.

    Every text encoder reads this, in training as in use, so that a comment is the same whether it was typed or exported
    from a page. In order: entities (`&#39;`, twice escaped too) and UTF-8 misread as Windows-1252 (`donâ€™t`); tags of
    HTML, scripts and comments; Markdown's links and bold; addresses of pages and mail; soft hyphens, zero-width and
    directional marks; NFKC; typographic quotes as typed ones; runs of white space as one space. What is left is empty
    where nothing was written but an address. It is its own fixed point: `as_written(as_written(t)) == as_written(t)`.

        as_written("I don&#39;t <b>care</b> https://t.co/x1")  # "I don't care"
    """
    for _ in range(8):  # what is decoded may be an entity, a tag or an address itself
        before, text = text, _once(text)
        if text == before:
            break
    return text


def _once(text: str) -> str:
    text = _MISREAD.sub(_read_again, html.unescape(text) if "&" in text else text)
    if "<" in text:
        for start, end in _UNSEEN:
            text = _without(text, start, end)
        text = _BETWEEN.sub(" ", _WITHIN.sub("", text))
    if not text.isascii():
        text = "".join(c for i, c in enumerate(text) if not _hidden(text, i))
        text = _BETWEEN_LETTERS.sub("'", _INVISIBLE.sub("", text.translate(_MARKS)))  # before NFKC spaces out an accent
        text = unicodedata.normalize("NFKC", text).translate(_MARKS)
    text = _BETWEEN_LETTERS.sub("'", text)
    text = _ADDRESS.sub(" ", _LINK.sub(r"\1", text))
    text = _CODE.sub(r"\2", _MARKUP.sub(r"\2", text))
    return " ".join("".join(" " if unicodedata.category(c) == "Cc" else c for c in text).split())


def _hidden(text: str, i: int) -> bool:
    """Whether a character is one of Unicode's format characters and joins nothing."""
    if text[i].isascii() or unicodedata.category(text[i]) != "Cf":
        return False
    joins = text[i] in "\u200c\u200d" and 0 < i < len(text) - 1
    return not (joins and _JOINED.match(text[i - 1]) and _JOINED.match(text[i + 1]))


def _read_again(found: re.Match[str]) -> str:
    misread = found[0]
    try:
        return bytes(_BYTES.get(c, ord(c)) for c in misread).decode()
    except ValueError:
        return misread


def _without(text: str, start: str, end: str) -> str:
    """Without what stands between `start` and `end`, whatever their case; to the end where it never ends."""
    lower, kept, at = text.lower(), [], 0
    if len(lower) != len(text):  # a letter that is two in lower case
        return text
    while (begin := lower.find(start, at)) >= 0:
        kept.append(text[at:begin])
        stop = lower.find(end, begin)
        at = len(text) if stop < 0 else stop + len(end)
    return " ".join([*kept, text[at:]])
