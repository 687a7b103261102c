import LlmSuggest
import FakeDaemon
import Mathlib.Order

/-! # A goal of Mathlib's, and a model that does not know Mathlib -/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option linter.unusedVariables false

open Mathlib

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
The model `starter` does not know Mathlib. `llmsuggestd models pull llmstep-2.8b` downloads one that does, and `llmsuggestd models use llmstep-2.8b` switches to it.
-/
#guard_msgs in
answering "omega", "rfl" as "starter" in
example (n : Nat) : IsTop n := by
  llmsuggest

/--
error: llmsuggest: `linarith` is unknown here: is an import missing?
The model `starter` does not know Mathlib. `llmsuggestd models pull llmstep-2.8b` downloads one that does, and `llmsuggestd models use llmstep-2.8b` switches to it.
-/
#guard_msgs in
answering "linarith" as "starter" in
example (n m : Nat) (h : IsTop n) : m < 0 := by
  llmsuggest

/--
error: llmsuggest: the model has no suggestion for this goal.
The model `starter` does not know Mathlib. `llmsuggestd models pull llmstep-2.8b` downloads one that does, and `llmsuggestd models use llmstep-2.8b` switches to it.
-/
#guard_msgs in
answering as "starter" in
example (n : Nat) : IsTop n := by
  llmsuggest

/-! Not where another model answers, or the goal is none of Mathlib's, or there is a suggestion. -/

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "omega" as "llmstep-2.8b" in
example (n : Nat) : IsTop n := by
  llmsuggest

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "omega" as "starter" in
example (n m : Nat) : n ≤ m := by
  llmsuggest

/--
info: Try this:
  [apply] exact h  -- closes the goal
-/
#guard_msgs in
answering "exact h" as "starter" in
example (n : Nat) (h : IsTop n) : IsTop n := by
  llmsuggest
