/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import Lean.Linter.Deprecated
public meta import LlmSuggest.Library
public meta import LlmSuggest.Options
public meta import LlmSuggest.Step

public meta section

/-!
# Checking a step

A step is run on the main goal. Afterwards everything is restored: goals, messages, info trees and
declarations. The step closes the goal only if the resulting proof is valid.

`withGuard` starts a task that stops checks at their limits. `Guard.check` runs a step under limits.
`Guard.checkOn` does so in a saved state, as a search for a proof needs it.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-! ### What a step does -/

/-- The effect of a step that works on the main goal. -/
structure Effect where
  /-- The state after the step. -/
  after : SavedState
  /-- The goals that are left of the main goal, in the state after the step. -/
  goals : List MVarId
  /-- For a call on several goals: the states after the step on each, and the goals that are left
  there. `goals` has all of these. -/
  runs : List (SavedState × List MVarId) := []
  /-- The metavariables shared with other goals that the step assigns, as `?m := a`. -/
  settled : Array String := #[]
  /-- The declarations that Lean reports as deprecated. -/
  deprecated : Array String := #[]
  /-- Whether the step prints its own replacement, as `simp?` does. -/
  prints : Bool := false
  /-- Whether the step is one of Lean's own tactics, not the model's. -/
  isOwn : Bool := false
  /-- The declaration under elaboration, if the step uses it. -/
  recursive? : Option Name := none

/-- The states after the step on each goal that it was run on, and the goals that are left there. -/
def Effect.left (effect : Effect) : List (SavedState × List MVarId) :=
  if effect.runs.isEmpty then [(effect.after, effect.goals)] else effect.runs

/-- The limits of a check. -/
inductive Limit where
  /-- The heartbeats of one check. -/
  | heartbeats
  /-- The time of all checks. -/
  | time
  /-- The memory of one check. -/
  | memory
  deriving BEq

