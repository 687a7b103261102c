/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Try
public meta import LlmSuggest.Prove

public meta section

/-!
# The model's suggestions in `try?`

`import LlmSuggest.Try` lets Lean's own `try?` offer what the model suggests and what closes the
goal, or else a proof of several steps, when nothing that `try?` knows by itself does. No other
module of this package imports this one: without the import, `try?` is unchanged.

```
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  try?
```

## Known limitations

`try?` collects the suggestions of other packages before it tries its own tactics, so it waits for
the model even when it does not need it.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- The time limit of the search for a proof, in seconds. -/
def maxTrySeconds : Nat := 10

/-- A proof of the main goal, as `llmprove` finds one. -/
def trySearch : TacticM (Array Step) := do
  let seconds := min maxTrySeconds (llmprove.seconds.get (← getOptions))
  let budget := { (← Budget.fromOptions) with deadline := (← IO.monoMsNow) + 1000 * seconds }
  let (ended, _) ← searchFor budget (← clientName (← getRef))
  return match ended with
    | .proved proof => #[proof.step]
    | _ => #[]

/-- The model's suggestions that close the goal, or else a proof of several steps. Without a daemon,
`try?` continues without a message. -/
@[try_suggestion 100]
def trySuggestions : Try.TrySuggestionGenerator := fun goal _ => do
  unless ← mayAsk do
    return #[]
  let call ← getRef
  let position := call.getPos?.getD 0
  let reply ← try
    askFor (← goalText goal) "" (← clientName call) (← getFileMap) position none
  catch _ => return #[]
  let .answers answers := reply | return #[]
  let found ← IO.mkRef #[]
  discard <| Term.TermElabM.run' <| Tactic.run goal do
    let (suggestions, _) ← suggestionsFrom answers.suggestions
    let closing := suggestions.filter (·.outcome.closes)
    -- `try?` itself finds the proofs by Lean's own tactics.
    if closing.isEmpty then
      found.set (← trySearch)
    else
      found.set <| closing.filter (!·.outcome.isOwn) |>.map (·.step)
  (← found.get).mapM fun step => do
    match step.tactics with
    | #[tactic] => return ⟨tactic⟩
    | _ => `(tactic| ($(⟨step.stx⟩):tacticSeq))

end LlmSuggest
