"""`make bench`: compares our speed with that of the two usual methods, in one run on one machine.

    python -m tests.benchmarks.engine [--shapes 2.8B 410M] [--only SECTION ...] [--render]

needs `pip install -e '.[bench]'` and, for 2.8B, 16 GB of memory and 8 GB of disk. Each section's
figures are written to DIRECTORY/figures.json at once, so an interrupted run can be continued.
`--again` repeats existing measurements, and `--render` measures nothing. At the end the tables are
printed and, with `--write`, written to docs/benchmarks.md with plots.

The weights are random (`shapes.py`), so no candidate ends before its limit. Every answer has all
its tokens, without the savings of early stopping with a real model. Read the figures as ratios.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import os
import platform
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from llmsuggestd.models import store
from tests.benchmarks import report, waits
from tests.benchmarks.shapes import SHAPES, make
from tests.unit.convert.checkpoints import tensor_shapes

ROOT: Final = Path(__file__).parents[2]
MAX_TOKENS: Final = 16
ROUNDS: Final = {"70M": 10, "410M": 8, "1.3B": 5, "2.8B": 3, "7B": 3}
COUNTS: Final = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
LENGTHS: Final = (32, 64, 128, 256, 512, 1024)
LOADED_ANSWERS: Final = 20
LOADED_SECONDS: Final = 120
"""Time limit of a measurement in seconds, after which no more answers are requested."""

Figures = dict[str, Any]


class Worker:
    """A method of getting suggestions, in its process (`decoders.py`)."""

    def __init__(self, method: str, checkpoint: Path, gguf: Path, python: str) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [python, "-m", "tests.benchmarks.decoders", method, str(checkpoint), str(gguf)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            start_new_session=True,  # like every service and every editor
        )
        self.gguf = gguf
        self.peak = 0
        self._read()

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise SystemExit(f"a contender ended:\n{self._errors.read()}")
        answer: Figures = json.loads(line)
        return answer

    def ask(self, goal: str, n: int, max_tokens: int = MAX_TOKENS) -> Figures:
        """The time of an answer, and its other figures."""
        assert self._process.stdin is not None
        request = {"goal": goal, "n": n, "max_tokens": max_tokens}
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        assert answer.get("tokens", max_tokens) == max_tokens, "an answer ended early"
        self.peak = max(self.peak, answer["peak"])
        return answer

    def seconds(self, goal: str, n: int) -> float:
        """The time of an answer in seconds."""
        return float(self.ask(goal, n)["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._errors.close()


def fresh_goals(count: int, seed: int) -> list[str]:
    """Goals without a common beginning, of the usual length (about 55 tokens)."""
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
    """Forty calls, like those of an editor.

    The goals are from five proofs, and each has the context of the previous one. A third of the
    calls repeat a goal of the same proof, as if an edit above made Lean elaborate it again.
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


def fresh(one: Worker, shape: str, method: str) -> Figures:
    """New goals: medians by number of suggestions, and the peak memory."""
    counts = (5,) if method == "transformers" else (1, 5, 16)
    rounds = dict.fromkeys(counts, ROUNDS[shape])
    if method == "completions":
        rounds[16] = (ROUNDS[shape] + 1) // 2  # they take long, and about the same time each
    goals = {n: fresh_goals(rounds[n], seed=n) for n in counts}
    medians = {str(n): statistics.median(one.seconds(g, n) for g in goals[n]) for n in counts}
    return {"seconds": medians, "peak": one.peak}


