"""Goals for comparing models: a built-in set, or a user's file."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from llmsuggestd import filekind
from llmsuggestd.errors import InputError
from llmsuggestd.file_errors import unreadable


@dataclass(frozen=True, slots=True)
class Sample:
    """A goal as Lean prints it, and a tactic, which may be incomplete or empty."""

    goal: str
    tactic: str = ""


# Typical goals of Lean 4 and Mathlib: hypotheses, binders, subscripts, all arrows and brackets.
BUILT_IN = (
    Sample("⊢ 2 = 2", "rfl"),
    Sample("p q : Prop\nhp : p\nhq : q\n⊢ p ∧ q", "exact ⟨hp, hq⟩"),
    Sample("p q : Prop\nh : p ∧ q\n⊢ q ∧ p", "exact ⟨h.2, h.1⟩"),
    Sample("p q r : Prop\nhpq : p → q\nhqr : q → r\n⊢ p → r", "intro hp"),
    Sample("p q : Prop\nh : p ∨ q\n⊢ q ∨ p", "cases h with"),
    Sample("p : Prop\nh : ¬¬p\n⊢ p", "exact Classical.not_not.mp h"),
    Sample("a b c : ℕ\nh₁ : a ≤ b\nh₂ : b ≤ c\n⊢ a ≤ c", "exact le_trans h₁ h₂"),
    Sample("n : ℕ\n⊢ n + 0 = n", "simp"),
    Sample("m n : ℕ\n⊢ m + n = n + m", "rw [Nat.add_comm]"),
    Sample("n : ℕ\nih : ∑ i ∈ Finset.range n, i = n * (n - 1) / 2\n"
           "⊢ ∑ i ∈ Finset.range (n + 1), i = (n + 1) * n / 2", "rw [Finset.sum_range_succ, ih]"),
    Sample("x y : ℤ\nh : x < y\n⊢ ¬y ≤ x", "omega"),
    Sample("x : ℝ\nhx : 0 < x\n⊢ 0 < x ^ 2", "positivity"),
    Sample("a b : ℝ\n⊢ (a + b) ^ 2 = a ^ 2 + 2 * a * b + b ^ 2", "ring"),
    Sample("x y ε : ℝ\nhε : 0 < ε\nh : |x - y| < ε / 2\n⊢ |y - x| < ε",
           "linarith [abs_sub_comm x y]"),
    Sample("α : Type u_1\ns t : Set α\n⊢ s ∩ t ⊆ s ∪ t", "intro x hx"),
    Sample("α : Type u_1\nβ : Type u_2\nf : α → β\ns : Set β\nx : α\nhx : f x ∈ s\n⊢ x ∈ f ⁻¹' s",
           "exact hx"),
    Sample("f : ℕ → ℕ\nh : Monotone f\nn : ℕ\n⊢ f n ≤ f (n + 1)", "apply h"),
    Sample("f g : ℝ → ℝ\nhf : Continuous f\nhg : Continuous g\n⊢ Continuous fun x ↦ f (g x)",
           "exact hf.comp hg"),
    Sample("G : Type u_1\ninst✝ : Group G\na b : G\n⊢ (a * b)⁻¹ = b⁻¹ * a⁻¹", "simp [mul_inv_rev]"),
    Sample("α : Type u\nxs ys : List α\n⊢ (xs ++ ys).length = xs.length + ys.length",
           "induction xs with"),
    Sample("case inl\np q r : Prop\nhp : p\n⊢ p ∨ q ∨ r\n\ncase inr\np q r : Prop\nhqr : q ∨ r\n"
           "⊢ p ∨ q ∨ r", "exact Or.inl hp"),
    Sample("ι : Type u_1\nU : ι → Set ℝ\nhU : ∀ (i : ι), IsOpen (U i)\n⊢ IsOpen (⋃ i, U i)",
           "exact isOpen_iUnion hU"),
    Sample("K : Type u_1\ninst✝¹ : Field K\nV : Type u_2\ninst✝ : AddCommGroup V\nv : V\n"
           "⊢ v + 0 = v", "rw [add_zero]"),
    Sample("𝕜 : Type u_1\nz w : ℂ\n⊢ ‖z * w‖ = ‖z‖ * ‖w‖", "exact norm_mul z w"),
)  # fmt: skip


def read_samples(path: Path) -> list[Sample]:
    """Read goals from a file.

    A `.jsonl` file has an object per line, with `goal` (or `tactic_state`) and perhaps `tactic` (or
    `prefix`). Any other file is text with blank lines between goals. Raises `InputError` if the
    file cannot be read or has no goal.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(path, error) from None
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text") from None
    if text.strip():
        filekind.check_text(path)
    if path.suffix == ".jsonl":
        samples = [
            _sample(path, number, line)
            for number, line in enumerate(text.split("\n"), 1)
            if line.strip()
        ]
    else:
        samples = [Sample(goal.strip("\n")) for goal in re.split(r"\n\s*\n", text) if goal.strip()]
    if not samples:
        raise InputError(f"{path}: no goals in it")
    return samples


def _sample(path: Path, number: int, line: str) -> Sample:
    try:
        row = json.loads(line)
        goal = row.get("goal", row.get("tactic_state"))
        tactic = row.get("tactic", row.get("prefix")) or ""
    except (ValueError, AttributeError, RecursionError):
        raise InputError(f"{path}: line {number} is not a JSON object") from None
    if not isinstance(goal, str) or not goal or not isinstance(tactic, str):
        raise InputError(f"{path}: line {number} has no goal")
    try:
        (goal + tactic).encode()
    except UnicodeEncodeError:
        raise InputError(f"{path}: line {number} has half a character (a lone surrogate)") from None
    return Sample(goal, tactic)
