/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import LlmSuggest.Options
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

/-- Runs `x` and gives every exception as a value, and keeps the state, unlike
`Lean.Elab.Term.observing`. Unlike `try`, this includes the exceptions of limits, and unlike
`tryCatchRuntimeEx` those of interruptions. -/
def observing {α : Type} (x : TacticM α) : TacticM (Except Exception α) :=
  controlAt CoreM fun runInCore => fun context state => do
    try
      runInCore (.ok <$> x) context state
    catch error =>
      runInCore (pure (.error error)) context state

/-- The proof and the values of the declarations that it uses and that `before` does not have, and
the names of all constants in them. -/
def proofParts (before : Environment) (proof : Expr) : CoreM (Array Expr × NameSet) := do
  let mut parts := #[proof]
  let mut names : NameSet := {}
  let mut next := 0
  while next < parts.size do
    for name in parts[next]!.getUsedConstants do
      unless names.contains name do
        names := names.insert name
        unless before.contains name do
          if let some value := (← getConstInfo name).value? (allowOpaque := true) then
            parts := parts.push value
    next := next + 1
  return (parts, names)

/-- The axioms behind what is computed by compiled code instead of the kernel. -/
def compilerAxioms : List Name :=
  [`Lean.ofReduceBool, `Lean.ofReduceNat, `Lean.trustCompiler]

/-- Why a proof must not use a constant, if it must not. -/
def flawOf? (before : Environment) (name : Name) : CoreM (Option String) := do
  if name ∈ compilerAxioms then
    return "it trusts the compiler"
  -- The statement of a theorem is there before its proof is; a theorem is neither of the following.
  let some constant := (← getEnv).findAsync? name | return none
  if constant.kind matches .thm then
    return none
  let info := constant.toConstantInfo
  if info matches .axiomInfo _ && !before.contains name then
    return "it adds an axiom"
  -- Only the kernel minds these, when the whole proof is there.
  if info.isUnsafe then
    return "it uses what is unsafe"
  return none

/-- Why what `goal` was assigned to is no proof, if it is none. `before` is the state in which the
goal was open. -/
def flaw? (goal : MVarId) (before : SavedState) : TacticM (Option String) := goal.withContext do
  let proof ← instantiateMVars (.mvar goal)
  let env := before.term.meta.core.env
  let (parts, names) ← proofParts env proof
  if parts.any (·.hasSorry) then
    return "it leaves a `sorry`"
  for name in names do
    if let some reason ← flawOf? env name then
      return reason
  let lctx ← getLCtx
  if proof.hasAnyFVar fun fvar => (lctx.find? fvar).any (·.isAuxDecl) then
    return "it uses the theorem that is being proved"
  return none

/-- Whether something is left open in the value of `goal` that was not open in the state `before`:
neither Lean nor the user would come back to it. -/
def isOpen (goal : MVarId) (before : SavedState) : MetaM Bool := do
  let mctx := before.term.meta.meta.mctx
  if (← Meta.getMVars (.mvar goal)).any fun mvar => !mctx.decls.contains mvar then
    return true
  let levels := (collectLevelMVars {} (← instantiateMVars (.mvar goal))).result
  return levels.any fun level => (mctx.findLevelDepth? level).isNone

/-- Whether two goals ask for the same, with the same hypotheses. -/
def sameGoal (goal other : MVarId) : MetaM Bool := do
  return (← shape goal) == (← shape other)
where
  /-- All that a goal shows. -/
  shape (goal : MVarId) : MetaM (Expr × List (FVarId × Name × Expr × Option Expr)) := do
    let decl ← goal.getDecl
    let mut hypotheses := #[]
    for hypothesis in decl.lctx do
      hypotheses := hypotheses.push (hypothesis.fvarId, hypothesis.userName,
        ← instantiateMVars hypothesis.type, hypothesis.value?)
    return (← instantiateMVars decl.type, hypotheses.toList)

/-- The first line of a message. -/
def firstLine (message : MessageData) : BaseIO String := do
  return ((← message.toString).takeWhile (· != '\n')).copy

/-- The first error in the message log. -/
def loggedError? : CoreM (Option String) := do
  match (← Core.getMessageLog).toList.find? (·.severity == .error) with
  | some error => return some (← firstLine error.data)
  | none => return none

/-- What is left of the main `goal` after a step was run on all goals: what stands before `others`,
the goals that stood behind it. `none` if the step has done something to these. Only one of
`shared`, on which `goal` depends, may be settled, as the `n` of `∃ n, p n` is by a proof of `p n`.
-/
def goalsLeft? (others : List MVarId) (shared : MVarId → Bool) :
    TacticM (Option (List MVarId)) := do
  let (settled, kept) ← others.partitionM (·.isAssigned)
  let goals ← getUnsolvedGoals
  if settled.all shared && kept.isSuffixOf goals then
    return some (goals.take (goals.length - kept.length))
  else
    return none

/-- Runs a step on the main goal, without restoring anything. The other goals are there as well,
since they will be where the step is written. -/
def runStep (step : Step) : TacticM Outcome := do
  let before ← saveState
  let goal :: others ← getUnsolvedGoals | throwError "there is no goal"
  let shared ← goal.getMVarDependencies
  Core.resetMessageLog
  withoutRecover <| evalTactic step.stx
  Term.synthesizeSyntheticMVarsNoPostponing
  if let some error ← loggedError? then
    return .fails error
  let some goals ← goalsLeft? others shared.contains | return .fails "it changes other goals"
  if let [left] := goals then
    if ← sameGoal left goal then
      return .fails "it changes nothing"
  if let some reason ← flaw? goal before then
    return .fails reason
  unless goals.isEmpty do
    return .leaves goals.length
  if ← isOpen goal before then
    return .fails "it leaves something undetermined"
  return .closes (← saveState)

/-- The heartbeats that are left of the user's own limit, if there is one. -/
def heartbeatsLeft? : CoreM (Option Nat) := do
  let context ← readThe Core.Context
  if context.maxHeartbeats == 0 then
    return none
  -- None at all would stand for no limit.
  return some <| max 1 (context.maxHeartbeats + context.initHeartbeats - (← IO.getNumHeartbeats))

/-- Runs a step on the main goal within a limit of heartbeats, and restores everything. The step
also has to do with what is left of the user's own limit, as it will where it is written. -/
def checkStep (step : Step) (heartbeats : Nat) : TacticM Outcome := do
  let before ← saveState
  let traces ← getTraceState
  let names ← getDeclNGen
  let tasks := (← getThe Core.State).snapshotTasks
  let spent ← IO.getNumHeartbeats
  let limit := heartbeats * 1000
  let maxHeartbeats := min limit ((← heartbeatsLeft?).getD limit)
  let result ← observing <| withEnableInfoTree false <|
    -- What the kernel says of a lemma that the step adds has to come now, not in a later message.
    withOptions (Elab.async.set · false) <|
    withTheReader Core.Context ({ · with maxHeartbeats }) <|
    withCurrHeartbeats <| runStep step
  let logged? ← loggedError?
  -- What the check took does not count for the user's own proof.
  IO.setNumHeartbeats spent
  before.restore (restoreInfo := true)
  setTraceState traces
  setDeclNGen names
  modifyThe Core.State ({ · with snapshotTasks := tasks })
  match result with
  | .ok outcome => return outcome
  | .error error =>
    if error.isInterrupt || error.isRuntime then
      return .stopped
    -- Some tactics log their error and then abort with an exception that says nothing.
    return .fails (logged?.getD (← firstLine error.toMessageData))

/-- How many megabytes of memory this process has for itself, without the files that it maps, as
those of the imports, on Linux. -/
def ownMegabytes? : BaseIO (Option Nat) := do
  let some status ← (IO.FS.readFile "/proc/self/status").toBaseIO <&> (·.toOption) | return none
  let some line := (status.splitOn "\n").find? (·.startsWith "RssAnon:") | return none
  return (((line.splitOn " ").filterMap String.toNat?).head?).map (· / 1024)

/-- What the running check may take. -/
structure Limits where
  /-- Is set when a limit is reached. -/
  token : IO.CancelToken
  /-- How many megabytes this process may come to have, where that is known. -/
  megabytes? : Option Nat

/-- Sets the cancel token of the current limits when the editor cancels, the deadline is reached, in
milliseconds of the monotonic clock, or Lean takes too much memory. It runs beside the checks until
there are no limits. -/
partial def watch (current : IO.Ref (Option Limits)) (outer? : Option IO.CancelToken)
    (deadline : Nat) : BaseIO Unit := do
  let some limits ← current.get | return
  let isCanceled ← match outer? with
    | some outer => outer.isSet
    | none => pure false
  if isCanceled || (← IO.monoMsNow) ≥ deadline || (← isTooLarge limits.megabytes?) then
    limits.token.set
  IO.sleep 10
  watch current outer? deadline
where
  /-- Whether this process has more than a number of megabytes. -/
  isTooLarge (megabytes? : Option Nat) : BaseIO Bool := do
    let some megabytes := megabytes? | return false
    return (← ownMegabytes?).any (· > megabytes)

/-- What each step does to the main goal, within the limits that the options set. -/
def checkSteps (steps : Array Step) : TacticM (Array (Step × Outcome)) := do
  let options ← getOptions
  let deadline := (← IO.monoMsNow) + llmsuggest.checkTime.get options
  let outer? := (← readThe Core.Context).cancelTk?
  let newLimits : BaseIO Limits := do return {
    token := ← IO.CancelToken.new
    megabytes? := (← ownMegabytes?).map (· + llmsuggest.memory.get options) }
  let current ← IO.mkRef (some (← newLimits))
  discard <| BaseIO.asTask (watch current outer? deadline) (prio := .dedicated)
  try
    steps.mapM fun step => do
      Core.checkInterrupted
      if (← IO.monoMsNow) ≥ deadline then
        return (step, .stopped)
      let limits ← newLimits
      current.set (some limits)
      let outcome ← withTheReader Core.Context ({ · with cancelTk? := some limits.token }) <|
        checkStep step (llmsuggest.heartbeats.get options)
      return (step, outcome)
  finally
    current.set none

end LlmSuggest
