"""A stand-in for the daemon that can be in any state."""

from __future__ import annotations

import json
import socketserver
import threading
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any


class ScriptedDaemon:
    """Serves the test's status, events and models on a Unix socket."""

    def __init__(self, path: Path) -> None:
        self.status: dict[str, Any] = {}
        self.models: list[dict[str, Any]] = []
        self._ends = threading.Event()
        daemon = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.end_headers()
                if self.path == "/v1/events":
                    self._stream()
                else:
                    listed = {"models": daemon.models}
                    answer = daemon.status if self.path == "/v1/status" else listed
                    self.wfile.write(json.dumps(answer).encode())

            def _stream(self) -> None:
                sent: dict[str, Any] = {}
                while not daemon._ends.wait(0.05):
                    if sent != daemon.status:
                        sent = daemon.status
                        self.wfile.write(json.dumps(sent).encode() + b"\n")

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                pass

            def address_string(self) -> str:
                return ""

        self._server = socketserver.ThreadingUnixStreamServer(str(path), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        """End it."""
        self._ends.set()
        self._server.shutdown()
        self._server.server_close()