/-- The option that sets the limit. -/
def Limit.option : Limit → Name
  | .heartbeats => `llmsuggest.heartbeats
  | .time => `llmsuggest.checkTime
  | .memory => `llmsuggest.memory

/-- The outcome of checking a step. -/
inductive Outcome where
  /-- It runs without an error. -/
  | works (effect : Effect)
  /-- A limit was reached before it was done. -/
  | stopped (limit : Limit)
  /-- It does not work. -/
  | fails (fault : Fault)
  deriving Inhabited

/-- The state after a step that closes the main goal, for good. -/
def Outcome.closed? : Outcome → Option SavedState
  | .works effect => if effect.goals.isEmpty && effect.recursive?.isNone then effect.after else none
  | _ => none

/-- Whether the step closes the main goal, for good. -/
def Outcome.closes (outcome : Outcome) : Bool :=
  outcome.closed?.isSome

/-- Whether the step is one of Lean's own tactics. -/
def Outcome.isOwn : Outcome → Bool
  | .works effect => effect.isOwn
  | _ => false

/-- The order in which steps are shown: those that close the goal, then those that leave goals, then
those that were stopped, then recursive ones, which only the whole proof can confirm. -/
def Outcome.rank : Outcome → Nat
  | .works { goals, settled, deprecated, recursive? := none, .. } =>
    2 * goals.length + if settled.isEmpty && deprecated.isEmpty then 0 else 1
  | .stopped _ => 1000000
  | .works _ => 1000001
  | .fails _ => 1000002

/-- The mark after the step. It is a comment, so the line can be copied as a whole. -/
def Outcome.mark : Outcome → String
  | .works { goals, settled, deprecated, isOwn, recursive?, .. } =>
    let what := match goals.length with
      | 0 => "closes the goal"
      | 1 => "leaves 1 goal"
      | n => s!"leaves {n} goals"
    let notes := [
      if isOwn then some "found by Lean" else none,
      recursive?.map fun name => s!"recursive: it uses `{name}`",
      if settled.isEmpty then none else s!"sets {", ".intercalate settled.toList}",
      if deprecated.isEmpty then none else
        s!"deprecated: {", ".intercalate (deprecated.map fun name => s!"`{name}`").toList}"]
    "-- " ++ "; ".intercalate (what :: notes.reduceOption)
  | .stopped limit => s!"-- check stopped: `{limit.option}` was reached"
  | .fails fault => s!"-- does not work: {fault.reason}"

/-! ### Valid proofs -/

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

/-- The reason why a proof must not use a constant, if there is one. -/
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
  -- Only the kernel rejects these, in the complete proof.
  if info.isUnsafe then
    return "it uses an unsafe constant"
  return none

/-- The `sorry`s in an expression. Lean labels each `sorry` of a file, and two with the same label
are the same. -/
def sorriesIn (e : Expr) : CoreM (Std.HashSet Expr) := do
  let found ← IO.mkRef {}
  e.forEach' fun part => do
    unless part.hasSorry do
      return false
    if part.isAppOf ``sorryAx && part.getAppNumArgs ≥ 2 then
      found.modify (·.insert (part.getAppArgs[2]?.getD part))
      return false
    return true
  found.get

/-- The `sorry`s that were there before the step: in the goal's text, and in definitions that the
goal or the proof mentions, which a step may unfold. -/
def knownSorries (goal : MVarId) (before : Environment) (names : NameSet) :
    MetaM (Std.HashSet Expr) := do
  let decl ← goal.getDecl
  let mut shown := #[decl.type]
  for hypothesis in decl.lctx do
    shown := shown.push hypothesis.type ++ hypothesis.value?.toArray
  let mut known : Std.HashSet Expr := {}
  let mut names := names
  for e in shown do
    let e ← instantiateMVars e
    known := known.insertMany (← sorriesIn e)
    names := e.getUsedConstants.foldl .insert names
  for name in names do
    if let some info := before.find? name then
      for e in info.value?.toArray.push info.type do
        known := known.insertMany (← sorriesIn e)
  return known

/-- The reason why the value of `goal` is no valid proof, if there is one. `before` is the state in
which the goal was open. -/
def flaw? (goal : MVarId) (before : SavedState) : TacticM (Option String) := do
  let proof ← instantiateMVars (.mvar goal)
  let env := before.term.meta.core.env
  let (parts, names) ← proofParts env proof
  let mut sorries : Std.HashSet Expr := {}
  for part in parts do
    sorries := sorries.insertMany (← sorriesIn part)
  unless sorries.isEmpty do
    let known ← knownSorries goal env names
    unless sorries.all known.contains do
      return "it leaves a `sorry`"
  for name in names do
    if let some reason ← flawOf? env name then
      return reason
  return none

/-- The declaration under elaboration, if the value of `goal` uses it. -/
def recursive? (goal : MVarId) : MetaM (Option Name) := goal.withContext do
  let proof ← instantiateMVars (.mvar goal)
  let lctx ← getLCtx
  let isAux := fun fvar => (lctx.find? fvar).any (·.isAuxDecl)
  let some use := proof.find? fun e => e.isFVar && isAux e.fvarId! | return none
  return (lctx.find? use.fvarId!).map (·.userName)

/-- Whether the value of `goal` has a metavariable that was not there in the state `before`, and so
would never be assigned. -/
def isOpen (goal : MVarId) (before : SavedState) : MetaM Bool := do
  let mctx := before.term.meta.meta.mctx
  if (← Meta.getMVars (.mvar goal)).any fun mvar => !mctx.decls.contains mvar then
    return true
  let levels := (collectLevelMVars {} (← instantiateMVars (.mvar goal))).result
  return levels.any fun level => (mctx.findLevelDepth? level).isNone

/-! ### What is left -/

/-- Whether two goals have the same hypotheses and target. -/
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

/-- The goals left of the main `goal` after a step on all goals: those in front of `others`, the
goals that stood behind it. `none` if the step has changed `others`. Only one of
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

/-- A text on one line of a limited length. -/
def shortened (text : String) (length : Nat) : String :=
  let words := (text.splitOn "\n").map (·.trimAscii.copy) |>.filter (!·.isEmpty)
  let line := " ".intercalate words
  if line.length ≤ length then line else (line.take (length - 1)).copy ++ "…"

/-- The values that metavariables which were open before a step have got, as `?m := a`. -/
def settledValues (shared : Array MVarId) : MetaM (Array String) := do
  let settled ← shared.filterM (·.isAssigned)
  settled.mapM fun mvar => do
    let name := (← mvar.getDecl).userName
    let name := if name.isAnonymous || name.hasMacroScopes then "?_" else s!"?{name}"
    let value ← mvar.withContext do Meta.ppExpr (← instantiateMVars (.mvar mvar))
    return s!"{name} := {shortened value.pretty 40}"

/-! ### What Lean says -/

/-- Whether a line of a message goes on in the next one: in front of what is set apart by
indentation, and behind it. -/
def goesOn (line next : String) : Bool :=
  !next.trimAscii.isEmpty && (line.startsWith " " || next.startsWith " ")

/-- The sentence that a message starts with, on one line. What Lean shows set apart belongs to it; a
list of goals or of reasons does not. -/
def firstSentence (text : String) : String := Id.run do
  let lines := text.splitOn "\n"
  let mut sentence := lines.headD ""
  for (line, next) in lines.zip lines.tail do
    unless goesOn line next do break
    sentence := sentence ++ "\n" ++ next
  let line := (shortened sentence 200).trimAsciiEnd.copy
  unless line.endsWith ":" do
    return line
  -- The list after the colon is omitted, so the sentence that announces it is omitted, too.
  match (line.splitOn ". ").dropLast with
  | [] => return (line.dropEnd 1).copy
  | sentences => return ". ".intercalate sentences ++ "."

/-- The first sentence of a message. -/
def sentenceOf (message : MessageData) : BaseIO String := do
  return firstSentence (← message.toString)

/-- The first error in the message log. -/
def loggedError? : CoreM (Option String) := do
  match (← Core.getMessageLog).toList.find? (·.severity == .error) with
  | some error => return some (← sentenceOf error.data)
  | none => return none

/-- Throws the exception again by which a part of a step has reached a limit of Lean's. Lean logs it
like an error of that part, and goes on. -/
def throwReachedLimit : CoreM Unit := do
  for message in (← Core.getMessageLog).toList do
    for limit in [`runtime.maxHeartbeats, `runtime.maxRecDepth] do
      if message.severity == .error && message.data.hasTag (· == limit) then
        throw <| .error .missing (.tagged limit message.data)

/-- Whether the message log has a "Try this" message. -/
def hasPrinted : CoreM Bool := do
  (← Core.getMessageLog).toList.anyM fun message =>
    return message.severity == .information && (← message.data.toString).startsWith "Try th"

/-- The deprecated declarations that the warnings in the message log are about. -/
def loggedDeprecations : CoreM (Array String) := do
  let mut names := #[]
  for message in (← Core.getMessageLog).toList do
    if message.data.hasTag (· == ``Linter.deprecatedAttr) then
      -- "`old` has been deprecated: …"
      if let _ :: name :: _ := (← message.data.toString).splitOn "`" then
        unless names.contains name do
          names := names.push name
  return names

