"""Expert iteration: a served model proposes steps, Lean judges them, and proofs become pairs.

The search goes by rounds, through all statements at once: the model is asked about open goals, and
Lean runs all its suggestions, and `grind`. A step that closes a goal, or leads to goals that are
closed, is kept, also in the middle of a proof. Dead ends are not. The results are rows of
statements like those of the portfolio's search in `generate.py`. So a model can be trained on both,
and asked again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from .examples import STRONGEST
from .lean_runner import Job, Judgement
from .split import canonical, digest, side_of

Suggest = Callable[[list[str]], list[list[str]]]
"""The suggestions for each of some goals, best first."""
Judge = Callable[[list[Job]], Iterable[Judgement]]

SUGGESTIONS = 8
"""Number of suggestions for each goal."""
HEARTBEATS = 4000
"""Limit per step, in thousands of heartbeats."""
ROUNDS = 4
"""Number of steps that a search follows at most."""
GOALS = 4
"""Maximum number of goals of a statement about which the model is asked in one round."""
LEADS = 3
"""Maximum number of steps that are followed from a goal."""
LEFT = 4
"""Maximum number of goals that such a step leaves."""
_METAVARIABLE = re.compile(r"(?<![\w\])!?✝])\?\w")


@dataclass
class Node:
    """A goal of a statement, with the steps that work on it."""

    goal: str
    path: list[str]
    closing: list[str] = field(default_factory=list)
    leading: list[tuple[str, list[Node]]] = field(default_factory=list)
    asked: bool = False

    @property
    def closed(self) -> bool:
        return bool(self.closing) or any(True for _ in self.proofs())

    def proofs(self) -> Iterator[tuple[str, list[Node]]]:
        """The steps that lead to goals which are all closed."""
        return (step for step in self.leading if all(node.closed for node in step[1]))


class Proof:
    """The search for proofs of one statement."""

    def __init__(self, job: Job, root: str) -> None:
        self.job = job
        self.root = Node(root, [])
        self.nodes = {root: self.root}

    def open(self) -> list[Node]:
        """The goals to ask about next, those found first before the others."""
        if self.root.closed:
            return []
        waiting = [node for node in self.nodes.values() if not node.asked]
        return waiting[:GOALS]

    def learn(self, node: Node, steps: Sequence[str], judgement: Judgement) -> None:
        """Add what Lean says of the steps at a goal."""
        node.asked = True
        judged = list(zip(steps, judgement.verdicts, strict=True))
        node.closing = sorted(
            {step for step, verdict in judged if verdict.kind == "closes"}, key=len
        )
        if node.closing:
            return
        for step, verdict in judged:
            goals = verdict.goals
            # Goals that share a metavariable cannot be closed one by one.
            fits = 0 < len(goals) <= LEFT and not any(map(_METAVARIABLE.search, goals))
            # A goal that leads to itself proves nothing.
            if fits and not set(goals) & self.nodes.keys() and len(node.leading) < LEADS:
                node.leading.append(
                    (step, [self._node(node, step, *at) for at in enumerate(goals)])
                )

    def _node(self, before: Node, step: str, number: int, goal: str) -> Node:
        turn = [f"rotate_left {number}"] if number else []
        return self.nodes.setdefault(goal, Node(goal, [*before.path, step, *turn]))

    def row(self) -> dict[str, Any]:
        """The statement with all goals on the way, as the portfolio's search gives it."""
        found = []
        for node in self.nodes.values():
            steps = [
                *([step, "closes", 0] for step in node.closing),
                *([step, "leads", len(left)] for step, left in node.proofs()),
            ]
            if steps:
                found.append({"goal": node.goal, "steps": steps, "path": node.path})
        statement = digest(canonical(self.root.goal))
        return {"statement": statement, "key": statement, **self.job, "root": self.root.goal,
                "found": found}  # fmt: skip


def search(
    jobs: Sequence[Job],
    suggest: Suggest,
    judge: Judge,
    rounds: int = ROUNDS,
    progress: Callable[[str], None] = lambda _: None,
) -> list[dict[str, Any]]:
    """Search for proofs of the jobs' statements. Returns a row for each of the training side that
    Lean reads.

    `suggest` and `judge` get the goals and steps of a whole round. Raises NoLeanError.
    """
    starts = [{"start": job["start"], "path": [], "candidates": []} for job in jobs]
    roots = {found.index: found.goal for found in judge(starts)}
    all_ = [Proof(job, goal) for i, job in enumerate(jobs) if (goal := roots.get(i)) is not None]
    proofs = [proof for proof in all_ if side_of(proof.row()) == "train"]
    for number in range(rounds):
        asked = [(proof, node) for proof in proofs for node in proof.open()]
        if not asked:
            break
        # In the other data, the strongest word is a step of every goal that it closes.
        steps = [
            list(dict.fromkeys([*found, STRONGEST]))
            for found in suggest([node.goal for _, node in asked])
        ]
        requests = [
            {"start": proof.job["start"], "path": node.path, "candidates": found}
            for (proof, node), found in zip(asked, steps, strict=True)
        ]
        for judgement in judge(requests):
            proof, node = asked[judgement.index]
            proof.learn(node, steps[judgement.index], judgement)
        closed = sum(proof.root.closed for proof in proofs)
        progress(f"round {number + 1}: {len(asked)} goals, {closed} of {len(proofs)} proved")
    return [proof.row() for proof in proofs]
