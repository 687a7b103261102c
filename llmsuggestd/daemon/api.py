"""llmsuggestd's own calls; `compat.py` has those of other projects' clients."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

import msgspec
from aiohttp import web
from msgspec import UNSET
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from llmsuggestd.daemon.calls import NDJSON, Answer, Calls, json_response
from llmsuggestd.daemon.daemon import DAEMON
from llmsuggestd.daemon.schema import (
    Health,
    InstalledModel,
    ModelList,
    ModelStatus,
    Readiness,
    Status,
    Stopping,
    SuggestAnswer,
    SuggestRequest,
    SuggestResults,
    SwitchRequest,
)
from llmsuggestd.daemon.suggester import Busy
from llmsuggestd.models import store

log = logging.getLogger(__name__)

CALLS: Final = Calls("llmsuggestd")

EVENT_INTERVAL: Final = 1.0
"""Poll interval of `GET /v1/events`, in seconds: an engine's exit raises no event. Requests and
switches trigger an immediate check (`Daemon.streams`)."""

BUSY_EVENT_INTERVAL: Final = 0.1
"""Poll interval while a request or a switch is under way, in seconds."""

HEARTBEAT: Final = 15.0
"""Seconds after which an unchanged status is sent again, so that each end notices a dead peer."""

MAX_STREAMS: Final = 16
"""Concurrent clients of `GET /v1/events`."""


@CALLS.declare(
    "POST",
    "/v1/suggest",
    body=SuggestRequest,
    answer=(SuggestAnswer, SuggestResults),
    errors=(409, 422, 503, 504),
)
async def suggest(request: web.Request, body: SuggestRequest) -> SuggestAnswer | SuggestResults:
    """Suggestions for a goal, or for several that are answered together."""
    daemon = request.app[DAEMON]
    return await (daemon.suggest(body) if body.goals is UNSET else daemon.suggest_each(body))


@CALLS.declare("GET", "/v1/status", answer=Status)
async def status(request: web.Request, _: None) -> Status:
    """State, model, device, queue and versions. Does not load the model."""
    return request.app[DAEMON].status()


@CALLS.declare("GET", "/v1/events", media={NDJSON: Status}, errors=(503,))
async def events(request: web.Request, _: None) -> web.StreamResponse:
    """The status at each change, one JSON object per line, until the client or the daemon ends."""
    daemon = request.app[DAEMON]
    if len(daemon.streams) >= MAX_STREAMS:
        raise Busy(f"{MAX_STREAMS} clients listen already", "close one of them")
    response = web.StreamResponse(headers={"Cache-Control": "no-store"})
    response.content_type = NDJSON
    changed = asyncio.Event()
    daemon.streams.add(changed)
    try:
        await response.prepare(request)
        loop = asyncio.get_running_loop()
        shown: Status | None = None
        due = 0.0
        while not daemon.stopping.is_set():
            current = daemon.status()
            timeless = msgspec.structs.replace(current, uptime_s=0.0)
            if timeless != shown or loop.time() >= due:
                shown, due = timeless, loop.time() + HEARTBEAT
                async with asyncio.timeout(HEARTBEAT):  # drop a client that does not read
                    await response.write(msgspec.json.encode(current) + b"\n")
            busy = current.queue or current.state == "loading" or current.switching_to
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BUSY_EVENT_INTERVAL if busy else EVENT_INTERVAL):
                    await changed.wait()
            changed.clear()
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
    finally:
        daemon.streams.discard(changed)
    return response


@CALLS.declare("GET", "/v1/models", answer=ModelList)
async def models(request: web.Request, _: None) -> ModelList:
    """The installed models, and which of them is served."""
    daemon = request.app[DAEMON]
    status = daemon.status()
    # in a thread, since reading a file's metadata for the first time is slow
    listed = await asyncio.to_thread(store.listed, daemon.paths)
    return ModelList(
        [
            InstalledModel(
                id=model.id,
                bytes=model.bytes,
                current=model.id == status.model.id,
                state=store.state_of(model.id, status.state, status.model.id, status.switching_to),
                quantisation=model.quantisation,
                source=model.source,
                licence=model.licence,
                format=model.format,
                remote=model.remote,
            )
            for model in listed
        ]
    )


@CALLS.declare("PUT", "/v1/model", body=SwitchRequest, answer=ModelStatus, errors=(404, 409, 503))
async def use_model(request: web.Request, body: SwitchRequest) -> ModelStatus:
    """Serve another installed model.

    The present one serves until that is loaded, and goes on serving if the load fails.
    """
    daemon = request.app[DAEMON]
    await daemon.use_model(body.id)
    return daemon.status().model


@CALLS.declare("POST", "/v1/shutdown", answer=Stopping)
async def shutdown(request: web.Request, _: None) -> Stopping:
    """Stop the daemon after this answer."""
    request.app[DAEMON].shut_down()
    return Stopping("stopping")


@CALLS.declare("GET", "/health", answer=Health)
async def health(_request: web.Request, _: None) -> Health:
    """Whether the daemon is running. Needs no token."""
    return Health("ok")


@CALLS.declare("GET", "/ready", answer=Readiness, statuses={503: Readiness})
async def ready(request: web.Request, _: None) -> Answer:
    """Whether requests are answered: 200, or 503 while the model is being loaded or has failed.

    An idle model counts as ready: the next request loads it. This call does not load it.
    """
    state = request.app[DAEMON].suggester.state
    return json_response(Readiness(state), 503 if state in ("loading", "failed") else 200)


@CALLS.declare("GET", "/metrics", media={"text/plain": None})
async def metrics(request: web.Request, _: None) -> web.Response:
    """Figures in Prometheus' text format."""
    return web.Response(
        body=request.app[DAEMON].metrics.text(), headers={"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
    )
