"""The page in a real browser: camera, microphone, files, conversation, and what two people see of each other."""

import json
import os
import re
import time
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image

pytestmark = [pytest.mark.browser, pytest.mark.slow]

PATIENCE = 60_000  # ms; two busy cores are slow
SHOTS = os.environ.get("EMOBRAID_SHOTS")  # a folder for docs/images
WIDTHS = (320, 768, 1280)
PAYLOADS = [
    "<script>hacked=1</script>",
    "<img src=x onerror=hacked=1>",
    "<svg onload=hacked=1>",
    "<iframe src=javascript:parent.hacked=1>",
    '"><img src=x onerror=hacked=1>',
    "' onmouseover='hacked=1",
    "<details open ontoggle=hacked=1>",
    "</p></li><script>hacked=1</script>",
    "{{constructor.constructor('hacked=1')()}}",
    "${hacked=1}",
    "`${hacked=1}`",
    "<style>@import '//x'</style>",
    "<video><source onerror=hacked=1></video>",
    "<math><mtext><img src=x onerror=hacked=1>",
    "<base href=//x/>",
    "[x](javascript:hacked=1)",
]


def kept_small(path):
    """Pictures for the documents in 256 colours, so that a clone stays light."""
    if SHOTS:
        Image.open(path).convert("RGB").quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        assert path.stat().st_size < 400_000


class Visitor:
    """Somebody with the page open."""

    def __init__(self, chromium, server, *, width=1280, scheme="light"):
        self.context = chromium.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, permissions=["camera", "microphone"]
        )
        self.context.add_init_script(path=Path(__file__).with_name("probes.js"))
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE)
        self.strange = []
        self.page.on("console", lambda m: m.type == "error" and self.strange.append(m.text))
        self.page.on("pageerror", lambda e: self.strange.append(str(e)))
        self.page.on("dialog", lambda d: self.strange.append(d.message) or d.dismiss())
        self.page.on("request", lambda r: self.outside(r.url, server.url))
        self.page.goto(server.url)
        self.page.wait_for_selector(".eb-dash")
        self.page.wait_for_selector(".eb-talk")

    def outside(self, url, home):
        if not url.startswith((home, "data:", "blob:")):
            self.strange.append(url)

    def click(self, part):
        self.page.click(f'[data-part="{part}"]')

    def live(self):
        self.click("camera")
        self.click("mic")
        self.page.wait_for_function("document.querySelector('.eb-bars .eb-held')")

    def probe(self, what):
        return self.page.evaluate(f"probe.{what}()")

    def say(self, words):
        before = self.page.locator(".eb-reply:not([aria-busy])").count()
        self.page.fill("#eb-say textarea", words)
        self.page.click("#eb-send")
        self.page.wait_for_function(f"document.querySelectorAll('.eb-reply:not([aria-busy])').length > {before}")

    def give(self, path):
        self.page.get_by_role("tab", name="Upload").click()
        self.page.set_input_files("#eb-file input[type=file]", path)
        name = path["name"] if isinstance(path, dict) else path.name
        self.page.wait_for_selector(f"#eb-file :text('{Path(name).stem[:8]}')")
        self.page.click("#eb-read")

    def shows(self, count, selector):
        """Wait until there are `count` of them: the parts of one answer come one after the other."""
        self.page.wait_for_function(f"document.querySelectorAll({json.dumps(selector)}).length == {count}")

    def text(self, selector):
        return self.page.inner_text(selector)


@pytest.fixture
def visitor(chromium, server):
    came = []

    def come(**how):
        came.append(Visitor(chromium, server, **how))
        return came[-1]

    yield come
    strange = [s for v in came for s in v.strange]
    for v in came:
        v.context.close()
    assert strange == []