def trace(one: Worker, shape: str, method: str) -> Figures:
    """All calls of the editing trace, in seconds.

    The others cache no answers, so each of the five proofs takes them about the same time. At 2.8B,
    where a proof takes minutes, two of the five are measured and scaled up. transformers caches
    nothing at all, so a repeated call counts with the time of the first.
    """
    calls = editing_trace()
    part = calls if method == "ours" or shape != "2.8B" else calls[: 2 * len(calls) // 5]
    total = 0.0
    first: dict[str, float] = {}
    for goal in part:
        if method != "transformers" or goal not in first:
            first[goal] = one.seconds(goal, 5)
        total += first[goal]
    return {"total": total * len(calls) / len(part), "calls": len(part)}


def by_count(one: Worker, shape: str, _method: str) -> Figures:
    """Seconds by number of suggestions."""
    rounds = max(1, ROUNDS[shape] // 2)
    return {
        str(n): statistics.median(one.seconds(goal, n) for goal in fresh_goals(rounds, 100 + n))
        for n in COUNTS
    }


def by_width(one: Worker, _shape: str, _method: str) -> Figures:
    """Seconds for a step by the number of candidates that it extends."""
    steps = {}
    for width in COUNTS:
        (goal,) = fresh_goals(1, 200 + width)
        long, short = (one.ask(goal, width, tokens)["decode_ms"] / 1000 for tokens in (32, 8))
        steps[str(width)] = (long - short) / 24
    return steps


def by_length(one: Worker, shape: str, _method: str) -> Figures:
    """Seconds for the prompt alone by its length in tokens."""
    result = {}
    for length in LENGTHS:
        times = []
        for attempt in range(1 if shape == "2.8B" else 3):
            # the beginnings differ, so that nothing is reused; ` x` is a token
            goal = f"{attempt}{length} ⊢" + " x" * (length - 9)
            answer = one.ask(goal, 1, 1)
            times.append((answer["prompt_ms"] / 1000, answer["prompt_tokens"]))
        result[str(times[0][1])] = min(seconds for seconds, _ in times)
    return result


def loaded(one: Worker, _shape: str, method: str) -> Figures:
    """The idle median, and the 95th percentile beside two busy processes per core.

    The busy processes have a separate session, as an editor and its Lean do. The kernel may give
    each session an equal share (`sched_autogroup_enabled`). If that can be turned off, it is also
    measured without: each of their threads then has the same share as each of ours. This is not
    done for completions, which did not complete six answers in 20 minutes there.
    """
    goals = fresh_goals(200, seed=7)
    times = [one.seconds(goals.pop(), 5) for _ in range(10)]
    result: Figures = {"idle": statistics.median(times)}
    kinds = {"sessions": True} if method == "completions" else {"sessions": True, "threads": False}
    for name, grouped in kinds.items():
        with autogroups(grouped) as set_, busy(2 * (os.cpu_count() or 1)):
            if not set_:
                continue
            times = []
            end = time.monotonic() + LOADED_SECONDS
            while len(times) < LOADED_ANSWERS and time.monotonic() < end:
                times.append(one.seconds(goals.pop(), 5))
            result[name] = {
                "answers": len(times),
                "median": statistics.median(times),
                "p95": float(np.percentile(times, 95, method="higher")),
            }
    return result


def limit(one: Worker, shape: str, _method: str) -> Figures:
    """A step of one candidate, and a prompt of 512 tokens, with their bytes and multiply-adds."""
    config = SHAPES[shape]
    hidden = config["hidden_size"]
    matrices = sum(
        size[0] * size[1]
        for name, size in tensor_shapes(config).items()
        if ".layers." in name and len(size) == 2
    )
    goals = fresh_goals(3, seed=11)
    # the difference of two limits, to exclude everything except steps
    long, short = (
        [one.ask(goal, 1, tokens)["decode_ms"] / 1000 for goal in goals] for tokens in (40, 8)
    )
    prompt = [one.ask(f"{i} ⊢" + " y" * 505, 1, 1) for i in range(2)]
    best = min(prompt, key=lambda answer: answer["prompt_ms"])
    return {
        "step_seconds": (statistics.median(long) - statistics.median(short)) / 32,
        # only one row of the embedding (Q4_K) is read
        "weights_bytes": one.gguf.stat().st_size - config["vocab_size"] * hidden * 4.5 / 8,
        "prompt_seconds": best["prompt_ms"] / 1000,
        "prompt_multiply_adds": best["prompt_tokens"] * matrices,
    }


AUTOGROUPS: Final = Path("/proc/sys/kernel/sched_autogroup_enabled")


@contextmanager
def autogroups(on: bool) -> Iterator[bool]:
    """Make the kernel share by session, or not, if permitted. Returns whether it does."""
    before = AUTOGROUPS.read_text() if AUTOGROUPS.exists() else "0"
    if before.strip() == str(int(on)):
        yield True
        return
    try:
        AUTOGROUPS.write_text(str(int(on)))
    except OSError:
        yield False
        return
    try:
        yield True
    finally:
        AUTOGROUPS.write_text(before)


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Run busy programs in a separate session."""
    process = subprocess.Popen(
        [sys.executable, "-c", BUSY, str(processes)],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    time.sleep(1)
    try:
        yield
    finally:
        process.communicate()
        time.sleep(0.3)


BUSY: Final = """
import os, sys
leader = os.getpid()
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        while os.getppid() == leader:
            sum(range(100_000))
        os._exit(0)
sys.stdin.read()
"""


def hardware() -> Figures:
    """The machine's limits: bytes read per second, and float32 multiply-adds per second."""
    cores = os.cpu_count() or 1
    block = np.ones(2**27, np.float32)
    parts = np.array_split(block, cores)
    with ThreadPoolExecutor(cores) as pool:
        read = min(_timed(lambda: list(pool.map(np.sum, parts))) for _ in range(8))
    matrix = np.ones((2048, 2048), np.float32)
    multiply = min(_timed(lambda: matrix @ matrix) for _ in range(8))
    return {
        "bytes_per_second": block.nbytes / read,
        "multiply_adds_per_second": 2048**3 / multiply,
        "processor": _processor(),
        "cores": cores,
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "python": platform.python_version(),
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.partition(": ")[2] for x in lines if x.startswith("model name")), "a processor")


def _timed(act: Callable[[], object]) -> float:
    began = time.monotonic()
    act()
    return time.monotonic() - began


SECTIONS: Final[dict[str, dict[str, Callable[[Worker, str, str], Figures]]]] = {
    "ours": {
        "fresh": fresh,
        "trace": trace,
        "limit": limit,
        "load": loaded,
        "length": by_length,
        "count": by_count,
        "width": by_width,
    },
    "completions": {"fresh": fresh, "trace": trace, "load": loaded},
    "transformers": {"fresh": fresh, "trace": trace},
}
"""The measurements of each method, the most important first in case of an interruption."""


WAITS: Final[dict[str, Callable[[Path], Figures]]] = {
    "start": waits.first_suggestion,
    "cancel": waits.cancel,
}
"""The measurements of `waits.py`, which start a separate daemon or engine."""


def sections(shapes: list[str]) -> Iterator[tuple[str, str, str]]:
    """Shape, method and measure of every section."""
    yield "starter", "waits", "start"
    for shape in shapes:
        for method, measures in SECTIONS.items():
            for measure in measures:
                if measure != "load" or shape != "2.8B":  # it shows the same and takes an hour
                    yield shape, method, measure
        for measure in WAITS:
            yield shape, "waits", measure
    yield "starter", "ours", "load"


class Run:
    """The figures so far, kept in a file."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._file = directory / "figures.json"
        self.figures: Figures = json.loads(self._file.read_text()) if self._file.exists() else {}

    def keep(self, name: str, figures: Figures) -> None:
        """Keep a section's figures."""
        self.figures[name] = figures | {"when": time.strftime("%Y-%m-%d %H:%M")}
        self._file.write_text(json.dumps(self.figures, indent=1))


def measure(run: Run, options: argparse.Namespace) -> None:
    """Run the requested measurements that are missing. Only one contender runs at a time."""

    def wanted(name: str) -> bool:
        chosen = any(fnmatch.fnmatch(name, pattern) for pattern in options.only)
        return chosen and (options.again or name not in run.figures)

    if wanted("hardware"):
        run.keep("hardware", hardware())
    names = {"/".join(section): section for section in sections(options.shapes)}
    todo = [section for name, section in names.items() if wanted(name)]
    for shape, method in dict.fromkeys((shape, method) for shape, method, _ in todo):
        made = shape != "starter"
        paths = make(shape, options.directory) if made else (Path(), store.SHIPPED)
        if method == "waits":
            for name, section in names.items():
                if section in todo and section[:2] == (shape, method):
                    run.keep(name, WAITS[section[2]](paths[1]))
            continue
        python = options.transformers_python if method == "transformers" else sys.executable
        one = Worker(method, *paths, python)
        try:
            one.ask("⊢ True", 1, 2)  # warm
            for name, section in names.items():
                if section in todo and section[:2] == (shape, method):
                    began = time.monotonic()
                    run.keep(name, SECTIONS[method][section[2]](one, shape, method))
                    print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
        finally:
            one.close()


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["2.8B", "410M"])
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SECTION",
                        help="such as hardware, 2.8B/ours/fresh, '*/load'")  # fmt: skip
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench"
    )
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--transformers-python", default=sys.executable, metavar="PYTHON",
                        help="an interpreter with torch and transformers")  # fmt: skip
    parser.add_argument("--note", help="a sentence on this run, for the page")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that changed settings are restored
    run = Run(options.directory)
    if not options.render:
        measure(run, options)
    if options.note and "hardware" in run.figures:
        run.keep("hardware", run.figures["hardware"] | {"note": options.note})
    print(report.tables(run.figures, options.shapes))
    if options.write:
        report.write(run.figures, options.shapes, ROOT / "docs")


if __name__ == "__main__":
    main()
