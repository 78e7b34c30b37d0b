"""No words of a user, a file or a model become markup of the page."""

import pytest

from emobraid.app import furniture, recording_drawn, talk
from emobraid.app.dashboard import dashboard
from emobraid.app.recording import Course
from emobraid.dialogue import History, Point, Reply, Turn
from emobraid.emotions import LabelSpace
from emobraid.timeline import Plan, Window
from page_fixtures import NAMES, Skeleton, prediction, shown, smoothed

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//x></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    '"><script>alert(1)</script>',
    "'><img src=x onerror=alert(1)>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    "javascript:alert(1)",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
    "<math><mtext><img src=x onerror=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<video><source onerror=alert(1)>",
    "<audio src=x onerror=alert(1)>",
    "<input onfocus=alert(1) autofocus>",
    "<select onfocus=alert(1) autofocus>",
    "<textarea onfocus=alert(1) autofocus>",
    "<marquee onstart=alert(1)>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<form action=javascript:alert(1)><input type=submit>",
    "<base href=//x/>",
    "<link rel=stylesheet href=//x>",
    "<style>*{background:url(javascript:alert(1))}</style>",
    "<meta http-equiv=refresh content=0>",
    "</p></li></ol><script>alert(1)</script>",
    "</style><script>alert(1)</script>",
    "<!--><script>alert(1)</script>",
    "<![CDATA[<script>alert(1)</script>]]>",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "`${alert(1)}`",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)",
    "\u202e<script>alert(1)</script>",
    "<scr\x00ipt>alert(1)</script>",
]


def said(text):
    history = History()
    history.add(Turn(text, prediction(), Reply(text, "comfort", (text, "a walk"), "built-in")))
    return history


#: every place where words of a user, a file, a model or a language model are shown
PLACES = {
    "what was said, answered and offered": lambda t: talk.conversation(said(t)),
    "what is being said and answered": lambda t: talk.conversation(History(), t, t),
    "the course": lambda t: talk.course([Point(0, t, 0.5, None, None)], t),
    "the name of a file, and notes": lambda t: dashboard(shown(t), LabelSpace(NAMES), ("text", "audio"), ()),
    "labels of a model": lambda t: dashboard(
        shown(fused=smoothed(t, (t, "b")), alone={"text": smoothed(t, (t, "b"))}), LabelSpace((t, "b")), ("text",), ()
    ),
    "modalities": lambda t: dashboard(shown(alone={}), LabelSpace(NAMES), (t,), ()),
    "an error": furniture.alert,
    "a recording's name, its labels, and what is missing": lambda t: recording_drawn.drawn(
        Course(4.0, Plan(), (Window(0, 4, prediction(t, (t, "b")), {"video": t}),), done=True), t, (t, "b"), ("audio",)
    ),
    "why a recording has no course": recording_drawn.failed,
    "the title": lambda t: furniture.masthead(t, True),
    "who writes the replies": furniture.notice,
    "who hears": furniture.hearing,
}


@pytest.mark.parametrize("place", PLACES)
def test_no_words_become_markup_wherever_they_are_shown(place):
    assert len(PAYLOADS) == 40
    harmless = Skeleton(PLACES[place]("harmless")).found
    for payload in PAYLOADS:
        drawn = Skeleton(PLACES[place](payload))
        assert drawn.found == harmless, payload
        if "\0" not in payload:
            assert payload in drawn.text or place == "the course"
