"""Runs steps on goals in a real Lean, to judge given steps or to search for steps that work.

The Lean program is in `lean/`. Lean is the one on the PATH if its version is that in
`lean/lean-toolchain` at the top of the checkout, and otherwise the WebAssembly one of
`tests/support/leanwasm`. Both need the checkout. A process works through a file of jobs. If a step
crashes it or takes too long, only that step is lost: the next process continues after it.
"""

from __future__ import annotations

import json
import queue
import tempfile
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

SERVE = Path(__file__).parent / "lean" / "Serve.lean"
HEARTBEATS = 20_000
"""Limit per step in thousands of heartbeats, as `maxHeartbeats`. The tactic's limit is 50,000."""
START_SECONDS = 300.0
STEP_SECONDS = 30.0
SEARCH_SECONDS = 60.0

Kind = Literal["closes", "valid", "fails", "unparsed"]
Job = dict[str, Any]
Message = dict[str, Any]


class NoLeanError(RuntimeError):
    """There is no Lean to run. The message says why, in one line."""


class Verdict(NamedTuple):
    """A step's result: it closes the goal, is valid and leaves goals, fails, or is no tactic."""

    kind: Kind
    left: int = 0
    """Number of goals left."""
    goals: tuple[str, ...] = ()
    """The goals left, as Lean prints them."""


@dataclass(frozen=True)
class Judgement:
    """Lean's verdicts on a job's candidates, in their order.

    `goal` is the goal as Lean prints it, or None if the statement or the path failed. Then, all
    candidates fail.
    """

    index: int
    goal: str | None
    verdicts: list[Verdict]


def judge(
    jobs: Iterable[Job],
    processes: int = 2,
    heartbeats: int = HEARTBEATS,
    step_seconds: float = STEP_SECONDS,
) -> Iterator[Judgement]:
    """Run candidate steps on goals, each from the same state.

    A job is `{"start": {"stated": SOURCE} or {"theorem": NAME}, "path": [STEP, ...],
    "candidates": [STEP, ...]}`, as in the pairs. SOURCE is the text between `example` and `:=`. The
    judgements are yielded in the order in which they are finished; `index` is the job's index in
    `jobs`. A candidate closes the goal only under the rules of `lean/LlmSuggest/Check.lean`: no
    `sorry`, no axiom, no logged error, no goal left, and no use of the theorem itself. A candidate
    that exceeds the heartbeats or the time, or crashes Lean, fails.

    A process takes 20 to 30 s to start, and then judges about a hundred simple steps per second. So
    give all jobs in one call. Raises NoLeanError.
    """
    requests = [
        {**_EMPTY, "job": "judge", "id": index, "heartbeats": heartbeats, **job}
        for index, job in enumerate(jobs)
    ]
    for messages in _run(requests, processes, step_seconds):
        request = messages[0]
        verdicts = [Verdict("fails") for _ in request["candidates"]]
        goal = None
        for message in messages[1:]:
            if "candidate" in message:
                verdicts[message["candidate"]] = Verdict(
                    message["verdict"], message["left"], tuple(message["goals"])
                )
            goal = message.get("goal", goal)
        yield Judgement(request["id"], goal, verdicts)


def search(
    jobs: Iterable[Job], processes: int = 2, seconds: float = SEARCH_SECONDS
) -> Iterator[tuple[Job, Message | None]]:
    """Search for steps that work, starting at statements.

    A job has `start` and may have `heartbeats`, `budget` (number of goals to try), `depth` (number
    of steps to follow) and `library` (whether to search for lemmas). Yields each job with its
    answer, or None if there is no answer. In an answer, `found` is a list of `{"goal", "steps",
    "path"}`, `attempts` the number of steps that were run, and `milliseconds` the time.
    """
    listed = list(jobs)
    requests = [
        {**_EMPTY, "job": "search", "id": index, **{k: v for k, v in job.items() if k in _EMPTY}}
        for index, job in enumerate(listed)
    ]
    for messages in _run(requests, processes, seconds):
        answer = next((message for message in messages[1:] if "found" in message), None)
        yield listed[messages[0]["id"]], answer


