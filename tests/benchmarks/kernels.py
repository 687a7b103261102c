"""Compares kernels: python -m tests.benchmarks.kernels MODEL [--threads N] [--rounds N].

Prints the milliseconds of a step by number of candidates, of a prompt, and of loading, for our
kernels with each instruction set of this processor, and for llama.cpp's, repacked and plain. The
values are medians over the rounds or, with `--smallest` for a busy machine, minima. In each round
all kernels take turns, each in its own process.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from llmsuggestd import environment
from llmsuggestd.engine import kernels as own
from llmsuggestd.engine.protocol import Kernels

WIDTHS = (1, 2, 3, 4, 5, 6, 8, 16, 32)
PROMPTS = (55, 150)
STEPS = 10


def measure(path: Path, kernels: Kernels, threads: int) -> dict[str, float]:
    """Milliseconds by operation."""
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


def contenders() -> dict[str, tuple[Kernels, str]]:
    """The kernels that this machine can run, with the limit of their instruction set, by name."""
    found: dict[str, tuple[Kernels, str]] = {}
    if reason := own.why_not():
        print(f"without ours: {reason}", file=sys.stderr)
    else:
        for limit in own.INSTRUCTION_SETS:
            own.library().llmsuggest_choose(limit.encode())
            if own.instructions() == limit:
                found[f"own, {limit}"] = ("own", limit)
    return found | {"repacked": ("repacked", ""), "plain": ("plain", "")}


def main() -> None:
    """Measure and print a table."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--smallest", action="store_true", help="for a busy machine")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(measure(options.model, options.measure, options.threads)))
        return
    kinds = contenders()
    found: dict[str, list[dict[str, float]]] = {name: [] for name in kinds}
    for _ in range(options.rounds):
        for name, (kind, limit) in kinds.items():
            command = [sys.executable, "-m", "tests.benchmarks.kernels", str(options.model),
                       "--threads", str(options.threads), "--measure", kind]  # fmt: skip
            variables = environment.for_engine(os.environ | {own.LIMIT: limit})
            result = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=variables)
            found[name].append(json.loads(result.stdout))
    print("| ms | " + " | ".join(kinds) + " |\n|" + " --- |" * (1 + len(kinds)))
    summary = min if options.smallest else statistics.median
    for what in found["plain"][0]:
        values = [summary([run[what] for run in runs]) for runs in found.values()]
        print(f"| {what} | " + " | ".join(f"{value:.1f}" for value in values) + " |")


if __name__ == "__main__":
    main()
