/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Search
public meta import LlmSuggest.Tactic

public meta section

/-!
# The tactic `llmprove`

It searches for a whole proof of the main goal, and offers it as one "Try this".
-/

namespace LlmSuggest

open Lean Elab Tactic

/--
`llmprove` searches for a proof of the main goal. It runs Lean's own tactics, asks the language
model behind the `llmsuggestd` daemon of this machine for steps, runs these, and continues with the
goals that they leave. The proof is run again from the start, shortened, and offered. A click or a
code action replaces the call with it. It is also used immediately, as with `exact?`.

If the time is up, it offers the best part of a proof, with `sorry` for the rest.

```
example (xs : List Nat) : xs ++ [] = xs := by
  llmprove
  -- Try this:
  --   [apply] simp  -- closes the goal
```

`set_option llmprove.seconds`, `.expansions` and `.n` limit the search. `llmsuggest.heartbeats` and
`.memory` limit each of its steps.
-/
syntax (name := llmprove) "llmprove" : tactic

/-! ### A call on several goals -/

/-- A step that runs the first of these steps that works. -/
def firstOf? (steps : Array Step) : CoreM (Option Step) := do
  if let #[step] := steps then
    return step
  Step.ofText? <| "first" ++ String.join (steps.map fun step => s!"\n| {step.textAt 2}").toList

/-- The outcome of a step on the goals of the earlier runs of a call and on the present goal. -/
def checkOnAll (earlier : Array Visit) (step : Step) : TacticM Outcome := do
  let limits ← Limits.fromOptions ((← IO.monoMsNow) + llmsuggest.checkTime.get (← getOptions))
  let limits := { limits with heartbeats := 10 * limits.heartbeats }
  withGuard fun guard => do
    earlier.foldlM (init := ← guard.check limits step) fun outcome visit =>
      return (← guard.checkOn limits visit.before step).and outcome

/-- A proof of all goals of a call, from one of the earlier goals and one of the present goal. -/
def proofForAll? (earlier : Array Visit) (old : Array Suggestion) (new : Suggestion) :
    TacticM (Option Suggestion) := do
  if old.isEmpty then
    return none
  let some step ← firstOf? (old.push new |>.map (·.step)) | return none
  let outcome ← checkOnAll earlier step
  return if outcome.closes then some { step, outcome } else none

/-! ### When there is no proof -/

/-- The reason why there is no proof, with a remedy. -/
def End.message (ended : End) (graph : Graph) : CoreM String := do
  let seconds := llmprove.seconds.get (← getOptions)
  let place := match graph.sentTo? with
    | some address => s!" at {address}"
    | none => ""
  let tried := s!"{graph.asked} goals asked about{place}, {graph.steps} steps run"
  let rejected := match graph.rejected? with
    | some reason => s!" A proof was found, but it failed when run from the start: {reason}."
    | none => ""
  return match ended with
  | .proved _ => ""
  | .time => s!"no proof was found in {seconds} s ({tried}). `set_option llmprove.seconds \
      {2 * max 1 seconds}` gives the search more time.{rejected}"
  | .expansions => s!"no proof was found ({tried}). `set_option llmprove.expansions \
      {2 * max 1 graph.asked}` lets it ask about more goals.{rejected}"
  | .exhausted => s!"no proof was found, and no step is left to try ({tried}).{rejected}"
  | .failure message => message

/-- Whether a step with `sorry` in it runs without an error and closes the main goal. -/
def runsWithHoles (limits : Limits) (step : Step) : TacticM Bool := do
  let run : TacticM Bool := withEnableInfoTree false do
    let goal :: others ← getUnsolvedGoals | return false
    let shared := (← goal.getMVarDependencies).contains
    Core.resetMessageLog
    evalTactic step.stx
    Term.synthesizeSyntheticMVarsNoPostponing
    return (← loggedError?).isNone && (← goalsLeft? others shared) matches some []
  withGuard fun guard => do
    let result ← guard.limiting limits <| tentatively step limits.heartbeats run
    return result matches .ok (.ok true)

/-- The part of a proof that was found, with `sorry` for what is left, and its mark. -/
def part? (graph : Graph) : TacticM (Option (Step × String)) := do
  let script ← (graph.partOf graph.promising 0 []).run' maxLooks
  if script matches .hole then
    return none
  let limits ← Limits.fromOptions 0
  for step in ← script.asSteps do
    if ← runsWithHoles (← limits.forScript script) step then
      let holes := if script.holes == 1 then "1 goal is" else s!"{script.holes} goals are"
      return some (step, s!"-- not finished: {holes} left as `sorry`")
  return none

