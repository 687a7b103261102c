"""Measures how much later Lean's own tactics make an answer.

    python -m tests.benchmarks.finishers [--shape 2.8B] [--goals 12] [--rounds 2]

The model has random weights (`shapes.py`), so nothing that it suggests works, and Lean tries its
own tactics on every goal. This is the longest delay: Lean tries none where a suggestion closes the
goal. Held-out goals are elaborated as examples with `llmsuggest.finishers` empty and at its
default, in turns, each time with a new daemon. A suggestion has 16 tokens. "Model" is the median
time of the model's answers, as the daemon measures it, and "call" that of an example.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.benchmarks import shapes
from tests.benchmarks.held_out import HELD_OUT, NO_FINISHERS, Run
from tests.conftest import Home, make_home
from tests.end_to_end.lean.fake_daemon import fake_daemon
from tests.support.leanwasm import find_lean

TOKENS = 16


class Model:
    """A daemon with the model, which is asked for short suggestions and timed."""

    def __init__(self, home: Home, model: Path) -> None:
        self.client = home.client
        self.seconds: list[float] = []
        home.paths.models.mkdir(parents=True)
        (home.paths.models / "benchmark.gguf").symlink_to(model)
        home.serve("--model", "benchmark", "--gpu", "off")

    def ask(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The daemon's answer to a request with the limit of tokens."""
        limited = {**request, "max_tokens": TOKENS}
        answer = self.client.request("POST", "/v1/suggest", limited, timeout=60)
        self.seconds.append(answer["timings"]["total_ms"] / 1000)
        return dict(answer)


def in_lean(run: Run, model: Path) -> tuple[float, float]:
    """The median seconds of the model's answers and of the calls."""
    with tempfile.TemporaryDirectory(prefix="finishers-", dir="/tmp") as folder:
        for home in make_home():
            daemon = Model(home, model)
            with fake_daemon() as fake:
                fake.relay = daemon.ask
                _, call = run.elaborate(Path(folder), fake.env)
    return statistics.median(daemon.seconds), call / 1000


def main() -> None:
    """Print the times of each round, and the mean delay."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", choices=list(shapes.SHAPES), default="2.8B")
    parser.add_argument("--goals", type=int, default=12)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench"
    )
    options = parser.parse_args()
    _, model = shapes.make(options.shape, options.directory)
    rows = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    rows = rows[:: len(rows) // options.goals][: options.goals]
    lean = find_lean()
    without = Run(lean, rows, "llmsuggest", NO_FINISHERS)
    after = Run(lean, rows, "llmsuggest", "")
    print(f"{len(rows)} goals, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}", flush=True)
    delays = []
    for _ in range(options.rounds):
        rest = []
        for name, run in (("without Lean's tactics", without), ("after the model", after)):
            answer, call = in_lean(run, model)
            print(f"{name:24} model {answer:5.2f} s  call {call:5.2f} s", flush=True)
            rest.append(call - answer)
        delays.append(rest[1] - rest[0])
    print(f"delay of the list: {statistics.mean(delays):.2f} s")


if __name__ == "__main__":
    main()
