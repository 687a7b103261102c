"""The split of goals into training, validation and test: no goal is on two sides."""

from __future__ import annotations

import random
from collections import Counter
from itertools import islice
from typing import Any

import pytest

from convert.starter.__main__ import templates
from convert.starter.data import samples
from convert.starter.split import canonical, digest, key_of, side, split

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


@pytest.mark.parametrize(
    "other", [GOAL.replace("∧ q", "∧ p"), GOAL.replace("n = 7", "n ≤ 7"), GOAL.replace("7", "0")]
)
def test_goals_with_other_statements_differ(other: str) -> None:
    assert canonical(other) != canonical(GOAL)


def test_shares_of_the_sides() -> None:
    keys = [digest(str(number)) for number in range(20_000)]
    sides = Counter(map(side, keys))
    assert 0.035 < sides["test"] / len(keys) < 0.045
    assert 0.015 < sides["validation"] / len(keys) < 0.025


def test_no_held_out_sample_is_trained_on() -> None:
    drawn = islice(samples(7), 3000)
    held_out = {str(sample.goal) for sample in drawn if side(key_of(sample)) != "train"}
    trained = {example.goal for example in islice(templates(seed=7), 2500)}
    assert len(held_out) > 20
    assert trained.isdisjoint(held_out)


def _pair(goal: str, key: str, *path: str) -> dict[str, Any]:
    return {"goal": goal, "key": key, "path": list(path), "steps": [["simp", "closes", 0]]}


def test_no_goal_is_on_two_sides() -> None:
    rng = random.Random(3)
    shapes = [f"p q r : Prop\nh : p {a} q\n⊢ q {b} r" for a in "∧∨→↔" for b in "∧∨→↔"]
    keys = {goal: digest(canonical(goal)) for goal in shapes}
    # other statements, whose steps lead to goals that are statements themselves
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
