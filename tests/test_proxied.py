"""Behind a proxy: the page under a path of its own, cookies that are Secure and that two servers do not share."""

import asyncio
import http.client
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import server_fixtures
from command_fixtures import REPOSITORY
from emobraid.app.limits import ServerSettings
from emobraid.app.page import mount
from emobraid.app.proxied import Proxied
from emobraid.app.server import create_app
from emobraid.cli.flags import read_flags
from emobraid.cli.serving import Demo, Serve
from server_fixtures import WORDS, asked, loops_closed, running

recognizer = server_fixtures.recognizer
pytestmark = pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")  # Gradio's use of pandas
TOKEN = "let-me-in"


@contextmanager
def proxy(upstream, *, prefix, strips=True, told=(), host=None):
    """What nginx does with `location /emo/ { proxy_pass http://127.0.0.1:PORT/; }`, or without its last slash."""

    class Pass(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self):
            if self.path != prefix and not self.path.startswith(prefix + "/"):
                missed.append(self.path)
                self.send_error(404)
                return
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            sent = {k: v for k, v in self.headers.items() if k.lower() != "connection"}
            sent |= dict(told) | ({"Host": host} if host else {})
            there = http.client.HTTPConnection("127.0.0.1", upstream, timeout=60)
            there.request(self.command, (self.path[len(prefix) :] or "/") if strips else self.path, body, sent)
            answer = there.getresponse()
            content = answer.read()
            there.close()
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "content-length", "connection"):
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_DELETE = do_GET  # noqa: N815

        def log_message(self, *_):
            pass

    missed: list[str] = []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Pass)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server.server_address[1], missed
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture(scope="module", autouse=True)
def _event_loops():
    """Gradio makes event loops that it never closes; left open, they warn in whichever test comes later."""
    made, make = [], asyncio.new_event_loop
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asyncio, "new_event_loop", lambda: made.append(make()) or made[-1])
        yield
    asyncio.set_event_loop(None)
    for loop in made:
        loop.close()


def served(recognizer, *, page=False, **changed):
    settings = ServerSettings(port=0, **changed)
    app = create_app(recognizer, settings)
    return running(mount(app) if page else app, settings)


def examples():
    """The documents' proxies: under which prefix they pass on what, and whether they take it off."""
    text = (REPOSITORY / "docs" / "server.md").read_text()
    prefix, nginx = re.search(r"location (/\w+)/ \{(.*?)\n\}", text, re.DOTALL).groups()
    sent = dict(re.findall(r"proxy_set_header (\S+) (\$\w+);", nginx))
    strips = re.search(r"proxy_pass http://127.0.0.1:8000(/?);", nginx)[1] == "/"
    assert sent["Host"] == "$http_host"
    yield pytest.param(prefix, strips, tuple(name for name, value in sent.items() if value == "$scheme"), id="nginx")
    prefix = re.search(r"reverse_proxy (/\w+)/\* 127.0.0.1:8000", text)[1]
    yield pytest.param(prefix, False, ("X-Forwarded-Proto",), id="caddy")


@pytest.mark.parametrize(("prefix", "strips", "scheme"), list(examples()))
def test_the_page_works_behind_the_proxies_of_the_documents(recognizer, prefix, strips, scheme):
    told = [(name, "http") for name in scheme]
    assert prefix == "/emo"
    with loops_closed(), served(recognizer, page=True, root_path=prefix) as server, proxy(
        server.port, prefix=prefix, strips=strips, told=told
    ) as (port, missed):  # fmt: skip
        page = asked(port, "GET", "/emo/")
        assert page.status == 200
        root = re.search(r'"root":\s*"([^"]+)"', page.body)[1]
        assert root == f"http://127.0.0.1:{port}/emo"
        for path in set(re.findall(r'(?:src|href)="(\./[^"?]+)', page.body)):
            assert asked(port, "GET", f"/emo/{path[2:]}").status == 200, path
        for path in ("/config", "/gradio_api/info", "/theme.css", "/readyz", "/openapi.json"):
            assert asked(port, "GET", f"/emo{path}").status == 200, path
        read = asked(port, "POST", "/emo/v1/predict", {"text": WORDS})
        assert (read.status, list(read.body["per_modality"])) == (200, ["text"])
        assert missed == []  # nothing was asked for outside the path


def test_a_token_is_taken_inside_the_path_and_its_cookie_opens_it(recognizer):
    with served(recognizer, token=TOKEN, root_path="emo/") as server, proxy(server.port, prefix="/emo") as (port, _):
        come = asked(port, "GET", f"/emo/?token={TOKEN}")
        assert (come.status, come.headers["location"]) == (303, "/emo/")
        cookie = come.headers["set-cookie"]
        assert cookie.startswith(f"emobraid_token_{server.port}={TOKEN}; ")
        assert "Path=/emo/" in cookie
        assert "Secure" not in cookie
        assert asked(port, "POST", "/emo/v1/predict", {"text": WORDS}).status == 401
        own = cookie.partition(";")[0]
        assert asked(port, "POST", "/emo/v1/predict", {"text": WORDS}, cookie=own).status == 200


@pytest.mark.parametrize(
    ("believed", "told", "secure"),
    [
        (("127.0.0.1",), "https", True),
        (("127.0.0.1",), "http", False),
        (("127.0.0.1",), "https, http", False),  # the last proxy is the one that is believed
        (("10.0.0.9",), "https", False),
        ((), "https", False),
    ],
)
def test_cookies_are_secure_when_a_proxy_that_is_believed_says_tls(recognizer, believed, told, secure):
    with served(recognizer, token=TOKEN, proxies=believed) as server:
        port = server.port
        come = asked(port, "GET", f"/?token={TOKEN}", **{"X-Forwarded-Proto": told})
        assert ("; Secure" in come.headers["set-cookie"]) is secure
        own = come.headers["set-cookie"].partition(";")[0]
        said = {"cookie": own, "X-Forwarded-Proto": told}
        turn = asked(port, "POST", "/v1/chat", {"text": WORDS, "stream": False}, **said)
        assert turn.status == 200
        assert ("; Secure" in turn.headers["set-cookie"]) is secure
        assert "Path=/v1" in turn.headers["set-cookie"]


