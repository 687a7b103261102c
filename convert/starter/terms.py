"""Lean terms as the pretty printer shows them: text, precedence and parentheses."""

from __future__ import annotations

import re
from typing import NamedTuple

MAX = 1024
LEAD = MAX - 1

# symbol: (its own precedence, the precedences that its left and right sides need)
_INFIX = {
    "↔": (20, 21, 21),
    "→": (25, 26, 25),
    "∨": (30, 31, 30),
    "||": (30, 30, 31),
    "∧": (35, 36, 35),
    "×": (35, 36, 35),
    "&&": (35, 35, 36),
    "=": (50, 51, 51),
    "≠": (50, 51, 51),
    "<": (50, 51, 51),
    "≤": (50, 51, 51),
    ">": (50, 51, 51),
    "≥": (50, 51, 51),
    "∣": (50, 51, 51),
    "∈": (50, 51, 51),
    "+": (65, 65, 66),
    "-": (65, 65, 66),
    "++": (65, 65, 66),
    "::": (67, 68, 67),
    "*": (70, 70, 71),
    "/": (70, 70, 71),
    "%": (70, 70, 71),
    "^": (75, 76, 75),
    "∘": (90, 91, 90),
}


class Term(NamedTuple):
    """A printed term. `open`: it ends in a binder's body, which would include any text after it."""

    text: str
    prec: int = MAX
    open: bool = False

    def __str__(self) -> str:
        return self.text

    def at(self, prec: int, *, followed: bool = False) -> str:
        """The text, in parentheses if its precedence is below `prec`."""
        return f"({self.text})" if self.prec < prec or (followed and self.open) else self.text

    @property
    def arg(self) -> str:
        """The text as an argument of a function."""
        return self.at(MAX)

    def mentions(self, name: str) -> bool:
        return re.search(rf"(?<![\w.'✝]){re.escape(name)}(?![\w'✝])", self.text) is not None


TRUE, FALSE = Term("True"), Term("False")


def op(left: Term, symbol: str, right: Term) -> Term:
    """`left symbol right`, for any of Lean's infix operators."""
    prec, left_prec, right_prec = _INFIX[symbol]
    # a binder at the end needs no parentheses, since no text follows it
    shown = right.at(right_prec)
    return Term(
        f"{left.at(left_prec, followed=True)} {symbol} {shown}",
        prec,
        right.open and shown == right.text,
    )


def chain(symbol: str, *parts: Term) -> Term:
    """The parts joined from the right: `a → b → c`."""
    *init, last = parts
    for part in reversed(init):
        last = op(part, symbol, last)
    return last


def neg(prop: Term) -> Term:
    shown = prop.at(40)
    return Term("¬" + shown, MAX, prop.open and shown == prop.text)


def app(function: str, *args: Term) -> Term:
    return Term(" ".join([function, *(a.arg for a in args)]), LEAD) if args else Term(function)


def dot(subject: Term, field: str) -> Term:
    """`subject.field`, as the pretty printer shows functions with one explicit argument."""
    return Term(f"{subject.arg}.{field}")


def exists(name: str, body: Term) -> Term:
    rest = " " + body.text[2:] if body.text.startswith("∃ ") else f", {body}"
    return Term(f"∃ {name}{rest}", LEAD, True)


def forall(name: str, type_: Term, body: Term) -> Term:
    """`∀ (name : type_), body`, or an arrow if the body does not use the name."""
    if not body.mentions(name):
        return op(type_, "→", body)
    if not body.text.startswith("∀ ("):
        return Term(f"∀ ({name} : {type_}), {body}", LEAD, True)
    names, rest = body.text[3:].split(" : ", 1)
    if rest.startswith(f"{type_})") and not type_.mentions(name):
        return Term(f"∀ ({name} {names} : {rest}", LEAD, True)
    return Term(f"∀ ({name} : {type_}) {body.text[2:]}", LEAD, True)


def fun(names: str, body: Term) -> Term:
    return Term(f"fun {names} => {body}", LEAD, True)
