"""`make bench`: compares our speed with that of other engines, in one run on one machine.

    python -m tests.benchmarks.engine [--shapes 2.8B 410M] [--only SECTION ...] [--prepare]

`contenders/` has the other engines. Their packages and models are made once, in the user's cache
folder: 25 GB, of which 2.8B takes 12, and 16 GB of memory. `--prepare` does only this. The
comparison with three of them, `--only hardware '*/versus*' --contenders ours openvino server ik`,
then takes 11 minutes on two cores.

Each section's figures are written to DIRECTORY/figures.json at once, so an interrupted run can be
continued. `--again` repeats existing measurements, and `--render` measures nothing. At the end the
tables are printed and, with `--write`, put into docs/benchmarks.md with plots. Sections without
figures stay there as they are.

The weights are random (`shapes.py`), so no candidate ends before its limit. Every answer has all
its tokens, without the savings of early stopping with a real model. Read the figures as ratios.
"""

from __future__ import annotations

import argparse
import fnmatch
import json
import math
import os
import platform
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np

from llmsuggestd.formats import LLMSTEP
from llmsuggestd.models import store
from tests.benchmarks import report, waits
from tests.benchmarks.contenders import TABLE
from tests.benchmarks.contenders.contender import Contender, Question
from tests.benchmarks.environments import CONTENDERS, cache
from tests.benchmarks.shapes import SHAPES, make
from tests.unit.convert.checkpoints import tensor_shapes

ROOT: Final = Path(__file__).parents[2]
MAX_TOKENS: Final = 16
MODELS: Final = cache() / "models"
GOALS: Final = {"70M": 2, "410M": 4, "1.3B": 2, "2.8B": 2, "7B": 1}
"""Goals per turn and number of suggestions; half as many for 16 suggestions."""
COUNTS: Final = (1, 2, 3, 4, 5, 6, 8, 12, 16, 24, 32)
LENGTHS: Final = (32, 64, 128, 256, 512, 1024)
LOADED_ANSWERS: Final = 20
LOADED_SECONDS: Final = 120
"""Time limit of a measurement in seconds, after which no more answers are requested."""

Figures = dict[str, Any]


class ContenderFailed(Exception):
    """A contender ended. The message is the end of its output."""


