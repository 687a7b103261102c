"""The suggester: shared jobs, the queue and the cache, with a fake engine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest

from llmsuggestd.daemon import suggester as module
from llmsuggestd.daemon.metrics import Metrics
from llmsuggestd.daemon.schema import SuggestRequest, SuggestResults
from llmsuggestd.daemon.suggester import (
    MAX_QUEUE,
    Busy,
    Overdue,
    ShuttingDown,
    Suggester,
    Superseded,
)
from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineError, EngineProcess, LoadFailed
from llmsuggestd.engine.served_model import ServedModel
from llmsuggestd.paths import Paths


class FakeEngine:
    """An engine that suggests the goal itself, as soon as `gate` is set."""

    def __init__(self, name: str, failure: EngineError | None = None) -> None:
        self.name = name
        self.failure = failure
        """`ask` raises this."""
        self.alive = True
        self.pid = 1
        self.info = protocol.Loaded("", "CPU", 1, 1, 2048, 1, "plain", 1.0)
        self.gate = asyncio.Event()
        self.gate.set()
        self.batches: list[list[str]] = []
        self.cancelled: list[str] = []
        self.closed = False

    async def ask(self, request: protocol.Suggest) -> protocol.Result:
        assert not self.closed
        if self.failure is not None:
            raise self.failure
        self.batches.append(request.goals)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.cancelled += request.goals
            raise
        assert not self.closed
        found = [
            protocol.Found([protocol.Suggestion(f"{self.name}: {goal}", -1.0, True)], False)
            for goal in request.goals
        ]
        return protocol.Result(
            request.id, found, prompt_tokens=1, reused_tokens=0, prompt_ms=1.0, decode_ms=1.0
        )

    @property
    def asked(self) -> list[str]:
        return [goal for batch in self.batches for goal in batch]

    async def close(self) -> None:
        self.closed = True


class Model(ServedModel):
    """A served model with a fake engine."""

    def __init__(self, name: str, path: Path, refusal: LoadFailed | None = None) -> None:
        load = protocol.Load(str(path), "auto", 0, 2048)
        super().__init__(name, load, Paths(*[path.parent] * 5))
        self.fake = FakeEngine(name)
        self.refusal = refusal

    async def _spawn(self) -> EngineProcess:
        if self.refusal is not None:
            raise self.refusal
        return cast(EngineProcess, self.fake)


def served(name: str = "a", path: Path = Path("/nonexistent/m.gguf"), **more: Any) -> Model:
    return Model(name, path, **more)


@pytest.fixture
async def made() -> tuple[Suggester, FakeEngine]:
    model = served()
    return Suggester(model, Metrics()), model.fake


def ask(suggester: Suggester, *goals: str, **fields: Any) -> asyncio.Task[SuggestResults]:
    goals = goals or ("g",)
    return asyncio.create_task(suggester.suggest(goals, SuggestRequest(goals[0], **fields)))


async def computing(
    suggester: Suggester, engine: FakeEngine, *goals: str, **fields: Any
) -> asyncio.Task[SuggestResults]:
    """Close the engine's gate, send a request, and wait until the engine computes it."""
    engine.gate.clear()
    task = ask(suggester, *goals, **fields)
    await until(lambda: engine.asked == list(goals))
    return task


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110
            await asyncio.sleep(0)


def texts(answer: SuggestResults) -> list[str]:
    return [result.suggestions[0].text for result in answer.results]


def text(answer: SuggestResults) -> str:
    (only,) = texts(answer)
    return only


def cached(answer: SuggestResults) -> list[bool]:
    return [result.cached for result in answer.results]


async def test_equal_questions_are_computed_once(made: tuple[Suggester, FakeEngine]) -> None:
    suggester, engine = made
    engine.gate.clear()
    tasks = [ask(suggester, client=f"c{n}") for n in range(5)] + [ask(suggester, "other")]
    await until(lambda: suggester.queue == 2)
    engine.gate.set()
    answers = await asyncio.gather(*tasks)
    assert engine.asked == ["g", "other"]
    assert [text(answer) for answer in answers] == ["a: g"] * 5 + ["a: other"]
    # each request has an answer object of its own
    assert len({id(answer.timings) for answer in answers}) == 6


