"""Assigns every goal to one side (training, validation or test), by the statement it comes from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .goals import Sample, shape

TEST, VALIDATION = 0.04, 0.02
ELEMENTARY = 45
"""Shapes of fewer characters are parts of most others, so they are not held out as a whole."""
Pair = dict[str, Any]

_WORD = re.compile(r"(?<![\w.'])[^\W\d][\w']*✝?|(?<![\w.'])\d+")


def canonical(goal: str) -> str:
    """A text that is the same for goals that differ only in names, numbers above 1, `case` lines,
    or the order of hypotheses."""
    lines: list[str] = []
    for line in goal.splitlines():
        if line.startswith("case ") and not lines:
            continue
        if line.startswith(" ") and lines:
            lines[-1] += " " + line.strip()
        else:
            lines.append(line)
    hypotheses = [line.split(" : ", 1) for line in lines if not line.startswith("⊢")]
    target = [line for line in lines if line.startswith("⊢")]
    single = [(name, h[1]) for h in hypotheses if len(h) == 2 for name in h[0].split()]
    names = {name for name, _ in single}

    def skeleton(type_: str) -> str:
        return _WORD.sub(lambda m: "_" if m[0] in names or m[0].isdigit() else m[0], type_)

    # Hypotheses of equal types, such as variables, keep their order.
    single.sort(key=lambda h: (skeleton(h[1]), len(h[1])))
    # With the target first, unused variables do not shift the numbers of the others.
    body = "\n".join([*target, *(f"{name} : {type_}" for name, type_ in single)])
    return shape(body)


def digest(text: str) -> str:
    """A stable hash of a text, in 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def side(key: str, test: float = TEST, validation: float = VALIDATION) -> str:
    """The side of a statement, `test`, `validation` or `train`, from a hash of its key alone.
    `test` and `validation` are the shares of these sides."""
    share = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()) / 2**32
    if share < test:
        return "test"
    return "validation" if share < test + validation else "train"


def key_of(sample: Sample) -> str:
    """The key that decides the side of a template's statement: its shape, unless that is short."""
    if len(sample.shape) >= ELEMENTARY:
        return sample.shape
    return digest(canonical(str(sample.goal)))


def side_of(row: Pair) -> str:
    """The side of a row: its world's, or its statement's."""
    return str(row["side"]) if "side" in row else side(row["key"])


def _world(row: Pair) -> str:
    """The definitions that a row's goal is about, if it has its own."""
    return str(row.get("start", {}).get("world", ""))


def split(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """Add `split` to the pairs, each goal on one side only.

    The side is the statement's (by `key`). A goal that a step leads to may occur under statements
    of different sides, and is kept on one of them: on the side of a held-out statement that equals
    it, else on training's if it occurs there, else on the first side that has it.
    """
    listed = list(pairs)
    sides = [side_of(pair) for pair in listed]
    # Goals of two worlds may look the same. They are about different definitions.
    shapes = [digest(_world(pair) + canonical(pair["goal"])) for pair in listed]
    owner: dict[str, str] = {}  # the side of each goal
    for pair, where, shape_ in zip(listed, sides, shapes, strict=True):
        if where != "train" and not pair["path"]:
            owner.setdefault(shape_, where)
    for where, shape_ in zip(sides, shapes, strict=True):
        if where == "train":
            owner.setdefault(shape_, where)
    seen: set[str] = set()
    for pair, where, shape_ in zip(listed, sides, shapes, strict=True):
        text = _world(pair) + pair["goal"]
        if owner.setdefault(shape_, where) != where or text in seen:
            continue
        seen.add(text)
        kept = {k: v for k, v in pair.items() if k not in ("key", "side")}
        yield {**kept, "split": where}
