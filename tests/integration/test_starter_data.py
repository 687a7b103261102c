"""Generating pairs from statements, and judging steps, at a small size in a real Lean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert.starter.generate import draw_worlds, generate
from convert.starter.lean_runner import Verdict, judge, search
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
    count = generate(target, stated=8, seed=12, processes=1)
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
    left, right = (
        f"case {side}\np q : Prop\nhp : p\nhq : q\n⊢ {goal}"
        for side, goal in (("left", "p"), ("right", "q"))
    )
    known = [
        (both, [], "exact ⟨hp, hq⟩", closes),
        (both, [], "exact ⟨hq, hp⟩", fails),
        (both, [], "constructor", Verdict("valid", 2, (left, right))),
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


def test_lean_reads_worlds_and_judges_steps_about_them() -> None:
    """Lean reads drawn worlds and most statements. A world ends with its jobs."""
    worlds = list(draw_worlds(3, range(4), 4))
    tried, jobs = [], []
    for world in worlds:
        for _, statement in world.statements:
            jobs.append(
                {"start": {"world": world.text, "stated": statement}, "path": [], "candidates": []}
            )
    values = [
        (("size", "node (.node .leaf 1 .leaf) 2 .leaf"), 2),
        (("size", "node .leaf 1 .leaf"), 1),
    ]
    for (function, argument), value in values:
        tried.append(len(jobs))
        stated = f": {function} (.{argument} : Tree Nat) = {value}"
        start = {"world": TREES, "stated": stated}
        jobs.append({"start": start, "path": [], "candidates": ["rfl", "nofun"]})
    law = {"world": TREES, "stated": "{α : Type} (t : Tree α) : mirror (mirror t) = t"}
    known = "induction t <;> simp_all [mirror]"
    jobs.append({"start": law, "path": [], "candidates": ["simp_all", known]})
    broken = {"world": TREES + "def mirror := nonsense\n", "stated": ": 1 = 1"}
    jobs.append({"start": broken, "path": [], "candidates": ["rfl"]})
    jobs.append({"start": {"stated": ": 1 = 1"}, "path": [], "candidates": ["rfl", "exact size"]})
    found = {judgement.index: judgement for judgement in judge(jobs, processes=1)}
    read = [found[i].goal for i in range(len(jobs) - 3)]
    # A statement may leave open which type a constructor is of.
    assert sum(goal is not None for goal in read) >= 0.7 * len(read)
    for index in tried:
        assert [verdict.kind for verdict in found[index].verdicts] == ["closes", "fails"]
    *_, law_, broken_, plain = (found[i] for i in range(len(jobs)))
    assert law_.goal == "α : Type\nt : Tree α\n⊢ mirror (mirror t) = t"
    assert [verdict.kind for verdict in law_.verdicts] == ["fails", "closes"]
    assert (broken_.goal, broken_.verdicts) == (None, [Verdict("fails")])
    # A world does not outlive its statements.
    assert [verdict.kind for verdict in plain.verdicts] == ["closes", "fails"]


def test_steps_for_goals_of_worlds_name_the_functions() -> None:
    start = {"world": TREES, "stated": "{α : Type} (t : Tree α) : mirror (mirror t) = t"}
    job = {"start": start, "heartbeats": 1500, "budget": 5, "depth": 2, "library": False}
    ((_, answer),) = search([job], processes=1, seconds=300)
    assert answer is not None
    goals = {goal["goal"]: [text for text, *_ in goal["steps"]] for goal in answer["found"]}
    first = goals["α : Type\nt : Tree α\n⊢ mirror (mirror t) = t"]
    assert "induction t <;> simp_all [mirror]" in first
    leaf = goals["case leaf\nα : Type\n⊢ mirror (mirror Tree.leaf) = Tree.leaf"]
    assert {"rfl", "simp [mirror]"} <= set(leaf)
    node = next(steps for goal, steps in goals.items() if goal.startswith("case node\n"))
    assert "simp [mirror, ih, ih₁]" in node


TREES = """\
inductive Tree (α : Type) where
  | leaf : Tree α
  | node : Tree α → α → Tree α → Tree α

def mirror {α : Type} : Tree α → Tree α
  | .leaf => .leaf
  | .node l x r => .node (mirror r) x (mirror l)

def size {α : Type} : Tree α → Nat
  | .leaf => 0
  | .node l _ r => size l + 1 + size r
"""
