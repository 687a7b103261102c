"""An editor for one Lean file in a web page: the text, and the infoview beside it.

The page (`page/`) is the language server's client. This module serves it, and passes messages on
between the page's web socket and a real language server.
"""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from tests.support.leanwasm import Lean, messages
from tests.support.web import served

PAGE = Path(__file__).with_name("page")


@asynccontextmanager
async def serve_editor(
    lean: Lean, infoview: Path, file: Path, text: str, env: Mapping[str, str]
) -> AsyncIterator[str]:
    """Serve an editor in which the file is open with this text. Yields its address."""
    opened = {"uri": _uri(file), "text": text}
    with lean.server(file, text, env) as server:
        app = web.Application()

        async def index(_request: web.Request) -> web.FileResponse:
            return web.FileResponse(PAGE / "index.html")

        async def document(_request: web.Request) -> web.Response:
            return web.json_response(opened)

        async def socket(request: web.Request) -> web.WebSocketResponse:
            response = web.WebSocketResponse(max_msg_size=1 << 28)
            await response.prepare(request)
            reading = asyncio.create_task(_pass_on(server, response))
            async for message in response:
                await asyncio.to_thread(messages.send, server, message.data.encode())
            reading.cancel()
            return response

        app.router.add_get("/", index)
        app.router.add_get("/document", document)
        app.router.add_get("/lsp", socket)
        app.router.add_static("/page", PAGE)
        app.router.add_static("/infoview", infoview)
        async with served(app) as address:
            try:
                yield address
            finally:
                await asyncio.to_thread(messages.end, server)


def _uri(file: Path) -> str:
    return file.absolute().as_uri()


async def _pass_on(server: subprocess.Popen[bytes], page: web.WebSocketResponse) -> None:
    """Send the server's messages to the page, until the server ends."""
    while (body := await asyncio.to_thread(messages.receive, server)) is not None:
        await page.send_str(body.decode())
