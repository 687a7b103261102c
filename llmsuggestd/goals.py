"""Normalises goals, as Lean prints them, to one spelling for every client.

A goal consists of its hypotheses and then its target, behind `⊢`. Editors, shells, files and other
projects' clients may add to that: a byte order mark, other line ends, trailing white space,
indentation, a heading such as `2 goals`, further goals. A model would answer each of these
spellings differently, so goals are normalised before a prompt is built.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from llmsuggestd.errors import UsageError

TARGET: Final = "⊢"

CONV_TARGET: Final = "| "
"""Lean's mark for the term that `conv` mode rewrites."""

TRIAL: Final = "p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q"
"""The goal with which a new model is tried: no user's."""

_HEADING: Final = re.compile(r"[▶▼]? ?(Tactic state|\d+ goals?):?|(.*\berror: )?unsolved goals")
"""Lines that the infoview, the editors and Lean's messages put above the first hypothesis."""


class NotAGoal(UsageError):
    """A text has no line `⊢ …`."""

    code = "not_a_goal"

    def __init__(self, where: str = "") -> None:
        super().__init__(
            "a goal needs a line `⊢ …`: the hypotheses come first, one per line, then the target"
            + (f" - at `{where}`" if where else "")
        )


def first_goal(state: str, where: str = "") -> str:
    """The first goal of a tactic state, on which the next tactic runs.

    Raises NotAGoal if the text has no goal; `where` says which one of several it is.
    """
    return _at_least_one(state, where)[0]


def normalise(state: str, where: str = "") -> str:
    """A tactic state in its one spelling: every goal, separated by blank lines.

    Raises NotAGoal as `first_goal`.
    """
    return "\n\n".join(_at_least_one(state, where))


def split_goals(state: str) -> list[str]:
    """The goals of a tactic state, each in its one spelling; none if no line begins with `⊢`.

    A goal ends with its target: at a blank line, at the next `case`, or, if another target follows
    without a blank line, at the first line that is not indented.
    """
    return ["\n".join(goal) for goal in _goals(_dedent(_lines(state)))]


def is_target(line: str) -> bool:
    """Whether a line begins a target.

    A mark with a subscript is another: `Std.Do` shows a proof state of its own in the target, whose
    conclusion is behind `⊢ₛ`.
    """
    return line.startswith(TARGET) and not _is_inner_target(line)


def _is_inner_target(line: str) -> bool:
    return line.startswith(TARGET) and "\u2080" <= line[1:2] <= "\u209c"


def split_target(goal: str) -> tuple[list[str], str]:
    """The hypotheses of a goal and its target.

    A hypothesis is a line with the indented lines that continue it; the target is the line that
    starts with `⊢` and everything after. A text without such a line is all target.
    """
    lines = goal.split("\n")
    start = next((i for i, line in enumerate(lines) if is_target(line)), None)
    if start is None:
        start = next((i for i, line in enumerate(lines) if line.startswith(CONV_TARGET)), 0)
    hypotheses: list[str] = []
    for line in lines[:start]:
        if hypotheses and line.startswith(" "):
            hypotheses[-1] += "\n" + line
        else:
            hypotheses.append(line)
    return hypotheses, "\n".join(lines[start:])


def plain(text: str) -> str:
    """A text without byte order marks, and with `\\n` as its only line end."""
    text = text.replace("\ufeff", "").replace("\r\r\n", "\n")  # \r\r\n: converted to CRLF twice
    return "\n".join(f"{text}\n".splitlines())


def _at_least_one(state: str, where: str = "") -> list[str]:
    goals = split_goals(state)
    if not goals or goals[0].splitlines()[-1] == TARGET:
        raise NotAGoal(where)
    return goals


def _lines(state: str) -> list[str]:
    """The lines of a text without trailing white space, and without blank lines at either end."""
    return "\n".join(line.rstrip() for line in plain(state).split("\n")).strip("\n").split("\n")


def _dedent(lines: list[str]) -> list[str]:
    """The lines without their common indentation, judged by the lines with a target."""
    targets = [line for line in lines if line.startswith(CONV_TARGET) or is_target(line.lstrip())]
    margin = min(map(_indentation, targets or lines[:1]))
    return [line[min(margin, _indentation(line)) :] for line in lines]


def _goals(lines: list[str]) -> Iterator[list[str]]:
    """The lines of each goal that has a target."""
    goal: list[str] = []
    complete = after_blank = False
    inner = 0  # lines left of a proof state within the target
    for i, (line, target_follows) in enumerate(zip(lines, _targets_follow(lines), strict=True)):
        if not line:
            after_blank = True
            continue
        inner = max(inner - 1, 0)
        if complete and not inner and _begins_goal(line, after_blank, target_follows):
            yield goal
            goal, complete = [], False
        after_blank = False
        if not goal:
            line = line.lstrip()  # a first line is no continuation
            if _HEADING.fullmatch(line):
                continue
        goal.append(line)
        if line == TARGET:
            inner = _inner_lines(lines, i + 1) + 1
        complete = complete or is_target(line)
        complete = complete or (line.startswith(CONV_TARGET) and not target_follows)
    if complete:
        yield goal


def _begins_goal(line: str, after_blank: bool, target_follows: bool) -> bool:
    """Whether a line after a target begins another goal instead of continuing the target."""
    if is_target(line) or line.startswith("case "):
        return True
    return (after_blank or target_follows) and not line[0].isspace()


def _inner_lines(lines: list[str], start: int) -> int:
    """The number of lines from `start` to the target of a proof state within a target, or 0."""
    for i in range(start, len(lines)):
        if not lines[i] or is_target(lines[i]):
            return 0
        if _is_inner_target(lines[i]):
            return i - start + 1
    return 0


def _targets_follow(lines: list[str]) -> list[bool]:
    """For each line, whether a line `⊢ …` follows before the next blank line."""
    follows = []
    found = False
    for line in reversed(lines):
        follows.append(found and bool(line))
        found = bool(line) and (found or is_target(line))
    return follows[::-1]


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())
