import LlmSuggest
import FakeDaemon

/-!
# Tactics that search the library

Lean builds an index of the library for them. A call whose time is up does not wait for it, but the
next call finds it.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.finishers "exact?"
set_option linter.unusedVariables false

/-- error: llmsuggest: the model has no suggestion for this goal. -/
#guard_msgs in
set_option llmsuggest.checkTime 1 in
answering in
example (a b c : Nat) (h : a ∣ b) : a ∣ b * c := by
  llmsuggest

open Lean Elab Command in
/-- info: exact? -/
#guard_msgs in
run_cmd liftTermElabM do
  let some tasks := LlmSuggest.indexTasks.getState (← getEnv) | return
  for (word, task) in ← tasks.get do
    IO.wait task
    logInfo word

/--
info: Try this:
  [apply] exact Nat.dvd_mul_right_of_dvd h c  -- closes the goal; found by Lean
-/
#guard_msgs in
set_option llmsuggest.checkTime 100000 in
answering in
example (a b c : Nat) (h : a ∣ b) : a ∣ b * c := by
  llmsuggest
