import LlmSuggest
import FakeDaemon

/-!
# A call that is run more than once

Its text is replaced once, for all goals on which it is run.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option linter.unusedVariables false

/-! What works on all goals is listed, once. -/

/--
info: Try these:
  [apply] exact Nat.zero_le _  -- closes the goal
  [apply] decide  -- closes the goal
  [apply] apply Nat.zero_le  -- closes the goal
-/
#guard_msgs in
answering "exact Nat.zero_le _", "rfl", "decide", "apply Nat.zero_le" in
example (n : Nat) : 0 ≤ n := by
  match n with
  | 0 | 1 => llmsuggest
  | n + 2 => exact Nat.zero_le _

/--
info: Try this:
  [apply] assumption  -- closes the goal
-/
#guard_msgs in
answering "exact hp", "assumption" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor <;> llmsuggest

/--
info: Try this:
  [apply] first | exact hp | constructor  -- leaves 2 goals
---
error: Tactic `assumption` failed

case right
p q r : Prop
hp : p
hq : q
hr : r
⊢ q ∧ r
-/
#guard_msgs in
answering "assumption", "exact hp", "first | exact hp | constructor", "constructor" in
example (p q r : Prop) (hp : p) (hq : q) (hr : r) : p ∧ (q ∧ r) := by
  constructor
  all_goals llmsuggest
  all_goals assumption

/--
info: Try this:
  [apply] simp [h]  -- closes the goal
-/
#guard_msgs in
answering "exact Or.inl h", "exact h.symm", "simp [h]" in
example (p q : Prop) (h : p ∨ q) : q ∨ p := by
  cases h with
  | inl h | inr h => llmsuggest

/-! Nothing works on all. -/

/--
info: No suggestion works on all 2 goals of this call. For the last goal:
  exact hq  -- closes the goal
-/
#guard_msgs in
answering "exact hp", "exact hq" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  all_goals llmsuggest

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  all_goals llmsuggest

/-! Without error recovery, a call that fails on a later goal fails. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  all_goals first | llmsuggest | exact hq

/-! The goals that a step leaves on each goal are shown as they are there. -/

open Lean Elab Tactic LlmSuggest in
/--
info: case left.left
p q : Prop
⊢ p

case left.right
p q : Prop
⊢ q

case right.left
p q : Prop
⊢ q

case right.right
p q : Prop
⊢ p
-/
#guard_msgs (info, drop warning) in
example (p q : Prop) : (p ∧ q) ∧ (q ∧ p) := by
  constructor
  run_tac
    let some step ← Step.ofText? "constructor" | throwError "it is not a tactic"
    let limits ← Limits.fromOptions ((← IO.monoMsNow) + 100000)
    let goals ← getUnsolvedGoals
    let outcome ← withGuard fun guard => do
      let first ← guard.check limits step
      setGoals goals.tail
      return first.and (← guard.check limits step)
    logInfo (← goalsText outcome)
    setGoals goals
  all_goals sorry

/-! The same goal again is not asked for. -/

/--
info: Try this:
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "exact absurd hp hq", "constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  repeat llmsuggest
  exact ⟨hp, hq⟩

/--
info: Try this:
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  repeat (show p ∧ q; llmsuggest)
  exact ⟨hp, hq⟩

/--
info: Try this:
  [apply] constructor  -- leaves 2 goals
---
info: Try this:
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
  llmsuggest
  exact ⟨hp, hq⟩

/--
info: Try this:
  [apply] constructor  -- leaves 4 goals
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) (hq : q) : (p ∧ q) ∧ (p ∧ q) := by
  constructor
  all_goals llmsuggest
  all_goals exact ⟨hp, hq⟩