class Worker:
    """A contender in its process (`contenders/__main__.py`)."""

    def __init__(
        self, name: str, model: Path, variables: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - closed with the worker
        self._process = subprocess.Popen(
            [python(TABLE[name]), "-m", "tests.benchmarks.contenders", name, str(model)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=ROOT,
            env=os.environ | variables,
            start_new_session=True,  # like every service and every editor
        )
        self.model = model
        self.peak = 0
        try:
            self.versions: dict[str, str] = self._read()["versions"]
        except ContenderFailed:
            self.close()
            raise

    def _read(self) -> Figures:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            self._errors.seek(0)
            raise ContenderFailed(self._errors.read()[-2000:])
        answer: Figures = json.loads(line)
        return answer

    def ask(self, goal: str, n: int, max_tokens: int = MAX_TOKENS) -> Figures:
        """The time of an answer, and its other figures."""
        assert self._process.stdin is not None
        question = Question(goal, LLMSTEP.text(goal), n, max_tokens)
        self._process.stdin.write(json.dumps(question._asdict()) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        assert answer.get("tokens", max_tokens) == max_tokens, "an answer ended early"
        self.peak = max(self.peak, answer["peak"])
        return answer

    def seconds(self, goal: str, n: int, max_tokens: int = MAX_TOKENS) -> float:
        """The time of an answer in seconds."""
        return float(self.ask(goal, n, max_tokens)["seconds"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._errors.close()


def python(kind: type[Contender]) -> Path:
    """The Python of a contender. Makes its environment if it is missing."""
    return kind.environment.python() if kind.environment else Path(sys.executable)


def model_for(name: str, shape: str) -> Path:
    """A contender's model of a shape, made if it is missing."""
    checkpoint, _ = make(shape, MODELS)
    kind = TABLE[name]
    model = MODELS / f"random-{shape}{kind.suffix}"
    if not model.exists():
        partial = model.with_name(f"{model.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [str(python(kind)), "-m", "tests.benchmarks.contenders", name, str(partial)]
        subprocess.run([*command, "--from", str(checkpoint)], check=True, cwd=ROOT)
        partial.rename(model)
    return model


def fresh_goals(count: int, seed: int) -> list[str]:
    """Goals without a common beginning, whose prompts have the usual length (about 60 tokens)."""
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


def versus(shape: str, names: list[str], without_avx512: bool) -> Figures:
    """Contenders in turn, on goals that are new to them. Each has a process of its own per turn.

    Without AVX-512, only one and five suggestions are measured.
    """
    found: dict[str, Figures] = {}
    before = os.getloadavg()
    for turn in range(max(TABLE[name].turns for name in names)):
        for name in names:
            if turn >= TABLE[name].turns or "failed" in found.get(name, {}):
                continue
            began = time.monotonic()
            figures = found.setdefault(name, {"seconds": {}, "prompt": {}, "peak": 0})
            try:
                take_turn(name, shape, turn, figures, without_avx512)
            except ContenderFailed as error:
                figures["failed"] = str(error)
                print(f"{shape}: {name} failed: {error}", file=sys.stderr, flush=True)
            took = time.monotonic() - began
            print(f"{shape}: {name}: {took:.0f} s", file=sys.stderr, flush=True)
    parameters, layers, head = size(shape)
    bits = {x: TABLE[x].bits_per_weight(model_for(x, shape), parameters) for x in names}
    return {
        "contenders": {
            name: {
                "seconds": {n: statistics.median(x) for n, x in figures["seconds"].items()},
                "prompt": {n: statistics.median(x) for n, x in figures["prompt"].items()},
                "peak": figures["peak"],
                "versions": figures["versions"],
                "bits": bits[name],
            }
            for name, figures in found.items()
            if "failed" not in figures
        },
        "load": [before[0], os.getloadavg()[0]],
        "weights_bytes": weights_read(shape),
        "multiply_adds": {"layers": layers, "head": head},
    }


def take_turn(name: str, shape: str, turn: int, figures: Figures, without_avx512: bool) -> None:
    """Add a contender's times. Raises ContenderFailed."""
    kind = TABLE[name]
    counts = [n for n in kind.counts if n < 16 or not without_avx512]
    limits = (kind.without_avx512 or ()) if without_avx512 else ()
    variables = dict(limit.split("=") for limit in limits)
    with closing(Worker(name, model_for(name, shape), variables)) as worker:
        for n in counts:
            worker.ask("⊢ True", n, 2)  # warm
        for n in counts:
            goals = fresh_goals(GOALS[shape] // (2 if n == 16 else 1) or 1, seed=100 * turn + n)
            figures["seconds"].setdefault(str(n), []).extend(worker.seconds(g, n) for g in goals)
        prompts = {"55": fresh_goals(GOALS[shape], seed=100 * turn + 50)}
        if not without_avx512:
            prompts["512"] = [long_goal(512, turn)]
        for length, goals in prompts.items():
            figures["prompt"].setdefault(length, []).extend(
                worker.seconds(goal, 1, 1) for goal in goals
            )
        figures["peak"] = max(figures["peak"], worker.peak)
        figures["versions"] = worker.versions


def long_goal(tokens: int, variant: int) -> str:
    """A goal whose prompt has this many tokens. Variants have no common beginning."""
    # ` x` is a token; the rest has 23, prompt format included
    return f"y{variant}z{tokens} : ℕ\n⊢" + " x" * (tokens - 23)


def size(shape: str) -> tuple[int, int, int]:
    """Parameters, multiply-adds per token in the layers, and multiply-adds per token scored."""
    config = SHAPES[shape]
    sizes = tensor_shapes(config)
    layers = sum(
        dimensions[0] * dimensions[1]
        for name, dimensions in sizes.items()
        if ".layers." in name and len(dimensions) == 2
    )
    parameters = sum(math.prod(dimensions) for dimensions in sizes.values())
    return parameters, layers, config["vocab_size"] * config["hidden_size"]


def weights_read(shape: str) -> float:
    """The bytes of our file that a step reads: of the embedding (Q4_K), only one row per token."""
    _, gguf = make(shape, MODELS)
    _, _, head = size(shape)
    return gguf.stat().st_size - head * 4.5 / 8


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
    return {
        str(n): statistics.median(one.seconds(g, n) for g in fresh_goals(GOALS[shape], 100 + n))
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
            answer = one.ask(long_goal(length, attempt), 1, 1)
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
    _, layers, _ = size(shape)
    goals = fresh_goals(3, seed=11)
    # the difference of two limits, to exclude everything except steps
    long, short = (
        [one.ask(goal, 1, tokens)["decode_ms"] / 1000 for goal in goals] for tokens in (40, 8)
    )
    prompt = [one.ask(long_goal(512, 10 + i), 1, 1) for i in range(2)]
    best = min(prompt, key=lambda answer: answer["prompt_ms"])
    return {
        "step_seconds": (statistics.median(long) - statistics.median(short)) / 32,
        "weights_bytes": weights_read(shape),
        "prompt_seconds": best["prompt_ms"] / 1000,
        "prompt_multiply_adds": best["prompt_tokens"] * layers,
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
    """The machine's limits: bytes read per second, and multiply-adds of bytes per second."""
    cores = os.cpu_count() or 1
    block = np.ones(2**27, np.float32)
    parts = np.array_split(block, cores)
    with ThreadPoolExecutor(cores) as pool:
        read = min(_timed(lambda: list(pool.map(np.sum, parts))) for _ in range(8))
    command = [str(CONTENDERS.python()), "-m", "tests.benchmarks.contenders.byte_products"]
    multiply = subprocess.run(command, check=True, cwd=ROOT, stdout=subprocess.PIPE)
    return {
        "bytes_per_second": block.nbytes / read,
        "multiply_adds_per_second": float(multiply.stdout),
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
        "trace": trace,
        "limit": limit,
        "load": loaded,
        "length": by_length,
        "count": by_count,
        "width": by_width,
    },
    "completions": {"trace": trace, "load": loaded},
    "transformers": {"trace": trace},
}
"""The other measurements of contenders, the most important first in case of an interruption."""

WAITS: Final[dict[str, Callable[[Path], Figures]]] = {
    "start": waits.first_suggestion,
    "cancel": waits.cancel,
}
"""The measurements of `waits.py`, which start a separate daemon or engine."""


def sections(shapes: list[str]) -> Iterator[str]:
    """The names of all sections: a shape, in most a contender, and a measurement."""
    yield "hardware"
    for shape in shapes:
        yield f"{shape}/versus"
        yield f"{shape}/versus-avx2"
    yield "starter/waits/start"
    for shape in shapes:
        for method, measures in SECTIONS.items():
            for measure in measures:
                if measure != "load" or shape != "2.8B":  # it shows the same and takes an hour
                    yield f"{shape}/{method}/{measure}"
        for measure in WAITS:
            yield f"{shape}/waits/{measure}"
    yield "starter/ours/load"


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


def competitors(shape: str, chosen: Iterable[str], without_avx512: bool) -> list[str]:
    """The chosen contenders that are measured with a shape, in the table's order."""
    return [
        name
        for name, kind in TABLE.items()
        if name in chosen
        and (kind.shapes is None or shape in kind.shapes)
        and (kind.without_avx512 is not None or not without_avx512)
    ]


def prepare(todo: list[str], chosen: list[str]) -> None:
    """Make the environments and models that sections need, before anything is measured."""
    for section in todo:
        if section == "hardware":
            CONTENDERS.python()
            continue
        shape, *what = section.split("/")
        if shape != "starter":
            make(shape, MODELS)
            for name in competitors(shape, what if what[1:] else chosen, False):
                python(TABLE[name])
                model_for(name, shape)


def measure(run: Run, todo: list[str], chosen: list[str]) -> None:
    """Run these measurements. Only one contender runs at a time."""
    if "hardware" in todo:
        run.keep("hardware", hardware())
    workers = [name.split("/") for name in todo if name.count("/") == 2]
    for shape in dict.fromkeys(name.split("/")[0] for name in todo):
        for kind in ("versus", "versus-avx2"):
            if f"{shape}/{kind}" in todo:
                limited = kind == "versus-avx2"
                names = competitors(shape, chosen, limited)
                run.keep(f"{shape}/{kind}", versus(shape, names, limited))
    for shape, method in dict.fromkeys((shape, method) for shape, method, _ in workers):
        measures = [measure for *owner, measure in workers if owner == [shape, method]]
        model = store.SHIPPED if shape == "starter" else make(shape, MODELS)[1]
        if method == "waits":
            for measure in measures:
                run.keep(f"{shape}/waits/{measure}", WAITS[measure](model))
            continue
        if shape != "starter":
            model = model_for(method, shape)
        with closing(Worker(method, model)) as one:
            one.ask("⊢ True", 1, 2)  # warm
            for measure in measures:
                began = time.monotonic()
                name = f"{shape}/{method}/{measure}"
                run.keep(name, SECTIONS[method][measure](one, shape, method))
                print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shapes", nargs="+", choices=list(SHAPES), default=["2.8B", "410M"])
    parser.add_argument("--only", nargs="+", default=["*"], metavar="SECTION",
                        help="such as hardware, 2.8B/versus, '*/load'")  # fmt: skip
    parser.add_argument("--contenders", nargs="+", choices=list(TABLE), metavar="NAME",
                        default=[name for name, kind in TABLE.items() if kind.usual],
                        help=f"of {', '.join(TABLE)}")  # fmt: skip
    parser.add_argument("--directory", type=Path, default=ROOT / "build" / "bench")
    parser.add_argument("--again", action="store_true", help="also what is there already")
    parser.add_argument("--prepare", action="store_true", help="measure nothing; make all models")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    parser.add_argument("--note", help="a sentence on this run, for the page")
    return parser.parse_args(arguments)


def main() -> None:
    """Measure, print, and write if asked to."""
    options = parse()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that changed settings are restored
    run = Run(options.directory)
    todo = [
        name
        for name in sections(options.shapes)
        if any(fnmatch.fnmatch(name, pattern) for pattern in options.only)
        and (options.again or name not in run.figures)
    ]
    if not options.render:
        prepare(todo, options.contenders)
        if options.prepare:
            return
        measure(run, todo, options.contenders)
    if options.note and "hardware" in run.figures:
        run.keep("hardware", run.figures["hardware"] | {"note": options.note})
    print(report.tables(run.figures, options.shapes))
    if options.write:
        report.write(run.figures, options.shapes, ROOT / "docs")


if __name__ == "__main__":
    main()