def test_camera_and_microphone_are_read_live_and_pause_ends_their_tracks(visitor):
    one = visitor()
    assert one.text(".eb-guess") == "nothing yet"
    one.live()
    rows = one.page.locator(".eb-parts tbody tr")
    one.shows(1, ".eb-parts .eb-missing")  # words alone
    assert "nothing typed yet" in rows.nth(0).inner_text()
    before = one.probe("bars")
    one.page.wait_for_timeout(3_000)
    assert one.probe("bars") != before
    assert one.page.is_visible(".eb-face")
    one.page.wait_for_function("document.querySelector('[data-part=pace]').textContent.includes('readings a second')")
    assert one.probe("tracks") == ["live", "live"]
    one.click("pause")
    assert one.probe("tracks") == ["ended", "ended"]
    one.page.wait_for_selector(".eb-beside:has-text('paused')")
    assert one.text('[data-part="state"]') == "Camera and microphone are off."
    assert one.page.evaluate("document.querySelector('[data-part=video]').srcObject") is None


def test_nothing_jumps_while_readings_come(visitor):
    one = visitor()
    before = one.probe("places")
    one.live()
    one.page.wait_for_timeout(2_000)
    assert one.probe("places") == before


def test_a_turn_is_answered_kept_exported_and_forgotten(visitor):
    one = visitor()
    one.live()
    for words in ("I passed the exam today!", "But now I am a bit tired."):
        one.say(words)
    one.shows(2, ".eb-said")
    one.shows(2, ".eb-chip")
    one.shows(2, ".eb-column")
    one.shows(2, ".eb-was")
    assert one.page.input_value("#eb-say textarea") == ""
    with one.page.expect_download() as made:
        one.page.click("#eb-export")
    exported = json.loads(Path(made.value.path()).read_text())
    assert [t["said"] for t in exported["turns"]] == ["I passed the exam today!", "But now I am a bit tired."]
    one.page.click("#eb-forget")
    one.page.wait_for_selector(".eb-empty")
    one.shows(0, ".eb-said, .eb-column, .eb-was")
    assert one.text(".eb-guess") == "nothing yet"
    assert one.probe("tracks") == ["ended", "ended"]


def test_words_alone_are_read_and_answered(visitor):
    one = visitor()
    one.say("I passed the exam today!")
    one.page.wait_for_selector(".eb-beside:has-text('what you wrote')")
    assert "microphone is off" in one.text(".eb-parts")


def test_a_clip_is_read_and_a_broken_one_is_a_sentence(visitor, clip, server):
    one = visitor()
    one.give(clip)
    one.page.wait_for_selector(f".eb-beside:has-text('{clip.name}')")
    one.shows(1, ".eb-parts .eb-missing")  # no words
    one.give({"name": "broken.mp4", "mimeType": "video/mp4", "buffer": b"this is no clip" * 100})
    one.page.wait_for_selector(".eb-alert:has-text('broken.mp4')")
    told = one.text(".eb-alert")
    assert re.match(r"Broken\.mp4: .+\.$", told, re.IGNORECASE), told
    assert "Traceback" not in one.page.content()
    assert [f for p in server.spools for f in p.rglob("*") if f.is_file() and f.stat().st_size] == []


@pytest.mark.parametrize(("width", "scheme"), [(320, "dark"), (1280, "light")])
def test_a_longer_clip_is_drawn_over_time_and_forgotten(visitor, long_clip, server, width, scheme, tmp_path):
    one = visitor(width=width, scheme=scheme)
    one.give(long_clip)
    one.page.wait_for_selector('.eb-over[aria-busy="false"]')
    assert one.page.locator(".eb-lanes rect").count() >= 5
    assert "My guess for 6 windows of 4 s" in one.text(".eb-over [role=status]")
    assert one.probe("unnamed") == []
    one.page.click(".eb-over summary")
    assert one.page.locator(".eb-rows tbody tr").count() >= 1
    one.page.mouse.move(0, 0)
    one.page.wait_for_timeout(400)  # colours fade after a click
    assert one.probe("faint") == []
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    folder = Path(SHOTS) if SHOTS else tmp_path
    one.page.locator(".eb-over").screenshot(path=folder / f"over-time-{width}-{scheme}.png")
    kept_small(folder / f"over-time-{width}-{scheme}.png")
    one.page.click("#eb-forget")
    one.shows(0, ".eb-over h2")
    assert server.written() == {}


