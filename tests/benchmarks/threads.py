"""How long threads may spin, and how many there should be (`llmsuggestd/engine/threads.py`).

    python -m tests.benchmarks.threads [--rounds 3] [--model GGUF]

Five suggestions of 16 tokens with each number of threads and each `GOMP_SPINCOUNT` (libgomp), with
nothing else running and beside two busy processes a core; milliseconds, medians. Threads with
manners spin only while cores are free. Without --model it takes the starter;
`tests.benchmarks.shapes` makes larger ones.
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


def measure(model: str, threads: int, rounds: int, *, manners: bool) -> float:
    """The median of some answers, in milliseconds, in this process."""
    from llmsuggestd.engine import protocol
    from llmsuggestd.engine import threads as policy
    from llmsuggestd.engine.__main__ import Engine

    if not manners:
        policy.Spinning.set = lambda *_: None  # type: ignore[method-assign]
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
    parser.add_argument("--manners", type=int, default=1, help="of that cell")
    options = parser.parse_args()
    if options.threads:
        print(
            measure(options.model, options.threads, options.rounds, manners=bool(options.manners))
        )
        return
    cores = os.cpu_count() or 1
    print("| turns | manners | threads | idle | busy |\n|---|---|---|---|---|")
    for spin, manners in ((0, 0), (1_000, 0), (10_000, 0), (10_000, 1)):
        for threads in sorted({1, 2, cores}):
            cells = []
            for others in (nullcontext(), busy(2 * cores)):
                with others:
                    result = subprocess.run(
                        [sys.executable, "-m", "tests.benchmarks.threads", "--model", options.model,
                         "--rounds", str(options.rounds), "--threads", str(threads),
                         "--manners", str(manners)],
                        env=os.environ
                        | {"OMP_WAIT_POLICY": "passive", "GOMP_SPINCOUNT": str(spin)},
                        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE,
                        stderr=subprocess.DEVNULL, check=True, timeout=600, start_new_session=True,
                    )  # fmt: skip
                cells.append(f"{float(result.stdout.split()[-1]):.0f}")
            yes = "yes" if manners else "no"
            print(f"| {spin} | {yes} | {threads} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
