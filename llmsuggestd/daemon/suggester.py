"""Answers for goals: a queue in front of the engine, and one computation for the same question.

A `Serving` is one model with its engine; the `Suggester` has one at a time and can change it while
requests go on: the new engine is loaded beside the old one, takes over in one step, and the old
one ends when it has answered what it had been asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from llmsuggestd.daemon.cache import AnswerCache
from llmsuggestd.daemon.metrics import Metrics
from llmsuggestd.daemon.schema import State, SuggestAnswer, SuggestRequest, Timings
from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineError, Supervisor, file_identity
from llmsuggestd.errors import LlmsuggestdError

log = logging.getLogger(__name__)

MAX_QUEUE: Final = 32
"""Questions waiting or being answered; one more is refused."""

ANSWER_TIMEOUT: Final = 120.0
"""Seconds in which a question is answered, its time in the queue included."""


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


class Serving:
    """One model, its engine and the requests that it answers, one at a time."""

    def __init__(self, model: str, load: protocol.Load, supervisor: Supervisor) -> None:
        self.model = model
        self.load = load
        self.supervisor = supervisor
        self.turn = asyncio.Lock()
        self._jobs = 0
        self._drained = asyncio.Event()
        self._drained.set()

    @property
    def identity(self) -> tuple[object, ...]:
        """What tells this model from every other: its id, and its file as the engine read it.

        A file that is replaced while its model is loaded changes nothing until it is loaded anew.
        """
        loaded = self.supervisor.engine is not None
        file = self.supervisor.file if loaded else file_identity(Path(self.load.path))
        return (self.model, *file, self.load.context)

    @contextlib.contextmanager
    def job(self) -> Iterator[None]:
        """Keep the engine while the block runs, also after another model took over."""
        self._jobs += 1
        self._drained.clear()
        try:
            yield
        finally:
            self._jobs -= 1
            if not self._jobs:
                self._drained.set()

    async def drained(self) -> None:
        """Wait until nothing is asked of this model."""
        await self._drained.wait()


@dataclass
class _Job:
    """One computation, and how many wait for it."""

    key: object
    task: asyncio.Task[SuggestAnswer]
    waiting: int = 0


@dataclass(eq=False)
class _Wait:
    """One caller's wait for a job, which it can leave while others stay."""

    job: _Job
    outcome: asyncio.Future[SuggestAnswer] = field(init=False)
    left: LlmsuggestdError | None = None
    """Why the wait was ended from outside."""

    def __post_init__(self) -> None:
        self.outcome = asyncio.shield(self.job.task)


