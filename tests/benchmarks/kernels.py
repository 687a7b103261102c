"""Kernels side by side: python -m tests.benchmarks.kernels MODEL [--threads N] [--rounds N].

Milliseconds a step by the number of candidates, for a prompt, and for loading, with our own kernels
and with llama.cpp's, repacked and plain: medians over the rounds, in which they take turns, each in
a process of its own.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import get_args

from llmsuggestd import environment
from llmsuggestd.engine.kernels import why_not
from llmsuggestd.engine.protocol import Kernels

WIDTHS = (1, 2, 3, 4, 5, 6, 8, 16, 32)
PROMPTS = (55, 150)
STEPS = 10


def measure(path: Path, kernels: Kernels, threads: int) -> dict[str, float]:
    """Milliseconds by what was done."""
    from llmsuggestd.engine.llama import Llama
    from llmsuggestd.engine.threads import ask_for_short_slices

    ask_for_short_slices()
    began = time.monotonic()
    model = Llama(path, gpu_layers=0, threads=threads, context=2048, kernels=kernels)
    took = {"load": time.monotonic() - began}
    for length in PROMPTS:
        prompt = list(range(100, 100 + length))
        began = time.monotonic()
        model.start([prompt])
        took[f"prompt of {length}"] = time.monotonic() - began
        for width in WIDTHS:
            model.start([prompt])
            model.step([0] * width, range(1000, 1000 + width))
            times = []
            for token in range(2000, 2000 + STEPS):
                began = time.monotonic()
                model.step(range(width), [token] * width)
                times.append(time.monotonic() - began)
            took[f"{width} after {length}"] = statistics.median(times)
        model.forget()
    return {name: 1000 * seconds for name, seconds in took.items()}


def main() -> None:
    """Measure and print a table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.model, options.measure, options.threads)))
        return
    kinds = get_args(Kernels)[bool(why_not()) :]
    if why_not():
        print(f"without ours: {why_not()}", file=sys.stderr)
    found: dict[str, list[dict[str, float]]] = {kind: [] for kind in kinds}
    for _ in range(options.rounds):
        for kind in kinds:
            command = [sys.executable, "-m", "tests.benchmarks.kernels", str(options.model),
                       "--threads", str(options.threads), "--measure", kind]  # fmt: skip
            result = subprocess.run(
                command, check=True, stdout=subprocess.PIPE, env=environment.for_engine()
            )
            found[kind].append(json.loads(result.stdout))
    print("| ms | " + " | ".join(kinds) + " |\n|" + " --- |" * (1 + len(kinds)))
    for name in found[kinds[0]][0]:
        medians = [statistics.median(run[name] for run in found[kind]) for kind in kinds]
        print(f"| {name} | " + " | ".join(f"{value:.1f}" for value in medians) + " |")


if __name__ == "__main__":
    main()
