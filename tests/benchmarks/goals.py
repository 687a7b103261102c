"""Measures how much time several goals save in one request, compared with one request per goal.

    python -m tests.benchmarks.goals [MODEL] [--shape 2.8B] [--goals 4] [--candidates 4]

The goals are of different proofs, or of one proof whose parent goal was the last request, as in a
search for a proof. Prints medians in seconds and their ratios. The measurements alternate, so the
ratios also hold on a machine with other work; those of processor time hold better there. With
`--shape`, the model has random weights (`shapes.py`), so no candidate ends before its limit.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.models import store
from tests.benchmarks.engine import fresh_goals
from tests.benchmarks.shapes import SHAPES, make

USUAL = 5
"""Number of candidates in the tactic's request."""


class Cost(NamedTuple):
    """Seconds of some requests: wall-clock time and processor time."""

    wall: float
    processor: float


def different_proofs(count: int, seed: int) -> list[str]:
    """A goal to ask first, and goals that share nothing."""
    return fresh_goals(count + 1, seed)


def one_proof(count: int, seed: int) -> list[str]:
    """A goal to ask first, and the goals after a step: each has a new hypothesis and target."""
    random = np.random.default_rng(seed)
    a, b, c, d = (int(x) for x in random.integers(10, 99, 4))
    context = (
        f"α{a} : Type u_1\ninst✝ : LinearOrder α{a}\ns{b} t{c} : Set α{a}\nx{d} : α{a}\n"
        f"hx{d} : x{d} ∈ s{b} ∩ t{c}"
    )
    children = [
        f"{context}\nh{i} : {i} ≤ {d}\n⊢ x{d} ∈ t{c} ∪ s{b} ∧ {i} ≤ {a}" for i in range(count)
    ]
    return [f"{context}\n⊢ x{d} ∈ t{c} ∪ s{b}", *children]


KINDS: dict[str, Callable[[int, int], list[str]]] = {
    "of different proofs": different_proofs,
    "of one proof": one_proof,
}


def measure(
    engine: Engine, options: argparse.Namespace, kind: Callable[[int, int], list[str]]
) -> dict[str, Cost]:
    """Median costs of the tactic's request, one goal, all goals in turn, and all goals at once."""
    count: int = options.goals
    width: int = options.candidates
    ways: dict[str, Callable[[list[str]], list[tuple[list[str], int]]]] = {
        "tactic": lambda goals: [(goals[:1], USUAL)],
        "one": lambda goals: [(goals[:1], width)],
        "in turn": lambda goals: [([goal], width) for goal in goals],
        "together": lambda goals: [(goals, width)],
    }
    costs: dict[str, list[Cost]] = {way: [] for way in ways}
    seeds: Iterator[int] = iter(range(10_000))
    for _ in range(options.rounds):
        for way, requests in ways.items():
            before, *goals = kind(count, next(seeds))
            ask(engine, [before], 1, 1)
            wall, processor = time.monotonic(), time.process_time()
            for some, n in requests(goals):
                ask(engine, some, n, options.max_tokens)
            cost = Cost(time.monotonic() - wall, time.process_time() - processor)
            costs[way].append(cost)
    return {
        way: Cost(*(statistics.median(column) for column in zip(*found, strict=True)))
        for way, found in costs.items()
    }


def ask(engine: Engine, goals: list[str], n: int, max_tokens: int) -> None:
    """Send a request for goals to the engine."""
    engine.suggest(protocol.Suggest(1, goals, "", n, max_tokens, "beam", 0.5, None))


def report(options: argparse.Namespace, kind: str, found: dict[str, Cost]) -> None:
    """Print the costs and the ratios."""
    count, width = options.goals, options.candidates
    names = {
        "tactic": f"1 goal, {USUAL} candidates",
        "one": f"1 goal, {width} candidates",
        "in turn": f"{count} goals, {width} candidates, one after another",
        "together": f"{count} goals, {width} candidates, in one request",
    }
    print(f"goals {kind}" + " " * (46 - len(kind)) + "seconds  of processor")
    for way, name in names.items():
        print(f"  {name:<48} {found[way].wall:8.3f} {found[way].processor:13.3f}")
    for text, one, other in (
        ("together / the tactic's request", "together", "tactic"),
        ("together / one goal", "together", "one"),
        ("expansions a minute, together / in turn", "in turn", "together"),
    ):
        wall, processor = (a / b for a, b in zip(found[one], found[other], strict=True))
        print(f"  {text:<48} {wall:8.2f} {processor:13.2f}")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=store.SHIPPED)
    parser.add_argument("--shape", choices=list(SHAPES), help="in place of a model")
    parser.add_argument(
        "--directory", type=Path, default=Path(tempfile.gettempdir()) / "llms-bench"
    )
    parser.add_argument("--goals", type=int, default=4)
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--max-tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    path = make(options.shape, options.directory)[1] if options.shape else options.model
    engine = Engine(protocol.Load(str(path), "off", options.threads, 2048))
    print(f"{engine.loaded.description}, {engine.loaded.kernels} kernels")
    for name, kind in KINDS.items():
        report(options, name, measure(engine, options, kind))


if __name__ == "__main__":
    main()
