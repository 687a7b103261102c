/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Data.Options

public meta section

/-!
# Options of `llmsuggest`
-/

open Lean

/-- Whether the daemon is also told the file above and the theorem's name. They go to models that
were trained with them, and stay on the machine. -/
register_option llmsuggest.context : Bool := {
  defValue := true
  descr := "whether `llmsuggest` tells the model the file above and the theorem's name, if it was \
    trained with them"
}

/-- How many suggestions `llmsuggest` asks the model for, from 1 to 32. -/
register_option llmsuggest.n : Nat := {
  defValue := 5
  descr := "how many suggestions `llmsuggest` asks the model for (1 to 32)"
}

/-- How long `llmsuggest` waits for the daemon's answer, in seconds. -/
register_option llmsuggest.timeout : Nat := {
  defValue := 20
  descr := "how many seconds `llmsuggest` waits for the daemon's answer (at least 1)"
}

/-- How long `llmsuggest` waits, in seconds, where the daemon has to load the model first. -/
register_option llmsuggest.loadTimeout : Nat := {
  defValue := 60
  descr := "how many seconds `llmsuggest` waits while the daemon loads the model"
}

/-- How much work one suggestion may take to check, in the unit of `maxHeartbeats`. -/
register_option llmsuggest.heartbeats : Nat := {
  defValue := 50000
  descr := "how much work one suggestion of `llmsuggest` may take to check, in the unit of \
    `maxHeartbeats`"
}

/-- How long all suggestions together may take to check, in milliseconds. -/
register_option llmsuggest.checkTime : Nat := {
  defValue := 5000
  descr := "how many milliseconds `llmsuggest` takes to check suggestions"
}

/-- By how many megabytes the memory of Lean may grow while one suggestion is checked. All of Lean
counts, also what it does beside the check. Its memory is looked at on Linux only; elsewhere
`llmsuggest.checkTime` has to do. -/
register_option llmsuggest.memory : Nat := {
  defValue := 1000
  descr := "by how many megabytes all of Lean may grow while one suggestion of `llmsuggest` is \
    checked (Linux)"
}

/-- Lean's own tactics that are tried where no suggestion closes the goal, on the goal and on what
suggestions leave of it: with commas between. Without any, none is tried. -/
register_option llmsuggest.finishers : String := {
  defValue := "rfl, assumption, omega, decide, simp, simp_all, grind, exact?"
  descr := "tactics that `llmsuggest` and `llmprove` try beside the model's suggestions"
}

/-- For how many seconds `llmprove` looks for a proof. -/
register_option llmprove.seconds : Nat := {
  defValue := 30
  descr := "for how many seconds `llmprove` looks for a proof"
}

/-- How many goals `llmprove` asks the model about. -/
register_option llmprove.expansions : Nat := {
  defValue := 200
  descr := "how many goals `llmprove` asks the model about"
}

/-- How many steps `llmprove` asks the model for on each goal, from 1 to 32. -/
register_option llmprove.n : Nat := {
  defValue := 8
  descr := "how many steps `llmprove` asks the model for on each goal (1 to 32)"
}

/-- Whether `llmprove` takes steps that a goal's shape proposes, such as induction, beside those of
the model. -/
register_option llmprove.moves : Bool := {
  defValue := true
  descr := "whether `llmprove` takes steps that a goal's shape proposes, such as induction, beside \
    those of the model"
}

/-- Whether suggestions that do not work are listed as well, with the reason. -/
register_option llmsuggest.showInvalid : Bool := {
  defValue := false
  descr := "whether `llmsuggest` also lists suggestions that do not work"
}

/-- Whether the model is also asked outside of an editor, as in `lake build`. -/
register_option llmsuggest.inBuild : Bool := {
  defValue := false
  descr := "whether `llmsuggest` also asks the model outside of an editor, as in `lake build`"
}