def theorems() -> list[tuple[str, str]]:
    """The theorems of Init and Std, except generated ones, with their modules."""
    for messages in _run([{**_EMPTY, "job": "theorems", "id": 0}], 1, 120):
        for message in messages[1:]:
            if "theorems" in message:
                return [(name, module) for name, module in message["theorems"]]
    raise NoLeanError("Lean did not list its theorems")


# The Lean program requires every field.
_EMPTY: Job = {
    "start": None,
    "path": [],
    "candidates": [],
    "first": 0,
    "heartbeats": 5000,
    "budget": 12,
    "depth": 3,
    "library": False,
}


def _run(requests: list[Job], processes: int, seconds: float) -> Iterator[list[Message]]:
    """Yield, for each finished request, the request followed by Lean's messages about it."""
    done: queue.Queue[list[Message] | BaseException | None] = queue.Queue()
    stop = threading.Event()

    def work(share: list[Job]) -> None:
        try:
            for messages in _work_through(share, seconds, stop):
                done.put(messages)
            done.put(None)
        except BaseException as error:
            done.put(error)

    shares = [share for k in range(processes) if (share := requests[k::processes])]
    threads = [threading.Thread(target=work, args=(share,), daemon=True) for share in shares]
    for thread in threads:
        thread.start()
    try:
        working = len(threads)
        while working:
            messages = done.get()
            if messages is None:
                working -= 1
            elif isinstance(messages, BaseException):
                raise messages
            else:
                yield messages
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def _work_through(
    requests: list[Job], seconds: float, stop: threading.Event
) -> Iterator[list[Message]]:
    """Run requests in one process at a time. After a failure, continue after the failed step."""
    waiting = list(requests)
    silent = 0  # number of successive processes that did not begin a job
    partial: list[Message] = []
    while waiting and not stop.is_set():
        begun = False
        for message in _one_process(waiting, seconds, stop):
            if "begins" in message:
                begun = True
                partial = partial or [waiting[0]]
            elif "ends" in message:
                yield partial
                partial = []
                waiting.pop(0)
            elif begun:
                partial.append(message)
        if stop.is_set():
            return
        silent = 0 if begun else silent + 1
        if silent == 3:
            raise NoLeanError("Lean ends before it begins a job: try starter/lean/Serve.lean")
        if waiting and partial:
            # The process ended within a job, on the candidate after the last judged one.
            request = waiting[0]
            judged = [m["candidate"] + 1 for m in partial[1:] if "candidate" in m]
            next_ = max([request["first"], *judged]) + 1
            if request["job"] == "judge" and next_ < len(request["candidates"]):
                waiting[0] = {**request, "first": next_}
            else:
                yield partial
                partial = []
                waiting.pop(0)


def _one_process(requests: list[Job], seconds: float, stop: threading.Event) -> Iterator[Message]:
    """Yield the messages of one process about these requests, until it ends or times out."""
    lean = _find()
    lines: queue.Queue[str | None] = queue.Queue()
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl", encoding="utf-8") as file:
        file.writelines(json.dumps(request, ensure_ascii=False) + "\n" for request in requests)
        file.flush()
        options = ("-DstderrAsMessages=false",)
        with lean.process(SERVE, {"STARTER_JOBS": file.name}, options) as process:

            def read() -> None:
                for line in process.stderr:
                    lines.put(line)
                lines.put(None)

            reader = threading.Thread(target=read, daemon=True)
            reader.start()
            limit = START_SECONDS
            waited = 0.0
            while not stop.is_set():
                try:
                    line = lines.get(timeout=1)
                except queue.Empty:
                    waited += 1
                    if waited >= limit:
                        return
                    continue
                waited = 0.0
                if line is None:
                    return
                if line.startswith("@@ "):
                    limit = seconds
                    yield json.loads(line[3:])


def _find() -> Any:
    """The Lean of this checkout, which compiles a file's imports and runs the file."""
    try:
        from tests.support.leanwasm import NoLeanError as NoLean
        from tests.support.leanwasm import find_lean
    except ImportError as error:
        raise NoLeanError("only a checkout has tests/support, which finds Lean") from error
    try:
        return find_lean()
    except NoLean as error:
        raise NoLeanError(str(error)) from error
