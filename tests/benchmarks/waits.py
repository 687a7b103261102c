"""Measures the waits for the first suggestion after a start and for a cancelled request to end.

    python -m tests.benchmarks.waits [--model GGUF] [--answers 20]

The default model is the starter; `tests.benchmarks.shapes` makes larger ones. `engine.py` puts the
figures of both into docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import time
from pathlib import Path
from typing import Any

from llmsuggestd.engine import protocol
from llmsuggestd.engine.host import EngineProcess
from llmsuggestd.models import store
from tests.conftest import make_home


def first_suggestion(model: Path, rounds: int = 3) -> dict[str, Any]:
    """Seconds from `llmsuggestd start` to 5 suggestions, with the model in the page cache.

    A suggestion has 16 tokens, unless the model ends it earlier.
    """
    with model.open("rb") as file:
        while file.read(2**24):
            pass
    times = []
    for home in make_home():
        home.paths.models.mkdir(parents=True)
        (home.paths.models / "benchmark.gguf").symlink_to(model)
        for _ in range(rounds):
            began = time.monotonic()
            started = home.run("start", timeout=120, LLMSUGGESTD_MODEL="benchmark")
            assert started.returncode == 0, started.stderr
            up = time.monotonic() - began
            goal = {"goal": "a b : Nat\nh : a = b\n⊢ b = a", "max_tokens": 16}
            home.client.request("POST", "/v1/suggest", goal, timeout=120)
            times.append((time.monotonic() - began, up))
            home.run("stop")
    return {
        "start_to_answer": statistics.median(total for total, _ in times),
        "start": statistics.median(up for _, up in times),
    }


class Watched(EngineProcess):
    """Records the time at which the engine reports a cancelled request."""

    cancelled: asyncio.Future[float]
    """The time of the report."""

    def _deliver(self, reply: protocol.Reply) -> None:
        if isinstance(reply, protocol.Failed) and reply.code == "cancelled":
            self.cancelled.set_result(time.monotonic())
        super()._deliver(reply)


async def _cancel(model: Path, answers: int) -> dict[str, Any]:
    engine = await Watched.spawn(protocol.Load(str(model), "off", 0, 2048))
    assert isinstance(engine, Watched)
    result: dict[str, Any] = {}
    try:
        for phase, words in (("inside a long prompt", 900), ("between decode steps", 8)):
            waits = []
            for number in range(answers):
                goal = f"{number} {phase}\n⊢" + " x" * words
                request = protocol.Suggest(number, [goal], "", 5, 64, "beam", 0.5, None)
                engine.cancelled = asyncio.get_running_loop().create_future()
                task = asyncio.create_task(engine.ask(request))
                await asyncio.sleep(random.uniform(0.02, 0.5))
                began = time.monotonic()
                task.cancel()
                async with asyncio.timeout(10):
                    waits.append(await engine.cancelled - began)
            result[phase] = {"median": statistics.median(waits), "longest": max(waits)}
    finally:
        await engine.close()
    return result


def cancel(model: Path, answers: int = 20) -> dict[str, Any]:
    """Seconds from the cancellation of a request, at random moments, to its end in the engine."""
    return asyncio.run(_cancel(model, answers))


def main() -> None:
    """Print both."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=store.SHIPPED)
    parser.add_argument("--answers", type=int, default=20)
    options = parser.parse_args()
    model = options.model.resolve()
    first = first_suggestion(model)
    print(f"start to the first suggestion: {first['start_to_answer']:.2f} s "
          f"(up after {first['start']:.2f} s)")  # fmt: skip
    if model != store.SHIPPED:  # the starter's answers end too soon to be cancelled
        for phase, waits in cancel(model, options.answers).items():
            print(f"cancelled {phase}: over after {1000 * waits['median']:.0f} ms, "
                  f"at most {1000 * waits['longest']:.0f} ms")  # fmt: skip


if __name__ == "__main__":
    main()
