"""Puts every goal on one side: training, validation or test, by the statement it comes from."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from .goals import shape

TEST, VALIDATION = 0.04, 0.02
Pair = dict[str, Any]

_WORD = re.compile(r"(?<![\w.'])[^\W\d][\w']*✝?|(?<![\w.'])\d+")


def canonical(goal: str) -> str:
    """The goal up to names, numbers above 1, `case` lines, and the order of its hypotheses."""
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

    # What is not a variable's type is sorted; variables keep their order, which their uses give.
    single.sort(key=lambda h: (skeleton(h[1]), len(h[1])))
    # Names are numbered from the target on, so that unused variables do not shift the others.
    body = "\n".join([*target, *(f"{name} : {type_}" for name, type_ in single)])
    return shape(body)


def digest(text: str) -> str:
    """A stable hash of a text, 16 hexadecimal digits."""
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def side(key: str) -> str:
    """`test`, `validation` or `train`, decided by a hash alone.

    Test and validation together are what `data.is_held_out` holds out of the templates' samples.
    """
    share = int.from_bytes(hashlib.blake2b(key.encode(), digest_size=4).digest()) / 2**32
    if share < TEST:
        return "test"
    return "validation" if share < TEST + VALIDATION else "train"


def split_of(goal: str) -> str:
    """The side of a statement that is given as the goal it prints as."""
    return side(digest(canonical(goal)))


def split(pairs: Iterable[Pair]) -> Iterator[Pair]:
    """The pairs with `split`, each goal on one side only.

    The side is that of the statement (`key`). A goal met on the way, which may come up behind
    statements of different sides, is kept on one: a statement held out takes it from training, and
    what training has is taken from the goals on the way of the test.
    """
    listed = list(pairs)
    sides = [side(pair["key"]) for pair in listed]
    shapes = [digest(canonical(pair["goal"])) for pair in listed]
    # whose a goal is: first the held-out statements', then training's, then the first that has it
    owner: dict[str, str] = {}
    for pair, where, shape_ in zip(listed, sides, shapes, strict=True):
        if where != "train" and not pair["path"]:
            owner.setdefault(shape_, where)
    for where, shape_ in zip(sides, shapes, strict=True):
        if where == "train":
            owner.setdefault(shape_, where)
    seen: set[str] = set()
    for pair, where, shape_ in zip(listed, sides, shapes, strict=True):
        if owner.setdefault(shape_, where) != where or pair["goal"] in seen:
            continue
        seen.add(pair["goal"])
        yield {**{k: v for k, v in pair.items() if k != "key"}, "split": where}
