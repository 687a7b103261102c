import LlmSuggest
import FakeDaemon

/-!
# What is inserted, wherever the call stands

`test_tactic.py` also puts each suggestion in the place of its call and runs the result.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000

/-! After `·`, and further to the right. -/

/--
info: Try this:
  [apply] constructor
      · exact hp
      · exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\n· exact hp\n· exact hq" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  · llmsuggest

/-! The model's own margin does not matter, lines inside of a step keep theirs. -/

/--
info: Try this:
  [apply] constructor
             · exact hp
             ·
               exact hq  -- closes the goal
-/
#guard_msgs in
answering "    constructor\n    · exact hp\n    ·\n      exact hq\n" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  skip; (( llmsuggest ))

/-! Behind `by` on one line, in a term. -/

/--
info: Try this:
  [apply] constructor
                          exact hp
                          exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\nexact hp\nexact hq" in
example (p q r : Prop) (hp : p) (hq : q) (f : p ∧ q → r) : r :=
  f (show p ∧ q from by llmsuggest)

/-! In nested blocks. -/

/--
info: Try this:
  [apply] intro hp
          exact hp  -- closes the goal
-/
#guard_msgs in
answering "intro hp\nexact hp" in
example (p : Prop) (n : Nat) : p → p := by
  cases n with
  | zero =>
    have h : p → p := by
        llmsuggest
    exact h
  | succ n => exact id

/-! Beside `<;>`, where several steps need brackets. -/

/--
info: Try these:
  [apply] (exact (fun h => h) ‹_›)  -- closes the goal
  [apply] (skip
              assumption)  -- closes the goal
  [apply] (skip <;> assumption)  -- closes the goal
  [apply] assumption  -- closes the goal
-/
#guard_msgs in
answering "(exact (fun h => h) ‹_›)", "skip\nassumption", "skip <;> assumption", "assumption" in
example (p : Prop) (hp : p) : p := by
  skip <;> llmsuggest

/--
info: Try this:
  [apply] (all_goals constructor)  -- leaves 2 goals
-/
#guard_msgs in
answering "all_goals constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest <;> skip
  exact ⟨hp, hq⟩

/-! A step that cannot be moved without changing it is not offered. -/

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "exact (fun _ => trivial) \"one\ntwo\"" in
example : True := by
  llmsuggest