async def test_cancelling_one_request_leaves_the_others_that_share_its_job(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.gate.clear()
    first, second, third = (ask(suggester) for _ in range(3))
    await until(lambda: engine.asked == ["g"])
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert not engine.cancelled
    engine.gate.set()
    assert text(await second) == text(await third) == "a: g"


async def test_a_job_is_cancelled_with_its_last_request(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.gate.clear()
    tasks = [ask(suggester) for _ in range(2)]
    await until(lambda: engine.asked == ["g"])
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: engine.cancelled == ["g"])
    assert suggester.queue == 0
    # the same question now starts a new job
    engine.gate.set()
    assert text(await ask(suggester)) == "a: g"


async def test_draws_without_a_seed_are_neither_shared_nor_cached(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    await asyncio.gather(*(ask(suggester, mode="sample") for _ in range(3)))
    assert len(engine.asked) == 3
    assert not len(suggester.answers)
    await asyncio.gather(*(ask(suggester, mode="sample", seed=1) for _ in range(3)))
    assert len(engine.asked) == 4


async def test_every_field_that_changes_the_answer_is_in_the_cache_key(
    made: tuple[Suggester, FakeEngine], tmp_path: Path
) -> None:
    suggester, engine = made
    different: list[dict[str, Any]] = [
        {}, {"goal": "h"}, {"prefix": "x"}, {"n": 4}, {"max_tokens": 3},
        {"mode": "sample", "seed": 1}, {"mode": "sample", "seed": 2},
        {"mode": "sample", "seed": 1, "temperature": 0.7},
    ]  # fmt: skip
    for fields in different:
        goal = fields.pop("goal", "g")
        assert cached(await ask(suggester, goal, **fields)) == [False]
    same: list[dict[str, Any]] = [
        {"client": "c"},
        {"temperature": 0.9},
        {"seed": 5},
    ]
    for fields in same:
        assert cached(await ask(suggester, **fields)) == [True]
    assert len(engine.asked) == len(different)
    # a model with the same id and another file is another model
    file = tmp_path / "m.gguf"
    file.write_bytes(b"one")
    one = served("a", file)
    await suggester.switch(one)
    assert cached(await ask(suggester)) == [False]
    assert cached(await ask(suggester)) == [True]
    file.write_bytes(b"other")
    assert cached(await ask(suggester)) == [True]  # the engine still serves the old file
    one.fake.alive = False
    assert cached(await ask(suggester)) == [False]


async def test_a_newer_request_of_a_client_supersedes_its_older_one(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    await ask(suggester, "kept")
    for newer in ("new", "kept"):  # computed, then from the cache
        engine.gate.clear()
        older = ask(suggester, "old", client="editor")
        bystander = ask(suggester, f"beside {newer}", client="another editor")
        await until(lambda: suggester.queue == 2)
        task = ask(suggester, newer, client="editor")
        with pytest.raises(Superseded):
            await older
        engine.gate.set()
        assert text(await task) == f"a: {newer}"
        assert text(await bystander) == f"a: beside {newer}"


async def test_asking_the_same_again_joins_the_running_job(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    older = await computing(suggester, engine, "g", client="editor")
    newer = ask(suggester, "g", client="editor")
    with pytest.raises(Superseded):
        await older
    engine.gate.set()
    assert text(await newer) == "a: g"
    assert (engine.asked, engine.cancelled) == (["g"], [])


async def test_superseding_does_not_end_another_clients_request(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.gate.clear()
    shared = ask(suggester, "g", client="one")
    other = ask(suggester, "g", client="two")
    await until(lambda: engine.asked == ["g"])
    newer = ask(suggester, "h", client="one")
    with pytest.raises(Superseded):
        await shared
    engine.gate.set()
    assert text(await other) == "a: g"
    assert text(await newer) == "a: h"


async def test_the_queue_is_bounded(made: tuple[Suggester, FakeEngine]) -> None:
    suggester, engine = made
    engine.gate.clear()
    tasks = [ask(suggester, f"g{n}") for n in range(MAX_QUEUE)]
    await until(lambda: suggester.queue == MAX_QUEUE)
    with pytest.raises(Busy):
        await ask(suggester, "one more")
    joining = ask(suggester, "g0")  # joins a job, so it takes no place in the queue
    engine.gate.set()
    await asyncio.gather(*tasks, joining)
    assert suggester.queue == 0


async def test_a_failure_reaches_every_waiting_request_and_is_not_cached(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.failure = EngineError("it broke")
    tasks = [ask(suggester) for _ in range(3)]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, EngineError) for result in results)
    engine.failure = None
    assert text(await ask(suggester)) == "a: g"


async def test_an_overdue_answer_is_an_error_and_its_job_is_cancelled(
    made: tuple[Suggester, FakeEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    suggester, engine = made
    monkeypatch.setattr(module, "ANSWER_TIMEOUT", 0.05)
    engine.gate.clear()
    with pytest.raises(Overdue):
        await ask(suggester)
    assert engine.cancelled == ["g"]
    engine.gate.set()
    assert text(await ask(suggester)) == "a: g"


async def test_after_a_switch_the_old_model_answers_its_own_requests(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, old = made
    old.gate.clear()
    before = [ask(suggester, f"g{n}") for n in range(3)]
    await until(lambda: suggester.queue == 3)
    new = served("b")
    await suggester.switch(new)
    assert text(await ask(suggester, "g0")) == "b: g0"  # to another model, it is another question
    assert not old.closed
    old.gate.set()
    assert [text(answer) for answer in await asyncio.gather(*before)] == ["a: g0", "a: g1", "a: g2"]
    await until(lambda: old.closed)
    assert not new.fake.closed


async def test_a_model_that_cannot_be_loaded_changes_nothing(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, old = made
    new = served("b", refusal=LoadFailed("broken", ""))
    with pytest.raises(LoadFailed):
        await suggester.switch(new)
    assert new.engine is None
    assert not old.closed
    assert text(await ask(suggester)) == "a: g"


async def test_at_shutdown_every_open_request_gets_an_error(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.gate.clear()
    tasks = [ask(suggester, f"g{n}") for n in range(3)]
    await until(lambda: suggester.queue == 3)
    await suggester.finish(0.05)
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, ShuttingDown) for result in results)
    with pytest.raises(ShuttingDown):
        await ask(suggester, "too late")


async def test_the_end_does_not_wait_for_a_replaced_model_that_loads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old = served("a")
    monkeypatch.setattr(old, "_spawn", asyncio.Event().wait)
    suggester = Suggester(old, Metrics())
    loading = asyncio.create_task(old.load())
    await until(lambda: old.loading)
    await suggester.switch(served("b"))
    await asyncio.wait_for(suggester.finish(0.05), 5)
    await asyncio.gather(loading, return_exceptions=True)
    assert not old.loading


async def test_at_shutdown_requests_within_the_grace_period_are_answered(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    engine.gate.clear()
    task = ask(suggester)
    await until(lambda: suggester.queue == 1)
    asyncio.get_running_loop().call_later(0.05, engine.gate.set)
    await suggester.finish(2)
    assert text(await task) == "a: g"


async def test_goals_asked_together_are_one_computation(made: tuple[Suggester, FakeEngine]) -> None:
    suggester, engine = made
    answer = await ask(suggester, "g", "h", "g", "k")
    assert texts(answer) == ["a: g", "a: h", "a: g", "a: k"]
    assert cached(answer) == [False] * 4
    assert engine.batches == [["g", "h", "k"]]  # equal goals are computed once
    assert suggester.queue == 0


async def test_each_goal_is_cached_by_itself(made: tuple[Suggester, FakeEngine]) -> None:
    suggester, engine = made
    await ask(suggester, "h")
    answer = await ask(suggester, "g", "h", "k")
    assert texts(answer) == ["a: g", "a: h", "a: k"]
    assert cached(answer) == [False, True, False]
    assert engine.batches == [["h"], ["g", "k"]]
    assert cached(await ask(suggester, "k")) == [True]
    answer = await ask(suggester, "k", "g")
    assert cached(answer) == [True, True]
    assert answer.timings.prompt_tokens == 0  # nothing was computed for this request
    assert len(engine.batches) == 2


async def test_a_goal_that_is_being_computed_is_not_computed_again(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    first = await computing(suggester, engine, "g", "h")
    second = ask(suggester, "h", "k", "g", "l")
    third = ask(suggester, "l")
    await until(lambda: suggester.queue == 4)  # distinct questions
    engine.gate.set()
    assert texts(await second) == ["a: h", "a: k", "a: g", "a: l"]
    assert texts(await first) == ["a: g", "a: h"]
    assert text(await third) == "a: l"
    assert engine.batches == [["g", "h"], ["k", "l"]]


async def test_jobs_of_several_goals_end_with_their_last_caller(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    first = await computing(suggester, engine, "g", "h")
    second = ask(suggester, "h", "k")
    await until(lambda: suggester.queue == 3)
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert suggester.queue == 3  # `second` waits for both jobs
    second.cancel()
    await asyncio.gather(second, return_exceptions=True)
    await until(lambda: engine.cancelled == ["g", "h"])
    assert suggester.queue == 0
    engine.gate.set()
    assert texts(await ask(suggester, "g", "k")) == ["a: g", "a: k"]


async def test_a_newer_request_keeps_the_jobs_that_it_shares_with_the_older(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    older = await computing(suggester, engine, "g", "h", client="prover")
    newer = ask(suggester, "h", "k", client="prover")
    with pytest.raises(Superseded):
        await older
    assert not engine.cancelled
    newest = ask(suggester, "l", client="prover")
    with pytest.raises(Superseded):
        await newer
    await until(lambda: engine.cancelled == ["g", "h"])
    engine.gate.set()
    assert text(await newest) == "a: l"
    assert engine.batches == [["g", "h"], ["l"]]


async def test_the_queue_counts_questions(made: tuple[Suggester, FakeEngine]) -> None:
    suggester, engine = made
    engine.gate.clear()
    many = [ask(suggester, *(f"{batch} {n}" for n in range(15))) for batch in range(2)]
    await until(lambda: suggester.queue == 30)
    with pytest.raises(Busy):
        await ask(suggester, "one", "two", "three", client="c")
    assert suggester.queue == 30
    more = ask(suggester, "one", "two", "0 3", client="c")
    await until(lambda: suggester.queue == MAX_QUEUE)
    # the superseded request makes room for the newer one
    newer = ask(suggester, "three", "four", client="c")
    with pytest.raises(Superseded):
        await more
    engine.gate.set()
    await asyncio.gather(*many, newer)
    assert suggester.queue == 0


async def test_equal_goals_of_a_request_share_their_draws(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    for _ in range(2):
        answer = await ask(suggester, "g", "h", "g", mode="sample")
        assert texts(answer) == ["a: g", "a: h", "a: g"]
    assert engine.batches == [["g", "h"], ["g", "h"]]


async def test_a_failure_fails_the_whole_request_and_caches_nothing(
    made: tuple[Suggester, FakeEngine],
) -> None:
    suggester, engine = made
    await ask(suggester, "g")
    engine.failure = EngineError("it broke")
    with pytest.raises(EngineError):
        await ask(suggester, "g", "h", "k")
    engine.failure = None
    assert cached(await ask(suggester, "g", "h")) == [True, False]
    assert suggester.queue == 0
