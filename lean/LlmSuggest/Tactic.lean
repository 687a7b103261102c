/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import Lean.Meta.Tactic.TryThis
public meta import LlmSuggest.Client
public meta import LlmSuggest.Options

public meta section

/-!
# The tactic `llmsuggest`
-/

namespace LlmSuggest

open Lean Elab Tactic Meta.Tactic

/--
`llmsuggest` asks the language model behind the `llmsuggestd` daemon of this machine for the next
step, and lists what it answers. A click on a suggestion, or a code action, puts it in the place of
the call.

`llmsuggest "pre"` asks for steps that start with `pre`.

```
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
  -- Try these:
  --   [apply] exact ⟨hp, hq⟩
  --   [apply] constructor
```
-/
syntax (name := llmsuggest) "llmsuggest" (ppSpace str)? : tactic

/-- Who asks, for the daemon: this place in this file, as long as the file is open. -/
def clientName (stx : Syntax) : CoreM String := do
  let position := (← getFileMap).toPosition (stx.getPos?.getD 0)
  return s!"lean {← IO.Process.getPID} {← getFileName}:{position.line}:{position.column}"

@[tactic llmsuggest, inherit_doc llmsuggest]
def evalLlmsuggest : Tactic := fun stx => withMainContext do
  let options ← getOptions
  let goal := (← Meta.ppGoal (← getMainGoal)).pretty
  let «prefix» := (stx[1][0].isStrLit?).getD ""
  let request := { goal, «prefix», n := llmsuggest.n.get options, client := ← clientName stx }
  let answers ← ask request (llmsuggest.timeout.get options)
  if answers.isEmpty then
    throwError "llmsuggest: the model has no suggestion for this goal"
  let suggestions := answers.map fun answer => { suggestion := answer.text : TryThis.Suggestion }
  let header := if suggestions.size == 1 then "Try this:" else "Try these:"
  TryThis.addSuggestions stx suggestions (header := header)

end LlmSuggest
