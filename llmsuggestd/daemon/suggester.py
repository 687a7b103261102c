"""Answers for goals: a queue in front of the engine, and the answers already given."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections import OrderedDict
from typing import Final

import msgspec

from llmsuggestd.daemon.engine import Supervisor
from llmsuggestd.daemon.schema import State, SuggestAnswer, SuggestRequest, Timings
from llmsuggestd.engine import protocol
from llmsuggestd.errors import LlmsuggestdError

log = logging.getLogger(__name__)

MAX_QUEUE: Final = 32
"""Requests waiting or being answered; one more is refused."""

MAX_CACHED: Final = 512
"""Answers kept: a few hundred kilobytes."""


class Busy(LlmsuggestdError):
    """The queue is full."""

    code = "busy"


class Superseded(LlmsuggestdError):
    """The same client has asked something newer."""

    code = "superseded"


class Suggester:
    """Answers requests for one model, one at a time, in the order they came."""

    def __init__(self, model: str, supervisor: Supervisor) -> None:
        self.model = model
        self.supervisor = supervisor
        self._ids = itertools.count(1)
        self._turn = asyncio.Lock()
        self._by_client: dict[str, asyncio.Task[SuggestAnswer]] = {}
        self._answers: OrderedDict[SuggestRequest, SuggestAnswer] = OrderedDict()
        self.queue = 0

    @property
    def state(self) -> State:
        """What the daemon is doing, in a word."""
        if self.queue and self.supervisor.engine is not None:
            return "busy"
        if self.supervisor.loading:
            return "loading"
        if self.supervisor.failure is not None:
            return "failed"
        if self.supervisor.engine is not None and self.supervisor.engine.alive:
            return "ready"
        return "stopped"

    async def suggest(self, request: SuggestRequest) -> SuggestAnswer:
        """Answer a request, from the cache where the same was asked before.

        Cancelling the caller cancels the work. Raises Busy when too many wait, Superseded when
        the same client asks again meanwhile, and what `Supervisor.ask` raises.
        """
        began = time.monotonic()
        key = msgspec.structs.replace(request, client=None)
        if answer := self._cached(key):
            answer.timings.total_ms = _ms_since(began)
            return answer
        if self.queue >= MAX_QUEUE:
            raise Busy(f"{self.queue} requests are waiting", "try again in a moment")
        task = asyncio.create_task(self._answer(key))
        if request.client is not None:
            if older := self._by_client.get(request.client):
                older.cancel()
            self._by_client[request.client] = task
        self.queue += 1
        try:
            answer = await task
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if this is not None and this.cancelling():
                raise  # the caller went away, and `await` has passed that on to the task
            raise Superseded("the same client has asked again", "") from None
        finally:
            self.queue -= 1
            if request.client is not None and self._by_client.get(request.client) is task:
                del self._by_client[request.client]
        answer.timings.total_ms = _ms_since(began)
        return answer

    async def _answer(self, request: SuggestRequest) -> SuggestAnswer:
        timings = Timings()
        began = time.monotonic()
        async with self._turn:
            timings.queue_ms = _ms_since(began)
            began = time.monotonic()
            await self.supervisor.ready()
            timings.load_ms = _ms_since(began)
            result = await self.supervisor.ask(
                protocol.Suggest(
                    id=next(self._ids),
                    goal=request.goal,
                    prefix=request.prefix,
                    n=request.n,
                    max_tokens=request.max_tokens,
                    mode=request.mode,
                    temperature=request.temperature,
                    seed=request.seed,
                )
            )
        timings.prompt_ms, timings.decode_ms = result.prompt_ms, result.decode_ms
        answer = SuggestAnswer(
            suggestions=result.suggestions,
            model=self.model,
            cached=False,
            truncated=result.truncated,
            timings=timings,
        )
        if request.mode == "beam" or request.seed is not None:
            self._answers[request] = answer
            if len(self._answers) > MAX_CACHED:
                self._answers.popitem(last=False)
        return answer

    def _cached(self, key: SuggestRequest) -> SuggestAnswer | None:
        answer = self._answers.get(key)
        if answer is None:
            return None
        self._answers.move_to_end(key)
        return msgspec.structs.replace(answer, cached=True, timings=Timings())


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)
