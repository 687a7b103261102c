"""The web application of a listener: its calls, access control, and the form of errors."""

from __future__ import annotations

import asyncio
import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Final

from aiohttp import web

from llmsuggestd.daemon import access, api, compat, openapi
from llmsuggestd.daemon.access import Door, Forbidden, Unauthorized
from llmsuggestd.daemon.calls import (
    API_HINT,
    Call,
    TooLarge,
    TooSlow,
    WrongType,
    json_response,
    refusal,
)
from llmsuggestd.daemon.daemon import DAEMON, Daemon, NotInstalled, Switching
from llmsuggestd.daemon.schema import MAX_BODY
from llmsuggestd.daemon.suggester import Busy, Overdue, ShuttingDown, Superseded
from llmsuggestd.engine.host import EngineError
from llmsuggestd.errors import ConfigError, LlmsuggestdError, ModelError, UsageError
from llmsuggestd.goals import NotAGoal

log = logging.getLogger(__name__)

WRITE_TIMEOUT: Final = 10.0
"""Timeout for a client to receive its answer, in seconds."""

STATUS_OF: Final[dict[type[LlmsuggestdError], int]] = {
    NotAGoal: 422,
    UsageError: 400,
    Unauthorized: 401,
    Forbidden: 403,
    NotInstalled: 404,
    TooSlow: 408,
    Superseded: 409,
    Switching: 409,
    TooLarge: 413,
    WrongType: 415,
    Busy: 503,
    EngineError: 503,
    ConfigError: 503,
    ModelError: 503,
    ShuttingDown: 503,
    Overdue: 504,
}
"""HTTP status by error class; a subclass takes the status of its nearest base."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@functools.cache
def _document() -> dict[str, Any]:
    return openapi.document(CALLS)


@api.CALLS.declare("GET", "/openapi.json", media={"application/json": None})
async def openapi_document(_request: web.Request, _: None) -> web.Response:
    """This document."""
    return json_response(_document())


CALLS: Final[tuple[Call, ...]] = tuple(
    call
    for group in (api.CALLS, compat.LLMSTEP, compat.LEANCOPILOT, compat.LLMLEAN)
    for call in group.calls
)
"""All calls, of all groups."""

DOOR: Final = web.AppKey("door", Door)


def make_app(daemon: Daemon, door: Door) -> web.Application:
    """The application of a listener."""
    app = web.Application(middlewares=[_delivery, _errors, _access], client_max_size=MAX_BODY)
    app[DAEMON], app[DOOR] = daemon, door
    for call in CALLS:
        if door.group in (None, call.group):
            app.router.add_route(call.method, call.path, call.serve)
    return app


@web.middleware
async def _delivery(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Count the answer and send it; drop a client that does not receive it."""
    response = await handler(request)
    resource = request.match_info.route.resource
    request.app[DAEMON].metrics.requests.labels(
        request.app[DOOR].name, resource.canonical if resource else "none", response.status
    ).inc()
    transport = request.transport
    if isinstance(transport, asyncio.WriteTransport):
        transport.set_write_buffer_limits(0)  # sent means that the system has all of it
    try:
        async with asyncio.timeout(WRITE_TIMEOUT):
            await response.prepare(request)
            await response.write_eof()
    except TimeoutError:
        if isinstance(transport, asyncio.WriteTransport):
            transport.abort()
    except ConnectionError:
        log.debug("a client disconnected before its answer")
    return response


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every error into `{"error": {"code", "message", "hint"}}` and its status."""
    try:
        return await handler(request)
    except LlmsuggestdError as error:
        status = next((STATUS_OF[base] for base in type(error).__mro__ if base in STATUS_OF), 500)
        response = refusal(status, error.code, error.message, error.hint)
        if status == 408:
            response.force_close()  # the rest of the body would be read as the next request
        return response
    except web.HTTPException as error:
        message = f"{request.method} {request.path[:200]}: {error.reason}"
        response = refusal(error.status, error.reason.lower().replace(" ", "_"), message,
                           API_HINT)  # fmt: skip
        if "Allow" in error.headers:
            response.headers["Allow"] = error.headers["Allow"]
        return response
    except ConnectionError:
        raise  # the client has disconnected
    except Exception:
        log.exception("%s %s failed", request.method, request.path[:200])
        return refusal(
            500,
            "internal",
            "a fault in llmsuggestd",
            "report it with what `llmsuggestd logs` shows",
        )


@web.middleware
async def _access(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Apply the listener's access rules."""
    daemon = request.app[DAEMON]
    access.check(request, request.app[DOOR], daemon.token)
    if daemon.stopping.is_set():
        raise ShuttingDown("the daemon is stopping", "ask again when it runs")
    return await handler(request)
