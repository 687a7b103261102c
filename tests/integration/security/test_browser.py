"""Web pages in a real browser try to reach the daemon, from another origin and by DNS rebinding."""

from __future__ import annotations

import json
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Home
from tests.support import chromium, programs, raw

CHROMIUM = chromium.find()
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=programs.missing("Chromium"))

# The requests that a page can make without permission. Each reports its result.
PAGE = """<!doctype html><title>attack</title><body><script>
const targets = TARGETS, got = [];
const goal = JSON.stringify({goal: "⊢ 2 = 2", tactic_state: "⊢ 2 = 2", input: "⊢ 2 = 2",
                             prompt: "[GOAL]⊢ 2 = 2[PROOFSTEP]"});
async function fetched(name, url, options) {
  try {
    const answer = await fetch(url, options);
    got.push([name, url, answer.type, answer.status, await answer.text()]);
  } catch (error) { got.push([name, url, "refused", 0, ""]); }
}
function loaded(name, url, tag) {
  return new Promise(done => {
    const element = document.createElement(tag);
    element.onload = () => { got.push([name, url, "loaded", 0, ""]); done(); };
    element.onerror = () => { got.push([name, url, "refused", 0, ""]); done(); };
    setTimeout(done, 5000);
    element.src = url;
    document.body.append(element);
  });
}
function posted(url, type) {
  const frame = document.createElement("iframe"); frame.name = "f" + Math.random();
  const form = document.createElement("form");
  form.method = "post"; form.action = url; form.enctype = type; form.target = frame.name;
  const input = document.createElement("input"); input.name = goal.slice(0, -1) + ', "x": "';
  input.value = '"}'; form.append(input); document.body.append(frame, form);
  form.submit();
  return new Promise(done => { frame.onload = done; setTimeout(done, 3000); });
}
(async () => {
  for (const url of targets) {
    await fetched("get", url, {});
    await fetched("get no-cors", url, {mode: "no-cors"});
    await fetched("json", url, {method: "POST", body: goal,
                                headers: {"Content-Type": "application/json"}});
    await fetched("text", url, {method: "POST", body: goal, mode: "no-cors"});
    await fetched("put", url, {method: "PUT", body: goal});
    navigator.sendBeacon(url, new Blob([goal], {type: "text/plain"}));
    await loaded("image", url, "img");
    await loaded("script", url, "script");
    for (const type of ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data"])
      await posted(url, type);
  }
  await fetch("/done", {method: "POST", body: JSON.stringify(got)});
})();
</script>"""


class Attacker:
    """The web server of the page, which also receives the page's report."""

    def __init__(self, targets: list[str]) -> None:
        self.reports: queue.Queue[Any] = queue.Queue()
        reports, page = self.reports, PAGE.replace("TARGETS", json.dumps(targets)).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._send(page if self.path == "/" else b"")

            def do_POST(self) -> None:
                reports.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
                self._send(b"{}")

            def _send(self, body: bytes) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html; charset=utf-8")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def port(self) -> int:
        """The port of the page's server."""
        return int(self.server.server_address[1])


def browse(profile: Path, url: str, *flags: str) -> subprocess.Popen[str]:
    """Open a page in a new browser."""
    assert CHROMIUM is not None
    return subprocess.Popen(
        [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
         "--disable-dev-shm-usage", f"--user-data-dir={profile}", "--disable-background-networking",
         "--host-resolver-rules=MAP rebound.example 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, "
         "EXCLUDE localhost", *flags, url],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


@pytest.fixture
def profile(tmp_path: Path) -> Iterator[Path]:
    """The folder of a browser's profile. A browser that is ending may still write to it."""
    yield tmp_path / "profile"
    shutil.rmtree(tmp_path, ignore_errors=True)


def statuses(home: Home) -> dict[tuple[str, str], float]:
    """Number of answers by door and status, and of questions to the engine."""
    text = raw.text(home, "/metrics")
    counted: dict[tuple[str, str], float] = {}
    for door, status, count in re.findall(
        r'llmsuggestd_requests_total\{door="(\w+)",.*status="(\d+)"\} (\S+)', text
    ):
        counted[door, status] = counted.get((door, status), 0) + float(count)
    for source, count in re.findall(r'llmsuggestd_answers_total\{source="(\w+)"\} (\S+)', text):
        counted["answers", source] = float(count)
    return counted


def gained(home: Home, before: dict[tuple[str, str], float]) -> dict[tuple[str, str], float]:
    """The numbers counted since, except our own requests on the socket."""
    return {
        key: count - before.get(key, 0)
        for key, count in statuses(home).items()
        if count != before.get(key, 0) and key[0] != "socket"
    }


@pytest.mark.parametrize("name", ["127.0.0.1", "rebound.example"])
def test_a_page_gets_nothing(exposed: Home, profile: Path, name: str) -> None:
    port, llmstep, llmlean = (raw.port(exposed, door) for door in ("port", "llmstep", "llmlean"))
    attacker = Attacker(
        [f"http://{name}:{port}/v1/status", f"http://{name}:{port}/v1/suggest",
         f"http://{name}:{port}/health", f"http://{name}:{llmstep}/",
         f"http://{name}:{llmlean}/api/generate"]
    )  # fmt: skip
    before = statuses(exposed)
    browser = browse(profile, f"http://{name}:{attacker.port}/")
    try:
        report = attacker.reports.get(timeout=60)
    finally:
        browser.kill()
        browser.communicate()
        attacker.server.shutdown()
        attacker.server.server_close()
    assert len(report) >= 5 * 5
    for _, url, kind, status, text in report:
        # an opaque answer hides everything from the page, even its status
        assert kind in ("refused", "opaque"), url
        assert (status, text) == (0, "")
    counted = gained(exposed, before)
    assert sum(counted.values()) > 20  # the attempts have reached the daemon
    assert {status for door, status in counted} <= {"403"}, counted


def test_a_rebound_name_gets_nothing(exposed: Home, profile: Path) -> None:
    """The page's name now resolves to us. To the browser it is the same origin, without markers."""
    before = statuses(exposed)
    port, llmstep = raw.port(exposed), raw.port(exposed, "llmstep")
    for url in (f"http://rebound.example:{port}/health", f"http://rebound.example:{llmstep}/"):
        browser = browse(profile, url, "--dump-dom")
        shown = browser.communicate(timeout=60)[0]
        assert "forbidden" in shown
        assert "is not this machine" in shown
    assert {status for _, status in gained(exposed, before)} == {"403"}


def test_a_page_of_the_daemons_own_origin_gets_nothing(exposed: Home, profile: Path) -> None:
    """The address in the browser's address bar makes a page, too. It must not be framed or read."""
    before = statuses(exposed)
    browser = browse(profile, f"http://127.0.0.1:{raw.port(exposed)}/health", "--dump-dom")
    assert "forbidden" in browser.communicate(timeout=60)[0]
    assert {status for _, status in gained(exposed, before)} == {"403"}
