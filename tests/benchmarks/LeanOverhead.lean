import LlmSuggest

/-!
# Where the time of a call of `llmsuggest` goes

Run by `lean_overhead.py`, with a daemon that answers at once.
-/

open Lean Elab Tactic LlmSuggest

/-- The result of an action, and the microseconds that it took. -/
def timed {α : Type} (x : TacticM α) : TacticM (α × Nat) := do
  let start ← IO.monoNanosNow
  let result ← x
  return (result, ((← IO.monoNanosNow) - start) / 1000)

/-- `measure 9 llmsuggest` runs the call nine times, each time from the same state, and then its
parts, and logs how long each took. -/
elab "measure " n:num call:tactic : tactic => withMainContext do
  for _ in [0:n.getNat] do
    let before ← saveState
    let (_, total) ← timed (evalTactic call)
    before.restore (restoreInfo := true)
    let text ← goalText (← getMainGoal)
    let (reply, asking) ← timed do askFor text "" (← clientName call)
    let .answers answers := reply | throwError "no answers"
    let (_, starting) ← timed do
      discard <| runCurl #["--version"] "" (pure false)
    let (_, parsing) ← timed (readAnswers answers.suggestions)
    let ((suggestions, _), checking) ← timed (suggestionsFrom answers.suggestions)
    let ((shown, _), inserting) ← timed do withEntries (← siteOf? call) suggestions
    let (_, showing) ← timed (logEntries call (shown.filterMap (·.2)) none)
    before.restore (restoreInfo := true)
    logInfo <| toString <| Json.compress <| toJson
      [("total", total), ("checks", checking - parsing), ("asking", asking), ("starting curl", starting),
        ("parsing", parsing), ("inserting", inserting), ("showing", showing)]

set_option llmsuggest.inBuild true

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  measure 25 llmsuggest
  exact ⟨hp, hq⟩