/-! ### Running a step -/

/-- Runs a step on the main goal, without restoring anything. The other goals are there as well,
since they will be where the step is written. -/
def runStep (step : Step) : TacticM Outcome := do
  let before ← saveState
  let goal :: others ← getUnsolvedGoals | throwError "there is no goal"
  let shared := (← goal.getMVarDependencies).toArray
  let shared ← shared.filterM fun mvar => return !(← mvar.isAssigned)
  Core.resetMessageLog
  -- As in the file, Lean recovers from an error of elaboration: it logs it and goes on.
  evalTactic step.stx
  Term.synthesizeSyntheticMVarsNoPostponing
  throwReachedLimit
  if let some error ← loggedError? then
    return .fails error
  let some goals ← goalsLeft? others shared.contains | return .fails "it changes other goals"
  let settled ← settledValues shared
  if let [left] := goals then
    if settled.isEmpty && (← sameGoal left goal) then
      return .fails "it changes nothing"
  if let some reason ← flaw? goal before then
    return .fails reason
  if goals.isEmpty && (← isOpen goal before) then
    return .fails "it leaves a metavariable unassigned"
  return .works {
    after := ← saveState
    goals, settled
    deprecated := ← loggedDeprecations
    prints := ← hasPrinted
    recursive? := ← recursive? goal }

/-- Runs `x` and gives every exception as a value, and keeps the state, unlike
`Lean.Elab.Term.observing`. Unlike `try`, this includes the exceptions of limits, and unlike
`tryCatchRuntimeEx` those of interruptions. -/
def observing {α : Type} (x : TacticM α) : TacticM (Except Exception α) :=
  controlAt CoreM fun runInCore => fun context state => do
    try
      runInCore (.ok <$> x) context state
    catch error =>
      runInCore (pure (.error error)) context state

