"""The language model responder with a server that others wrote: `transformers serve` and a tiny model of our own."""

import os
import signal
import socket
import subprocess
import sys
import time

import httpx
import pytest

import page_fixtures
from dialogue_fixtures import reading
from emobraid.app.actions import Actions
from emobraid.dialogue import BuiltIn, Conversation, Llm
from emobraid.dialogue.llm import CUT
from tiny_hub import WHAT, talker

pytestmark = pytest.mark.slow

START = 120.0  # seconds
SERVE = "from transformers.cli.transformers import app; app()"

recognizer = page_fixtures.recognizer


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    from emobraid.encoders.reports import quiet

    folder = tmp_path_factory.mktemp("talker")
    with quiet():
        talker(folder)
    return folder


@pytest.fixture
def served(model, tmp_path):
    """A server that answers: its process and its address."""
    from transformers.utils.import_utils import is_serve_available

    if not is_serve_available():
        pytest.skip("`transformers serve` needs openai, which is not here: pip install openai")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", SERVE, "serve", str(model), "--host", "127.0.0.1", "--port", str(port)]
    log = tmp_path / "log"
    with log.open("w") as lines:
        process = subprocess.Popen(
            [*command, "--device", "cpu", "--default-seed", "0"],
            stdout=lines,
            stderr=lines,
            env={**os.environ, "HF_HOME": str(tmp_path)},
        )
    try:
        wait_for(f"http://127.0.0.1:{port}/health", process, log)
        yield process, f"http://127.0.0.1:{port}/v1"
    finally:
        process.kill()
        process.wait()


def wait_for(address, process, log):
    until = time.monotonic() + START
    while time.monotonic() < until and process.poll() is None:
        try:
            if httpx.get(address).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.2)
    raise AssertionError(f"`transformers serve` did not start: {log.read_text()[-2000:]}")


def llm(url, model):
    # its first piece may take long on a busy processor; all other times are the defaults
    return Llm(url, str(model), first_token=60, fallback=BuiltIn(seed=0))


def test_a_real_server_answers_piece_by_piece_and_killed_mid_reply_is_replaced_in_two_seconds(
    served, model, recognizer
):
    process, url = served
    conversation = Conversation(None, llm(url, model))
    pieces = list(conversation.stream("my cat is gone", reading("sad")))
    [turn] = conversation.history.turns
    assert turn.reply.source == "llm"
    assert len(pieces) > 2
    assert turn.reply.text == "".join(pieces)
    assert any(learned in turn.reply.text for learned in WHAT)

    actions = Actions(lambda: recognizer, llm(url, model), None)  # what the page does
    visit = actions.visit("a")
    coming = actions.say(visit, "I am so glad")
    talk, _ = next(coming)
    assert 'aria-busy="true"' in talk
    process.send_signal(signal.SIGKILL)
    killed = time.monotonic()
    *_, (talk, _) = coming
    assert time.monotonic() - killed < 2
    [turn] = visit.conversation.history.turns
    assert turn.reply.source == "built-in"
    before, cut, after = turn.reply.text.partition(CUT)
    assert cut
    assert before.strip()
    assert after.strip()
    assert 'aria-busy="true"' not in talk

    # and from then on
    started = time.monotonic()
    *_, (talk, _) = actions.say(visit, "and tomorrow too")
    assert time.monotonic() - started < 2
    assert visit.conversation.history.turns[-1].reply.source == "built-in"