/-- The largest number of first steps that are offered if nothing is proved. -/
def maxFirstSteps : Nat := 5

/-- The steps that a search has found for its goal, sorted like suggestions. -/
def firstSteps (graph : Graph) : TacticM (Array Suggestion) := do
  let some node := graph.nodes[0]? | return #[]
  let edges := (node.edges.filter (!·.isDead)).qsort fun a b => a.cost < b.cost
  let limits ← Limits.fromOptions ((← IO.monoMsNow) + llmsuggest.checkTime.get (← getOptions))
  let suggestions ← withGuard fun guard => (edges.take maxFirstSteps).mapM fun edge =>
    return { step := edge.step, outcome := ← guard.check limits edge.step : Suggestion }
  return sorted <| suggestions.filter (·.outcome matches .works _)

/-- Offers a partial proof or first steps, and ends the call with an error. -/
def reportNoProof (call : Syntax) (site? : Option Site) (earlier : Array Visit) (ended : End)
    (graph : Graph) : TacticM Unit := do
  -- What leads on here may not on the goals of the earlier runs.
  if let (some site, none, true) := (site?, notForAll? site? earlier, earlier.isEmpty) then
    let entries ← match ← part? graph with
      | some (step, mark) => Option.toArray <$> site.entryOf? step mark (closes := false) ""
      | none => (← firstSteps graph).filterMapM site.entry?
    unless entries.isEmpty do
      logEntries call entries graph.sentTo?
  throwErrorAt call m!"llmprove: {← ended.message graph}"

/-! ### The call -/

/-- Shows a proof for a call, and the server that goals were sent to. -/
def reportProof (call : Syntax) (site? : Option Site) (earlier : Array Visit) (proof : Suggestion)
    (sentTo? : Option String) : TacticM Unit := do
  removeLists call
  if let some why := notForAll? site? earlier then
    return ← logWithoutLinks call s!"{why}{sentNote sentTo?}:" #[proof]
  match site? with
  | none =>
    logWithoutLinks call s!"The code here calls `llmprove`, so its proof has no \
      link{sentNote sentTo?}:" #[proof]
  | some site =>
    if let some entry ← site.entry? proof then
      logEntries call #[entry] sentTo?
    else
      logWithoutLinks call s!"A proof was found, but Lean would parse it differently \
        here{sentNote sentTo?}:" #[proof]

@[tactic llmprove, inherit_doc llmprove]
def evalLlmprove : Tactic := fun call => withMainContext do
  unless ← mayAsk do
    throwError "llmprove: a proof is searched for only in an editor. Replace this call with the \
      proof, or set the option `llmsuggest.inBuild`."
  let before ← saveState
  let goal ← getMainGoal
  let text ← goalText goal
  let site? ← siteOf? call
  let place := call.getRange?.getD ⟨0, 0⟩
  -- A call made by a macro may be one of several at the same place.
  let earlier ← if site?.isSome then visitsAt place else pure #[]
  if ← isRepeated earlier goal text then
    throwError "llmprove: this call has already run on this goal, and found no proof."
  let old := (earlier.back?.map (·.suggestions)).getD #[]
  let remember (suggestions : Array Suggestion) : TacticM Unit :=
    addVisit { place, goal, text, before, suggestions }
  -- One proof may do for all goals that the call is run on.
  if let some known := old[0]? then
    let proof : Suggestion := { known with outcome := ← checkOnAll earlier known.step }
    if let some after := proof.outcome.closed? then
      goOnFrom after
      remember #[proof]
      return ← reportProof call site? earlier proof none
  let (ended, graph) ← searchFor (← Budget.fromOptions) (← clientName call)
  let .proved found := ended
    | let visit := { place, goal, text, before, suggestions := #[] }
      failRun call visit earlier (reportNoProof call site? earlier ended graph)
  let proof : Suggestion := { step := found.step, outcome := found.outcome }
  let some after := proof.outcome.closed? | return
  let proofForAll? ← if earlier.isEmpty then pure (some proof) else proofForAll? earlier old proof
  goOnFrom after
  remember proofForAll?.toArray
  if let some proof := proofForAll? then
    reportProof call site? earlier proof graph.sentTo?
  else
    removeLists call
    logWithoutLinks call s!"No proof works for all {earlier.size + 1} goals of this call. For the \
      last goal{sentNote graph.sentTo?}:" #[proof]

end LlmSuggest
