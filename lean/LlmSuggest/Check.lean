/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import LlmSuggest.Step

public meta section

/-!
# Running a suggestion to see what it does

Each step is run on the main goal, and then everything is as it was: goals, messages, info trees
and declarations. A step counts as closing the goal only if the proof that it leaves behind is one.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- What a step does to the goal. -/
inductive Outcome where
  /-- It proves the goal; the state is the one after it. -/
  | closes (after : SavedState)
  /-- It leaves this number of goals. -/
  | leaves (goals : Nat)
  /-- A limit was reached before it was done. -/
  | stopped
  /-- It does not work, for this reason. -/
  | fails (reason : String)

/-- The order in which outcomes are shown. -/
def Outcome.rank : Outcome → Nat
  | .closes _ => 0
  | .leaves n => n
  | .stopped => 1000000
  | .fails _ => 1000001

/-- What is shown behind the step: a comment, so that the line can be copied as a whole. -/
def Outcome.mark : Outcome → String
  | .closes _ => "-- closes the goal"
  | .leaves 1 => "-- leaves 1 goal"
  | .leaves n => s!"-- leaves {n} goals"
  | .stopped => "-- not checked to the end: it reached a limit"
  | .fails reason => s!"-- does not work: {reason}"

/-- Runs `x` and gives every exception as a value. Unlike `try`, this includes those of limits and
interruptions. -/
def observing {α : Type} (x : TacticM α) : TacticM (Except Exception α) :=
  controlAt CoreM fun runInCore => fun context state => do
    try
      return .ok (← runInCore x context state)
    catch error =>
      return .error error

/-- The proof and the values of the declarations that it uses and that `before` does not have. -/
def proofParts (before : Environment) (proof : Expr) : CoreM (Array ConstantInfo × Array Expr) := do
  let mut declarations := #[]
  let mut parts := #[proof]
  let mut seen : NameSet := {}
  let mut next := 0
  while next < parts.size do
    for name in parts[next]!.getUsedConstants do
      unless seen.contains name || before.contains name do
        seen := seen.insert name
        let declaration ← getConstInfo name
        declarations := declarations.push declaration
        if let some value := declaration.value? (allowOpaque := true) then
          parts := parts.push value
    next := next + 1
  return (declarations, parts)

/-- Why what `goal` was assigned to is no proof, if it is none. `before` is the state in which the
goal was open. -/
def flaw? (goal : MVarId) (before : SavedState) : TacticM (Option String) := goal.withContext do
  let proof ← instantiateMVars (.mvar goal)
  let (declarations, parts) ← proofParts before.term.meta.core.env proof
  if parts.any (·.hasSorry) then
    return "it leaves a `sorry`"
  if declarations.any fun declaration => declaration matches .axiomInfo _ then
    return "it adds an axiom"
  let lctx ← getLCtx
  if proof.hasAnyFVar fun fvar => (lctx.find? fvar).any (·.isAuxDecl) then
    return "it uses the theorem that is being proved"
  return none

/-- The first line of a message. -/
def firstLine (message : MessageData) : BaseIO String := do
  return ((← message.toString).takeWhile (· != '\n')).copy

/-- The first error in the message log. -/
def loggedError? : CoreM (Option String) := do
  match (← Core.getMessageLog).toList.find? (·.severity == .error) with
  | some error => firstLine error.data
  | none => return none

/-- Runs a step on the main goal, without restoring anything. -/
def runStep (step : Step) : TacticM Outcome := do
  let before ← saveState
  let goal ← getMainGoal
  setGoals [goal]
  Core.resetMessageLog
  withoutRecover <| evalTactic step.stx
  Term.synthesizeSyntheticMVarsNoPostponing
  let goals ← getUnsolvedGoals
  if let some error ← loggedError? then
    return .fails error
  if goals == [goal] then
    return .fails "it changes nothing"
  if let some reason ← flaw? goal before then
    return .fails reason
  unless goals.isEmpty do
    return .leaves goals.length
  -- What is left open must be what was open before.
  let left ← Meta.getMVars (.mvar goal)
  if left.any fun mvar => !before.term.meta.meta.mctx.decls.contains mvar then
    return .fails "it leaves something undetermined"
  return .closes (← saveState)

/-- Runs a step on the main goal within a limit of heartbeats, and restores everything. -/
def checkStep (step : Step) (heartbeats : Nat) : TacticM Outcome := do
  let before ← saveState
  let traces ← getTraceState
  let spent ← IO.getNumHeartbeats
  let result ← observing <| withEnableInfoTree false <|
    withTheReader Core.Context ({ · with maxHeartbeats := heartbeats * 1000 }) <|
    withCurrHeartbeats <| runStep step
  let logged? ← loggedError?
  -- What the check took does not count for the user's own proof.
  IO.setNumHeartbeats spent
  before.restore (restoreInfo := true)
  setTraceState traces
  match result with
  | .ok outcome => return outcome
  | .error error =>
    if error.isInterrupt || error.isRuntime then
      return .stopped
    -- Some tactics log their error and then abort with an exception that says nothing.
    return .fails (logged?.getD (← firstLine error.toMessageData))

/-- Runs `x` with a cancel token that is set when the editor cancels or the deadline is reached, in
milliseconds of the monotonic clock. -/
def withDeadline {α : Type} (deadline : Nat) (x : TacticM α) : TacticM α := do
  let token ← IO.CancelToken.new
  let outer? := (← readThe Core.Context).cancelTk?
  let watch : BaseIO Unit := do
    while !(← token.isSet) do
      let canceled ← match outer? with
        | some outer => outer.isSet
        | none => pure false
      if canceled || (← IO.monoMsNow) ≥ deadline then
        token.set
      else
        IO.sleep 10
  discard <| BaseIO.asTask watch (prio := .dedicated)
  try
    withTheReader Core.Context ({ · with cancelTk? := some token }) x
  finally
    token.set

/-- What each step does to the main goal, all within `milliseconds` and each within `heartbeats`. -/
def checkSteps (steps : Array Step) (milliseconds heartbeats : Nat) :
    TacticM (Array (Step × Outcome)) := do
  let deadline := (← IO.monoMsNow) + milliseconds
  let checked ← withDeadline deadline <| steps.mapM fun step => do
    if (← IO.monoMsNow) ≥ deadline then
      return (step, .stopped)
    return (step, ← checkStep step heartbeats)
  Core.checkInterrupted
  return checked

end LlmSuggest
