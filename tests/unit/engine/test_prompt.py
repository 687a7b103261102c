"""What goes into the model, and what its answer becomes."""

from __future__ import annotations

import pytest

from llmsuggestd.engine.prompt import build_prompt, fit_prompt, suggestion_text

GOAL = "case inl\nα : Type\nh : a ∧\n    b\nhp : p\n⊢ q\n  ∧ r"


def words(text: str) -> list[int]:
    """A tokenizer with one token a character."""
    return [ord(character) for character in text]


def test_the_prompt_is_what_the_model_was_trained_on() -> None:
    assert build_prompt("⊢ p", "exact") == "[GOAL]⊢ p[PROOFSTEP]exact"


def test_the_prompt_is_in_nfc() -> None:
    assert build_prompt("⊢ a\u0338=", "e\u0301") == "[GOAL]⊢ a̸=[PROOFSTEP]\u00e9"
    assert build_prompt("=\u0338", "") == "[GOAL]\u2260[PROOFSTEP]"


def test_a_goal_that_fits_is_left_alone() -> None:
    prompt = build_prompt(GOAL, "exact")
    assert fit_prompt(GOAL, "exact", words, len(prompt)) == (words(prompt), False)


def test_a_long_goal_keeps_its_target_and_the_nearest_hypotheses() -> None:
    expected = build_prompt("h : a ∧\n    b\nhp : p\n⊢ q\n  ∧ r", "exact")
    tokens, truncated = fit_prompt(GOAL, "exact", words, len(expected) + 3)
    assert truncated
    assert "".join(map(chr, tokens)) == expected


@pytest.mark.parametrize("limit", range(22, 80))
def test_the_limit_is_kept_whatever_it_is(limit: int) -> None:
    tokens, _ = fit_prompt(GOAL + " ∧ s" * 50, "apply", words, limit)
    assert len(tokens) <= limit
    assert "".join(map(chr, tokens)).endswith("[PROOFSTEP]apply")
    assert "".join(map(chr, tokens)).startswith("[GOAL]")


@pytest.mark.parametrize(
    ("prefix", "continuation", "text"),
    [
        ("", " exact h", "exact h"),
        ("", "simp\n", "simp"),
        ("", "induction n with\n  | zero => rfl", "induction n with\n  | zero => rfl"),
        ("exact", " h ", "exact h"),
        ("exact ", "h", "exact h"),
        ("simp", "", "simp"),
        ("", "", None),
        ("", " \n", None),
        ("", "a\0b", None),
    ],
)
def test_a_continuation_becomes_a_tactic(prefix: str, continuation: str, text: str | None) -> None:
    assert suggestion_text(prefix, continuation.encode()) == text


def test_bytes_become_text_only_where_they_are_text() -> None:
    assert suggestion_text("", "exact ⟨a, b⟩".encode()) == "exact ⟨a, b⟩"
    assert suggestion_text("", "exact ⟨a".encode()[:-2]) == "exact"  # cut off inside a character
    assert suggestion_text("", b"exact \xff a") is None
