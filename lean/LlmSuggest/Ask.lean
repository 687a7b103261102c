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

/-- The client's name for the daemon: this place in this open file. The daemon limits its length, so
only the end of a long path is part of it. -/
def clientName (call : Syntax) : CoreM String := do
  let position := (← getFileMap).toPosition (call.getPos?.getD 0)
  let file := ((← getFileName).takeEnd 120).copy
  return s!"lean {← IO.Process.getPID} {file}:{position.line}:{position.column}"

/-- The text of a goal for the model: as Lean prints it by default, whatever the user's options for
printing are, since models are trained on that. -/
def goalText (goal : MVarId) : MetaM String :=
  withOptions (fun _ => {}) do
    return (← Meta.ppGoal goal).pretty

/-- The largest number of bytes of a tactic state that are sent to the daemon, unless the first goal
alone has more. -/
def maxState : Nat := 16384

/-- The text of a tactic state for the model: the text of the first goal, on which a tactic runs,
then the goals behind it, which some models see too. The last ones are left out of a long text. -/
def stateText (first : String) (behind : List MVarId) : MetaM String := do
  let mut text := first
  for other in behind do
    let longer := text ++ "\n\n" ++ (← goalText other)
    if longer.utf8ByteSize > maxState then
      break
    text := longer
  return text

/-- The largest number of bytes above a call that are sent to the daemon. -/
def maxAbove : Nat := 32768

/-- The text above a position; for a long text, its last part. The beginning moves in steps of half
the limit, so that the next call can reuse what the daemon has computed. -/
def textAbove (map : FileMap) (position : String.Pos.Raw) : String :=
  let step := maxAbove / 2
  let dropped := (position.byteIdx - maxAbove + step - 1) / step * step
  let start := (map.positions.find? (·.byteIdx ≥ dropped)).getD position
  String.Pos.Raw.extract map.source start position

/-- Whether the editor has cancelled. -/
def isCanceled : CoreM (BaseIO Bool) := do
  return match (← readThe Core.Context).cancelTk? with
    | some token => token.isSet
    | none => pure false

/-- The time limits that the options set. -/
def Patience.fromOptions : CoreM Patience := do
  let options ← getOptions
  return {
    -- For `curl`, a timeout of 0 means no timeout.
    timeout := max 1 (llmsuggest.timeout.get options)
    loadTimeout := llmsuggest.loadTimeout.get options }

/-- The model's answer to a request for steps in a tactic state that start with `prefix`, at a
position of a file, in the proof of a theorem. -/
def askFor (state «prefix» client : String) (map : FileMap) (position : String.Pos.Raw)
    (theorem? : Option Name) : CoreM Reply := do
  let options ← getOptions
  let sendsContext := llmsuggest.context.get options
  let context := if sendsContext then textAbove map position else ""
  -- Lean gives an `example` an internal name.
  let name := match theorem?.map privateToUserName with
    | some name => if sendsContext && !name.isInternal then name.toString else ""
    | none => ""
  -- The daemon refuses other numbers.
  let n := max 1 (min 32 (llmsuggest.n.get options))
  let request := { goals := #[state], «prefix», n, client, context, name }
  let reply ← ask request (← Patience.fromOptions) (← isCanceled)
  if reply matches .canceled then
    throwInterruptException
  return reply

/-- The model's answers on each of several goals, or why there are none; `none` if the deadline, in
milliseconds of the monotonic clock, comes first. A slow answer is waited for until then. -/
def askForAll (goals : Array String) (n : Nat) (client : String) (deadline : Nat) :
    CoreM (Option (Except String Answers)) := do
  let isCanceled ← isCanceled
  let isUnwanted : BaseIO Bool := do
    return (← isCanceled) || (← IO.monoMsNow) ≥ deadline
  let patience ← Patience.fromOptions
  let seconds := (deadline - (← IO.monoMsNow)) / 1000 + 1
  let patience := { patience with timeout := max patience.timeout seconds }
  match ← ask { goals, «prefix» := "", n, client } patience isUnwanted with
  | .answers answers => return some (.ok answers)
  | .failure message _ => return some (.error message)
  | .canceled =>
    if ← isCanceled then
      throwInterruptException
    return none

/-- Whether a goal uses declarations of Mathlib. -/
def isAboutMathlib (goal : MVarId) : MetaM Bool := goal.withContext do
  let env ← getEnv
  let isMathlibs := fun name => (env.getModuleIdxFor? name).any fun index =>
    (env.allImportedModuleNames[index.toNat]?).any (·.getRoot == `Mathlib)
  let mut shown := #[← goal.getType]
  for hypothesis in ← getLCtx do
    shown := shown.push hypothesis.type
  shown.anyM fun e => return (← instantiateMVars e).getUsedConstants.any isMathlibs

/-- A second line for a message without suggestions, if another model may have some. -/
def modelAdvice (goal : MVarId) (model? : Option String) : MetaM String := do
  unless model? == some "starter" && (← isAboutMathlib goal) do
    return ""
  return "\nThe model `starter` does not know Mathlib. `llmsuggestd models pull llmstep-2.8b` \
    downloads one that does, and `llmsuggestd models use llmstep-2.8b` switches to it."

end LlmSuggest
