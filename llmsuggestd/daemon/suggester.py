"""Answers requests: a queue in front of the served model, and one computation per question.

A question is one goal with the fields of its request. A request's questions are one job, except
those that are cached or that a running job answers. The `Suggester` asks one model at a time, and
can change it while requests go on. The new model is loaded beside the old one, and takes over in
one step. The old one first answers its questions, and then ends.
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import msgspec

from llmsuggestd.daemon.cache import AnswerCache
from llmsuggestd.daemon.metrics import Metrics
from llmsuggestd.daemon.schema import GoalResult, State, SuggestRequest, SuggestResults, Timings
from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineError
from llmsuggestd.engine.served_model import ServedModel
from llmsuggestd.errors import LlmsuggestdError
from llmsuggestd.remote.model import RemoteModel
from llmsuggestd.units import milliseconds

log = logging.getLogger(__name__)

Model = ServedModel | RemoteModel
"""A local model with its engine, or a remote one with its server."""

MAX_QUEUE: Final = 32
"""Limit of the questions that wait or are being answered."""

ANSWER_TIMEOUT: Final = 120.0
"""Timeout for an answer, in seconds, time in the queue included."""


class Busy(LlmsuggestdError):
    """The queue is full."""

    code = "busy"


class Superseded(LlmsuggestdError):
    """The same client has made a newer request."""

    code = "superseded"


class ShuttingDown(LlmsuggestdError):
    """The daemon ends before it can answer."""

    code = "stopping"


class Overdue(EngineError):
    """There was no answer within the timeout."""

    code = "timeout"


class _Computed(NamedTuple):
    """A job's result."""

    results: dict[object, GoalResult]
    """The result of each of its questions, by key."""
    timings: Timings
    model: str
    """The model that answered."""
    sent_to: str | None
    """The server to which the goals were sent, if any."""


@dataclass(eq=False)
class _Job:
    """One computation, and the number of callers that wait for it.

    It answers the questions that its request was the first to ask. They are decoded together.
    """

    keys: list[object]
    task: asyncio.Task[_Computed]
    waiting: int = 0


@dataclass(eq=False)
class _Wait:
    """One caller's wait for jobs. It can end while other callers go on waiting for them."""

    jobs: list[_Job] = field(default_factory=list)
    outcome: asyncio.Future[list[_Computed]] | None = None
    left: LlmsuggestdError | None = None
    """The reason, if the suggester ended the wait."""

    async def results(self) -> list[_Computed]:
        """Wait for the jobs' results. The job that was begun for this caller is the last."""
        self.outcome = asyncio.gather(*(asyncio.shield(job.task) for job in self.jobs))
        return await self.outcome


