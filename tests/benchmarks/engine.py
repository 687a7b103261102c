"""`make bench`: how fast suggestions come, beside the two usual ways, in one run on one machine.

    python -m tests.benchmarks.engine [--shapes 410M 2.8B] [--directory DIR] [--write]

needs `pip install -e '.[bench]'` and, for 2.8B, 16 GB of memory and 14 GB of disk. It
prints its tables, and with `--write` also puts them into docs/benchmarks.md with plots. The weights
are random (`shapes.py`), so no candidate ends before its limit: every answer has all its tokens,
and what early stopping would save with a real model is left out. Read the figures as ratios.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.shapes import SHAPES, make

ROOT = Path(__file__).parents[2]
MAX_TOKENS = 16
ROUNDS = {"70M": 10, "410M": 8, "2.8B": 3}


class Worker:
    """One way to get suggestions, in its process (`decoders.py`)."""

    def __init__(self, method: str, checkpoint: Path, gguf: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.decoders", method,
             str(checkpoint), str(gguf)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, cwd=ROOT,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert json.loads(self._process.stdout.readline())["ready"]
        self.peak = 0

    def seconds(self, goal: str, n: int, max_tokens: int = MAX_TOKENS) -> float:
        """How long an answer takes."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        request = {"goal": goal, "n": n, "max_tokens": max_tokens}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline())
        self.peak = max(self.peak, answer["peak"])
        return float(answer["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()


@contextmanager
def worker(method: str, shape: str, directory: Path) -> Iterator[Worker]:
    """A worker for a shape, warm: it has answered once."""
    one = Worker(method, *make(shape, directory))
    try:
        one.seconds("⊢ True", 1, 1)
        yield one
    finally:
        one.close()


def fresh_goals(count: int, seed: int) -> list[str]:
    """Goals that share nothing, of the usual length (about 55 tokens)."""
    random = np.random.default_rng(seed)
    goals = []
    for _ in range(count):
        a, b, c, d = (int(x) for x in random.integers(10, 99, 4))
        goals.append(
            f"x{a} y{b} : ℕ\nf{c} : ℕ → ℕ\nh{d} : Monotone f{c}\n"
            f"⊢ f{c} (x{a} + {b}) ≤ f{c} (y{b} + x{a} + {d})"
        )
    return goals


def editing_trace() -> list[str]:
    """Forty calls as they come from an editor.

    The goals of five proofs, each sharing its context with the one before; a third of the calls
    repeat a goal of the same proof, because something above was edited and Lean elaborated it anew.
    """
    random = np.random.default_rng(1)
    calls: list[str] = []
    for proof in range(5):
        context = f"α{proof} : Type u_1\ninst✝ : LinearOrder α{proof}\ns t : Set α{proof}"
        goals: list[str] = []
        while len(goals) < 8:
            if goals and random.random() < 1 / 3:
                goals.append(goals[int(random.integers(len(goals)))])
                continue
            step = len(goals)
            context += f"\nx{step} : α{proof}\nhx{step} : x{step} ∈ s ∩ t"
            goals.append(f"{context}\n⊢ x{step} ∈ t ∪ s ∧ {step} ≤ {step + proof}")
        calls += goals
    return calls


def compare(shape: str, directory: Path) -> dict[str, Any]:
    """Fresh goals and the editing trace, by the three ways."""
    rounds = ROUNDS[shape]
    result: dict[str, Any] = {"shape": shape}
    trace = editing_trace()
    for method in ("transformers", "completions", "ours"):
        with worker(method, shape, directory) as one:
            for n in (1, 5, 16) if method != "transformers" else (5,):
                goals = fresh_goals(rounds, seed=n)
                result[f"{method} {n}"] = statistics.median(one.seconds(g, n) for g in goals)
            result[f"{method} trace"] = sum(one.seconds(goal, 5) for goal in trace)
            result[f"{method} peak"] = one.peak
    return result


def growth(shape: str, directory: Path) -> dict[str, list[tuple[int, float]]]:
    """Our seconds by number of suggestions, and by length of the prompt (about, in tokens)."""
    with worker("ours", shape, directory) as one:
        by_n = [
            (n, statistics.median(one.seconds(goal, n) for goal in fresh_goals(3, 100 + n)))
            for n in (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
        ]
        by_length = []
        for length in (32, 64, 128, 256, 512, 1024):
            times = []
            for attempt in range(3):
                words = " ".join(f"a{attempt}{i % 10}" for i in range(length // 3))
                times.append(one.seconds(f"⊢ {words}", 1, 1))
            by_length.append((length, statistics.median(times)))
    return {"suggestions": by_n, "prompt tokens": by_length}


def under_load(shape: str, directory: Path) -> dict[str, float]:
    """The 95th percentile with two busy processes a core, over the same worker's idle median."""
    result = {}
    goals = fresh_goals(30, seed=7)
    for method in ("completions", "ours"):
        with worker(method, shape, directory) as one:
            idle = statistics.median(one.seconds(goal, 5) for goal in goals[:10])
            with busy(2 * (os.cpu_count() or 1)):
                times = sorted(one.seconds(goal, 5) for goal in goals[10:])
        result[f"{method} idle"] = idle
        result[f"{method} p95"] = times[int(len(times) * 0.95) - 1]
    return result


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Other programs that compute."""
    started = [multiprocessing.get_context("spawn").Process(target=_spin) for _ in range(processes)]
    for process in started:
        process.start()
    time.sleep(1)
    try:
        yield
    finally:
        for process in started:
            process.kill()


def _spin() -> None:
    while True:
        sum(range(100_000))


def hardware() -> dict[str, float]:
    """What the machine can do: bytes read a second, and float32 multiply-adds a second."""
    cores = os.cpu_count() or 1
    block = np.ones(2**26, np.float32)
    parts = np.array_split(block, cores)
    with ThreadPoolExecutor(cores) as pool:
        best = min(_timed(lambda: list(pool.map(np.sum, parts))) for _ in range(5))
    matrix = np.ones((2048, 2048), np.float32)
    multiply = min(_timed(lambda: matrix @ matrix) for _ in range(5))
    return {"bytes a second": block.nbytes / best, "multiply-adds a second": 2048**3 / multiply}


def _timed(act: Any) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


def report(figures: dict[str, Any]) -> str:
    """The tables, as Markdown."""
    lines = [
        f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}.",
        "",
        f"Seconds for suggestions of {MAX_TOKENS} tokens, medians; machine otherwise idle.",
        "",
        "| | " + " | ".join(shape["shape"] for shape in figures["compare"]) + " |",
        "|---|" + "---|" * len(figures["compare"]),
    ]
    rows = {
        "5 suggestions: transformers beam search, float32 (a)": "transformers 5",
        "5 suggestions: five completions, Q4_K_M (b)": "completions 5",
        "**5 suggestions: ours**": "ours 5",
        "1 suggestion: ours": "ours 1",
        "16 suggestions: (b)": "completions 16",
        "**16 suggestions: ours**": "ours 16",
        "editing trace of 40 calls, in total: (a)": "transformers trace",
        "editing trace: (b)": "completions trace",
        "**editing trace: ours**": "ours trace",
    }
    for title, key in rows.items():
        lines.append(
            f"| {title} | " + " | ".join(f"{c[key]:.2f}" for c in figures["compare"]) + " |"
        )
    for title, above, below in (
        ("(a) / ours, 5 suggestions", "transformers 5", "ours 5"),
        ("(b) / ours, 5 suggestions", "completions 5", "ours 5"),
        ("(b) / ours, 16 suggestions", "completions 16", "ours 16"),
        ("ours: 5 suggestions / 1", "ours 5", "ours 1"),
        ("(a) / ours, trace", "transformers trace", "ours trace"),
        ("(b) / ours, trace", "completions trace", "ours trace"),
        ("peak memory, ours / (a)", "ours peak", "transformers peak"),
    ):
        ratios = [f"{c[above] / c[below]:.2f}" for c in figures["compare"]]
        lines.append(f"| {title} | " + " | ".join(ratios) + " |")
    lines += ["", "Under load, two busy processes a core, 5 suggestions:", "",
              "| | idle median | 95th percentile | ratio |", "|---|---|---|---|"]  # fmt: skip
    for shape, load in figures["load"].items():
        for method, title in (("completions", "(b)"), ("ours", "ours")):
            idle, p95 = load[f"{method} idle"], load[f"{method} p95"]
            lines.append(f"| {shape}, {title} | {idle:.2f} | {p95:.2f} | {p95 / idle:.1f} |")
    for shape, curves in figures["growth"].items():
        for what, curve in curves.items():
            lines += ["", f"Ours, {shape}, seconds by {what}:", "",
                      "| " + " | ".join(str(x) for x, _ in curve) + " |",
                      "|" + "---|" * len(curve),
                      "| " + " | ".join(f"{y:.2f}" for _, y in curve) + " |"]  # fmt: skip
    return "\n".join(lines) + "\n"


def plot(figures: dict[str, Any], directory: Path) -> None:
    """Two pictures: growth with the number of suggestions, and with the prompt."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    for what in ("suggestions", "prompt tokens"):
        figure, axes = pyplot.subplots(figsize=(5, 3.2), layout="constrained")
        for shape, curves in figures["growth"].items():
            axes.plot(*zip(*curves[what], strict=True), marker="o", label=shape)
        axes.set(xlabel=what, ylabel="seconds", ylim=(0, None))
        axes.legend(title="Q4_K_M")
        figure.savefig(directory / f"bench-{what.replace(' ', '-')}.svg")


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["410M", "2.8B"])
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench"
    )
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    options = parser.parse_args()
    figures = {
        "hardware": hardware(),
        "compare": [compare(shape, options.directory) for shape in options.shapes],
        "load": {options.shapes[0]: under_load(options.shapes[0], options.directory)},
        "growth": {shape: growth(shape, options.directory) for shape in options.shapes},
    }
    text = report(figures)
    print(text)
    if options.write:
        plot(figures, ROOT / "docs" / "pictures")
        (ROOT / "docs" / "benchmarks.md").write_text(HEAD + text + TAIL, encoding="utf-8")


HEAD = """# Benchmarks

`make bench` makes this page: everything in one run on one machine, random weights of Pythia's
shapes. Read the figures as ratios.

"""
TAIL = """
![seconds by number of suggestions](pictures/bench-suggestions.svg)
![seconds by prompt length](pictures/bench-prompt-tokens.svg)
"""

if __name__ == "__main__":
    main()
