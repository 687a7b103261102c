"""Compares the engine's adaptive threads (`llmsuggestd/engine/threads.py`) with fixed choices.

    python -m tests.benchmarks.threads [--rounds 8] [--model GGUF] [--others 0 1 2 3 4 8]

Prints the time of five suggestions of 16 tokens beside each number of busy processes: medians in
milliseconds for threads that all spin, threads that all sleep, and adaptive ones. The default model
is the starter; `tests.benchmarks.shapes` makes larger ones.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Final

from llmsuggestd.engine.threads import AdaptiveThreads, Threads
from llmsuggestd.models import store
from tests.benchmarks.engine import busy, fresh_goals

WAYS: Final = {"spinning": "10000", "sleeping": "0", "adaptive": "10000"}
"""The `GOMP_SPINCOUNT` of each way. libgomp reads it once, so each way has its own process."""


def measure(model: str, way: str, rounds: int) -> float:
    """The median time of an answer in this process, in milliseconds."""
    from llmsuggestd.engine import protocol
    from llmsuggestd.engine.engine import Engine

    if way != "adaptive":
        AdaptiveThreads._adapt = _all_threads  # type: ignore[assignment]
    engine = Engine(protocol.Load(model, "off", 0, 2048))
    times = []
    for goal in fresh_goals(rounds, seed=1):
        engine.llama.forget()
        began = time.monotonic()
        engine.suggest(protocol.Suggest(1, [goal], "", 5, 16, "beam", 0.5, None))
        times.append(time.monotonic() - began)
    return 1000 * statistics.median(times)


def _all_threads(threads: AdaptiveThreads) -> None:
    threads._use_threads(Threads(threads._threads, threads._threads))


def in_a_process(model: str, way: str, rounds: int) -> float:
    """The same in a separate process, which has a session of its own like the engine."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.benchmarks.threads", "--model", model, "--way", way,
         "--rounds", str(rounds)],
        env=os.environ | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": WAYS[way]},
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        check=True, timeout=600, start_new_session=True,
    )  # fmt: skip
    return float(result.stdout.split()[-1])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--model", default=str(store.SHIPPED))
    parser.add_argument("--others", type=int, nargs="+", default=[0, 1, 2, 3, 4, 8])
    parser.add_argument("--way", choices=list(WAYS), help="measure one cell, here")
    options = parser.parse_args()
    if options.way:
        print(measure(options.model, options.way, options.rounds))
        return
    print(f"| busy processes | {' | '.join(WAYS)} |\n|{'---|' * (1 + len(WAYS))}")
    for others in options.others:
        cells = []
        for way in WAYS:
            with busy(others) if others else nullcontext():
                cells.append(f"{in_a_process(options.model, way, options.rounds):.0f}")
        print(f"| {others} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
