"""The share of held-out goals for which a known right step is among the first suggestions.

Whatever suggests is a function from a goal and a number to texts, best first: the checkpoint
through transformers, or a running daemon (`POST /v1/suggest` on its Unix socket).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmsuggestd.client import UnixConnection

HELD_OUT = Path(__file__).parent / "heldout.jsonl"

Suggest = Callable[[str, int], list[str]]


@dataclass(frozen=True)
class Question:
    """A goal, and the steps any of which is a right answer."""

    family: str
    goal: str
    steps: frozenset[str]


@dataclass
class Score:
    """How many questions had a right answer first, and among all suggestions."""

    questions: int = 0
    first: int = 0
    found: int = 0
    distinct: int = 0

    def add(self, steps: frozenset[str], suggestions: list[str]) -> None:
        self.questions += 1
        self.first += suggestions[0] in steps if suggestions else 0
        self.found += not steps.isdisjoint(suggestions)
        self.distinct += len(set(suggestions))


def read_questions(path: Path = HELD_OUT) -> list[Question]:
    with path.open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    return [Question(r["family"], r["goal"], frozenset(map(normal, r["steps"]))) for r in rows]


def normal(step: str) -> str:
    """A step without differences of white space that Lean does not see."""
    return "\n".join(" ".join(line.split()) for line in step.strip().splitlines())


def evaluate(questions: Iterable[Question], suggest: Suggest, count: int = 5) -> dict[str, Score]:
    """Scores by family, and over all under the name `all`."""
    scores: dict[str, Score] = {"all": Score()}
    for question in questions:
        suggestions = [normal(text) for text in suggest(question.goal, count)[:count]]
        family = question.family.split("/")[0]
        for name in ("all", family):
            scores.setdefault(name, Score()).add(question.steps, suggestions)
    return scores


def table(scores: dict[str, Score], count: int = 5) -> str:
    """The scores as Markdown."""
    lines = [f"| family | goals | top 1 | top {count} |", "|---|---|---|---|"]
    for name in sorted(scores, key=lambda name: (name == "all", name)):
        score = scores[name]
        first, found = score.first / score.questions, score.found / score.questions
        lines.append(f"| {name} | {score.questions} | {first:.1%} | {found:.1%} |")
    return "\n".join(lines)


def daemon(path: Path, timeout: float = 60) -> Suggest:
    """Suggestions of the daemon that listens on this socket."""

    def suggest(goal: str, count: int) -> list[str]:
        connection = UnixConnection(str(path), timeout)
        body = json.dumps({"goal": goal, "n": count}).encode()
        connection.request("POST", "/v1/suggest", body, {"Content-Type": "application/json"})
        response = connection.getresponse()
        answer: dict[str, Any] = json.loads(response.read())
        connection.close()
        if response.status != 200:
            raise RuntimeError(f"the daemon answered {response.status}: {answer}")
        return [suggestion["text"] for suggestion in answer["suggestions"]]

    return suggest
