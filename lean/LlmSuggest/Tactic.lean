/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Ask
public meta import LlmSuggest.Show

public meta section

/-!
# The tactic `llmsuggest`

Each suggestion is run on the goal before it is shown, and is marked with its effect.
-/

namespace LlmSuggest

open Lean Elab Tactic

/--
`llmsuggest` asks the language model behind the `llmsuggestd` daemon of this machine for the next
step, runs each suggestion on the goal, and lists those that work: first those that close the goal,
then those that leave goals. A click or a code action replaces the call with a suggestion. A
suggestion that closes the goal is also used immediately, as with `exact?`.

`llmsuggest "pre"` asks for steps that start with `pre`.

```
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest
  -- Try these:
  --   [apply] exact ⟨hp, hq⟩  -- closes the goal
  --   [apply] constructor  -- leaves 2 goals
```

`set_option llmsuggest.n`, `.timeout`, `.loadTimeout`, `.heartbeats`, `.checkTime`, `.memory`,
`.finishers`, `.context`, `.showInvalid` and `.inBuild` configure it.
-/
syntax (name := llmsuggest) "llmsuggest" (ppSpace str)? : tactic

/-! ### Repeated runs of a call -/

/-- A run of a call on a goal. -/
structure Visit where
  /-- The range of the call. -/
  place : Lean.Syntax.Range
  /-- The goal. -/
  goal : MVarId
  /-- The text of the goal for the model. -/
  text : String
  /-- The state in which the call was run. -/
  before : SavedState
  /-- The suggestions that work on this goal and on those of the earlier runs. -/
  suggestions : Array Suggestion

