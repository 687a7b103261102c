"""The generator around Lean: its jobs, its output, and how it continues after a stop."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from convert.starter import generate, lean_runner
from convert.starter.goals import Goal, Hypothesis
from convert.starter.lean_runner import Job, Judgement, NoLeanError, Verdict, judge
from convert.starter.split import canonical
from convert.starter.terms import Term
from convert.starter.worlds import World


def test_source_is_the_text_after_example() -> None:
    goal = Goal((Hypothesis("p", Term("Prop")), Hypothesis("h", Term("p"))), Term("p"), "inl")
    assert generate.source(goal) == "(p : Prop) (h : p) : p"
    assert generate.source(Goal((), Term("1 = 1"))) == ": 1 = 1"


def test_statements_differ_and_follow_the_shares_and_the_seed() -> None:
    shares = {"propositional": 30, "lists": 10}
    jobs = list(generate.stated_jobs(1, shares))
    assert [sum(job["family"] == name for job in jobs) for name in shares] == [30, 10]
    assert len({job["statement"] for job in jobs}) == 40
    assert jobs == list(generate.stated_jobs(1, shares)) != list(generate.stated_jobs(2, shares))


def _goal(text: str, *path: str) -> dict[str, Any]:
    return {"goal": text, "steps": [["exact h", "closes", 0]], "path": list(path)}


def test_theorems_with_other_numbers_are_others(monkeypatch: pytest.MonkeyPatch) -> None:
    listed = [(f"t{i}", "Std.A" if i % 5 == 0 else "Init.B") for i in range(200)]
    monkeypatch.setattr(generate, "theorems", lambda: list(listed))

    def names(first: int, stop: int) -> list[str]:
        return [job["start"]["theorem"] for job in generate.theorem_jobs(3, range(first, stop))]

    parts = [names(0, 33), names(33, 90), names(90, 90), names(90, 150)]
    assert [len(part) for part in parts] == [33, 57, 0, 60]
    assert sorted(name for part in parts for name in part) == sorted(names(0, 150))
    assert len(set(names(0, 150))) == 150


def test_the_file_grows_and_goes_on_after_a_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Job] = []
    limit = 7

    def search(jobs: Iterable[Job], processes: int) -> Iterator[tuple[Job, dict[str, Any] | None]]:
        for job in jobs:
            if len(asked) == limit:
                raise NoLeanError("gone")
            asked.append(job)
            root = f"n : Nat\nh : {job['start']['stated']}\n⊢ n = n"
            found = [_goal(root), _goal(root + " + 0", "simp")]
            answer = {"root": root, "found": found, "attempts": 2, "milliseconds": 1}
            yield job, None if len(asked) == 3 else answer

    monkeypatch.setattr(generate, "search", search)
    target = tmp_path / "pairs.jsonl"
    arguments: dict[str, Any] = {"stated": 20, "seed": 4, "processes": 1, "every": 5}
    with pytest.raises(NoLeanError):
        generate.generate(target, **arguments)
    assert len(target.read_text().splitlines()) == 8  # four of the first five had an answer
    limit = 100
    count = generate.generate(target, **arguments)
    assert len(asked) == len({json.dumps(job["start"]) for job in asked})
    pairs = [json.loads(line) for line in target.read_text().splitlines()]
    assert count["goals"] == len(pairs) == 2 * (len(asked) - 1)
    assert count["statements"] == len({pair["statement"] for pair in pairs})
    fields = {"goal", "steps", "path", "start", "family", "source", "statement", "split"}
    assert all(set(pair) == fields for pair in pairs)
    assert len({canonical(pair["goal"]) for pair in pairs}) > 10


def test_worlds_before_those_that_are_done_are_searched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def drawn(seed: int, numbers: Iterable[int], statements: int) -> Iterator[World]:
        return (World("train", f"def f := {n}", (("value", ": True"),)) for n in numbers)

    def search(jobs: Iterable[Job], processes: int) -> Iterator[tuple[Job, dict[str, Any] | None]]:
        for job in jobs:
            asked.append(job["start"]["world"])
            yield job, {"root": "⊢ True", "found": [], "attempts": 1, "milliseconds": 1}

    monkeypatch.setattr(generate, "draw_worlds", drawn)
    monkeypatch.setattr(generate, "search", search)
    for worlds in (range(30, 32), range(2), range(32, 34)):
        asked.clear()
        generate.generate(tmp_path / "pairs.jsonl", stated=0, worlds=worlds)
        assert asked == [f"def f := {n}" for n in worlds]


def test_a_candidate_that_crashes_lean_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each process of this Lean ends at `crash`, and does not begin a job after `never`."""
    starts = []

    def one_process(requests: list[Job], *_: object) -> Iterator[dict[str, Any]]:
        starts.append(len(requests))
        for request in list(requests):  # the caller removes those that are done
            yield {"id": request["id"], "begins": True}
            yield {"id": request["id"], "goal": "⊢ p"}
            for index in range(request["first"], len(request["candidates"])):
                text = request["candidates"][index]
                if text == "crash":
                    return
                verdict = {"verdict": text, "left": 0, "goals": []}
                yield {"id": request["id"], "candidate": index, **verdict}
            yield {"id": request["id"], "ends": True}

    monkeypatch.setattr(lean_runner, "_one_process", one_process)
    start = {"stated": ": True"}
    lists = [
        ["closes", "crash", "valid"], ["closes"], ["crash"], ["crash", "crash", "unparsed"],
        ["closes", "crash", "crash", "valid"],
    ]  # fmt: skip
    jobs = [{"start": start, "path": [], "candidates": candidates} for candidates in lists]
    found = sorted(judge(jobs, processes=2), key=lambda judgement: judgement.index)
    kinds = {"crash": "fails"}
    assert found == [
        Judgement(i, "⊢ p", [Verdict(kinds.get(text, text)) for text in candidates])  # type: ignore[arg-type]
        for i, candidates in enumerate(lists)
    ]


def test_a_lean_that_never_starts_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lean_runner, "_one_process", lambda *_: iter(()))
    job = {"start": {"stated": ": True"}, "path": [], "candidates": ["trivial"]}
    with pytest.raises(NoLeanError, match="before it begins a job"):
        list(judge([job]))
