"""How much a body may hold, counted as it comes: what was parsed or checked first has cost its time already.

Size alone does not bound the work: 18 MB can be one film, or a million keys, each of which takes microseconds.
"""

import re
from typing import Any

from starlette.datastructures import Headers

from emobraid.app.refusals import Refusal

KEYS = 100  # of a JSON body, all of its objects together; a request has ten fields at most
DEPTH = 16  # of lists and objects inside each other
DIGITS = 100  # of a number
PARTS = 8  # of a form, at most; it has four fields or so
SPARE = 1000  # commas, brackets and the like beyond those that a text may hold

VALUES = 1000  # of a JSON body for the page
PAGE_BYTES = 4_000_000  # of a JSON body for the page: a beat is a picture of 320 x 240 and some seconds of sound

MARKS = {b",": "values", b"[": "lists", b"{": "objects", b"&": "fields", b"\\": "escaped characters"}
TOKEN = re.compile(rb'\\.|["\[\]{},:]', re.DOTALL)


class BodyCount:
    """Counts what a body consists of, chunk by chunk; a Refusal (413) as soon as there is more than is allowed.

    A body for the API may carry files, so it is only counted roughly, without a look at what stands inside of strings;
    what is in them is for `JsonCount` to find. One for the page, whose parts read JSON by themselves, is gone through.
    """

    def __init__(self, headers: Headers, text_characters: int, *, page: bool) -> None:
        kind, _, rest = headers.get("content-type", "").partition(";")
        self.form = kind.strip().lower() == "multipart/form-data"
        self.boundary = b"\n--" + boundary_of(rest) if self.form else b""
        self.most = text_characters + SPARE  # a text may be nothing but commas
        self.bytes = 0
        self.outline = Outline() if page and not self.form else None
        self._marks = dict.fromkeys(MARKS, 0)
        self._parts, self._tail = 0, b"\n"

    def add(self, chunk: bytes) -> None:
        self.bytes += len(chunk)
        if self.form:
            self._add_form(chunk)
            return
        for mark, what in MARKS.items():
            self._marks[mark] += chunk.count(mark)
            # a character may be two escapes, and base64 has one "/" in 64, which some write as "\/"
            most = 2 * self.most + self.bytes // 8 if mark == b"\\" else self.most
            if self._marks[mark] > most:
                raise Refusal(413, f"the body holds more than {most:,} {what}; send less")
        if self.outline is not None:
            if self.bytes > PAGE_BYTES:
                raise Refusal(413, f"the body is larger than {PAGE_BYTES / 1e6:g} MB; send less")
            self.outline.add(chunk)

    def _add_form(self, chunk: bytes) -> None:
        seen = self._tail + chunk
        self._parts += seen.count(self.boundary)
        self._tail = seen[-(len(self.boundary) - 1) :]
        if self._parts > PARTS + 1:  # the last one is the end
            raise Refusal(413, f"the form has more than {PARTS} parts; send less")


class Outline:
    """Keys, values and depth of JSON that comes in chunks; a Refusal (413) beyond a bound."""

    def __init__(self) -> None:
        self.keys = self.values = self.depth = 0
        self._quoted, self._escape = False, b""

    def add(self, chunk: bytes) -> None:
        chunk = self._escape + chunk
        self._escape = chunk[-1:] if _ends_in_escape(chunk) else b""
        for token in TOKEN.findall(chunk):
            if token == b'"':
                self._quoted = not self._quoted
            elif not self._quoted:
                self._count(token)
        if self.keys > KEYS:
            raise too_many_keys()
        if self.values > VALUES:
            raise Refusal(413, f"the JSON has more than {VALUES:,} values; send less")

    def _count(self, token: bytes) -> None:
        self.keys += token == b":"
        self.values += token == b","
        self.depth += (token in b"[{") - (token in b"]}")
        if self.depth > DEPTH:
            raise too_deep()


def _ends_in_escape(chunk: bytes) -> bool:
    """Whether a backslash at the end waits for what it escapes."""
    return bool((len(chunk) - len(chunk.rstrip(b"\\"))) % 2)


def boundary_of(parameters: str) -> bytes:
    """What stands between the parts of a form, in the parameters of its content type; empty when it is not said."""
    for parameter in parameters.split(";"):
        name, _, value = parameter.strip().partition("=")
        if name.strip().lower() == "boundary":
            return value.strip().strip('"').encode("latin-1", errors="replace")
    return b""


class JsonCount:
    """Counts while JSON is read: `pairs` and `number` are hooks of `json.loads`; a Refusal (413) beyond a bound."""

    def __init__(self) -> None:
        self.keys = 0

    def pairs(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self.keys += len(pairs)
        if self.keys > KEYS:
            raise too_many_keys()
        return dict(pairs)

    @staticmethod
    def whole(digits: str) -> int:
        return int(short(digits))

    @staticmethod
    def real(digits: str) -> float:
        return float(short(digits))


def short(digits: str) -> str:
    if len(digits) > DIGITS:
        raise Refusal(413, f"a number in the JSON has more than {DIGITS} digits; send less")
    return digits


def refuse_deep(value: Any) -> None:
    """A Refusal (413) when lists and objects are nested too deeply."""
    layer, depth = [value], 0
    while layer := [one for one in layer if isinstance(one, dict | list)]:
        depth += 1
        if depth > DEPTH:
            raise too_deep()
        layer = [inner for one in layer for inner in (one.values() if isinstance(one, dict) else one)]


def too_many_keys() -> Refusal:
    return Refusal(413, f"the JSON has more than {KEYS} keys; send less")


def too_deep() -> Refusal:
    return Refusal(413, f"the JSON is nested too deeply; the limit is {DEPTH}")
