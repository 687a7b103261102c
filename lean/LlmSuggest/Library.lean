/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Meta.Tactic.LibrarySearch
public meta import Lean.Meta.Tactic.Rewrites

public meta section

/-!
# The indexes of the library

`exact?` and `rw?` look up theorems in indexes, which Lean builds at their first use: some seconds,
with Mathlib more. Lean can't interrupt that, and an index built in a check that has meanwhile
reached its limit would be lost. So a task of its own builds it, and a check waits for the task as
long as its limit allows. The next check finds what the task has built.
-/

namespace LlmSuggest

open Lean Meta

/-- Builds the index in which a tactic of this name looks. Lean keeps it for the file. -/
def indexFor? (word : String) : Option (MetaM Unit) :=
  let anything := .const ``True []
  match word with
  | "exact?" | "apply?" | "exact?%" => some <| discard <| LibrarySearch.libSearchFindDecls anything
  | "rw?" => some do
    discard <| Rewrites.rwFindDecls (← Rewrites.createModuleTreeRef) anything
  | _ => none

/-- The tasks that build indexes, by the name of the tactic. The reference is made anew for each
file, as Lean's own references to the indexes are. -/
initialize indexTasks : EnvExtension (Option (IO.Ref (List (String × Task Unit)))) ←
  registerEnvExtension (some <$> IO.mkRef []) (asyncMode := .local)

/-- The task that builds the index for a tactic. It is started if there is none. -/
def indexTask (word : String) (build : MetaM Unit) : MetaM (Task Unit) := do
  let some tasks := indexTasks.getState (← getEnv) | return .pure ()
  if let some task := (← tasks.get).lookup word then
    return task
  let (ngen, own) := (← getNGen).mkChild
  setNGen own
  let context := { ← readThe Core.Context with cancelTk? := none, maxHeartbeats := 0 }
  let build := (discard <| build.run.run context { env := ← getEnv, ngen }).toBaseIO
  let task ← BaseIO.asTask (prio := .dedicated) (discard build)
  tasks.modify ((word, task) :: ·)
  return task

/-- Whether the indexes are built that a tactic uses. This waits for them until a deadline, in
milliseconds of the monotonic clock. -/
def awaitIndexes (tactic : Syntax) (deadline : Nat) : MetaM Bool := do
  for part in tactic.topDown do
    let .atom _ word := part | continue
    let some build := indexFor? word | continue
    let task ← indexTask word build
    while !(← IO.hasFinished task) do
      if (← IO.monoMsNow) ≥ deadline then
        return false
      Core.checkInterrupted
      IO.sleep 10
  return true

end LlmSuggest
