import LlmSuggest
import FakeDaemon

/-!
# Calls that other code makes

A link would replace that code. A user's own name for `llmsuggest` works like the name itself.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option linter.unusedVariables false

macro "prep" : tactic => `(tactic| (constructor; llmsuggest; assumption))
macro "help" : tactic => `(tactic| llmsuggest)
macro "helpme" : tactic => `(tactic| help)
macro "more" t:tactic : tactic => `(tactic| (skip; $t))
macro "both" t:tacticSeq : tactic => `(tactic| (constructor <;> · $t))

/--
info: The code here calls `llmsuggest`, so its suggestions have no links:
  exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  prep

/-! Tactics in default values of structures and functions. -/

def positive (x : Nat) (_ : x > 0 := by llmsuggest) : Nat := x

/--
info: The code here calls `llmsuggest`, so its suggestions have no links:
  decide  -- closes the goal
-/
#guard_msgs in
answering "decide" in
example : Nat := positive 3

structure Positive where
  x : Nat
  h : x > 0 := by llmsuggest

/--
info: The code here calls `llmsuggest`, so its suggestions have no links:
  decide  -- closes the goal
-/
#guard_msgs in
answering "decide" in
example : Positive where
  x := 3

/--
info: The code here calls `llmsuggest`, so its suggestions have no links:
  decide  -- closes the goal
-/
#guard_msgs in
answering "decide" in
example : Positive := { x := 3 }

/-! Names for the call. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  · help
  · exact hq

/--
info: Try this:
  [apply] 
    skip
    exact hp  -- closes the goal
-/
#guard_msgs in
answering "skip\nexact hp" in
example (p : Prop) (hp : p) : p := by helpme

/-! The user writes the call, as an argument of a macro. -/

/--
info: Try these:
  [apply] (skip
          exact hp)  -- closes the goal
  [apply] (skip; exact hp)  -- closes the goal
-/
#guard_msgs in
answering "skip\nexact hp", "skip; exact hp" in
example (p : Prop) (hp : p) : p := by
  more llmsuggest

/--
info: Try these:
  [apply] skip
         exact hp  -- closes the goal
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "skip\nexact hp", "exact hp" in
example (p : Prop) (hp : p) : p ∧ p := by
  both llmsuggest
