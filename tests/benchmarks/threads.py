"""How long threads may spin, and how many there should be: the table of docs/architecture.md.

    python -m tests.benchmarks.threads [--rounds 3] [--model GGUF]

Five suggestions of 16 tokens with each number of threads and each `GOMP_SPINCOUNT` (libgomp), with
nothing else running and beside two busy processes a core; milliseconds, medians. Without --model it
takes the starter; `tests.benchmarks.shapes` makes larger ones.
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

from llmsuggestd.models import store
from tests.benchmarks.engine import busy, fresh_goals

SPINS = (0, 1_000, 10_000)


def measure(model: str, threads: int, rounds: int) -> float:
    """The median of some answers, in milliseconds, in this process."""
    from llmsuggestd.engine import protocol
    from llmsuggestd.engine.__main__ import Engine

    engine = Engine(protocol.Load(model, "off", threads, 2048, True))
    times = []
    for goal in fresh_goals(rounds, seed=1):
        engine.llama.forget()
        began = time.monotonic()
        engine.suggest(protocol.Suggest(1, goal, "", 5, 16, "beam", 0.5, None))
        times.append(time.monotonic() - began)
    return 1000 * statistics.median(times)


def main() -> None:
    """Print the table; each cell is a process of its own, since libgomp reads its settings once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default=str(store.SHIPPED))
    parser.add_argument("--threads", type=int, help="measure one cell, here")
    options = parser.parse_args()
    if options.threads:
        print(measure(options.model, options.threads, options.rounds))
        return
    cores = os.cpu_count() or 1
    print("| turns | threads | idle | busy |\n|---|---|---|---|")
    for spin in SPINS:
        for threads in sorted({1, 2, cores}):
            cells = []
            for others in (nullcontext(), busy(2 * cores)):
                with others:
                    result = subprocess.run(
                        [sys.executable, "-m", "tests.benchmarks.threads", "--model", options.model,
                         "--rounds", str(options.rounds), "--threads", str(threads)],
                        env=os.environ | {"GOMP_SPINCOUNT": str(spin)},
                        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, check=True, timeout=600,
                    )  # fmt: skip
                cells.append(f"{float(result.stdout.split()[-1]):.0f}")
            print(f"| {spin} | {threads} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