/-- The heartbeats that are left of the user's own limit, if there is one. -/
def heartbeatsLeft? : CoreM (Option Nat) := do
  let context ← readThe Core.Context
  if context.maxHeartbeats == 0 then
    return none
  -- 0 heartbeats would mean no limit.
  return some <| max 1 (context.maxHeartbeats + context.initHeartbeats - (← IO.getNumHeartbeats))

/-- The outcome that an exception of a check means. `isOwn` says whether the limit was that of one
check, not the rest of the user's own heartbeats, which the step also needs where it is written. -/
def outcomeOfError (error : Exception) (isOwn : Bool) (logged? : Option String) :
    CoreM Outcome := do
  if error.isMaxHeartbeat then
    return if isOwn then .stopped .heartbeats else
      .fails "it exceeds what is left of `maxHeartbeats` here"
  if error.isMaxRecDepth then
    return .fails "it reaches Lean's recursion limit, `maxRecDepth`"
  -- Some tactics log their error and then abort with an exception that says nothing.
  return .fails (logged?.getD (← sentenceOf error.toMessageData))

/-- Runs `x`, which runs a step, with a limit of heartbeats and as in a file that holds nothing but
the step, and restores everything. An exception is given as the outcome that it stands for. -/
def tentatively {α : Type} (step : Step) (heartbeats : Nat) (x : TacticM α) :
    TacticM (Except Outcome α) := do
  let before ← saveState
  let traces ← getTraceState
  let names ← getDeclNGen
  let tasks := (← getThe Core.State).snapshotTasks
  let spent ← IO.getNumHeartbeats
  let limit := heartbeats * 1000
  let left ← heartbeatsLeft?
  -- 0 is no limit
  let maxHeartbeats := if limit == 0 then left.getD 0 else min limit (left.getD limit)
  let fileMap := FileMap.ofString step.source
  let result ← observing <|
    -- Waits for the kernel's errors about lemmas that the step adds.
    withOptions (Elab.async.set · false) <|
    -- In a command that Lean cannot parse, errors and warnings are suppressed otherwise.
    withTheReader Core.Context ({ · with maxHeartbeats, fileMap, suppressElabErrors := false }) <|
    withCurrHeartbeats x
  let logged? ← loggedError?
  -- The heartbeats of the check do not count for the user's own proof.
  IO.setNumHeartbeats spent
  before.restore (restoreInfo := true)
  setTraceState traces
  setDeclNGen names
  modifyThe Core.State ({ · with snapshotTasks := tasks })
  match result with
  | .ok value => return .ok value
  | .error error =>
    if error.isInterrupt then
      throw error
    .error <$> outcomeOfError error (maxHeartbeats == limit) logged?

/-! ### Limits of time and memory -/

/-- This process's anonymous memory in megabytes, without mapped files such as the imports' (Linux).
-/
def ownMegabytes? : BaseIO (Option Nat) := do
  let some status ← (IO.FS.readFile "/proc/self/status").toBaseIO <&> (·.toOption) | return none
  let some line := (status.splitOn "\n").find? (·.startsWith "RssAnon:") | return none
  return (((line.splitOn " ").filterMap String.toNat?).head?).map (· / 1024)

/-- The limits of one check. -/
structure Limits where
  /-- Heartbeats, in the unit of `maxHeartbeats`. -/
  heartbeats : Nat
  /-- Its end, in milliseconds of the monotonic clock. -/
  deadline : Nat
  /-- The growth of this process's memory, in megabytes. -/
  megabytes : Nat

/-- The limits that the options set, with a deadline. -/
def Limits.fromOptions (deadline : Nat) : CoreM Limits := do
  let options ← getOptions
  return {
    heartbeats := llmsuggest.heartbeats.get options
    megabytes := llmsuggest.memory.get options
    deadline }

/-- A running check. -/
structure Watched where
  /-- The token that stops it. -/
  token : IO.CancelToken
  /-- Why it was stopped. -/
  reason : IO.Ref (Option Limit)
  /-- Its deadline. -/
  deadline : Nat
  /-- The limit of this process's memory in megabytes, if its memory is known. -/
  megabytes? : Option Nat

/-- The limit that a check has reached. -/
def Watched.limit? (check : Watched) : BaseIO (Option Limit) := do
  if (← IO.monoMsNow) ≥ check.deadline then
    return some .time
  let some megabytes := check.megabytes? | return none
  return if (← ownMegabytes?).any (· > megabytes) then some .memory else none

