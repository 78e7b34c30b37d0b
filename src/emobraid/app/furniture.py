"""What stands still on the page: masthead, notice, the camera's frame, the foot. None of it holds what a user wrote."""

import functools
from html import escape
from importlib import resources

from emobraid.app import words
from emobraid.dialogue.help_lines import people_to_talk_to

MARK = (
    '<svg viewBox="0 0 48 48" aria-hidden="true"><g fill="none" stroke-width="5" stroke-linecap="round">'
    '<path class="eb-strand1" d="M10 6C10 20 38 18 38 30S24 42 24 42"/>'
    '<path class="eb-strand2" d="M38 6C38 20 10 18 10 30S24 42 24 42"/>'
    '<path class="eb-strand3" d="M24 6V42"/></g></svg>'
)

CAPTURE = """
<div class="eb-capture">
  <div class="eb-stage">
    <video data-part="video" muted playsinline aria-label="Your camera, mirrored"></video>
    <div class="eb-face" data-part="box" hidden></div>
    <div class="eb-off" data-part="off" aria-hidden="true"><svg viewBox="0 0 64 64"><circle cx="32" cy="24" r="11"/>
      <path d="M12 56c2-13 10-19 20-19s18 6 20 19"/></svg><span>Camera is off</span>
      <small>Pictures are read and let go: none is stored.</small></div>
  </div>
  <div class="eb-buttons">
    <button type="button" data-part="camera" aria-pressed="false"><i aria-hidden="true"></i>
      <span>Start camera</span></button>
    <button type="button" data-part="mic" aria-pressed="false"><i aria-hidden="true"></i>
      <span>Start microphone</span></button>
    <button type="button" data-part="pause" disabled>Pause</button>
  </div>
  <div class="eb-level" aria-hidden="true"><span data-part="level"></span></div>
  <p class="eb-state"><span data-part="state" role="status">Camera and microphone are off.</span>
    <span data-part="pace"></span><span data-part="heard"></span></p>
</div>
"""

#: turns a value {"name", "text"} into a download, without a file on the server
SAVER = """
watch("value", () => {
  if (!props.value) return;
  const { name, text } = props.value, link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  props.value = null;
});
"""
#: one line that stays: a screen reader is not told of what comes in a part of the page that is drawn anew
SPOKEN = '<p class="eb-spoken" role="status" aria-live="polite"></p>'
SPEAK = """
const HELD = 4000, READ = 12000;  // ms between two guesses, and a reply is left alone
const line = element.querySelector("p");
let reply = "", guess = "nothing yet", quiet = 0;
new MutationObserver(() => {
  const last = [...document.querySelectorAll(".eb-reply:not([aria-busy])")].pop()?.innerText || "";
  const label = document.querySelector(".eb-guess")?.innerText || guess, now = performance.now();
  if (last !== reply) {
    line.textContent = reply = last;
    quiet = now + READ;
  } else if (label !== guess && now > quiet) {
    line.textContent = `My guess: ${guess = label}`;
    quiet = now + HELD;
  }
}).observe(document.body, { childList: true, subtree: true });
"""
REST = "() => { window.dispatchEvent(new Event('emobraid-rest')); return []; }"
FORGET = REST.replace("emobraid-rest", "emobraid-forget")


@functools.cache
def text_of(name: str) -> str:
    return (resources.files("emobraid") / "app" / name).read_text(encoding="utf-8")


def masthead(title: str, synthetic: bool, terms: str = "") -> str:
    """Name, what it does in one line, where the model learned if that was not from people, and its terms if it has
    some of its own."""
    warned = f'<p class="eb-synthetic" role="note">{words.SYNTHETIC}</p>' if synthetic else ""
    warned += f'<p class="eb-small">{words.TERMS.format(terms=escape(terms))}</p>' if terms else ""
    return (
        f"<style>{text_of('page.css')}</style>"
        f'<header class="eb-masthead">{MARK}<div><h1>{escape(title)}</h1>'
        "<p>What words, voice and face <em>express</em>, guessed by a model on this computer.</p></div></header>"
        + warned
    )


def notice(writer: str) -> str:
    """The notice of the AI Act, and what is kept. `writer` is where a language model runs, if one replies."""
    sent = f"<p>{words.SENT.format(place=escape(writer))}</p>" if writer else ""
    return (
        f'<aside class="eb-notice" aria-label="Notice"><p>{words.NOTICE}</p><details><summary>The law, and what is kept'
        f"</summary><p>{words.LAW}</p><h2>Kept</h2><p>{words.KEPT}</p><p>{words.UPLOADED}</p><h2>Not kept</h2>"
        f"<p>{words.NOT_KEPT}</p>{sent}</details></aside>"
    )


def hearing(listener: str) -> str:
    told = words.HEARD.format(name=escape(listener)) if listener else words.NOT_HEARD
    return f'<p class="eb-small">{told}</p>'


def people(locale: str = "") -> str:
    """Where a person is to be reached. It stands there whatever the program makes of somebody's words, and before it
    has answered any."""
    return f'<p class="eb-small eb-people">{escape(people_to_talk_to(locale or "en"))}</p>'


def alert(sentence: str = "") -> str:
    """A sentence on what went wrong; its place is kept when there is none."""
    return f'<p class="eb-alert" role="alert">{escape(sentence)}</p>'
