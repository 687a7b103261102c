import LlmSuggest

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000

/-! Goals of Lean's own library for a real model; `test_model.py` inserts what it suggests. -/

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

example (p q : Prop) (h : p ∧ q) : q ∧ p := by
  llmsuggest

example (p q : Prop) (hp : p) : p ∨ q := by
  llmsuggest

example (p q r : Prop) (hpq : p → q) (hqr : q → r) (hp : p) : r := by
  llmsuggest

example (p q : Prop) : p → q → p := by
  llmsuggest "intro"

example (p : Prop) (h : ¬¬¬p) : ¬p := by
  llmsuggest

example (a b c : Nat) (h : a = b) (h' : b = c) : a = c := by
  llmsuggest

example (n : Nat) : n + 0 = n := by
  llmsuggest

example (a b : Nat) : a + b = b + a := by
  llmsuggest

example (a b c : Nat) (h : a ≤ b) : a ≤ b + c := by
  llmsuggest

example (α : Type) (xs : List α) : xs ++ [] = xs := by
  llmsuggest

example (α : Type) (P : α → Prop) (a : α) (h : ∀ x, P x) : P a := by
  llmsuggest
