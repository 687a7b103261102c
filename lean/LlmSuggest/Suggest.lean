/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Meta.TryThis
public meta import LlmSuggest.Check
public meta import LlmSuggest.Client
public meta import LlmSuggest.Own

public meta section

/-!
# From the model's answers to suggestions

The answers are parsed and run. A tactic that prints its own replacement, such as `simp?`, is
replaced by it. If nothing closes the goal, Lean's own tactics are run on it, and on the goals that
the best steps leave. Otherwise they are not run, since they would delay the list.
-/

namespace LlmSuggest

open Lean Elab Tactic Meta.Tactic

/-- A step and the outcome of its check. -/
structure Suggestion where
  /-- The step. -/
  step : Step
  /-- The outcome of its check. -/
  outcome : Outcome

/-- Suggestions, the best first. -/
def sorted (suggestions : Array Suggestion) : Array Suggestion :=
  (suggestions.toList.mergeSort (·.outcome.rank ≤ ·.outcome.rank)).toArray

/-- The steps in the answers, each once, and the reasons why the other answers are no steps. -/
def readAnswers (answers : Array Answer) : CoreM (Array Step × Array (String × Fault)) := do
  let mut steps := #[]
  let mut others := #[]
  for answer in answers do
    match ← Step.read answer.text with
    | .ok readings =>
      for step in readings do
        unless steps.any fun earlier : Step => earlier.stx.structEq step.stx do
          steps := steps.push step
    | .error fault =>
      let fault := match fault, answer.finished? with
        | .other _, some false => .other "it was cut off: the model reached its limit of tokens"
        | _, _ => fault
      others := others.push (answer.text, fault)
  return (steps, others)

/-- The best of the steps that each answer may mean. -/
def bestReadings (suggestions : Array Suggestion) : Array Suggestion :=
  let answers := suggestions.toList.map (·.step.said) |>.eraseDups
  answers.toArray.filterMap fun said =>
    (sorted (suggestions.filter (·.step.said == said)))[0]?

/-! ### Steps that print their replacement -/

/-- The replacements of its own text that a step has put into its info trees. -/
partial def printedEdits (tree : InfoTree) : Array Lsp.TextEdit :=
  match tree with
  | .context _ child => printedEdits child
  | .hole _ => #[]
  | .node info children =>
    let own := if let .ofCustomInfo { value, .. } := info then
      ((value.get? TryThis.TryThisInfo).map (·.edit)).toArray else #[]
    own ++ children.toArray.flatMap printedEdits

/-- The largest number of replacements of one step; `rw?` prints many. -/
def maxPrinted : Nat := 3

/-- The texts after accepting the replacements of a step. If there are several for one place, each
of the first ones gives a text. -/
def acceptPrinted (source : String) (edits : Array Lsp.TextEdit) : List String :=
  let map := FileMap.ofString source
  let places := (edits.map (·.range)).toList.eraseDups
  let choices := places.map fun place =>
    (place, (edits.filter (·.range == place)).map (·.newText))
  let count := (choices.map (·.2.size)).max?.getD 0
  (List.range (min count maxPrinted)).map fun i =>
    let chosen := choices.map fun (place, texts) =>
      (map.lspPosToUtf8Pos place.start, map.lspPosToUtf8Pos place.end,
        texts[i]?.getD (texts.back?.getD ""))
    -- The last place first, so that the others stay where they are.
    chosen.mergeSort (fun a b => b.1 ≤ a.1) |>.foldl (init := source)
      fun text (start, stop, new) => String.Pos.Raw.extract text 0 start ++ new ++
        String.Pos.Raw.extract text stop text.rawEndPos

/-- The replacements that a step prints. -/
def Guard.printed (guard : Guard) (limits : Limits) (step : Step) : TacticM (List String) := do
  let run : TacticM (Array Lsp.TextEdit) := do
    modifyInfoState ({ · with trees := {} })
    -- A tactic that prints may end with an error, or with a goal that it leaves as it is.
    discard <| observing <| evalTactic step.stx
    let state ← getInfoState
    return state.trees.toArray.flatMap fun tree => printedEdits (tree.substitute state.assignment)
  match ← guard.limiting limits <| tentatively step limits.heartbeats run with
  | .ok (.ok edits) => return acceptPrinted step.source edits
  | _ => return []

/-- Whether a step prints a replacement. A step that fails is recognised by its words: `rw?` prints
and then leaves a `sorry`. -/
def Suggestion.prints (suggestion : Suggestion) : Bool :=
  match suggestion.outcome with
  | .works effect => effect.prints
  | .fails _ => (suggestion.step.stx.find? fun part => part.isAtom &&
      part.getAtomVal.length > 1 && part.getAtomVal.endsWith "?").isSome
  | .stopped _ => false

/-- The suggestions, with steps that print a replacement replaced, if the replacement works. -/
def Guard.replacePrinting (guard : Guard) (limits : Limits) (suggestions : Array Suggestion) :
    TacticM (Array Suggestion) := do
  let mut all := #[]
  for suggestion in suggestions do
    let mut printed := #[]
    if suggestion.prints then
      for text in ← guard.printed limits suggestion.step do
        if let some step ← Step.ofText? text then
          let outcome ← guard.check limits step
          if outcome matches .works _ then
            printed := printed.push { step, outcome }
    all := all ++ if printed.isEmpty then #[suggestion] else printed
  return all