class Suggester:
    """Answers requests for one model, in the order they came."""

    def __init__(self, model: Model, metrics: Metrics) -> None:
        self.model = model
        self.answers = AnswerCache()
        self._metrics = metrics
        self._ids = itertools.count(1)
        self._jobs: dict[object, _Job] = {}
        self._waits: set[_Wait] = set()
        self._by_client: dict[str, _Wait] = {}
        self._ending: dict[asyncio.Task[None], Model] = {}
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

    async def suggest(self, goals: Sequence[str], request: SuggestRequest) -> SuggestResults:
        """Answer a request, with a result for each of its goals.

        A result comes from the cache, from a job for the same question, or from a new job for the
        request's remaining goals. Cancelling the caller cancels the jobs that no other caller waits
        for. Raises Busy if the queue is full, Superseded if the same client makes another request
        meanwhile, ShuttingDown, Overdue, and the errors of `ServedModel.ask`.
        """
        began = time.monotonic()
        if self._stopping:
            raise ShuttingDown("the daemon is stopping", "ask again when it runs")
        model = self.model  # it may be replaced meanwhile
        keys = {goal: _key(model, request, goal) for goal in goals}
        results = {
            key: msgspec.structs.replace(result, cached=True)
            for key in keys.values()
            if (result := self.answers.get(key)) is not None
        }
        self._metrics.answers.labels("cache").inc(len(results))
        missing = {key: goal for goal, key in keys.items() if key not in results}
        timings = Timings()
        by = model.id
        sent_to = _server_of(model) if results else None
        wait = _Wait()
        self._waits.add(wait)
        try:
            self._join(wait, model, request, missing)
            for computed in await wait.results():
                results |= computed.results
                timings = computed.timings
                by = computed.model
                sent_to = sent_to or computed.sent_to
        except asyncio.CancelledError:
            this = asyncio.current_task()
            if wait.left is None or (this is not None and this.cancelling()):
                raise
            raise wait.left from None
        finally:
            self._leave(wait)
            if request.client is not None and self._by_client.get(request.client) is wait:
                del self._by_client[request.client]
        return SuggestResults(
            results=[results[keys[goal]] for goal in goals],
            model=by,
            remote=sent_to,
            timings=msgspec.structs.replace(
                timings, total_ms=milliseconds(time.monotonic() - began)
            ),
        )

    async def switch(self, new: Model, *, even_failed: bool = False) -> None:
        """Replace the model. No request fails or waits for the new model's loading.

        Returns when the new model serves. Raises the errors of `ServedModel.load`; the old model
        then goes on serving. With `even_failed`, a model that cannot be loaded now serves too.
        """
        try:
            await new.load()
        except BaseException as error:
            if not (even_failed and isinstance(error, LlmsuggestdError)):
                await new.close()
                raise
        old, self.model = self.model, new
        end = asyncio.create_task(old.drain())
        self._ending[end] = old
        end.add_done_callback(self._ending.pop)

    async def finish(self, grace: float) -> None:
        """Refuse new requests. After `grace` seconds, those in flight get an error."""
        self._stopping = True
        tasks = {job.task for job in self._jobs.values()}
        if tasks:
            await asyncio.wait(tasks, timeout=grace)
        for wait in list(self._waits):
            self._end(wait, ShuttingDown("the daemon is stopping", "ask again when it runs"))
        for replaced in list(self._ending.values()):
            await replaced.close()  # it may still be loading
        await asyncio.gather(*self._ending)

    def _join(
        self, wait: _Wait, model: Model, request: SuggestRequest, missing: dict[object, str]
    ) -> None:
        """Make a caller wait for the jobs that answer its questions, and begin one for the rest."""
        running = {key: self._jobs[key] for key in missing if key in self._jobs}
        for job in dict.fromkeys(running.values()):
            self._enter(wait, job)
        self._metrics.answers.labels("shared").inc(len(running))
        # after joining, since jobs for which only the older request waits are cancelled
        if request.client is not None:
            if (older := self._by_client.get(request.client)) is not None:
                self._end(older, Superseded("the same client has asked again", ""))
            self._by_client[request.client] = wait
        new = {key: goal for key, goal in missing.items() if key not in running}
        if new:
            self._enter(wait, self._begin(model, request, new))

    def _begin(self, model: Model, request: SuggestRequest, questions: dict[object, str]) -> _Job:
        """Begin a job for questions without one. Raises Busy if the queue has no room."""
        if self.queue + len(questions) > MAX_QUEUE:
            self._metrics.refused.inc()
            raise Busy(f"{self.queue} questions are waiting", "try again in a moment")
        task = asyncio.create_task(self._compute(model, request, questions))
        job = _Job(list(questions), task)
        self._jobs |= dict.fromkeys(questions, job)
        task.add_done_callback(lambda _: self._forget(job))
        self._metrics.answers.labels("engine").inc(len(questions))
        return job

    def _enter(self, wait: _Wait, job: _Job) -> None:
        """Count a caller's wait for a job."""
        job.waiting += 1
        wait.jobs.append(job)

    def _end(self, wait: _Wait, reason: LlmsuggestdError) -> None:
        """End a caller's wait with an error."""
        if wait.outcome is not None and not wait.outcome.done():
            wait.left = reason
            wait.outcome.cancel()
        self._leave(wait)

    def _leave(self, wait: _Wait) -> None:
        """Count a wait as over, and cancel jobs without callers."""
        self._waits.discard(wait)
        while wait.jobs:
            job = wait.jobs.pop()
            job.waiting -= 1
            if not job.waiting and not job.task.done():
                job.task.cancel()
                self._forget(job)  # now, so that the next caller cannot join a cancelled job

    def _forget(self, job: _Job) -> None:
        for key in job.keys:
            if self._jobs.get(key) is job:
                del self._jobs[key]

    async def _compute(
        self, model: Model, request: SuggestRequest, questions: dict[object, str]
    ) -> _Computed:
        question = protocol.Suggest(
            id=next(self._ids),
            goals=list(questions.values()),
            prefix=request.prefix,
            n=request.n,
            max_tokens=request.max_tokens,
            mode=request.mode,
            temperature=request.temperature,
            seed=request.seed,
            context=request.context,
            name=request.name,
        )
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                result, queue_ms, load_ms, by, sent_to = await model.ask(question)
        except TimeoutError:
            if model.loading:
                raise Overdue(
                    f"no answer within {ANSWER_TIMEOUT:.0f} s: the model is still being loaded",
                    "ask again when `llmsuggestd status` says ready",
                ) from None
            several = "goals, " if len(questions) > 1 else ""
            raise Overdue(
                f"no answer within {ANSWER_TIMEOUT:.0f} s",
                f"ask for fewer {several}suggestions or tokens, or use a smaller model",
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
        results: dict[object, GoalResult] = {}
        for (key, goal), found in zip(questions.items(), result.found, strict=True):
            results[key] = GoalResult(found.suggestions, cached=False, truncated=found.truncated)
            # computed again, since the model may have been loaded from another file meanwhile
            key_now = _key(model, request, goal)
            if isinstance(key_now, bytes) and by is None:
                self.answers.put(key_now, results[key])
        return _Computed(results, timings, by or model.id, sent_to)


def _server_of(model: Model) -> str | None:
    """The server to which a model's goals are sent; None for a local model."""
    return model.target.address.origin if isinstance(model, RemoteModel) else None


def _key(model: Model, request: SuggestRequest, goal: str) -> object:
    """A digest of everything that determines an answer; a unique object if the answer is random."""
    drawn: tuple[object, ...] = ()
    if request.mode == "sample":
        if request.seed is None:
            return object()
        drawn = (request.temperature, request.seed)
    question = (
        goal, request.prefix, request.context, request.name, request.n, request.max_tokens, drawn
    )  # fmt: skip
    return hashlib.sha256(msgspec.json.encode((model.identity, question))).digest()