def test_two_people_see_nothing_of_each_other(visitor, clip):
    one, other = visitor(), visitor()
    one.say("the secret of one")
    one.give(clip)
    one.page.wait_for_selector(f".eb-beside:has-text('{clip.name}')")
    other.say("hello")
    assert "the secret" not in other.page.content()
    assert clip.name not in other.page.content()
    other.shows(1, ".eb-said")
    one.page.click("#eb-forget")
    one.page.wait_for_selector(".eb-empty")
    other.shows(1, ".eb-said")


def test_scripts_in_words_and_file_names_are_shown_and_not_run(visitor):
    one = visitor()
    for payload in PAYLOADS:
        one.say(payload)
    assert one.page.locator(".eb-said > p:first-child").all_inner_texts() == PAYLOADS
    one.give({"name": "<img src=x onerror=hacked=1>.mp4", "mimeType": "video/mp4", "buffer": b"no clip"})
    one.page.wait_for_selector(".eb-alert:not(:empty)")
    assert one.page.evaluate("typeof hacked") == "undefined"
    one.shows(0, ".eb-talk img, .eb-talk svg, .eb-talk script, .eb-alert img")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_everything_can_be_read_at_any_width_in_light_and_dark(visitor, width, scheme, tmp_path):
    one = visitor(width=width, scheme=scheme)
    one.live()
    one.say("I passed the exam today, and I still cannot believe it!")
    one.say("Now I am a bit nervous about the next one.")
    one.page.wait_for_timeout(2_500 if SHOTS else 300)
    folder = Path(SHOTS) if SHOTS else tmp_path
    one.page.screenshot(path=folder / f"page-{width}-{scheme}.png", full_page=True)
    kept_small(folder / f"page-{width}-{scheme}.png")
    assert one.page.evaluate("document.documentElement.scrollWidth") <= width
    one.page.mouse.move(0, 0)
    one.page.wait_for_timeout(400)  # colours fade after a click
    assert one.probe("faint") == []


def test_the_page_can_be_used_without_a_mouse_and_without_seeing(visitor):
    one = visitor()
    assert one.probe("unnamed") == []
    levels = one.page.evaluate("[...document.querySelectorAll('h1,h2,h3,h4')].map((e) => +e.tagName[1])")
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in pairwise(levels))  # none is left out
    reached = []
    for _ in range(30):
        one.page.keyboard.press("Tab")
        reached.append(one.page.evaluate("document.activeElement.innerText?.trim() || document.activeElement.tagName"))
        assert reached[-1].startswith("emobraid") or one.probe("ring") >= 3, reached[-1]  # else the body, at the end
    for needed in ("Start camera", "Start microphone", "Send", "Export as JSON", "Forget me"):
        assert needed in reached, reached
    one.page.focus('[data-part="camera"]')
    one.page.keyboard.press("Enter")
    one.page.wait_for_selector('[data-part="camera"][aria-pressed="true"]')
    one.shows(1, ".eb-spoken[aria-live=polite]")
    one.page.evaluate("window.line = document.querySelector('.eb-spoken')")
    one.say("I passed the exam today!")
    one.page.wait_for_function("line.textContent && line.textContent == document.querySelector('.eb-reply').innerText")
    one.page.click("#eb-forget")
    one.page.wait_for_function("line.isConnected && line.textContent == ''")  # the same line, and nothing left in it
    one.shows(1, ".eb-alert[role=alert]")


def test_a_session_leaves_nothing_on_a_disk(visitor, clip, server):
    one = visitor()
    one.live()
    one.page.wait_for_function("probe.spans().length >= 20")
    one.say("Nobody keeps this.")
    one.give(clip)
    one.page.wait_for_selector(f".eb-beside:has-text('{clip.name}')")
    one.page.click("#eb-forget")
    one.page.wait_for_selector(".eb-empty")
    time.sleep(0.5)
    assert server.written() == {}
    assert "Nobody keeps this" not in server.said()
