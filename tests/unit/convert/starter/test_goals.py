"""Goals, their shapes, and the templates' samples."""

from __future__ import annotations

import itertools
import random

import pytest

from convert.starter import data
from convert.starter.families import TEMPLATES, make
from convert.starter.goals import LONGEST_LINE, Goal, Hypothesis, shape
from convert.starter.scene import Scene
from convert.starter.terms import Term


def test_hypotheses_of_one_type_share_a_line() -> None:
    types = [("p", "Prop"), ("q", "Prop"), ("h", "p"), ("n", "Nat"), ("m", "Nat")]
    goal = Goal(tuple(Hypothesis(n, Term(t)) for n, t in types), Term("q"), "inl")
    assert str(goal) == "case inl\np q : Prop\nh : p\nn m : Nat\n⊢ q"


def test_shape_forgets_names_and_numbers() -> None:
    one = "p q : Prop\nhp : p\nn : Nat\nh : n = 7\n⊢ ∃ x, x + 12 = n ∧ q"
    other = "case h\nA B : Prop\nh₁ : A\nk : Nat\nh₂ : k = 9\n⊢ ∃ y, y + 3 = k ∧ B"
    assert shape(one) == shape(other)
    assert shape(one) != shape(one.replace("∧ q", "∧ p"))


def test_shape_keeps_what_the_library_names() -> None:
    assert "Nat" in shape("n : Nat\n⊢ n = n")
    assert ".length" in shape("xs : List Nat\n⊢ xs.length = 0")


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_every_template_makes_samples(name: str) -> None:
    rng = random.Random(5)
    made = [sample for _ in range(30) if (sample := make(name, Scene(rng)))]
    assert made
    for sample in made:
        lines = str(sample.goal).splitlines()
        assert lines[-1].startswith("⊢ ")
        assert max(map(len, lines)) <= LONGEST_LINE
        assert sample.steps
        assert len(set(sample.steps)) == len(sample.steps)
        assert all(step == step.strip() and step for step in sample.steps)
        names = [h.name for h in sample.goal.hypotheses]
        assert len(set(names)) == len(names)


def test_the_same_seed_gives_the_same_samples() -> None:
    first, again = (list(itertools.islice(data.samples(3), 50)) for _ in range(2))
    assert first == again


def test_mathlib_spelling_changes_types_only() -> None:
    goal = "n : Nat\n⊢ ∃ (k : Int), Nat.succ n = 1"
    assert data.mathlib_spelling(goal) == "n : ℕ\n⊢ ∃ (k : ℤ), Nat.succ n = 1"
