"""Text as its writer saw it, whatever it went through."""

import pytest

from emobraid.encoders import compact_text
from emobraid.encoders.base import Utterance
from emobraid.encoders.written import as_written

SAID = "I don't like this at all"


def fullwidth(text: str) -> str:
    return "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text)


def mathematical(text: str) -> str:
    return "".join(chr(0x1D41A + ord(c) - 97) if "a" <= c <= "z" else c for c in text)


WAYS = {
    "decimal entity": SAID.replace("'", "&#39;"),
    "hexadecimal entity": SAID.replace("'", "&#x27;"),
    "named entity": SAID.replace("'", "&apos;"),
    "escaped twice": SAID.replace("'", "&amp;#39;"),
    "entity without its end": SAID.replace("'", "&#39"),
    "curly": SAID.replace("'", "\u2019"),
    "modifier letter": SAID.replace("'", "\u02bc"),
    "prime": SAID.replace("'", "\u2032"),
    "backtick": SAID.replace("'", "`"),
    "acute": SAID.replace("'", "\u00b4"),
    "misread UTF-8": SAID.replace("'", "\u00e2\u20ac\u2122"),
    "misread as Latin-1": SAID.replace("'", "\u00e2\x80\x99"),
    "address at the end": f"{SAID} https://t.co/AbC123xyz",
    "address without scheme": f"{SAID} www.example.org/sad/terrible/death",
    "bare address": f"bit.ly/3xYzAb {SAID}",
    "mail": f"{SAID} someone.sad@example.org",
    "line break": f"{SAID}<br />",
    "paragraph": f"<p>{SAID}</p>",
    "paragraph, escaped": f"&lt;p&gt;{SAID}&lt;/p&gt;",
    "link": f'<a href="https://sad.example/death" class="x">{SAID}</a>',
    "comment": f"<!-- sad death -->{SAID}<script>terrible()</script>",
    "tag within a word": SAID.replace("like", "li<b>ke</b>"),
    "bold of Markdown": SAID.replace("don't", "**don't**"),
    "link of Markdown": f"[{SAID}](https://sad.example/death)",
    "code of Markdown": SAID.replace("like", "`like`"),
    "zero-width space": SAID.replace("like", "li\u200bke"),
    "word joiner": SAID.replace("like", "li\u2060ke"),
    "byte-order mark": f"\ufeff{SAID}",
    "soft hyphen": SAID.replace("like", "li\u00adke"),
    "soft hyphen as entity": SAID.replace("like", "li&shy;ke"),
    "right-to-left mark": SAID.replace("like", "\u202elike\u202c"),
    "no-break space": SAID.replace(" ", "\u00a0"),
    "no-break space as entity": SAID.replace(" ", "&nbsp;"),
    "lines": SAID.replace(" ", "\r\n"),
    "fullwidth": fullwidth(SAID),
    "mathematical bold": mathematical(SAID).replace("I", "\U0001d408"),
}


@pytest.mark.parametrize("text", WAYS.values(), ids=WAYS)
def test_the_same_sentence_however_it_came_is_the_same(text):
    assert as_written(text) == SAID


@pytest.mark.parametrize(
    "text",
    [
        SAID, "I <3 you", ">:( a < b > c", "<sarcasm> great", "AT&T and R&B", "*sigh* ok", "snake_case_name __ ** ~~",
        "either/or, 24/7, Mr.Smith/Jones", "e.g. this vs. that...", "caf\u00e9 Spa\u00df", "5 * 3 * 2", "ok.so what",
        "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f602",
        "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "& &&",
    ],
)  # fmt: skip
def test_what_only_looks_like_it_stays(text):
    assert as_written(text) == text


def test_marks_after_an_address_are_the_writers():
    assert as_written("Look at https://example.org/a?b=1&c=2!!") == "Look at !!"


def test_a_text_that_is_only_an_address_says_nothing():
    assert as_written("https://example.org/sad") == ""
    assert len(compact_text.CompactText(8).prepare("https://example.org/sad")) == 0


@pytest.mark.parametrize(
    "text", [*WAYS.values(), "&amp;amp;amp;lt;br&amp;gt;", "**__a__**", "a&#8203;<b", "&#0;&#xD800;"]
)
def test_a_second_time_changes_nothing(text):
    assert as_written(as_written(text)) == as_written(text)


@pytest.mark.parametrize(
    "text", ["<!--", "<a ", "**", "`", "a.", "[(", "&amp;", "http://", "a@", "**a", "[a](/", "-.", "\u200d"]
)
def test_a_hostile_text_is_read_in_time_that_grows_with_it(text):
    as_written(text * 20_000)  # a quadratic way of it would run into the test's time limit


def test_the_text_encoder_reads_what_was_written():
    encoder = compact_text.CompactText(8)
    said = Utterance("a &amp; b", "<b>Ann</b>", (("Bob", "don&#39;t"),))
    want = Utterance("a & b", "Ann", (("Bob", "don't"),))
    assert encoder.prepare(said).equal(encoder.prepare(want))
