"""Answers for goals: a queue in front of the served model, and one computation per question.

The `Suggester` asks one model at a time. It can change the model while requests go on: the new one
is loaded beside the old one and takes over in one step, and the old one ends when it has answered
the questions it had been asked.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import time
from dataclasses import dataclass, field
from typing import Final

import msgspec

from llmsuggestd.daemon.cache import AnswerCache
from llmsuggestd.daemon.metrics import Metrics
from llmsuggestd.daemon.schema import State, SuggestAnswer, SuggestRequest, Timings
from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineError
from llmsuggestd.engine.served_model import ServedModel
from llmsuggestd.errors import LlmsuggestdError

log = logging.getLogger(__name__)

MAX_QUEUE: Final = 32
"""Limit of questions that wait or are being answered."""

ANSWER_TIMEOUT: Final = 120.0
"""Timeout for an answer, in seconds, time in the queue included."""


class Busy(LlmsuggestdError):
    """The queue is full."""

    code = "busy"


class Superseded(LlmsuggestdError):
    """The same client has asked something newer."""

    code = "superseded"


class ShuttingDown(LlmsuggestdError):
    """The daemon ends before it can answer."""

    code = "stopping"


class Overdue(EngineError):
    """The answer takes too long."""

    code = "timeout"


@dataclass
class _Job:
    """One computation, and the number of callers that wait for it."""

    key: object
    task: asyncio.Task[SuggestAnswer]
    waiting: int = 0


@dataclass(eq=False)
class _Wait:
    """One caller's wait for a job. It can end while other callers still wait."""

    job: _Job
    outcome: asyncio.Future[SuggestAnswer] = field(init=False)
    left: LlmsuggestdError | None = None
    """The reason, if the suggester ended the wait."""

    def __post_init__(self) -> None:
        self.outcome = asyncio.shield(self.job.task)