/-- The state of a guard. -/
inductive Watch where
  /-- No check is running. -/
  | idle
  /-- A check is running. -/
  | on (check : Watched)
  /-- The guard has ended. -/
  | over

/-- A task beside the checks that stops them at their limits, and when the editor cancels. -/
structure Guard where
  /-- Its state. -/
  watch : IO.Ref Watch

/-- Checks the limits once, and returns whether to continue. -/
def Guard.look (guard : Guard) (outer? : Option IO.CancelToken) : BaseIO Bool := do
  match ← guard.watch.get with
  | .over => return false
  | .idle => return true
  | .on check =>
    let isCanceled ← match outer? with
      | some outer => outer.isSet
      | none => pure false
    let limit? ← check.limit?
    if isCanceled || limit?.isSome then
      check.reason.set limit?
      check.token.set
    return true

/-- Polls until the end. A loop, since recursion would overflow the interpreter's stack. -/
def Guard.patrol (guard : Guard) (outer? : Option IO.CancelToken) : BaseIO Unit := do
  while ← guard.look outer? do
    IO.sleep 10

/-- Runs `x` with a guard. -/
def withGuard {α : Type} (x : Guard → TacticM α) : TacticM α := do
  let guard := { watch := ← IO.mkRef .idle }
  discard <| BaseIO.asTask (guard.patrol (← readThe Core.Context).cancelTk?) (prio := .dedicated)
  try
    x guard
  finally
    guard.watch.set .over

/-- Runs `x` under a guard. The error is the limit of time or memory that it reached. -/
def Guard.limiting {α : Type} (guard : Guard) (limits : Limits) (x : TacticM α) :
    TacticM (Except Limit α) := do
  Core.checkInterrupted
  if (← IO.monoMsNow) ≥ limits.deadline then
    return .error .time
  let check := {
    token := ← IO.CancelToken.new
    reason := ← IO.mkRef none
    deadline := limits.deadline
    megabytes? := (← ownMegabytes?).map (· + limits.megabytes) }
  guard.watch.set (.on check)
  let result ← observing <| withTheReader Core.Context ({ · with cancelTk? := some check.token }) x
  guard.watch.set .idle
  Core.checkInterrupted
  match result, (← check.reason.get) with
  | .ok value, _ => return .ok value
  | .error error, some limit => if error.isInterrupt then return .error limit else throw error
  | .error error, none => throw error

/-- Runs `x` in a saved state and restores the present one. -/
def inState {α : Type} (state : SavedState) (x : TacticM α) : TacticM α := do
  let present ← saveState
  state.restore (restoreInfo := true)
  try
    x
  finally
    present.restore (restoreInfo := true)

/-- Checks a step on the main goal within limits, and restores everything. -/
def Guard.check (guard : Guard) (limits : Limits) (step : Step) : TacticM Outcome := do
  unless ← awaitIndexes step.stx limits.deadline do
    return .stopped .time
  let run := withEnableInfoTree false <| runStep step
  match ← guard.limiting limits <| tentatively step limits.heartbeats run with
  | .ok (.ok outcome) | .ok (.error outcome) => return outcome
  | .error limit => return .stopped limit

/-- `Guard.check` in a saved state instead of the present one. -/
def Guard.checkOn (guard : Guard) (limits : Limits) (state : SavedState) (step : Step) :
    TacticM Outcome :=
  inState state <| withMainContext <| guard.check limits step

/-- Checks each step on the main goal, within the limits of the options. Each step first gets a
slice of the time, so a slow step does not use all of it. Steps that need longer then share the
rest. -/
def Guard.checkAll (guard : Guard) (steps : Array Step) (deadline : Nat) :
    TacticM (Array Outcome) := do
  let limits ← Limits.fromOptions deadline
  let time := deadline - (← IO.monoMsNow)
  let slice := if steps.size ≤ 1 then time else time / (2 * steps.size)
  let mut outcomes := #[]
  for step in steps do
    let deadline := (← IO.monoMsNow) + slice
    outcomes := outcomes.push (← guard.check { limits with deadline } step)
  let slow := (Array.range steps.size).filter fun i => outcomes[i]! matches .stopped .time
  for i in slow, turn in [:slow.size] do
    let now ← IO.monoMsNow
    let slice := (deadline - now) / (slow.size - turn)
    outcomes := outcomes.set! i (← guard.check { limits with deadline := now + slice } steps[i]!)
  return outcomes

end LlmSuggest
