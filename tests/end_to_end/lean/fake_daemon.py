"""A daemon for tests of the tactic, scripted by `FakeDaemon.lean`."""

from __future__ import annotations

import json
import shutil
import socketserver
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

TOKEN = "the-token-of-the-fake-daemon"

GOOD = json.dumps({"suggestions": [{"text": "trivial", "score": -0.1, "finished": True}]})
# Answers that are easier to make here than to spell in Lean.
BODIES = {
    "empty": b"",
    "html": b"<html><body>Sign in to the hotel's network</body></html>",
    "ten megabytes": b'{"suggestions": "' + b"x" * 10_000_000 + b'"}',
    "nul and control characters": bytes(range(32)) * 10,
    "half": GOOD[:40].encode(),
    "not UTF-8": b'{"suggestions": [{"text": "\xff\xfe", "score": 0}]}',
}


def _body(texts: Iterable[str]) -> str:
    suggestions = [{"text": text, "score": -0.5, "finished": True} for text in texts]
    return json.dumps({"suggestions": suggestions})


@dataclass
class FakeDaemon:
    """The running servers, and a record of their requests."""

    directory: Path
    #: Suggestions by the target of the first goal, where they do not depend on the script.
    answers: dict[str, list[str]] = field(default_factory=dict)
    #: Behaviours by the target of the first goal, before what is answered.
    behaviours: dict[str, str] = field(default_factory=dict)
    #: Answers requests instead of the script.
    relay: Callable[[dict[str, Any]], dict[str, Any]] | None = None
    requests: list[dict[str, Any]] = field(default_factory=list)
    abandoned: int = 0

    @property
    def env(self) -> dict[str, str]:
        """The variables for Lean."""
        return {
            "FAKE_DAEMON": str(self.directory),
            "LLMSUGGESTD_HOME": str(self.directory / "home"),
            "LLMSUGGESTD_SOCKET": str(self.directory / "socket"),
        }

    def answer(self, *texts: str) -> None:
        """Suggest these texts, as the command `answering` does."""
        (self.directory / "script.json").write_text(json.dumps({"body": _body(texts)}))

    def answer_nothing(self) -> None:
        """Answer no request, until the client gives up."""
        (self.directory / "script.json").write_text('{"behaviour": "slow"}')

    def wait_until(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Wait until a condition of the daemon holds."""
        deadline = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < deadline, "it did not happen"
            time.sleep(0.01)

    def reply_to(self, request: dict[str, Any]) -> dict[str, Any]:
        """What to do when asked about a goal, or about several."""
        if self.relay is not None:
            return {"body": json.dumps(self.relay(request))}
        if "goals" in request:
            return _together([self.script(goal) for goal in request["goals"]])
        return self.script(request["goal"])

    def script(self, state: str) -> dict[str, Any]:
        """What to do when asked about a tactic state."""
        target = state.partition("\n\n")[0].rpartition("⊢ ")[2]
        if target in self.behaviours:
            return {"behaviour": self.behaviours[target]}
        if self.answers:
            return {"body": _body(self.answers.get(target, []))}
        return dict(json.loads((self.directory / "script.json").read_text()))


def _together(scripts: list[dict[str, Any]]) -> dict[str, Any]:
    """What to do when asked about several goals, from what to do for each."""
    others = [script for script in scripts if script.keys() != {"body"}]
    if others:
        return others[0]
    results = [json.loads(script["body"]) for script in scripts]
    return {"body": json.dumps({"results": results, "model": "fake"})}


class _Server(socketserver.ThreadingMixIn, socketserver.BaseServer):
    daemon_threads = True
    fake: FakeDaemon


class _UnixServer(_Server, socketserver.UnixStreamServer):
    pass


class _TcpServer(_Server, socketserver.TCPServer):
    pass


class _Handler(BaseHTTPRequestHandler):
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""

    def do_POST(self) -> None:
        fake = self.server.fake
        body = self.rfile.read(int(self.headers["Content-Length"]))
        (fake.directory / "request.json").write_bytes(body)
        request = json.loads(body)
        script = fake.reply_to(request)
        fake.requests.append({**request, "path": self.path})
        if self.headers["Content-Type"] != "application/json":
            self.reply(415, b'{"error": {"code": "x", "message": "not sent as JSON"}}')
        elif isinstance(self.server, _TcpServer) and (
            self.headers["Authorization"] != f"Bearer {TOKEN}"
        ):
            self.reply(401, b'{"error": {"code": "x", "message": "no token"}}')
        elif (behaviour := script.get("behaviour")) is None:
            self.reply(script.get("status", 200), script["body"].encode())
        elif behaviour == "hang up":
            self.connection.close()
        elif behaviour in ("slow", "loading"):
            self.wait_for_hang_up()
        else:
            self.reply(200, BODIES[behaviour])

    def do_GET(self) -> None:
        """Answer `/ready`."""
        behaviour = self.server.fake.script("").get("behaviour")
        self.reply(503 if behaviour == "loading" else 200, b"{}")

    def reply(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # curl stops reading an answer that is too long, or that nobody waits for any more
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(body)

    def wait_for_hang_up(self) -> None:
        """Answer nothing until the client gives up."""
        self.connection.settimeout(60)
        if self.connection.recv(1) == b"":
            self.server.fake.abandoned += 1


@contextmanager
def fake_daemon() -> Iterator[FakeDaemon]:
    """Run the fake daemon, its socket in a directory with a short name."""
    directory = Path(tempfile.mkdtemp(prefix="fd", dir="/tmp"))
    fake = FakeDaemon(directory)
    tcp = _TcpServer(("127.0.0.1", 0), _Handler)
    servers: list[_Server] = [_UnixServer(str(directory / "socket"), _Handler), tcp]
    (directory / "port").write_text(str(tcp.server_address[1]))
    (directory / "token").write_text(TOKEN + "\n")
    for server in servers:
        server.fake = fake
        threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield fake
    finally:
        for server in servers:
            server.shutdown()
            server.server_close()
        shutil.rmtree(directory, ignore_errors=True)
