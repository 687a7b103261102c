"""Serves an editor's page, and stands between it and Lean's language server for one file.

A Lean server is two processes: a watchdog, which the editor speaks to, and a worker for each file.
The npm Lean cannot start processes, so this is the watchdog. It offers what the tests look at, so
that VS Code does not ask for more: each answer costs memory, of which the npm Lean has 2 GB.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.leanwasm import Lean, messages
from tests.support.web import served

CAPABILITIES = {
    "textDocumentSync": {"openClose": True, "change": 2},
    "hoverProvider": True,
    "codeActionProvider": {"resolveProvider": True, "codeActionKinds": ["quickfix", "refactor"]},
    "experimental": {"rpcProvider": {}},
}
# What the infoview asks for with every key and every move of the cursor. In the npm Lean, each of
# these calls takes a thread, and too many threads at once end it.
CALLS = {
    "Lean.Widget.getInteractiveGoals",
    "Lean.Widget.getInteractiveDiagnostics",
    "Lean.Widget.getWidgets",
}
# No test looks at the expected type.
TERM_GOAL = "Lean.Widget.getInteractiveTermGoal"
SERVER = {"name": "Lean 4 Server", "version": "0.3.0"}


@asynccontextmanager
async def serve_editor(
    lean: Lean,
    file: Path,
    text: str,
    env: Mapping[str, str],
    index: Path,
    folders: Mapping[str, Path],
    *,
    one_by_one: bool,
) -> AsyncIterator[str]:
    """Serve an editor in which the file is open with this text. Yields its address.

    `index` is the editor's page, and `folders` has the files that it uses, by their path in the
    address. The page speaks to Lean through the web socket `/lsp`. `one_by_one`: Lean gets
    each of the infoview's calls after its answer to the one before.
    """
    opened = {"uri": _uri(file), "text": text}
    app = web.Application()

    async def page(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(index)

    async def document(_request: web.Request) -> web.Response:
        return web.json_response(opened)

    async def socket(request: web.Request) -> web.WebSocketResponse:
        response = web.WebSocketResponse(max_msg_size=1 << 28)
        await response.prepare(request)
        watchdog = _Watchdog(response, one_by_one=one_by_one)
        with ExitStack() as stack:
            start = lean.server(file, text, env)
            watchdog.worker = await asyncio.to_thread(stack.enter_context, start)
            answers = asyncio.create_task(watchdog.pass_answers_on())
            async for message in response:
                await watchdog.handle(message.json())
            assert watchdog.worker.poll() is None, "Lean has ended"
            await asyncio.to_thread(messages.end, watchdog.worker)
        await answers
        return response

    app.router.add_get("/", page)
    app.router.add_get("/document", document)
    app.router.add_get("/lsp", socket)
    for path, folder in folders.items():
        app.router.add_static(path, folder)
    async with served(app) as address:
        yield address


def _uri(file: Path) -> str:
    return file.absolute().as_uri()


def _called(message: dict[str, Any]) -> str | None:
    """The method of Lean's that the infoview calls, if it does."""
    if message.get("method") != "$/lean/rpc/call":
        return None
    return str(message["params"]["method"])


class _Watchdog:
    """What passes between an editor and the worker of its file."""

    worker: subprocess.Popen[bytes]

    def __init__(self, editor: web.WebSocketResponse, *, one_by_one: bool) -> None:
        self._editor = editor
        self._one_by_one = one_by_one
        # Of CALLS, the one that Lean has, by its id, and those after it.
        self._call: int | None = None
        self._calls: deque[dict[str, Any]] = deque()

    async def handle(self, message: dict[str, Any]) -> None:
        """Answer a message of the editor's, or pass it on."""
        method = message.get("method")
        if method == "initialize":
            await self._pass_on(message)
            result = {"capabilities": CAPABILITIES, "serverInfo": SERVER}
            await self._answer(message, result)
        elif method == "shutdown" or _called(message) == TERM_GOAL:
            await self._answer(message, None)
        elif self._one_by_one and _called(message) in CALLS:
            self._calls.append(message)
            await self._pass_call_on()
        elif method not in ("initialized", "$/setTrace"):
            await self._pass_on(message)

    async def _answer(self, request: dict[str, Any], result: Any) -> None:
        await self._editor.send_json({"jsonrpc": "2.0", "id": request["id"], "result": result})

    async def _pass_call_on(self) -> None:
        """Pass the next of CALLS on, unless Lean has one."""
        if self._call is None and self._calls:
            call = self._calls.popleft()
            self._call = call["id"]
            await self._pass_on(call)

    async def _pass_on(self, message: dict[str, Any]) -> None:
        await asyncio.to_thread(messages.send, self.worker, json.dumps(message).encode())

    async def pass_answers_on(self) -> None:
        """Send the editor what the worker says, until the worker ends."""
        while (body := await asyncio.to_thread(messages.receive, self.worker)) is not None:
            if self._editor.closed:
                continue
            await self._editor.send_str(body.decode())
            message = json.loads(body)
            if "method" not in message and message.get("id") == self._call:
                self._call = None
                await self._pass_call_on()
        await self._editor.close()
