/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Meta.PPGoal
public meta import LlmSuggest.Client
public meta import LlmSuggest.Options

public meta section

/-!
# Asking the model about a goal
-/

namespace LlmSuggest

open Lean Elab

/-- Whether the model may be asked here: in an editor, or where the option says so. -/
def mayAsk : CoreM Bool := do
  let options ← getOptions
  return Elab.inServer.get options || llmsuggest.inBuild.get options

/-- Who asks, for the daemon: this place in this file, as long as the file is open. -/
def clientName (call : Syntax) : CoreM String := do
  let position := (← getFileMap).toPosition (call.getPos?.getD 0)
  return s!"lean {← IO.Process.getPID} {← getFileName}:{position.line}:{position.column}"

/-- A goal as the model is told it: as Lean prints it by default, since that is what the model has
seen, whatever the user's options for printing are. -/
def goalText (goal : MVarId) : MetaM String :=
  withOptions (fun _ => {}) do
    return (← Meta.ppGoal goal).pretty

/-- The last bytes of a file above a call that the daemon is told, at most. -/
def maxAbove : Nat := 32768

/-- The text above a position. Of a long one the last part, whose beginning moves in steps of half
of it, so that the daemon still has the same text in memory at the next call. -/
def textAbove (map : FileMap) (position : String.Pos.Raw) : String :=
  let step := maxAbove / 2
  let dropped := (position.byteIdx - maxAbove + step - 1) / step * step
  let start := (map.positions.find? (·.byteIdx ≥ dropped)).getD position
  String.Pos.Raw.extract map.source start position

/-- Whether the editor no longer wants an answer. -/
def isCanceled : CoreM (BaseIO Bool) := do
  return match (← readThe Core.Context).cancelTk? with
    | some token => token.isSet
    | none => pure false

/-- How long the daemon may take. -/
def Patience.fromOptions : CoreM Patience := do
  let options ← getOptions
  return {
    -- To `curl` a timeout of 0 is none.
    timeout := max 1 (llmsuggest.timeout.get options)
    loadTimeout := llmsuggest.loadTimeout.get options }

/-- What the model answers when `client` asks for steps on a goal that start with `prefix`, at a
position of a file, in the proof of a theorem. -/
def askFor (goal «prefix» client : String) (map : FileMap) (position : String.Pos.Raw)
    (theorem? : Option Name) : CoreM Reply := do
  let options ← getOptions
  let sendsContext := llmsuggest.context.get options
  let context := if sendsContext then textAbove map position else ""
  -- An `example` has a name of Lean's own.
  let name := match theorem?.map privateToUserName with
    | some name => if sendsContext && !name.isInternal then name.toString else ""
    | none => ""
  -- The daemon refuses other numbers.
  let n := max 1 (min 32 (llmsuggest.n.get options))
  let request := { goals := #[goal], «prefix», n, client, context, name }
  let reply ← ask request (← Patience.fromOptions) (← isCanceled)
  if reply matches .canceled then
    throwInterruptException
  return reply

/-- The model's answers on each of several goals, or why there are none; `none` if the deadline, in
milliseconds of the monotonic clock, comes first. -/
def askForAll (goals : Array String) (n : Nat) (client : String) (deadline : Nat) :
    CoreM (Option (Except String (Array (Array Answer)))) := do
  let isCanceled ← isCanceled
  let isUnwanted : BaseIO Bool := do
    return (← isCanceled) || (← IO.monoMsNow) ≥ deadline
  match ← ask { goals, «prefix» := "", n, client } (← Patience.fromOptions) isUnwanted with
  | .answers answers => return some (.ok answers.forEach)
  | .failure message _ => return some (.error message)
  | .canceled =>
    if ← isCanceled then
      throwInterruptException
    return none

/-- Whether a goal is about what Mathlib defines. -/
def isAboutMathlib (goal : MVarId) : MetaM Bool := goal.withContext do
  let env ← getEnv
  let isMathlibs := fun name => (env.getModuleIdxFor? name).any fun index =>
    (env.allImportedModuleNames[index.toNat]?).any (·.getRoot == `Mathlib)
  let mut shown := #[← goal.getType]
  for hypothesis in ← getLCtx do
    shown := shown.push hypothesis.type
  shown.anyM fun e => return (← instantiateMVars e).getUsedConstants.any isMathlibs

/-- A second line for a message that there is no suggestion, if another model may have some. -/
def modelAdvice (goal : MVarId) (model? : Option String) : MetaM String := do
  unless model? == some "starter" && (← isAboutMathlib goal) do
    return ""
  return "\nThe model `starter` does not know Mathlib. `llmsuggestd models pull llmstep-2.8b` gets \
    one that does, and `llmsuggestd models use llmstep-2.8b` has it asked."

end LlmSuggest
