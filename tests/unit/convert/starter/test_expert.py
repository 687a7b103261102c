"""Expert iteration, with a model and a Lean that follow a table."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from convert.starter.expert import Proof, search
from convert.starter.lean_runner import Job, Judgement, Verdict

JOB: Job = {"start": {"stated": ": p ∧ q"}, "family": "propositional", "source": "stated"}
BOTH, P, Q = "⊢ p ∧ q", "⊢ p", "⊢ q"
VALID = {
    (BOTH, "constructor"): Verdict("valid", 2, (P, Q)),
    (BOTH, "left"): Verdict("valid", 1, ("⊢ r",)),
    (BOTH, "again"): Verdict("valid", 1, (BOTH,)),
    (P, "assumption"): Verdict("closes"),
    (P, "exact And.intro.extra"): Verdict("closes"),
    (Q, "simp"): Verdict("closes"),
}
SUGGESTED = {
    BOTH: ["again", "left", "constructor", "rfl"],
    P: ["exact And.intro.extra", "assumption"],
    Q: ["simp"],
    "⊢ r": ["rfl"],
}


def run(suggested: dict[str, list[str]], job: Job = JOB) -> list[dict[str, object]]:
    asked: list[Job] = []

    def judge(jobs: list[Job]) -> Iterator[Judgement]:
        asked.extend(jobs)
        goals = {(): BOTH, ("constructor",): P, ("constructor", "rotate_left 1"): Q}
        for index, one in enumerate(jobs):
            goal = goals.get(tuple(one["path"]), "⊢ r")
            verdicts = [VALID.get((goal, step), Verdict("fails")) for step in one["candidates"]]
            yield Judgement(index, goal, verdicts)

    return search([job], lambda goals: [suggested[goal] for goal in goals], judge)


def test_the_steps_of_a_proof_are_kept_and_dead_ends_are_not() -> None:
    (row,) = run(SUGGESTED)
    assert row["start"] == JOB["start"]
    assert row["root"] == BOTH
    assert row["found"] == [
        {"goal": BOTH, "steps": [["constructor", "leads", 2]], "path": []},
        {
            "goal": P,
            "steps": [["assumption", "closes", 0], ["exact And.intro.extra", "closes", 0]],
            "path": ["constructor"],
        },
        {
            "goal": Q,
            "steps": [["simp", "closes", 0]],
            "path": ["constructor", "rotate_left 1"],
        },
    ]


def test_a_goal_that_is_not_closed_makes_no_step_of_its_parent() -> None:
    (row,) = run({**SUGGESTED, Q: ["rfl"]})
    found = row["found"]
    assert isinstance(found, list)
    assert [goal["goal"] for goal in found] == [P]


@pytest.mark.parametrize(
    ("left", "followed"),
    [
        ("xs : List Nat\n⊢ xs[0]?.isSome ∨ xs.head? = none", True),
        ("xs : List Nat\n⊢ xs.get? 0 = some n", True),
        ("⊢ ?w + 1 = 2", False),
        ("⊢ f (?m.12) = 2", False),
        ("⊢ P ?_", False),
    ],
)
def test_goals_with_metavariables_are_not_followed(left: str, followed: bool) -> None:
    proof = Proof(JOB, BOTH)
    judgement = Judgement(0, BOTH, [Verdict("valid", 1, (left,))])
    proof.learn(proof.root, ["refine foo"], judgement)
    assert [node.goal for node in proof.open()] == ([left] if followed else [])


def test_statements_of_the_test_are_left_out() -> None:
    assert run(SUGGESTED, {**JOB, "side": "test"}) == []
