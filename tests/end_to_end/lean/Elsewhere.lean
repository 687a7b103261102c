import LlmSuggest
import FakeDaemon

/-!
# Calls that the file does not have where they are run

A link would replace other text. A name of the user's own for `llmsuggest` is as good as the word.
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
info: `llmsuggest` is called by what stands here. Its suggestions:
  exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  prep

/-! Tactics that stand for others of structures and functions. -/

def positive (x : Nat) (_ : x > 0 := by llmsuggest) : Nat := x

/--
info: `llmsuggest` is called by what stands here. Its suggestions:
  decide  -- closes the goal
-/
#guard_msgs in
answering "decide" in
example : Nat := positive 3

structure Positive where
  x : Nat
  h : x > 0 := by llmsuggest

/--
info: `llmsuggest` is called by what stands here. Its suggestions:
  decide  -- closes the goal
-/
#guard_msgs in
answering "decide" in
example : Positive where
  x := 3

/--
info: `llmsuggest` is called by what stands here. Its suggestions:
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

/-! The call is the user's, and what is made of it is not. -/

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
