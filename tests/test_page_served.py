"""The page as Gradio serves it: private, without addresses, and an upload is its sender's alone."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("gradio", reason="the page needs the extra: pip install 'emobraid[demo]'")

import gradio as gr
from starlette.testclient import TestClient

import page_fixtures
from emobraid.app import furniture, launching, spool, uploads
from emobraid.app.limits import ServerSettings
from emobraid.app.page import build
from server_fixtures import loops_closed

recognizer, actions = page_fixtures.recognizer, page_fixtures.actions


@pytest.fixture(scope="module", autouse=True)
def _event_loop():
    with loops_closed():
        yield


def test_templates_of_the_page_hold_no_words_of_anybody():
    """Gradio evaluates templates in the browser; what is shown goes into their one value, which is not evaluated."""
    with build(lambda: None, title="${alert(1)}") as page:
        templates = {b.html_template for b in page.blocks.values() if isinstance(b, gr.HTML)}
    ours = furniture.CAPTURE + furniture.SPOKEN
    assert templates == {"${value}", furniture.CAPTURE, furniture.SPOKEN, ""}
    assert not {"${", "{{"} & {ours[i : i + 2] for i in range(len(ours))}


def test_where_a_person_is_stands_on_the_page_before_anything_was_answered():
    """Also when the page's queue is full, or there is no model yet."""
    with build(lambda: None) as page:
        assert any("findahelpline.com" in str(b.value) for b in page.blocks.values() if isinstance(b, gr.HTML))


def test_every_launch_rule_holds():
    settings = ServerSettings(port=7860)
    asked = launching.launch_settings(settings)
    assert asked["server_name"] == "127.0.0.1"
    assert asked["max_file_size"] == "25mb"
    assert asked["allowed_paths"] == []
    assert asked["blocked_paths"] == [str(Path.cwd()), str(Path.home())]
    for off in ("enable_monitoring", "run_history", "show_error", "share", "pwa", "mcp_server", "ssr_mode"):
        assert asked[off] is False, off
    assert asked["strict_cors"] is True
    assert asked["footer_links"] == []
    assert [m.cls.__name__ for m in asked["app_kwargs"]["middleware"]] == ["Proxied", "Gate", "Uploads"]
    assert os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"
    page = build(lambda: None)
    assert page.analytics_enabled is False
    assert page.delete_cache == (60, 300)
    assert page._queue.max_size == 32
    assert page.default_config.fns[0] is not None
    assert page._queue.default_concurrency_limit == 2
    assert {fn.api_visibility for fn in page.fns.values()} == {"private"}


def test_the_page_takes_no_addresses_and_loads_nothing():
    package = Path(launching.__file__).parent
    source = "".join((package / f"{n}.py").read_text() for n in ("page", "furniture", "dashboard", "talk", "actions"))
    assert "gr.load" not in source
    assert "gr.Markdown" not in source
    for file in ("page.css", "capture.js"):
        assert "http" not in furniture.text_of(file).replace("over https", "")
        assert "@import" not in furniture.text_of(file)


def test_the_spool_is_private_in_memory_and_gone_at_the_end(tmp_path):
    place = spool.spool()
    assert stat.S_IMODE(place.stat().st_mode) == 0o700
    assert os.environ["GRADIO_TEMP_DIR"] == str(place)
    if Path("/dev/shm").is_dir():
        assert place.is_relative_to("/dev/shm")
    code = "from emobraid.app.spool import spool; p = spool(); (p / 'x').write_text('x'); print(p)"
    other = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
    assert not Path(other).exists()


def test_what_a_killed_process_left_behind_is_deleted_and_nothing_else():
    code = "import os; from emobraid.app.spool import spool; print(spool(), flush=True); os.kill(os.getpid(), 9)"
    left = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stdout.strip()
    assert Path(left).is_dir()
    spool.sweep()
    assert not Path(left).exists()
    assert spool.spool().is_dir()


def test_without_a_model_one_line_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(launching, "shipped", dict)
    with pytest.raises(ValueError, match="make run"):
        launching.find_model(None)
    made = tmp_path / "runs" / "sample" / "best_model"
    made.mkdir(parents=True)
    assert launching.find_model(None) == (Path("runs/sample/best_model"), True)


# --- over HTTP ---


def test_whoever_guesses_a_session_lacks_the_cookie(actions):
    from emobraid.app.page import key

    def of(cookie):
        request = gr.Request(session_hash="known")
        request.kwargs = {"headers": {"cookie": f"{uploads.COOKIE}={cookie}"}}
        return key(request)

    assert of("a" * 32) != of("b" * 32)


@pytest.fixture(scope="module")
def app(recognizer):
    """The page behind what `emobraid demo` puts before it."""
    from fastapi import FastAPI

    page = build(recognizer)
    outer = FastAPI(middleware=launching.guarded(ServerSettings()))
    return gr.mount_gradio_app(outer, page, path="/", **launching.mount_settings())


def browser(app, **headers):
    return TestClient(app, base_url="http://127.0.0.1:7860", headers=headers)


def test_an_upload_is_its_senders_alone(app):
    with browser(app) as one, browser(app) as other:
        one.get("/")
        other.get("/")
        [path] = one.post("/gradio_api/upload", files={"files": ("a.txt", b"mine")}).json()
        assert one.get(f"/gradio_api/file={path}").content == b"mine"
        assert other.get(f"/gradio_api/file={path}").status_code == 403
        assert browser(app).get(f"/gradio_api/file={path}").status_code == 403
        assert one.get("/gradio_api/file=/etc/passwd").status_code == 403
        assert one.get("/gradio_api/file=http://127.0.0.1:1/x").status_code == 403
        assert one.get("/gradio_api/proxy=http://127.0.0.1:1/x").status_code == 403
        spool.take(path)


def test_the_cookie_is_random_and_not_for_scripts_or_other_sites(app):
    told = [browser(app).get("/").headers["set-cookie"] for _ in range(2)]
    assert told[0] != told[1]
    for cookie in told:
        assert cookie.startswith(f"{uploads.COOKIE}_7860=")  # the server's port: see test_proxied.py
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert len(cookie.partition("=")[2].partition(";")[0]) == 32  # 128 bits


@pytest.mark.parametrize("cookie", ["", "short", "x" * 31, "x" * 33, "x" * 31 + ";"])
def test_a_cookie_that_is_not_ours_is_replaced(app, cookie):
    assert "set-cookie" in browser(app, cookie=f"{uploads.COOKIE}_7860={cookie}").get("/").headers


def test_a_cookie_that_is_ours_is_kept(app):
    told = browser(app).get("/").headers["set-cookie"].partition(";")[0]
    assert "set-cookie" not in browser(app, cookie=told).get("/").headers


def test_strangers_hosts_and_origins_are_refused_and_headers_are_safe(app):
    with browser(app) as client:
        answer = client.get("/")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'self'" in answer.headers["content-security-policy"]
        assert client.get("/", headers={"host": "evil.example"}).status_code == 403
        assert client.post("/gradio_api/queue/join", headers={"origin": "http://evil.example"}).status_code == 403
        assert client.get("/monitoring/summary").status_code in (403, 404)


def test_too_large_an_upload_is_refused_and_leaves_nothing(app):
    with browser(app) as client:
        answer = client.post("/gradio_api/upload", files={"files": ("a.mp4", bytes(26_000_000))})
        assert answer.status_code == 413
    assert spool.held() == 0
