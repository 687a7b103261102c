"""Checks the templates with a real Lean: each goal prints as written, and no known step fails."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import NamedTuple

from .families import TEMPLATES, make
from .generate import source
from .goals import Goal, Sample
from .lean_runner import Job, Judgement
from .scene import Scene


class Mistake(NamedTuple):
    """A step that Lean does not accept, or a goal that prints differently (no step)."""

    sample: Sample
    step: str | None
    detail: str


def draw(each: int, seed: int) -> list[Sample]:
    """Draw `each` samples of every template."""
    rng = random.Random(seed)
    found: list[Sample] = []
    for name in TEMPLATES:
        wanted = len(found) + each
        while len(found) < wanted:
            if sample := make(name, Scene(rng)):
                found.append(sample)
    return found


def mistakes(
    samples: Sequence[Sample], judge: Callable[[list[Job]], Iterable[Judgement]]
) -> Iterator[Mistake]:
    """The mistakes that Lean finds in the samples."""
    goals = [Goal(sample.goal.hypotheses, sample.goal.target) for sample in samples]
    jobs: list[Job] = [
        {"start": {"stated": source(goal)}, "path": [], "candidates": list(sample.steps)}
        for goal, sample in zip(goals, samples, strict=True)
    ]
    for judgement in judge(jobs):
        sample = samples[judgement.index]
        if judgement.goal != str(goals[judgement.index]):
            yield Mistake(sample, None, f"Lean prints it as\n{judgement.goal}")
        else:
            for step, verdict in zip(sample.steps, judgement.verdicts, strict=True):
                if verdict.kind not in ("closes", "valid"):
                    yield Mistake(sample, step, verdict.kind)
