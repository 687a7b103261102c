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

/-- Whether the request includes the file above the call and the theorem's name. Only models that
were trained with them see them. They leave the machine only with a remote model. -/
register_option llmsuggest.context : Bool := {
  defValue := true
  descr := "whether `llmsuggest` sends the file above the call and the theorem's name, for models \
    that were trained with them"
}

/-- The number of suggestions that `llmsuggest` asks the model for, from 1 to 32. -/
register_option llmsuggest.n : Nat := {
  defValue := 5
  descr := "number of suggestions that `llmsuggest` asks the model for (1 to 32)"
}

/-- The time limit for the daemon's answer, in seconds. -/
register_option llmsuggest.timeout : Nat := {
  defValue := 20
  descr := "time limit of `llmsuggest` for the daemon's answer, in seconds (at least 1)"
}

/-- The time limit for the daemon's answer while the daemon loads the model, in seconds. -/
register_option llmsuggest.loadTimeout : Nat := {
  defValue := 60
  descr := "time limit of `llmsuggest` while the daemon loads the model, in seconds"
}

/-- The limit for checking one suggestion, in the unit of `maxHeartbeats`. -/
register_option llmsuggest.heartbeats : Nat := {
  defValue := 50000
  descr := "limit for checking one suggestion of `llmsuggest`, in the unit of `maxHeartbeats`"
}

/-- The time limit for checking all suggestions together, in milliseconds. -/
register_option llmsuggest.checkTime : Nat := {
  defValue := 5000
  descr := "time limit of `llmsuggest` for checking all suggestions, in milliseconds"
}

/-- The limit of Lean's memory growth while one suggestion is checked, in MB. It includes the memory
that Lean's other work needs meanwhile. It works on Linux only; elsewhere, `llmsuggest.checkTime` is
the only limit besides `llmsuggest.heartbeats`. -/
register_option llmsuggest.memory : Nat := {
  defValue := 1000
  descr := "limit of Lean's memory growth while `llmsuggest` checks one suggestion, in MB (Linux)"
}

/-- Lean's own tactics, separated by commas, that are tried if no suggestion closes the goal: on the
goal, and on the goals that suggestions leave. An empty text turns this off. -/
register_option llmsuggest.finishers : String := {
  defValue := "rfl, assumption, omega, decide, simp, simp_all, grind, exact?"
  descr := "tactics that `llmsuggest` and `llmprove` try beside the model's suggestions"
}

/-- The time limit of the search for a proof, in seconds. -/
register_option llmprove.seconds : Nat := {
  defValue := 30
  descr := "time limit of `llmprove`, in seconds"
}

/-- The limit of goals that `llmprove` asks the model about. -/
register_option llmprove.expansions : Nat := {
  defValue := 200
  descr := "limit of goals that `llmprove` asks the model about"
}

/-- The number of steps that `llmprove` asks the model for per goal, from 1 to 32. -/
register_option llmprove.n : Nat := {
  defValue := 8
  descr := "number of steps that `llmprove` asks the model for per goal (1 to 32)"
}

/-- Whether `llmprove` also tries steps that the goal's shape suggests, such as `induction`. -/
register_option llmprove.moves : Bool := {
  defValue := true
  descr := "whether `llmprove` also tries steps that the goal's shape suggests, such as `induction`"
}

/-- Whether suggestions that do not work are also listed, with the reasons. -/
register_option llmsuggest.showInvalid : Bool := {
  defValue := false
  descr := "whether `llmsuggest` also lists suggestions that do not work, with the reasons"
}

/-- Whether the model is also asked outside an editor, as in `lake build`. -/
register_option llmsuggest.inBuild : Bool := {
  defValue := false
  descr := "whether `llmsuggest` also asks the model outside an editor, as in `lake build`"
}
