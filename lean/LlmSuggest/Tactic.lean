/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Check
public meta import LlmSuggest.Client
public meta import LlmSuggest.Options

public meta section

/-!
# The tactic `llmsuggest`

A suggestion is shown only after it was run on the goal, and marked with what it does there.
-/

namespace LlmSuggest

open Lean Elab Tactic Meta.Tactic

/--
`llmsuggest` asks the language model behind the `llmsuggestd` daemon of this machine for the next
step, runs what it answers on the goal, and lists the suggestions that work: those that close the
goal, then those that leave goals. A click on one, or a code action, puts it in the place of the
call. A suggestion that closes the goal is used right away, as with `exact?`.

`llmsuggest "pre"` asks for steps that start with `pre`.

```
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
  -- Try these:
  --   [apply] exact ⟨hp, hq⟩  -- closes the goal
  --   [apply] constructor  -- leaves 2 goals
```

`set_option llmsuggest.n`, `.timeout`, `.heartbeats`, `.checkTime`, `.memory`, `.showInvalid` and
`.inBuild` change what it does.
-/
syntax (name := llmsuggest) "llmsuggest" (ppSpace str)? : tactic

/-- Whether the model may be asked here: in an editor, or where the option says so. -/
def mayAsk : CoreM Bool := do
  let options ← getOptions
  return Elab.inServer.get options || llmsuggest.inBuild.get options

/-- Who asks, for the daemon: this place in this file, as long as the file is open. -/
def clientName (call : Syntax) : CoreM String := do
  let position := (← getFileMap).toPosition (call.getPos?.getD 0)
  return s!"lean {← IO.Process.getPID} {← getFileName}:{position.line}:{position.column}"

/-- What the model answers when `client` asks for steps on the goal that start with `prefix`. -/
def askFor (goal : MVarId) («prefix» client : String) : MetaM Reply := do
  let options ← getOptions
  let goal := (← Meta.ppGoal goal).pretty
  -- The daemon refuses other numbers, and to `curl` a timeout of 0 is none.
  let n := max 1 (min 32 (llmsuggest.n.get options))
  let timeout := max 1 (llmsuggest.timeout.get options)
  let isCanceled : BaseIO Bool := match (← readThe Core.Context).cancelTk? with
    | some token => token.isSet
    | none => pure false
  let reply ← ask { goal, «prefix», n, client } timeout isCanceled
  if reply matches .canceled then
    throwInterruptException
  return reply

/-- The answers that are tactics, each once, and a report on the others. -/
def parseAnswers (answers : Array Answer) : CoreM (Array Step × Array (String × String)) := do
  let mut steps := #[]
  let mut others := #[]
  for answer in answers do
    match ← Step.parse answer.text with
    | .ok step =>
      unless steps.any fun earlier : Step => earlier.stx.structEq step.stx do
        steps := steps.push step
    | .error reason => others := others.push (answer.text, reason)
  return (steps, others)

/-- The suggestion to show for a checked step at the place of `call`; `none` if the step cannot
stand there. -/
def suggestion? (call : Syntax) (step : Step) (outcome : Outcome) :
    CoreM (Option TryThis.Suggestion) := do
  let some range := call.getRange? | return none
  let some text ← step.insertion? (← getFileMap) range | return none
  return some {
    suggestion := text
    postInfo? := s!"  {outcome.mark}"
    toCodeActionTitle? := some fun text => s!"Try this: {text}  {outcome.mark}" }

/-- Lists what does not work, in a message without links. -/
def logInvalid (call : Syntax) (invalid : Array (String × String)) : CoreM Unit := do
  let line := fun (text, reason) => s!"\n  {quoted text}: {reason}"
  logInfoAt call m!"Suggestions that do not work:{String.join (invalid.map line).toList}"
where
  /-- The text on one line of a limited length, without characters that could hide something. -/
  quoted (text : String) : String :=
    let visible := (text.take 80).copy.map fun c => if isPlain c then c else '\ufffd'
    visible.quote ++ if visible.length < text.length then "…" else ""

@[tactic llmsuggest, inherit_doc llmsuggest]
def evalLlmsuggest : Tactic := fun call => withMainContext do
  let options ← getOptions
  unless ← mayAsk do
    throwError "llmsuggest: the model is asked in an editor only. Put one of its suggestions in \
      the place of this call, or set the option `llmsuggest.inBuild`."
  let «prefix» := (call[1][0].isStrLit?).getD ""
  let answers ← match ← askFor (← getMainGoal) «prefix» (← clientName call) with
    | .answers answers => pure answers
    | .failure message => throwError "llmsuggest: {message}"
    | .canceled => throwInterruptException
  let (steps, unread) ← parseAnswers answers
  let checked ← checkSteps steps
  let mut suggestions := #[]
  let mut closing? := none
  let mut invalid := unread
  for (step, outcome) in checked.toList.mergeSort fun a b => a.2.rank ≤ b.2.rank do
    if let .fails reason := outcome then
      invalid := invalid.push (step.source, reason)
    else if let some suggestion ← suggestion? call step outcome then
      suggestions := suggestions.push suggestion
      if let .closes after := outcome then
        closing? := closing? <|> some after
  if llmsuggest.showInvalid.get options && !invalid.isEmpty then
    logInvalid call invalid
  if suggestions.isEmpty then
    throwError if answers.isEmpty then "llmsuggest: the model has no suggestion for this goal."
      else "llmsuggest: none of the model's suggestions works here. \
        `set_option llmsuggest.showInvalid true` shows them."
  if let some after := closing? then
    let messages ← Core.getMessageLog
    after.restore
    Core.setMessageLog messages
  let header := if suggestions.size == 1 then "Try this:" else "Try these:"
  TryThis.addSuggestions call suggestions (header := header)

end LlmSuggest