class Suggester:
    """Answers requests for one model, in the order they came."""

    def __init__(self, serving: Serving, metrics: Metrics) -> None:
        self.serving = serving
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
        """What the daemon is doing, in a word."""
        supervisor = self.serving.supervisor
        if self.queue and supervisor.engine is not None:
            return "busy"
        if supervisor.loading:
            return "loading"
        if supervisor.failure is not None:
            return "failed"
        if supervisor.engine is not None:
            return "ready"
        return "idle"

    async def suggest(self, request: SuggestRequest) -> SuggestAnswer:
        """Answer a request: from the cache, or together with others that ask the same.

        Cancelling the caller cancels the work, unless somebody else waits for it. Raises Busy when
        too many wait, Superseded when the same client asks again meanwhile, ShuttingDown, Overdue,
        and what `Supervisor.ask` raises.
        """
        began = time.monotonic()
        if self._stopping:
            raise ShuttingDown("the daemon is stopping", "ask again when it runs")
        serving = self.serving
        key = _digest(serving, request)
        older = None if request.client is None else self._by_client.pop(request.client, None)
        if older is not None and older.job.key != key:
            self._supersede(older)
        if key is not None and (answer := self.answers.get(key)) is not None:
            self._metrics.answers.labels("cache").inc()
            timings = Timings(total_ms=_ms_since(began))
            return msgspec.structs.replace(answer, cached=True, timings=timings)
        wait = self._wait(serving, request, key)
        if older is not None:  # the same question: only now, so that its answer is not given up
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

    async def switch(self, new: Serving) -> None:
        """Let another model take over, without a request that fails or waits for its loading.

        Returns when the new one serves. Raises what `Supervisor.ready` raises; the old model then
        serves on.
        """
        try:
            await new.supervisor.ready()
        except BaseException:
            await new.supervisor.close()
            raise
        old, self.serving = self.serving, new
        end = asyncio.create_task(self._end_serving(old))
        self._ending.add(end)
        end.add_done_callback(self._ending.discard)

    async def _end_serving(self, old: Serving) -> None:
        """End a model's engine when it has answered what it had been asked."""
        await old.drained()
        await old.supervisor.close()

    async def finish(self, grace: float) -> None:
        """Take no new requests; give those there are some seconds, then an error.

        An error is an answer too: nobody is left with half of one.
        """
        self._stopping = True
        tasks = [job.task for job in self._jobs.values()]
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for wait in list(self._waits):
            self._end(wait, ShuttingDown("the daemon is stopping", "ask again when it runs"))
        await asyncio.gather(*self._ending)

    def _wait(self, serving: Serving, request: SuggestRequest, key: bytes | None) -> _Wait:
        """Join the job that computes the same, or begin one."""
        job = self._jobs.get(key)
        if job is None:
            if self.queue >= MAX_QUEUE:
                self._metrics.refused.inc()
                raise Busy(f"{self.queue} questions are waiting", "try again in a moment")
            task = asyncio.create_task(self._compute(serving, request))
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
        """End somebody's wait with an error."""
        if not wait.outcome.done():
            wait.left = reason
            wait.outcome.cancel()
        self._leave(wait)

    def _leave(self, wait: _Wait) -> None:
        """Count a wait as over; a job that nobody waits for is given up."""
        if wait not in self._waits:
            return
        self._waits.discard(wait)
        wait.job.waiting -= 1
        if not wait.job.waiting and not wait.job.task.done():
            wait.job.task.cancel()
            self._forget(wait.job)  # at once: whoever asks the same now must not join it

    def _forget(self, job: _Job) -> None:
        if self._jobs.get(job.key) is job:
            del self._jobs[job.key]

    async def _compute(self, serving: Serving, request: SuggestRequest) -> SuggestAnswer:
        timings = Timings()
        began = time.monotonic()
        with serving.job():
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT), serving.turn:
                    timings.queue_ms = _ms_since(began)
                    began = time.monotonic()
                    await serving.supervisor.ready()
                    timings.load_ms = _ms_since(began)
                    result = await serving.supervisor.ask(
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
            except TimeoutError:
                raise Overdue(
                    f"no answer within {ANSWER_TIMEOUT:.0f} s",
                    "ask for fewer suggestions or tokens, or use a smaller model",
                ) from None
        timings.prompt_ms, timings.decode_ms = result.prompt_ms, result.decode_ms
        timings.prompt_tokens, timings.reused_tokens = result.prompt_tokens, result.reused_tokens
        self._metrics.observe(timings)
        answer = SuggestAnswer(
            suggestions=result.suggestions,
            model=serving.model,
            cached=False,
            truncated=result.truncated,
            timings=timings,
        )
        # again, since the model may have been loaded from another file meanwhile
        if (key := _digest(serving, request)) is not None:
            self.answers.put(key, answer)
        return answer


def _digest(serving: Serving, request: SuggestRequest) -> bytes | None:
    """A digest of all that determines an answer; None where chance has a part in it."""
    drawn: tuple[object, ...] = ()
    if request.mode == "sample":
        if request.seed is None:
            return None
        drawn = (request.temperature, request.seed)
    asked = (request.goal, request.prefix, request.n, request.max_tokens, drawn)
    return hashlib.sha256(msgspec.json.encode((serving.identity, asked))).digest()


def _ms_since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 2)
