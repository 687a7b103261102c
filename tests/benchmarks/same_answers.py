"""Checks that the same question gets the same answer, whatever questions came before.

    python -m tests.benchmarks.same_answers [MODEL] [--kernels repacked]

Asks the engine thirty held-out goals of two or three hypotheses, six times each, with up to two
other questions in between. Prints the number of goals whose suggestions changed, the number whose
scores changed, and the largest difference between two scores of a suggestion.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import NamedTuple, get_args

from llmsuggestd.engine import protocol
from llmsuggestd.engine.engine import Engine
from llmsuggestd.models import store

HELD_OUT = Path(__file__).parents[2] / "convert" / "starter" / "heldout.jsonl"
GOALS, TIMES = 30, 6

Answer = tuple[tuple[str, float], ...]


class Moved(NamedTuple):
    """Number of goals with more than one answer."""

    suggestions: int
    scores: int
    largest: float
    """The largest difference between two scores of a goal's suggestion."""


def measure(path: Path, kernels: tuple[protocol.Kernels, ...], threads: int = 0) -> Moved:
    """Ask the goals of a model. `threads` is the engine's setting; 0 adapts to the machine."""
    engine = Engine(protocol.Load(str(path), "off", threads, 2048, kernels))
    lines = HELD_OUT.read_text(encoding="utf-8").splitlines()
    goals = list(dict.fromkeys(json.loads(line)["goal"] for line in lines))
    chance = random.Random(1)

    def answer(goal: str, n: int) -> Answer:
        request = protocol.Suggest(1, [goal], "", n, 32, "beam", 0.5, None)
        (found,) = engine.suggest(request).found
        return tuple((one.text, one.score) for one in found.suggestions)

    suggestions = scores = 0
    largest = 0.0
    for goal in [goal for goal in goals if goal.count("\n") in (2, 3)][:GOALS]:
        answers = []
        for _ in range(TIMES):
            answers.append(answer(goal, 5))
            for _ in range(chance.randrange(3)):
                answer(chance.choice(goals), chance.choice([1, 5, 8]))
        suggestions += len({tuple(text for text, _ in found) for found in answers}) > 1
        scores += len(set(answers)) > 1
        first = dict(answers[0])
        differences = [
            abs(score - first.get(text, score)) for one in answers for text, score in one
        ]
        largest = max(largest, *differences)
    return Moved(suggestions, scores, largest)


def main() -> None:
    """Measure and print a line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?", default=store.SHIPPED)
    parser.add_argument("--kernels", choices=get_args(protocol.Kernels))
    parser.add_argument("--threads", type=int, default=0)
    options = parser.parse_args()
    kernels: tuple[protocol.Kernels, ...] = protocol.KERNELS
    if options.kernels:
        kernels = (options.kernels, "plain")
    moved = measure(options.model, kernels, options.threads)
    print(
        f"of {GOALS} goals, {moved.suggestions} got other suggestions, {moved.scores} other scores,"
        f" by up to {moved.largest:.2g}"
    )


if __name__ == "__main__":
    main()
