"""Generating pairs from statements, and judging steps, at a small size in a real Lean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.starter.generate import generate
from convert.starter.lean_runner import Verdict, judge
from tests.support.leanwasm import NoLeanError, find_lean

pytestmark = [pytest.mark.lean, pytest.mark.timeout(600)]


@pytest.fixture(scope="module", autouse=True)
def _lean() -> None:
    try:
        find_lean()
    except NoLeanError as error:
        pytest.skip(str(error))


def test_pairs_from_statements_hold_when_they_are_judged(tmp_path: Path) -> None:
    """Starts Lean twice: to search, and to judge the found steps and others."""
    target = tmp_path / "pairs.jsonl"
    count = generate(target, stated=8, theorems=0, seed=12, processes=1)
    pairs = [json.loads(line) for line in target.read_text(encoding="utf-8").splitlines()]
    assert count["goals"] == len(pairs) >= 15
    assert count["statements"] >= 6
    assert count["pairs"] == sum(len(pair["steps"]) for pair in pairs) >= 50
    assert any(pair["path"] for pair in pairs)
    for pair in pairs:
        kinds = [kind for _, kind, _ in pair["steps"]]
        assert kinds == sorted(kinds)  # closing steps first
        assert 1 <= len(kinds) <= 12

    jobs = [
        {**{k: pair[k] for k in ("start", "path")}, "candidates": [s for s, _, _ in pair["steps"]]}
        for pair in pairs
    ]
    closes, fails, unparsed = Verdict("closes"), Verdict("fails"), Verdict("unparsed")
    both = {"stated": "(p q : Prop) (hp : p) (hq : q) : p ∧ q"}
    known = [
        (both, [], "exact ⟨hp, hq⟩", closes),
        (both, [], "exact ⟨hq, hp⟩", fails),
        (both, [], "constructor", Verdict("valid", 2)),
        (both, [], "skip", fails),  # it does not change the goal
        (both, [], "exact (", unparsed),
        (both, [], "exact hp\n  theorem", unparsed),
        (both, [], "sorry", fails),
        (both, [], "exact ⟨hp, by sorry⟩", fails),
        (both, [], "run_tac Lean.Elab.Tactic.closeMainGoal", unparsed),
        (both, [], "repeat (have h := hp)", fails),  # endless without the limits
        (both, ["constructor"], "exact hp", closes),
        (both, ["constructor", "exact hp"], "exact hp", fails),
        (both, ["constructor", "exact hp"], "exact hq", closes),
        (both, ["exact hq"], "exact hp", fails),  # the path does not work
        ({"stated": "(p : Pro) : p"}, [], "assumption", fails),
        ({"theorem": "Nat.add_comm"}, [], "exact Nat.add_comm n m", fails),  # itself
        ({"theorem": "Nat.add_comm"}, [], "omega", closes),
    ]
    jobs += [{"start": s, "path": p, "candidates": [text, "nonsense"]} for s, p, text, _ in known]
    found = {judgement.index: judgement for judgement in judge(jobs, processes=1)}
    assert len(found) == len(jobs)
    for index, pair in enumerate(pairs):
        assert found[index].goal == pair["goal"]
        again = [
            [text, "leads" if verdict.kind == "valid" else verdict.kind, verdict.left]
            for (text, _, _), verdict in zip(pair["steps"], found[index].verdicts, strict=True)
        ]
        assert again == pair["steps"]
    for index, (_, _, text, expected) in enumerate(known, len(pairs)):
        last = fails if found[index].goal is None else unparsed
        assert found[index].verdicts == [expected, last], text