/-! ### Lean's own tactics -/

/-- The finishers that close the main goal. One that prints its replacement, as `exact?` does, is
replaced by it. -/
def Guard.finish (guard : Guard) (limits : Limits) (finishers : Array Step) :
    TacticM (Array Suggestion) := do
  let heartbeats := if limits.heartbeats == 0 then finisherHeartbeats
    else min limits.heartbeats finisherHeartbeats
  let limits := { limits with heartbeats }
  let checked ← finishers.mapM fun step => do
    return { step, outcome := ← guard.check limits step : Suggestion }
  let closing ← guard.replacePrinting limits (checked.filter (·.outcome.closes))
  return closing.filterMap fun { step, outcome } => do
    let .works effect := outcome | none
    return { step, outcome := .works { effect with isOwn := true } }

/-- The number of steps whose remaining goals the finishers try to close. -/
def maxFinished : Nat := 3

/-- For each goal that a step leaves, a finisher that closes it. -/
def Guard.finish? (guard : Guard) (limits : Limits) (finishers : Array Step) (effect : Effect) :
    TacticM (Option (List String)) := do
  let mut state := effect.after
  let mut used := #[]
  for goal in effect.goals do
    -- A goal can be settled together with one before it.
    if state.term.meta.meta.mctx.eAssignment.contains goal then continue
    let mut found? := none
    for finisher in finishers do
      if found?.isNone then
        let present := { state with tactic := { goals := [goal] } }
        if let some after := (← guard.checkOn limits present finisher).closed? then
          found? := some (finisher.source, after)
    let some (finisher, after) := found? | return none
    used := used.push finisher
    state := after
  return used.toList

/-- A step with the finishers that close the goals which it leaves. -/
def finishedTexts (step : Step) (finishers : List String) : List String :=
  let text := step.textAt 0
  let onEach := match finishers.eraseDups with
    | [finisher] =>
      if step.tactics.size == 1 && finishers.length > 1 then [s!"{text} <;> {finisher}"] else []
    | _ => []
  let below := match finishers with
    | [finisher] => [finisher]
    | _ => finishers.map fun finisher => s!"· {finisher}"
  "\n".intercalate (text :: below) :: onEach |>.reverse

/-- Steps that close the goal: those that leave goals, and finishers for these. -/
def Guard.finishAll (guard : Guard) (limits : Limits) (finishers : Array Step)
    (suggestions : Array Suggestion) : TacticM (Array Suggestion) := do
  let mut finished := #[]
  for { step, outcome } in (sorted suggestions).take maxFinished do
    let .works effect := outcome | continue
    if effect.goals.isEmpty then continue
    let some used ← guard.finish? limits finishers effect | continue
    for text in finishedTexts step used do
      let some step ← Step.ofText? text | continue
      let outcome ← guard.check limits step
      if outcome.closes then
        finished := finished.push { step, outcome }
        break
  return finished

/-! ### From answers to suggestions -/

/-- How long a list waits for Lean's index of the library, for the sake of `exact?`, in
milliseconds. -/
def indexTime : Nat := 1000

/-- The reason why a step failed. A text that is no tactic was parsed as a term, but more likely
uses an unknown tactic. -/
def betterFault (step : Step) (fault : Fault) : TacticM Fault := do
  let some word := step.head? | return fault
  let name := word.toName
  if (← getLCtx).findFromUserName? name.getRoot |>.isSome then
    return fault
  return if (← resolveGlobalName name).isEmpty then .unknown word else fault

/-- The suggestions for the main goal in the answers, the best first, and the other answers with the
reasons. Each starts with `prefix`, also Lean's own tactics. -/
def suggestionsFrom (answers : Array Answer) («prefix» : String := "") :
    TacticM (Array Suggestion × Array (String × Fault)) := withMainContext do
  let (steps, unread) ← readAnswers answers
  let deadline := (← IO.monoMsNow) + llmsuggest.checkTime.get (← getOptions)
  let checked ← withGuard fun guard => do
    let outcomes ← guard.checkAll steps deadline
    let limits ← Limits.fromOptions deadline
    let checked := (steps.zip outcomes).map fun (step, outcome) => { step, outcome : Suggestion }
    let checked ← guard.replacePrinting limits (bestReadings checked)
    if checked.any (·.outcome.closes) then
      return checked
    let (queries, finishers) := (← finishersOf (← getMainGoal)).partition (·.isQuery)
    let mut found ← guard.finish limits (finishers.filter (·.source.startsWith «prefix»))
    if found.isEmpty then
      found ← guard.finishAll limits finishers checked
    if found.isEmpty then
      let soon := min deadline ((← IO.monoMsNow) + indexTime)
      let queries := queries.filter (·.source.startsWith «prefix»)
      found ← guard.finish limits (← queries.filterM fun step => awaitIndexes step.stx soon)
    return found ++ checked
  let mut working := #[]
  let mut faults := unread
  for suggestion in sorted checked do
    if let .fails fault := suggestion.outcome then
      faults := faults.push (suggestion.step.said, ← betterFault suggestion.step fault)
    else
      unless working.any fun earlier : Suggestion =>
          earlier.step.stx.structEq suggestion.step.stx do
        working := working.push suggestion
  return (working, faults)

end LlmSuggest
