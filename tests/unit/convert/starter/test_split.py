"""Which side a goal is on, and that none is on two."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from convert.starter.data import is_held_out
from convert.starter.split import canonical, digest, side, split, split_of

GOAL = "α : Type u\np q : Prop\nhp : p\nn : Nat\nh : n = 7\n⊢ ∃ x, x + 12 = n ∧ q"


@pytest.mark.parametrize(
    "other",
    [
        "α : Type u\nA B : Prop\nh₁ : A\nk : Nat\nh₂ : k = 9\n⊢ ∃ y, y + 3 = k ∧ B",
        "case inl\n" + GOAL,
        "α : Type u\np q : Prop\nn : Nat\nh : n = 7\nhp : p\n⊢ ∃ x, x + 12 = n ∧ q",
        GOAL.replace("h : n = 7", "h :\n  n =\n    7"),
    ],
)
def test_names_numbers_case_lines_and_order_do_not_count(other: str) -> None:
    assert canonical(other) == canonical(GOAL)
    assert split_of(other) == split_of(GOAL)


@pytest.mark.parametrize(
    "other", [GOAL.replace("∧ q", "∧ p"), GOAL.replace("n = 7", "n ≤ 7"), GOAL.replace("7", "0")]
)
def test_what_is_said_counts(other: str) -> None:
    assert canonical(other) != canonical(GOAL)


def test_shares_and_agreement_with_the_templates() -> None:
    keys = [f"{digest(str(i))} a shape that is long enough to be held out" for i in range(20_000)]
    sides = Counter(map(side, keys))
    assert 0.035 < sides["test"] / len(keys) < 0.045
    assert 0.015 < sides["validation"] / len(keys) < 0.025
    assert all((side(key) != "train") == is_held_out(key) for key in keys[:2000])


def _pair(goal: str, key: str, *path: str) -> dict[str, Any]:
    return {"goal": goal, "key": key, "path": list(path), "steps": [["simp", "closes", 0]]}


def test_no_goal_is_on_two_sides() -> None:
    rng = random.Random(3)
    shapes = [f"p q r : Prop\nh : p {a} q\n⊢ q {b} r" for a in "∧∨→↔" for b in "∧∨→↔"]
    keys = {goal: digest(canonical(goal)) for goal in shapes}
    # enough statements of other keys, with goals on the way that are statements elsewhere
    pairs = [_pair(goal, keys[goal]) for goal in shapes]
    for number in range(600):
        pairs.append(_pair(f"n : Nat\n⊢ {'f' * (number + 1)} n", digest(str(number))))
        pairs.append(_pair(rng.choice(shapes), digest(str(number)), "intro h"))
    kept = list(split(pairs))
    assert {pair["split"] for pair in kept} == {"train", "validation", "test"}
    found: dict[str, set[str]] = {}
    for pair in kept:
        found.setdefault(canonical(pair["goal"]), set()).add(pair["split"])
    assert all(len(sides) == 1 for sides in found.values())
    assert not any("key" in pair for pair in kept)
