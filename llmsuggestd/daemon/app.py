"""The HTTP API: its routes, who may use them, and how errors look.

The Unix socket is the user's own (the file system sees to that), so it needs no token. On the
port, any program of the machine and any web page can knock: there, a request needs a Host that
names this machine (a rebound DNS name does not, CVE-2024-28224) and the bearer token. A request
with an Origin comes from a browser and is refused everywhere.
"""

from __future__ import annotations

import hmac
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec
from aiohttp import web

from llmsuggestd.daemon.engine import EngineError
from llmsuggestd.daemon.schema import MAX_BODY, ModelStatus, Status, SuggestRequest
from llmsuggestd.daemon.suggester import Busy, Suggester, Superseded
from llmsuggestd.errors import LlmsuggestdError, ModelError, UsageError
from llmsuggestd.version import __version__

log = logging.getLogger(__name__)

OPEN_PATHS: Final = frozenset({"/health"})
"""Answered on the port without the token; they tell nothing but that a daemon is here."""

LOCAL_HOSTS: Final = frozenset({"localhost", "127.0.0.1", "[::1]"})

STATUS_OF: Final[dict[type[LlmsuggestdError], int]] = {
    UsageError: 400,
    Superseded: 409,
    Busy: 503,
    EngineError: 503,
    ModelError: 503,
}
"""HTTP status of each error; the nearest base class counts."""


@dataclass
class Daemon:
    """What the routes act on."""

    suggester: Suggester
    token: str
    socket: str | None
    url: str
    llama_cpp: str
    shut_down: Callable[[], None]
    started: float = field(default_factory=time.monotonic)

    def status(self) -> Status:
        """The whole state, for people, the tray and `doctor`."""
        supervisor = self.suggester.supervisor
        engine = supervisor.engine
        info = engine.info if engine is not None else None
        failure = supervisor.failure
        return Status(
            state=self.suggester.state,
            reason=failure.message if failure else None,
            hint=failure.hint if failure else None,
            model=ModelStatus(
                id=self.suggester.model,
                description=info.description if info else None,
                parameters=info.parameters if info else None,
                bytes=info.bytes if info else None,
                context=info.context if info else None,
            ),
            device=info.device if info else None,
            threads=info.threads if info else None,
            extra_buffers=supervisor.extra_buffers,
            queue=self.suggester.queue,
            engine_pid=engine.pid if engine is not None else None,
            pid=os.getpid(),
            version=__version__,
            llama_cpp=self.llama_cpp,
            uptime_s=round(time.monotonic() - self.started, 1),
            socket=self.socket,
            url=self.url,
        )


DAEMON: Final = web.AppKey("daemon", Daemon)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
routes = web.RouteTableDef()


def make_app(daemon: Daemon) -> web.Application:
    """The application that both listeners serve."""
    app = web.Application(middlewares=[_errors, _access], client_max_size=MAX_BODY)
    app[DAEMON] = daemon
    app.add_routes(routes)
    return app


@routes.post("/v1/suggest")
async def suggest(request: web.Request) -> web.Response:
    """Suggestions for a goal."""
    if request.content_type != "application/json":
        return _refusal(415, "unsupported_media_type", "the body must be JSON",
                        "send Content-Type: application/json")  # fmt: skip
    try:
        body = msgspec.json.decode(await request.read(), type=SuggestRequest)
    except msgspec.ValidationError as error:
        raise UsageError(f"invalid request: {error}", "see docs/reference/http-api.md") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"the body is not JSON: {error}", 'send {"goal": "⊢ ..."}') from None
    return _json(await request.app[DAEMON].suggester.suggest(body))


@routes.get("/v1/status")
async def status(request: web.Request) -> web.Response:
    """State, model, device, queue, versions. Wakes nothing."""
    return _json(request.app[DAEMON].status())


@routes.get("/health")
async def health(_: web.Request) -> web.Response:
    """The daemon lives."""
    return _json({"status": "ok"})


@routes.get("/ready")
async def ready(request: web.Request) -> web.Response:
    """200 when a model is loaded, 503 otherwise."""
    state = request.app[DAEMON].suggester.state
    return _json({"state": state}, 200 if state in ("ready", "busy") else 503)


@routes.post("/v1/shutdown")
async def shutdown(request: web.Request) -> web.Response:
    """End the daemon, once this is answered."""
    request.app[DAEMON].shut_down()
    return _json({"status": "stopping"})


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into `{"error": {"code", "message", "hint"}}` and its status."""
    try:
        return await handler(request)
    except LlmsuggestdError as error:
        code = next((STATUS_OF[base] for base in type(error).__mro__ if base in STATUS_OF), 500)
        return _refusal(code, error.code, error.message, error.hint)
    except web.HTTPException as error:
        if error.status == 413:
            return _refusal(413, "too_large", f"the body is larger than {MAX_BODY} bytes",
                            "send the goal alone")  # fmt: skip
        message = f"{request.method} {request.path}: {error.reason}"
        response = _refusal(error.status, error.reason.lower().replace(" ", "_"), message,
                            "see docs/reference/http-api.md")  # fmt: skip
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except Exception:
        log.exception("%s %s failed", request.method, request.path)
        return _refusal(500, "internal", "a fault in llmsuggestd", "please report it with the log")


@web.middleware
async def _access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refuse web pages everywhere, and on the port whoever does not hold the token."""
    if "Origin" in request.headers:
        return _refusal(403, "forbidden", "web pages may not use this daemon", "")
    if _on_port(request):
        if request.host.rsplit(":", 1)[0].lower().rstrip(".") not in LOCAL_HOSTS:
            return _refusal(403, "forbidden", f"Host {request.host!r} is not this machine",
                            "use http://127.0.0.1")  # fmt: skip
        if request.path not in OPEN_PATHS and not _has_token(request):
            return _refusal(401, "unauthorized", "the port needs the bearer token",
                            "read it from the `token_file` that client.json names")  # fmt: skip
    return await handler(request)


def _on_port(request: web.Request) -> bool:
    """Whether a request came over TCP. One whose connection is gone counts as such."""
    transport = request.transport
    sock = transport.get_extra_info("socket") if transport is not None else None
    return sock is None or sock.family != getattr(socket, "AF_UNIX", None)


def _has_token(request: web.Request) -> bool:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    expected = request.app[DAEMON].token
    return scheme.lower() == "bearer" and hmac.compare_digest(
        token.strip().encode(), expected.encode()
    )


def _json(value: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(value), status=status, content_type="application/json"
    )


def _refusal(status: int, code: str, message: str, hint: str) -> web.Response:
    response = _json({"error": {"code": code, "message": message, "hint": hint}}, status)
    if status == 503:
        response.headers["Retry-After"] = "1"
    return response
