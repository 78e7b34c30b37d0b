"""The page and the API beside each other while the model is still being loaded."""

import threading
import time

import httpx
import pytest

pytest.importorskip("gradio", reason="the page needs the extra: pip install 'emobraid[demo]'")

from emobraid.app.limits import ServerSettings
from emobraid.app.page import mount
from emobraid.app.server import create_app
from server_fixtures import WORDS, asked, loops_closed, running, tiny_recognizer
from test_page_disk import Browser

pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # Gradio's use of pandas


@pytest.fixture
def starting():
    """A server with its page whose model is loaded once `loading` is set."""
    loading = threading.Event()

    def load():
        assert loading.wait(60)
        return tiny_recognizer()

    settings = ServerSettings(port=0)
    try:
        with loops_closed(), running(mount(create_app(load, settings), synthetic=True), settings) as server:
            server.loading = loading
            yield server
            loading.set()
    finally:
        loading.set()


def test_the_api_beside_a_page_says_503_until_the_model_is_there_and_then_answers(starting, capfd):
    for path in ("/v1/predict", "/v1/chat"):
        started = time.monotonic()
        early = asked(starting.port, "POST", path, {"text": WORDS})
        assert (early.status, early.headers["retry-after"]) == (503, "2")
        assert early.body["error"] == "the model is being loaded; try again"
        assert time.monotonic() - started < 5
    assert asked(starting.port, "GET", "/livez").status == 200
    assert asked(starting.port, "GET", "/readyz").status == 503
    starting.loading.set()
    until = time.monotonic() + 30
    while asked(starting.port, "GET", "/readyz").status != 200:
        assert time.monotonic() < until
        time.sleep(0.05)
    assert asked(starting.port, "POST", "/v1/predict", {"text": WORDS}).status == 200
    assert "Traceback" not in capfd.readouterr().err


def test_a_page_opened_too_early_says_so_and_goes_on_by_itself(starting, capfd):
    with httpx.Client(base_url=starting.url, timeout=60) as client:
        browser = Browser(client)
        for part, given in (("eb-read", (None, "hello")), ("eb-send", ("hello",))):
            assert "The model is being loaded; try again." in browser.do(part, "click", *given)
        threading.Timer(1.5, starting.loading.set).start()
        opened = browser.do(None, "load")
        early, late = opened.index("The model is being loaded; try again."), opened.index("eb-dash")
        assert early < late
        assert "eb-held" in browser.do("eb-read", "click", None, "hello")
    assert "Traceback" not in capfd.readouterr().err