/-- The last runs of calls in a command. They are not exported. They live in the environment, so
backtracking forgets them, too. -/
initialize visits : EnvExtension (Array Visit) ←
  registerEnvExtension (pure #[]) (asyncMode := .local)

/-- The number of runs that are remembered. -/
def maxVisits : Nat := 64

/-- The earlier runs of the call at a place. -/
def visitsAt (place : Lean.Syntax.Range) : CoreM (Array Visit) := do
  return (visits.getState (← getEnv)).filter (·.place == place)

/-- Remembers a run. -/
def addVisit (visit : Visit) : CoreM Unit :=
  modifyEnv fun env => visits.modifyState env fun all =>
    (all.push visit).extract (all.size + 1 - maxVisits) (all.size + 1)

/-- Whether the call has been run before on the goal that `goal` has come from, with the same text.
The earlier suggestions were not used, and asking again would give the same ones. -/
def isRepeated (earlier : Array Visit) (goal : MVarId) (text : String) : MetaM Bool :=
  earlier.anyM fun visit => do
    return visit.text == text &&
      (visit.goal == goal || (← Meta.getMVars (.mvar visit.goal)).contains goal)

/-- The combined outcome of a step on two goals. -/
def Outcome.and : Outcome → Outcome → Outcome
  | .fails fault, _ | _, .fails fault => .fails fault
  | .stopped limit, _ | _, .stopped limit => .stopped limit
  | .works a, .works b => .works { b with
      goals := a.goals ++ b.goals
      runs := a.left ++ b.left
      settled := a.settled ++ b.settled
      deprecated := a.deprecated ++ b.deprecated
      recursive? := a.recursive? <|> b.recursive? }

/-- The suggestions that work on the goals of the earlier runs and on the present one. -/
def forAll (earlier : Array Visit) (suggestions : Array Suggestion) :
    TacticM (Array Suggestion) := do
  let some last := earlier.back? | return suggestions
  let limits ← Limits.fromOptions ((← IO.monoMsNow) + llmsuggest.checkTime.get (← getOptions))
  let find? := fun (step : Step) (among : Array Suggestion) =>
    among.find? (·.step.stx.structEq step.stx)
  let all ← withGuard fun guard => do
    let old ← last.suggestions.mapM fun { step, outcome } => do
      let here ← match find? step suggestions with
        | some suggestion => pure suggestion.outcome
        | none => guard.check limits step
      return { step, outcome := outcome.and here : Suggestion }
    let new := suggestions.filter fun { step, .. } => (find? step last.suggestions).isNone
    let new ← new.mapM fun { step, outcome } => do
      let outcome ← earlier.foldlM (init := outcome) fun outcome visit =>
        return (← guard.checkOn limits visit.before step).and outcome
      return { step, outcome : Suggestion }
    return old ++ new
  return sorted <| all.filter fun suggestion => !suggestion.outcome matches .fails _

/-- Removes the lists of earlier runs of the call from the messages. Lists that Lean has shown
already stay: see `notForAll?`. -/
def removeLists (call : Syntax) : CoreM Unit := do
  let some start := call.getPos? | return
  let position := (← getFileMap).toPosition start
  let isEarlier := fun message : Message =>
    message.pos == position && message.data.hasTag (· == messageTag)
  modifyThe Core.State fun state =>
    let kept := state.messages.unreported.toList.filter (!isEarlier ·)
    { state with messages.unreported := kept.toPArray' }

/-- Ends a run of a call with the error that `fail` throws. A tactic that recovers from errors, such
as `all_goals`, would bring back the lists of earlier runs, which do not work on this goal. So a
later run logs its error, and admits the goal. -/
def failRun (call : Syntax) (visit : Visit) (earlier : Array Visit) (fail : TacticM Unit) :
    TacticM Unit := do
  addVisit { visit with suggestions := #[] }
  if earlier.isEmpty || !(← read).recover then
    return ← fail
  removeLists call
  try fail catch error => logException error
  admitGoal visit.goal

/-! ### The call -/

/-- The site of a call in its file, if what stands there is this call. -/
def siteOf? (call : Syntax) : TermElabM (Option Site) := do
  let some range := call.getRange? | return none
  Site.of? call.getKind (← getFileMap) range

/-- If Lean will run a call again, on the goal of another alternative: a sentence that says so. What
is found until then has no links. It may not work there, and Lean shows the messages of an
alternative before it runs the next, so that they cannot be removed. -/
def notForAll? (site? : Option Site) (earlier : Array Visit) : Option String := do
  let site ← site?
  guard (earlier.size + 1 < site.runs)
  return s!"This call runs on {site.runs} goals. For {earlier.size + 1} of them"

/-- The suggestions with the entries that write them at the site of a call, if it has one; and those
that cannot be written there. -/
def withEntries (site? : Option Site) (suggestions : Array Suggestion) :
    TacticM (Array (Suggestion × Option Entry) × Array (String × Fault)) := do
  let some site := site? | return (suggestions.map (·, none), #[])
  let mut entries := #[]
  let mut faults := #[]
  for suggestion in suggestions do
    match ← site.entry? suggestion with
    | some entry => entries := entries.push (suggestion, some entry)
    | none => faults := faults.push (suggestion.step.said,
        .other "it works, but Lean would parse it differently here")
  return (entries, faults)

/-- The message without suggestions. `hint` tells how to see the failures. -/
def noneMessage (goal : MVarId) (answers : Answers) (faults : Array (String × Fault))
    (hint := "") : MetaM String := do
  let advice := sentLine answers.sentTo? ++ (← modelAdvice goal answers.model?)
  if answers.suggestions.isEmpty then
    return s!"the model has no suggestion for this goal.{advice}"
  let unknown := faults.filterMap fun (_, fault) => match fault with
    | .unknown word => some s!"`{word}`"
    | .other _ => none
  if unknown.size < faults.size then
    return s!"none of the model's suggestions works here.{hint}{advice}"
  match unknown.toList.eraseDups with
  | [word] => return s!"{word} is unknown here: is an import missing?{advice}"
  | words => return s!"{", ".intercalate words} are unknown here: is an import missing?{advice}"

/-- Continues in the state after a step, with the present messages. -/
def goOnFrom (after : SavedState) : TacticM Unit := do
  let messages ← Core.getMessageLog
  after.restore
  Core.setMessageLog messages

/-- Lists the suggestions for a call, and names the server that the goal was sent to. `others` are
those for the last goal alone, if the call has been run on these earlier goals. -/
def report (call : Syntax) (site? : Option Site) (shown : Array (Suggestion × Option Entry))
    (earlier : Array Visit) (others : Array Suggestion) (sentTo? : Option String) :
    CoreM Unit := do
  removeLists call
  let entries := shown.filterMap (·.2)
  if let (some why, false) := (notForAll? site? earlier, shown.isEmpty) then
    logWithoutLinks call s!"{why}{sentNote sentTo?}:" (shown.map (·.1))
  else if !entries.isEmpty then
    logEntries call entries sentTo?
  else if !shown.isEmpty then
    logWithoutLinks call s!"The code here calls `llmsuggest`, so its suggestions have no \
      links{sentNote sentTo?}:" (shown.map (·.1))
  else
    logWithoutLinks call s!"No suggestion works on all {earlier.size + 1} goals of this call. For \
      the last goal{sentNote sentTo?}:" others

@[tactic llmsuggest, inherit_doc llmsuggest]
def evalLlmsuggest : Tactic := fun call => withMainContext do
  unless ← mayAsk do
    throwError "llmsuggest: the model is asked only in an editor. Replace this call with a \
      suggestion, or set the option `llmsuggest.inBuild`."
  let before ← saveState
  let goal ← getMainGoal
  let text ← goalText goal
  let place := call.getRange?.getD ⟨0, 0⟩
  let earlier ← visitsAt place
  if ← isRepeated earlier goal text then
    throwError "llmsuggest: this call has already run on this goal, and has no other suggestions."
  let «prefix» := (call[1][0].isStrLit?).getD ""
  let client ← clientName call
  let state ← stateText text (← getUnsolvedGoals).tail
  let answers ← match ←
      askFor state «prefix» client (← getFileMap) place.start (← Term.getDeclName?) with
    | .answers answers => pure answers
    | .failure message _ => throwNoSuggestion call message
    | .canceled => throwInterruptException
  let (suggestions, faults) ← suggestionsFrom answers.suggestions «prefix»
  let site? ← siteOf? call
  -- A call made by a macro may be one of several at the same place.
  let earlier := if site?.isSome then earlier else #[]
  let forAll ← forAll earlier suggestions
  let (shown, unwritten) ← withEntries site? forAll
  let faults := faults ++ unwritten
  let showInvalid := llmsuggest.showInvalid.get (← getOptions)
  if showInvalid && !faults.isEmpty then
    logInvalid call faults
  let visit := { place, goal, text, before, suggestions := forAll }
  if shown.isEmpty && (earlier.isEmpty || suggestions.isEmpty) then
    let hint := if showInvalid then "" else
      " `set_option llmsuggest.showInvalid true` lists them."
    let message ← noneMessage goal answers faults hint
    return ← failRun call visit earlier (throwNoSuggestion call message)
  let alone := if earlier.isEmpty then #[] else suggestions
  if let some after := (shown.map (·.1) ++ alone).findSome? (·.outcome.closed?) then
    goOnFrom after
  addVisit visit
  report call site? shown earlier suggestions answers.sentTo?

end LlmSuggest