def test_two_servers_on_one_host_do_not_log_each_other_out(recognizer):
    with served(recognizer, token="a") as one, served(recognizer, token="b") as other:
        both = [asked(s.port, "GET", f"/?token={t}").headers["set-cookie"] for s, t in ((one, "a"), (other, "b"))]
        jar = "; ".join(cookie.partition(";")[0] for cookie in both)  # what a browser sends to either
        for server in (one, other):
            assert asked(server.port, "POST", "/v1/predict", {"text": WORDS}, cookie=jar).status == 200
        alone = both[0].partition(";")[0]
        assert asked(other.port, "POST", "/v1/predict", {"text": WORDS}, cookie=alone).status == 401


def test_a_proxy_that_hides_the_name_is_told_what_to_mend(recognizer):
    with served(recognizer) as server, proxy(
        server.port, prefix="/emo", host=f"127.0.0.1:{server.port}"
    ) as (port, _):  # fmt: skip
        told = asked(port, "POST", "/emo/v1/predict", {"text": WORDS}, Origin="https://emo.example.org")
        assert told.status == 403
        assert "let it pass on the name that the browser asked for (nginx: proxy_set_header Host" in told.body["error"]


@pytest.mark.parametrize(("given", "kept"), [("", ""), ("/", ""), ("emo", "/emo"), ("/a/b/", "/a/b"), ("/emo", "/emo")])
def test_a_root_path_may_be_written_with_and_without_slashes(given, kept):
    assert ServerSettings(root_path=given).root_path == kept
    assert read_flags(Serve, ["--root_path", given or "/"], "").server.root_path == kept
    assert read_flags(Demo, ["--root_path", "/emo"], "").root_path == "/emo"


@pytest.mark.parametrize("given", ["https://a/b", "/a b", "/a//b", "/a?b"])
def test_what_is_no_path_is_refused(given):
    with pytest.raises(ValueError, match="root_path is a path such as /emo"):
        ServerSettings(root_path=given)


def test_redirects_to_other_hosts_stay_as_they_are():
    proxied = Proxied(lambda *_: None, ServerSettings(root_path="/emo"))
    for place, told in ((b"/a", b"/emo/a"), (b"//host/a", b"//host/a"), (b"https://host/a", b"https://host/a")):
        message = {"type": "http.response.start", "status": 303, "headers": [(b"location", place)]}
        proxied._dress(message, "_80", secure=False)
        assert message["headers"] == [(b"location", told)]


HOMELESS = (
    "import pathlib, sys\n"
    "def nobody(): raise RuntimeError('Could not determine home directory.')\n"
    "pathlib.Path.home = staticmethod(nobody)\n"
    "from emobraid.cli import main\n"
    "sys.exit(main(sys.argv[1:]))\n"
)


def test_without_a_home_folder_it_runs_and_says_that_nothing_is_kept(tmp_path):
    from corpora import as_flags as flags_of
    from corpora import clip_config, clip_corpus

    data = clip_corpus(tmp_path / "data")
    flags = [f for f in flags_of(clip_config(data, fusion_type="early")) if f != "--no_cache"]
    kept = {k: v for k, v in os.environ.items() if k not in ("HOME", "XDG_CACHE_HOME")}
    kept["MPLCONFIGDIR"] = str(tmp_path)
    run = [sys.executable, "-c", HOMELESS]
    asked_for = [*run, "train", *flags, "--output_dir", str(tmp_path / "run")]
    ended = subprocess.run(asked_for, env=kept, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    told = "nothing is kept between runs: there is no home folder to keep things in; --cache_dir DIR or XDG_CACHE_HOME"
    assert told in ended.stderr
    ended = subprocess.run([*run, "doctor", "cache"], env=kept, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith("emobraid: there is no home folder to keep things in; ")


def test_the_page_is_built_without_a_home_folder(monkeypatch):
    from emobraid.app.launching import mount_settings

    monkeypatch.setattr("emobraid.app.launching.home", lambda: None)
    assert mount_settings()["blocked_paths"] == [os.getcwd()]


@pytest.mark.slow
@pytest.mark.parametrize("what", ["serve", "demo"])
def test_a_signal_ends_the_server_within_fifteen_seconds_and_answers_what_was_asked(what, tmp_path):
    command = [sys.executable, "-m", "emobraid", what, "--port", "0" if what == "serve" else "18347"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path)
    try:
        port = int(re.search(r":(\d+)", process.stdout.readline())[1])
        begun = time.monotonic()
        while asked(port, "GET", "/readyz" if what == "serve" else "/config").status != 200:
            assert time.monotonic() - begun < 100
            time.sleep(0.2)
        answers = []
        if what == "serve":
            waiting = [
                threading.Thread(
                    target=lambda: answers.append(asked(port, "POST", "/v1/predict", {"text": WORDS}).status)
                )
                for _ in range(6)
            ]
            for thread in waiting:
                thread.start()
            listener = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            listener.request("GET", "/gradio_api/heartbeat/abc")  # a stream that never ends by itself
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        asked_to_end = time.monotonic()
        assert process.wait(20) in (0, -signal.SIGTERM)
        assert time.monotonic() - asked_to_end < 15
        if what == "serve":
            for thread in waiting:
                thread.join(10)
            listener.close()
            assert answers == [200] * 6
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
