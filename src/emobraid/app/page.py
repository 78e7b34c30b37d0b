"""The page made with Gradio: what stands where, and which action follows which event."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from emobraid.app.spool import spool

spool()  # Gradio reads where its files go when it is imported

import gradio as gr  # noqa: E402
from fastapi import FastAPI  # noqa: E402

from emobraid.app import furniture, recording_drawn, uploads  # noqa: E402
from emobraid.app.actions import Actions, sentence  # noqa: E402
from emobraid.app.asr import Listener  # noqa: E402
from emobraid.app.languages import first_language  # noqa: E402
from emobraid.app.visits import Visit  # noqa: E402
from emobraid.dialogue import Responder  # noqa: E402
from emobraid.recognizer import Recognizer  # noqa: E402

TITLE = "emobraid"
QUIETLY: dict[str, Any] = {"show_progress": "hidden", "api_visibility": "private"}
LOADING = 300.0  # seconds that a page which was just opened waits for the model
DELETE = (60, 300)  # seconds: how often uploads that nobody read are looked for, and how old they may get


def build(
    recognizer: Recognizer | Callable[[], Recognizer],
    *,
    responder: Responder | None = None,
    listener: Listener | None = None,
    title: str = TITLE,
    synthetic: bool | None = None,
) -> gr.Blocks:
    """The page for one model; `launch` it with `launching.launch_settings()`, or `mount` it beside the HTTP API.

    `recognizer` may be a function, for a model that is still being loaded: its ValueError is shown until it is there.
    `responder` answers (the built-in one unless given), `listener` writes down speech (nobody unless given).
    `synthetic` says that the model learned from invented people; by default the model itself tells.
    """
    actions = Actions(recognizer if callable(recognizer) else lambda: recognizer, responder, listener)
    with gr.Blocks(title=title, analytics_enabled=False, delete_cache=DELETE, fill_width=True) as page:
        _Layout(page, actions, title, synthetic, writer=getattr(responder, "url", "")).connect()
    page.queue(max_size=32, default_concurrency_limit=2, api_open=False)
    return page


class _Layout:
    """The components, top to bottom, and their events."""

    def __init__(self, page: gr.Blocks, actions: Actions, title: str, synthetic: bool | None, writer: str) -> None:
        self.page, self.actions, self.title, self.synthetic = page, actions, title, synthetic
        self.top = gr.HTML(furniture.masthead(title, bool(synthetic)), elem_id="eb-top")
        gr.HTML(furniture.notice(writer))
        with gr.Row(elem_id="eb-main"):  # the style sheet puts these side by side where there is room
            with gr.Column(elem_id="eb-give", min_width=200):
                self._inputs()
            with gr.Column(elem_id="eb-see", min_width=200):
                self.dash = gr.HTML(elem_id="eb-dashboard")
            with gr.Column(elem_id="eb-talk", min_width=200):
                self._conversation()
            with gr.Column(elem_id="eb-own", min_width=200):
                self._own()

    def _inputs(self) -> None:
        with gr.Tabs(elem_id="eb-tabs"):
            with gr.Tab("Live"):
                self.capture = gr.HTML(
                    None,
                    html_template=furniture.CAPTURE,
                    js_on_load=furniture.text_of("capture.js"),
                    elem_id="eb-live",
                    padding=False,
                )
                name = self.actions.listener.name if self.actions.listener else ""
                gr.HTML(furniture.hearing(name))
            with gr.Tab("Upload") as self.upload:
                self.file = gr.File(label="A clip, a sound or a picture", height=150, elem_id="eb-file")
                self.words = gr.Textbox(label="What was said (optional)", lines=2, max_lines=4, max_length=20_000)
                self.read = gr.Button("Read it", variant="primary", elem_id="eb-read")
                self.over = gr.HTML(recording_drawn.EMPTY)
        self.alert = gr.HTML(furniture.alert())

    def _conversation(self) -> None:
        self.talk = gr.HTML(elem_id="eb-conversation")
        with gr.Row(elem_id="eb-say"):
            self.box = gr.Textbox(
                label="Your words", placeholder="How is it going?", lines=1, max_lines=4, max_length=20_000, scale=5
            )
            self.send = gr.Button("Send", variant="primary", scale=1, min_width=90, elem_id="eb-send")
        self.people = gr.HTML(furniture.people())

    def _own(self) -> None:
        self.course = gr.HTML(elem_id="eb-course")
        with gr.Row(elem_id="eb-mine"):
            self.export = gr.Button("Export as JSON", elem_id="eb-export")
            self.forget = gr.Button("Forget me", variant="stop", elem_id="eb-forget")
        self.saver = gr.HTML(None, html_template="", js_on_load=furniture.SAVER, elem_id="eb-saver")
        gr.HTML(None, html_template=furniture.SPOKEN, js_on_load=furniture.SPEAK, elem_id="eb-speaker")

    def connect(self) -> None:
        whole = [self.dash, self.talk, self.course]
        self.page.load(self._load, None, [self.top, *whole, self.people, self.alert], concurrency_limit=16, **QUIETLY)
        self.page.unload(self._unload)
        # straight, not through the queue: each tab sends its next beat only when the last one was answered
        self.capture.beat(self._beat, None, [self.capture, self.dash], queue=False, **QUIETLY)
        self.capture.rest(self._rest, None, [self.dash], queue=False, **QUIETLY)
        self.upload.select(None, js=furniture.REST, **QUIETLY)
        said = [self.box, self.talk, self.course, self.dash, self.alert]
        gr.on([self.send.click, self.box.submit], self._say, self.box, said, concurrency_limit=4, **QUIETLY)
        given = [self.file, self.words]
        read = [self.alert, *given, self.dash, self.over]
        self.read.click(self._read, given, read, trigger_mode="multiple", **QUIETLY)
        self.export.click(self._export, None, [self.saver], **QUIETLY)
        emptied = [*whole, self.box, *given, self.over, self.alert]
        self.forget.click(self._forget, None, emptied, js=furniture.FORGET, **QUIETLY)

    def _load(self, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        """What stands on the page; while the model is still being loaded a sentence, and the page waits."""
        until, visit, language = time.monotonic() + LOADING, None, request.headers.get("accept-language", "")
        people = furniture.people(first_language(language))
        while visit is None:
            try:
                visit = self.actions.visit(key(request), language)
            except ValueError as error:
                yield *[gr.skip()] * 4, people, furniture.alert(sentence(error))
                if time.monotonic() > until:
                    return
                time.sleep(0.5)
        synthetic = visit.recognizer.synthetic if self.synthetic is None else self.synthetic
        top = furniture.masthead(self.title, synthetic, visit.recognizer.terms)
        yield top, *self.actions.everything(visit), people, furniture.alert()

    def _visit(self, request: gr.Request) -> Visit:
        try:
            return self.actions.visit(key(request))
        except ValueError as error:
            raise gr.Error(sentence(error), print_exception=False) from None

    def _unload(self, request: gr.Request) -> None:
        self.actions.visits.end(key(request))

    def _beat(self, event: gr.EventData, request: gr.Request) -> tuple[Any, Any]:
        sent = event._data if isinstance(event._data, dict) else {}
        try:
            return self.actions.beat(self.actions.visit(key(request)), sent)
        except Exception as error:
            number = sent.get("number") if isinstance(sent.get("number"), int) else 0
            return {"number": number, "box": None, "wrong": sentence(error)}, gr.skip()

    def _rest(self, event: gr.EventData, request: gr.Request) -> Any:
        sent = event._data if isinstance(event._data, dict) else {}
        shown = self.actions.rest(self._visit(request), sent)
        # the answer to "forget me" says what is shown; this one may come after it, with what was there before
        return gr.skip() if sent.get("forgotten") else shown

    def _say(self, text: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        try:
            visit = self.actions.visit(key(request))
            for talk, course in self.actions.say(visit, text):
                yield "", talk, course, gr.skip(), furniture.alert()
        except Exception as error:
            yield text, gr.skip(), gr.skip(), gr.skip(), furniture.alert(sentence(error))
            return
        yield gr.skip(), gr.skip(), gr.skip(), self.actions.dashboard(visit), gr.skip()

    def _read(self, path: str | None, text: str, request: gr.Request) -> Iterator[tuple[Any, ...]]:
        left = gr.skip(), gr.skip()  # what was chosen or written since then is the next reading's
        try:
            coming = self.actions.read(self.actions.visit(key(request)), path, text)
            for i, (shown, course) in enumerate(coming):
                yield (gr.skip(), *left, gr.skip(), course) if i else (furniture.alert(), None, "", shown, course)
        except Exception as error:
            yield furniture.alert(sentence(error)), None, text, gr.skip(), recording_drawn.EMPTY

    def _export(self, request: gr.Request) -> dict[str, str]:
        return self.actions.export(self._visit(request))

    def _forget(self, request: gr.Request) -> tuple[Any, ...]:
        emptied = self.actions.forget(self._visit(request))
        return *emptied, "", None, "", recording_drawn.EMPTY, furniture.alert()


def key(request: gr.Request) -> str:
    """Which tab of which browser: whoever guesses the one still lacks the other."""
    return f"{uploads.visitor(request.headers)}/{request.session_hash}"


def mount(app: FastAPI, *, path: str = "/", synthetic: bool | None = None) -> FastAPI:
    """The page beside the HTTP API that `create_app` made, with the same model."""
    from emobraid.app.launching import mount_settings
    from emobraid.app.refusals import Refusal

    service = app.state.service
    responder = service.sessions.responder

    def loaded() -> Recognizer:
        try:
            return service.ready().recognizer
        except Refusal as refusal:
            raise ValueError(refusal.sentence) from None

    page = build(loaded, responder=responder() if responder else None, synthetic=synthetic)
    app.add_middleware(uploads.Uploads)
    root = service.settings.root_path
    return gr.mount_gradio_app(app, page, path=path, root_path=root or None, **mount_settings())