class Suggester:
    """Answers requests for one model, in the order they came."""

    def __init__(self, model: ServedModel, metrics: Metrics) -> None:
        self.model = model
        self.answers = AnswerCache()
        self._metrics = metrics
        self._ids = itertools.count(1)
        self._jobs: dict[object, _Job] = {}
        self._waits: set[_Wait] = set()
        self._by_client: dict[str, _Wait] = {}
        self._ending: set[asyncio.Task[None]] = set()
        self._stopping = False

    @property
    def queue(self) -> int:
        """Questions waiting or being answered."""
        return len(self._jobs)

    @property
    def state(self) -> State:
        """The daemon's state."""
        if self.queue and self.model.engine is not None:
            return "busy"
        if self.model.loading:
            return "loading"
        if self.model.failure is not None:
            return "failed"
        return "ready" if self.model.engine is not None else "idle"

    async def suggest(self, request: SuggestRequest) -> SuggestAnswer:
        """Answer a request: from the cache, from a job for the same question, or with a new job.

        Cancelling the caller cancels the job unless another caller waits for it. Raises Busy when
        the queue is full, Superseded when the same client asks again meanwhile, ShuttingDown,
        Overdue, and what `ServedModel.ask` raises.
        """
        began = time.monotonic()
        if self._stopping:
            raise ShuttingDown("the daemon is stopping", "ask again when it runs")
        model = self.model
        key = _digest(model, request)
        older = None if request.client is None else self._by_client.pop(request.client, None)
        if older is not None and older.job.key != key:
            self._supersede(older)
        if key is not None and (answer := self.answers.get(key)) is not None:
            self._metrics.answers.labels("cache").inc()
            timings = Timings(total_ms=_ms_since(began))
            return msgspec.structs.replace(answer, cached=True, timings=timings)
        wait = self._wait(model, request, key)
        if older is not None:  # the same question: only now, or its job would be cancelled
            self._supersede(older)
        if request.client is not None:
            self._by_client[request.client] = wait
        try:
            answer = await wait.outcome
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if wait.left is None or (this is not None and this.cancelling()):
                raise
            raise wait.left from None
        finally:
            self._leave(wait)
            if request.client is not None and self._by_client.get(request.client) is wait:
                del self._by_client[request.client]
        timings = msgspec.structs.replace(answer.timings, total_ms=_ms_since(began))
        return msgspec.structs.replace(answer, timings=timings)

    async def switch(self, new: ServedModel) -> None:
        """Let another model take over. No request fails or waits for its loading.

        Returns when the new model serves. Raises what `ServedModel.load` raises; the old model then
        serves on.
        """
        try:
            await new.load()
        except BaseException:
            await new.close()
            raise
        old, self.model = self.model, new
        end = asyncio.create_task(old.drain())
        self._ending.add(end)
        end.add_done_callback(self._ending.discard)

    async def finish(self, grace: float) -> None:
        """Refuse new requests. Those in flight have `grace` seconds, then get an error."""
        self._stopping = True
        tasks = [job.task for job in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for wait in list(self._waits):
            self._end(wait, ShuttingDown("the daemon is stopping", "ask again when it runs"))
        await asyncio.gather(*self._ending)

    def _wait(self, model: ServedModel, request: SuggestRequest, key: bytes | None) -> _Wait:
        """Join the job for this question, or begin one."""
        job = self._jobs.get(key)
        if job is None:
            if self.queue >= MAX_QUEUE:
                self._metrics.refused.inc()
                raise Busy(f"{self.queue} questions are waiting", "try again in a moment")
            task = asyncio.create_task(self._compute(model, request))
            job = _Job(key if key is not None else object(), task)
            self._jobs[job.key] = job
            task.add_done_callback(lambda _: self._forget(job))
            self._metrics.answers.labels("engine").inc()
        else:
            self._metrics.answers.labels("shared").inc()
        wait = _Wait(job)
        job.waiting += 1
        self._waits.add(wait)
        return wait

    def _supersede(self, wait: _Wait) -> None:
        self._end(wait, Superseded("the same client has asked again", ""))

    def _end(self, wait: _Wait, reason: LlmsuggestdError) -> None:
        """End a caller's wait with an error."""
        if not wait.outcome.done():
            wait.left = reason
            wait.outcome.cancel()
        self._leave(wait)

    def _leave(self, wait: _Wait) -> None:
        """Count a wait as over, and cancel a job without callers."""
        if wait not in self._waits:
            return
        self._waits.discard(wait)
        wait.job.waiting -= 1
        if not wait.job.waiting and not wait.job.task.done():
            wait.job.task.cancel()
            self._forget(wait.job)  # at once: the next caller must not join a cancelled job

    def _forget(self, job: _Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    async def _compute(self, model: ServedModel, request: SuggestRequest) -> SuggestAnswer:
        question = protocol.Suggest(
            id=next(self._ids),
            goals=[request.goal],
            prefix=request.prefix,
            n=request.n,
            max_tokens=request.max_tokens,
            mode=request.mode,
            temperature=request.temperature,
            seed=request.seed,
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                result, queue_ms, load_ms = await model.ask(question)
        except TimeoutError:
            raise Overdue(
                f"no answer within {ANSWER_TIMEOUT:.0f} s",
                "ask for fewer suggestions or tokens, or use a smaller model",
            ) from None
        timings = Timings(
            queue_ms=queue_ms,
            load_ms=load_ms,
            prompt_ms=result.prompt_ms,
            decode_ms=result.decode_ms,
            prompt_tokens=result.prompt_tokens,
            reused_tokens=result.reused_tokens,
        )
        self._metrics.observe(timings)
        (found,) = result.found
        answer = SuggestAnswer(
            suggestions=found.suggestions,
            model=model.id,
            cached=False,
            truncated=found.truncated,
            timings=timings,
        )
        # again, since the model may have been loaded from another file meanwhile
        if (key := _digest(model, request)) is not None:
            self.answers.put(key, answer)
        return answer


def _digest(model: ServedModel, request: SuggestRequest) -> bytes | None:
    """A digest of everything that determines an answer; None if it is random."""
    drawn: tuple[object, ...] = ()
    if request.mode == "sample":
        if request.seed is None:
            return None
        drawn = (request.temperature, request.seed)
    asked = (request.goal, request.prefix, request.n, request.max_tokens, drawn)
    return hashlib.sha256(msgspec.json.encode((model.identity, asked))).digest()


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)
