"""A client of Lean's language server for one file, like an editor."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from tests.support.leanwasm import messages

_T = TypeVar("_T")


# Limits of a wait, in seconds. Two npm Leans that start at the same time on two cores take half
# a minute each.
ELABORATION = 240
ANSWER = 120


class Worker:
    """An open file, with the requests of the editor and Lean's answers."""

    def __init__(self, process: subprocess.Popen[bytes], uri: str, text: str) -> None:
        self.uri = uri
        self._process = process
        self._version = 1
        self._last_id = 0
        self._responses: dict[int, dict[str, Any]] = {}
        self._diagnostics: dict[int, list[dict[str, Any]]] = {}
        self._ended = False
        self._news = threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        # Lean's watchdog answers the first request, not the worker.
        self._send({"id": 0, "method": "initialize", "params": {"capabilities": {}}})
        document = {"uri": uri, "languageId": "lean4", "version": 1, "text": text}
        self._send({"method": "textDocument/didOpen", "params": {"textDocument": document}})

    @property
    def pid(self) -> int:
        """The process that runs Lean."""
        return self._process.pid

    def change(self, text: str) -> None:
        """Replace the whole text."""
        self._version += 1
        document = {"uri": self.uri, "version": self._version}
        params = {"textDocument": document, "contentChanges": [{"text": text}]}
        self._send({"method": "textDocument/didChange", "params": params})

    def diagnostics(self, timeout: float = ELABORATION) -> list[dict[str, Any]]:
        """The diagnostics of the present text, once Lean has elaborated it."""
        version = self._version
        params = {"uri": self.uri, "version": version}
        self.request("textDocument/waitForDiagnostics", params, timeout=timeout)
        with self._news:
            return self._diagnostics.get(version, [])

    def wait_for(self, text: str, timeout: float = ELABORATION) -> None:
        """Wait until a message about the present text contains `text`. Lean may still elaborate."""
        version = self._version

        def said() -> bool | None:
            found = self._diagnostics.get(version, [])
            return any(text in diagnostic["message"] for diagnostic in found) or None

        self._wait(said, timeout, text)

    def completions(self, line: int, column: int) -> list[str]:
        """Lean's completions at a position, whose numbers start at 0."""
        params = {
            "textDocument": {"uri": self.uri},
            "position": {"line": line, "character": column},
        }
        return [item["label"] for item in self.request("textDocument/completion", params)["items"]]

    def code_actions(self, line: int, column: int) -> list[dict[str, Any]]:
        """The code actions at a position, whose numbers start at 0."""
        position = {"line": line, "character": column}
        params = {
            "textDocument": {"uri": self.uri},
            "range": {"start": position, "end": position},
            "context": {"diagnostics": []},
        }
        return list(self.request("textDocument/codeAction", params))

    def request(self, method: str, params: dict[str, Any], timeout: float = ANSWER) -> Any:
        """Send a request. Returns the result."""
        self._last_id += 1
        key = self._last_id
        self._send({"id": key, "method": method, "params": params})
        response = self._wait(lambda: self._responses.pop(key, None), timeout, method)
        assert "error" not in response, response
        return response["result"]

    def close(self) -> None:
        """End the server."""
        messages.end(self._process)

    def _send(self, message: dict[str, Any]) -> None:
        messages.send(self._process, json.dumps({"jsonrpc": "2.0", **message}).encode())

    def _wait(self, found: Callable[[], _T | None], timeout: float, what: str) -> _T:
        deadline = time.monotonic() + timeout
        with self._news:
            while (result := found()) is None:
                assert not self._ended, f"Lean ended before its answer to {what}"
                if not self._news.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no answer to {what} within {timeout:.0f} s")
            return result

    def _read(self) -> None:
        """Collect the server's messages until it ends."""
        while (body := messages.receive(self._process)) is not None:
            message = json.loads(body)
            with self._news:
                if message.get("method") == "textDocument/publishDiagnostics":
                    params = message["params"]
                    self._diagnostics[params["version"]] = params["diagnostics"]
                elif "method" not in message:
                    self._responses[message["id"]] = message
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()
