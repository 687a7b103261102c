"""Goals as Lean prints them, their shapes, and samples: goals with known correct steps."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby

from .terms import Term

LONGEST_LINE = 100
"""Maximum length of a goal's lines. Lean breaks lines at about 120 columns."""


@dataclass(frozen=True)
class Hypothesis:
    """A hypothesis of a goal. With `extra`, the known steps do not need it."""

    name: str
    type: Term
    extra: bool = False


@dataclass(frozen=True)
class Goal:
    hypotheses: tuple[Hypothesis, ...]
    target: Term
    case: str = ""

    def __str__(self) -> str:
        """The text that Lean's `Meta.ppGoal` prints."""
        lines = [f"case {self.case}"] if self.case else []
        for type_, group in groupby(self.hypotheses, key=lambda h: h.type):
            # instances are never merged into one line
            names = [h.name for h in group]
            if names[0].startswith("inst"):
                lines += [f"{name} : {type_}" for name in names]
            else:
                lines.append(f"{' '.join(names)} : {type_}")
        return "\n".join([*lines, f"⊢ {self.target}"])


@dataclass(frozen=True)
class Sample:
    """A goal, its known correct steps, and the shape that decides whether it is held out."""

    family: str
    goal: Goal
    steps: tuple[str, ...]
    shape: str


_WORD = re.compile(r"(?<![\w.'])[^\W\d][\w']*✝?|(?<![\w.'])\d+")
_BOUND = re.compile(r"\(([^():]+) : |∃ ([^,]+),|fun ([^=]+) =>")


def shape(goal: str) -> str:
    """A goal's structure: names become numbers in order of appearance, and numbers above 1 `N`."""
    names: set[str] = set()
    for line in goal.splitlines():
        if not line.startswith(("⊢", "case ")) and " : " in line:
            names.update(line.split(" : ", 1)[0].split())
    for groups in _BOUND.findall(goal):
        names.update(" ".join(groups).split())
    seen: dict[str, str] = {}

    def canonical(match: re.Match[str]) -> str:
        word = match[0]
        if word.isdigit():
            return word if word in "01" else "N"
        return seen.setdefault(word, f"v{len(seen)}") if word in names else word

    body = "\n".join(line for line in goal.splitlines() if not line.startswith("case "))
    return _WORD.sub(canonical, body)


def unique(steps: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(steps))
