import LlmSuggest
import FakeDaemon

/-!
# Lean's own tactics on what a step leaves

They are tried where no step closes the goal, if none of them does.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers "assumption, omega"
set_option linter.unusedVariables false

/--
info: Try these:
  [apply] constructor <;> assumption  -- closes the goal
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! One line below, or a bullet for each goal. -/

/--
info: Try these:
  [apply] intro h
    assumption  -- closes the goal
  [apply] intro h  -- leaves 1 goal
-/
#guard_msgs in
answering "intro h" in
example (p : Prop) : p → p := by
  llmsuggest

/--
info: Try these:
  [apply] constructor
    · assumption
    · omega  -- closes the goal
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor" in
example (p : Prop) (hp : p) (a b : Nat) (h : a < b) : p ∧ 2 * a + 1 < 2 * b := by
  llmsuggest

/-! Not where a goal is left that none of them closes, or where a step closes the goal by itself. -/

/--
info: Try this:
  [apply] constructor  -- leaves 2 goals
---
error: unsolved goals
p q : Prop
hp : p
⊢ p ∧ q
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) : p ∧ q := by
  llmsuggest

/--
info: Try these:
  [apply] exact ⟨hp, hq⟩  -- closes the goal
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor", "exact ⟨hp, hq⟩" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! Steps that have to start with a prefix: not with another tactic of Lean's. -/

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "skip" in
example (a b : Nat) (h : a < b) : a + 1 ≤ b := by
  llmsuggest "rw"

/--
info: Try this:
  [apply] omega  -- closes the goal; found by Lean
-/
#guard_msgs in
answering "skip" in
example (a b : Nat) (h : a < b) : a + 1 ≤ b := by
  llmsuggest "om"

/-! The tactics are the user's to choose. -/

theorem lt_of_two {a b : Nat} (h : a < b) : 2 * a + 1 < 2 * b := by omega

/--
info: Try these:
  [apply] intro h
    exact lt_of_two h  -- closes the goal
  [apply] intro h  -- leaves 1 goal
-/
#guard_msgs in
answering "intro h" in
set_option llmsuggest.finishers "simp at h, exact lt_of_two h, nonsense, native_decide" in
example (a b : Nat) : a < b → 2 * a + 1 < 2 * b := by
  llmsuggest

/-! # On the goal itself

Where none of the model's suggestions closes it. -/

/--
info: Try these:
  [apply] assumption  -- closes the goal; found by Lean
  [apply] omega  -- closes the goal; found by Lean
  [apply] have := h  -- leaves 1 goal
-/
#guard_msgs in
answering "have := h", "exact foo" in
example (a b : Nat) (h : a < b) : a < b := by
  llmsuggest

/--
info: Try this:
  [apply] exact h  -- closes the goal
-/
#guard_msgs in
answering "exact h" in
example (a b : Nat) (h : a < b) : a < b := by
  llmsuggest

/-! The functions that the user has defined are named. -/

def double : Nat → Nat
  | 0 => 0
  | n + 1 => double n + 2

/--
info: Try these:
  [apply] simp_all [double]  -- closes the goal; found by Lean
  [apply] grind [double]  -- closes the goal; found by Lean
-/
#guard_msgs in
answering "exact foo" in
set_option llmsuggest.finishers "rfl, assumption" in
example (n m : Nat) (h : double n = m) : double (n + 1) = m + 2 := by
  llmsuggest

/-! An empty list turns them off. -/

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "exact foo" in
set_option llmsuggest.finishers "" in
example (a b : Nat) (h : a < b) : a < b := by
  llmsuggest

/-! Their own commas do not separate them. -/

/--
info: Try this:
  [apply] simp only [hp, hq, and_self]  -- closes the goal; found by Lean
-/
#guard_msgs in
answering "skip" in
set_option llmsuggest.finishers "omega, simp only [hp, hq, and_self], assumption" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
