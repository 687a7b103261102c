"""Spellings of one goal, from different editors, shells, files and clients."""

from __future__ import annotations

from collections.abc import Callable

NEXT_GOAL = "case right\np q : Prop\nh₁ : p\n⊢ p ∨ q"

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as Lean prints it": lambda goal: goal,
    "a line end": lambda goal: goal + "\n",
    "Windows' line ends": lambda goal: (goal + "\n").replace("\n", "\r\n"),
    "Windows' line ends twice": lambda goal: goal.replace("\n", "\r\r\n"),
    "an old Mac's line ends": lambda goal: goal.replace("\n", "\r"),
    "Unicode's line ends": lambda goal: goal.replace("\n", "\u2028"),
    "a byte order mark": lambda goal: "\ufeff" + goal,
    "a space at the end": lambda goal: goal + " ",
    "white space behind each line": lambda goal: goal.replace("\n", " \t\u00a0\n") + "\t",
    "blank lines around": lambda goal: f"\n  \n{goal}\n\n \n",
    "an indentation": lambda goal: "    " + goal.replace("\n", "\n    "),
    "all but the first line indented": lambda goal: goal.replace("\n", "\n  "),
    "a heading": lambda goal: f"1 goal\n{goal}",
    "Lean's message": lambda goal: f"Proofs.lean:3:2: error: unsolved goals\n{goal}",
    "several goals": lambda goal: f"{goal}\n\n{NEXT_GOAL}",
    "several goals without blank lines": lambda goal: f"2 goals\n{goal}\n{NEXT_GOAL}\n",
}
