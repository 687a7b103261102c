"""The check of the templates, with a stand-in for Lean."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.starter.families import TEMPLATES
from convert.starter.goals import Goal
from convert.starter.lean_runner import Judgement, Verdict
from convert.starter.verify import draw, mistakes


def test_every_template_is_drawn() -> None:
    samples = draw(2, seed=1)
    assert len(samples) == 2 * len(TEMPLATES)
    assert draw(2, seed=1) == samples != draw(2, seed=2)


def test_what_lean_does_not_accept_is_a_mistake() -> None:
    samples = draw(1, seed=1)[:3]

    def judge(jobs: list[dict[str, Any]]) -> Iterator[Judgement]:
        for index, (job, sample) in reversed(list(enumerate(zip(jobs, samples, strict=True)))):
            assert job["candidates"] == list(sample.steps)
            goal = str(Goal(sample.goal.hypotheses, sample.goal.target))
            kinds = [Verdict("closes"), *[Verdict("valid", 1) for _ in sample.steps[1:]]]
            if index == 1:
                kinds[-1] = Verdict("fails")
            yield Judgement(index, "⊢ other" if index == 2 else goal, kinds)

    found = list(mistakes(samples, judge))
    assert [(m.sample, m.step) for m in found] == [
        (samples[2], None),
        (samples[1], samples[1].steps[-1]),
    ]
    assert "⊢ other" in found[0].detail
