"""Measures the speed of suggestions from a GPU, with all layers on it.

    python -m tests.benchmarks.gpu_speed [--accelerator auto] [--shapes 2.8B 7B]

A daemon with the build of `gpu_check.py` serves random weights in a known model's shape
(`shapes.make_gguf`). Prints the median seconds for 1, 5 and 16 suggestions of 16 tokens for a new
goal, from the request to the answer. The milliseconds are the engine's own: for the prompt of about
55 tokens, and for each of the steps that follow. Answers with a shorter suggestion do not count.
"""

from __future__ import annotations

import argparse
import os
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from llmsuggestd import accelerators
from llmsuggestd.errors import LlmsuggestdError
from tests.benchmarks.engine import MAX_TOKENS, fresh_goals
from tests.benchmarks.gpu_check import (
    Failed,
    accelerator,
    build_for,
    daemon,
    device_of,
    layers,
    suggest,
)
from tests.benchmarks.shapes import SHAPES, make_gguf
from tests.conftest import Home

COUNTS = (1, 5, 16)
"""Numbers of suggestions."""


def measure(home: Home, n: int, rounds: int) -> str:
    """The median times of requests for n suggestions, as the cells of a table's row."""
    first, *goals = fresh_goals(2 * rounds + 1, seed=n)
    # not counted: the driver compiles shaders that its shapes need
    compiling = timed(home, first, n)[0]
    times = []
    for goal in goals:
        seconds, answer = timed(home, goal, n)
        # random weights can end a suggestion; the steps after that one have less to do
        if not any(suggestion["finished"] for suggestion in answer["suggestions"]):
            took = answer["timings"]
            times.append((seconds, took["prompt_ms"], took["decode_ms"] / MAX_TOKENS))
        if len(times) == rounds:
            break
    else:
        raise Failed(f"{len(times)} of {len(goals)} answers had all their tokens")
    middle = [statistics.median(column) for column in zip(*times, strict=True)]
    return f"{n:>11} {middle[0]:>8.3f} {middle[1]:>10.1f} {middle[2]:>8.2f} {compiling:>8.2f}"


def timed(home: Home, goal: str, n: int) -> tuple[float, dict[str, Any]]:
    """The seconds that an answer took, and the answer."""
    began = time.monotonic()
    answer = suggest(home, goal=goal, n=n, max_tokens=MAX_TOKENS)
    return time.monotonic() - began, answer


def speed(build: Path, shape: str, directory: Path, rounds: int) -> None:
    """Print the rows of a shape."""
    began = time.monotonic()
    model = make_gguf(shape, directory).resolve()
    made = time.monotonic()
    with daemon(build, model, LLMSUGGESTD_GPU="auto") as home:
        count, total = layers(device_of(home))
        if not count or count != total:
            raise Failed(f"{count} of {total} layers are on the GPU: {device_of(home)}")
        print(
            f"{shape}, {model.stat().st_size / 1e9:.2f} GB, {device_of(home)}: the file was made in"
            f" {made - began:.1f} s, the daemon started in {time.monotonic() - made:.1f} s"
        )
        print("suggestions  seconds  prompt ms  step ms  first s", flush=True)
        for n in COUNTS:
            print(measure(home, n, rounds), flush=True)


def main() -> None:
    """Build unless it is done, measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--accelerator", default="auto", choices=["auto", *accelerators.NAMES])
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["2.8B", "7B"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench"
    )
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that daemons and builds end too
    print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores", flush=True)
    try:
        build = build_for(accelerator(options.accelerator))
        for shape in options.shapes:
            speed(build, shape, options.directory, options.rounds)
    except (Failed, LlmsuggestdError) as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
