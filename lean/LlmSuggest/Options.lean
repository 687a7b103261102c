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

/-- How many suggestions `llmsuggest` asks the model for. -/
register_option llmsuggest.n : Nat := {
  defValue := 5
  descr := "how many suggestions `llmsuggest` asks the model for"
}

/-- How long `llmsuggest` waits for the daemon, in seconds. A model that is not loaded yet is
loaded within this time, so it should not be too short. -/
register_option llmsuggest.timeout : Nat := {
  defValue := 60
  descr := "how many seconds `llmsuggest` waits for the daemon's answer"
}
