import LlmSuggest
import FakeDaemon

/-!
# Lean's own tactics on what a step leaves

They are tried where no step closes the goal.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
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
    omega  -- closes the goal
  [apply] intro h  -- leaves 1 goal
-/
#guard_msgs in
answering "intro h" in
example (a b : Nat) : a < b → 2 * a + 1 < 2 * b := by
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
