"""Every spelling of a goal becomes one, and text without a goal is recognised."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmsuggestd.goals import (
    NotAGoal,
    first_goal,
    normalise,
    plain,
    split_goals,
    split_target,
)
from tests.conftest import runtime_cases
from tests.support.spellings import NEXT_GOAL, SPELLINGS

GOALS = [
    "⊢ 2 = 2",
    "case left\np q : Prop\nh : p ∧ q\n⊢ q ∧ p",
    # lines that Lean breaks, a turnstile among the hypotheses, alternatives of a match
    "α : Type\nh : Γ\n    ⊢ φ ∧\n    ψ\nf : ℕ → ℕ := fun n ↦\n  n + 1\nthis : Γ ⊢ φ\n"
    "⊢ match n with\n  | 0 => p\n  | n.succ => Γ\n      ⊢ φ",
    # a proof state within the target, as `mvcgen` leaves it
    "σs : List (Type u)\nP Q : SPred σs\n⊢\nhp : P\nhq : Q\n⊢ₛ P ∧ Q",
]

CONV_GOAL = "a b : Nat\nh : a = b\n| a + b"


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_every_spelling_of_a_goal_is_the_same_goal(spelling: str, goal: str) -> None:
    assert first_goal(SPELLINGS[spelling](goal)) == goal


@pytest.mark.parametrize("goal", [*GOALS, CONV_GOAL])
def test_goals_as_lean_prints_them_are_unchanged(goal: str) -> None:
    assert normalise(goal) == goal
    assert split_goals(goal) == [goal]


def test_goals_of_mathlib_are_unchanged() -> None:
    for row in runtime_cases():
        assert normalise(row["tactic_state"]) == row["tactic_state"]


def test_a_state_is_split_into_its_goals() -> None:
    state = "\n\n".join([*GOALS, CONV_GOAL, NEXT_GOAL])
    assert split_goals(state) == [*GOALS, CONV_GOAL, NEXT_GOAL]
    assert split_goals(f"6 goals\r\n{state}\r\n") == [*GOALS, CONV_GOAL, NEXT_GOAL]
    assert normalise(state) == state
    assert first_goal(state) == GOALS[0]


def test_goals_without_a_blank_line_between() -> None:
    assert split_goals("p : Prop\n⊢ p ∧\n    q\nq : Prop\n⊢ q\ncase h\n⊢ r") == [
        "p : Prop\n⊢ p ∧\n    q",
        "q : Prop\n⊢ q",
        "case h\n⊢ r",
    ]


def test_a_target_may_continue_without_indentation() -> None:
    """Text copied from the infoview has this form."""
    goal = "n : Nat\n⊢ match n with\n| 0 => True\n| _ => False"
    assert split_goals(f"{goal}\n\n{NEXT_GOAL}") == [goal, NEXT_GOAL]


def test_in_conv_mode_the_target_stands_behind_a_bar() -> None:
    assert first_goal(f"{CONV_GOAL} \r\n\r\ncase h\r\n⊢ p") == CONV_GOAL
    assert first_goal("| a\n\n| b") == "| a"
    assert split_goals("| a\ncase h\n| b") == ["| a", "case h\n| b"]


@pytest.mark.parametrize(
    "text",
    ["", " \n", "\ufeff", "hello", "2 + 2 = 4", "p : Prop", "no goals", "⊢", "p : Prop\n⊢ \n",
     "h : p ⊢ q", "induction n with\n  | zero => rfl"],
)  # fmt: skip
def test_text_without_a_goal(text: str) -> None:
    for read in (first_goal, normalise):
        with pytest.raises(NotAGoal, match="a goal needs a line `⊢ …`"):
            read(text)


def test_a_goal_is_split_into_hypotheses_and_target() -> None:
    goal = "case inl\nα : Type\nh : a ∧\n    b\nhp : p\n⊢ q\n  ∧ r"
    assert split_target(goal) == (
        ["case inl", "α : Type", "h : a ∧\n    b", "hp : p"],
        "⊢ q\n  ∧ r",
    )
    assert split_target(CONV_GOAL) == (["a b : Nat", "h : a = b"], "| a + b")
    assert split_target("no target at all") == ([], "no target at all")


def test_plain_text_has_one_kind_of_line_end() -> None:
    assert plain("a\r\nb\rc\n") == "a\nb\nc\n"
    assert plain("\ufeffa") == "a"
    assert plain("") == ""


PIECES = ["⊢", "⊢ p", "| a", "| ", " ", "  ", "\t", "\n", "\n\n", "\r\n", "\r", "\r\r\n",
          "\ufeff", "h : p", "case x", "\u00a0", "\x85", "\u2028", "x"]  # fmt: skip
HEADINGS = ["2 goals", "unsolved goals"]


def texts(*pieces: str) -> st.SearchStrategy[str]:
    return st.one_of(st.lists(st.sampled_from(pieces), max_size=25).map("".join), st.text())


def dense(text: str) -> str:
    """The text without white space."""
    return "".join(plain(text).split())


@given(texts(*PIECES, *HEADINGS))
def test_normalising_twice_changes_nothing(text: str) -> None:
    goals = split_goals(text)
    assert split_goals("\n\n".join(goals)) == goals
    for goal in goals:
        assert split_goals(goal) == [goal]


@given(texts(*PIECES))
def test_only_white_space_is_lost_before_the_last_target(text: str) -> None:
    state = f"{text}\n⊢ q"
    assert dense("".join(split_goals(state))) == dense(state)


@given(texts(*PIECES, *HEADINGS))
def test_nothing_is_added_or_moved(text: str) -> None:
    """Headings are lost, and so is the text after the last target, which may be no goal."""
    remaining = iter(dense(text))
    assert all(character in remaining for character in dense("".join(split_goals(text))))


@pytest.mark.parametrize(
    "text", ["⊢\n" * 50_000, "\r" * 100_000, " " * 100_000, "| a\n" * 25_000, "error: " * 14_000]
)
def test_long_texts_are_fast(text: str) -> None:
    began = time.process_time()
    split_goals(text)
    assert time.process_time() - began < 1
