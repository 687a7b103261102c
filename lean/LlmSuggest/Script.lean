/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Check

public meta section

/-!
# Proofs of several steps

A script is the result of a search for a proof: steps, each followed by the proofs of the goals that
it leaves. It becomes one step with one text, which is checked like every other step, from the start
and in the state of the call.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- A proof, with holes where it is incomplete. -/
inductive Script where
  /-- A goal that is not proved. -/
  | hole
  /-- A step, and the proofs of the goals that it leaves. One with `true` stands behind a `·`. -/
  | step (head : Step) (below : Array (Bool × Script))
  deriving Inhabited

/-- The number of goals that are not proved. -/
partial def Script.holes : Script → Nat
  | .hole => 1
  | .step _ below => below.foldl (init := 0) fun sum (_, script) => sum + script.holes

/-- The number of steps. -/
partial def Script.length : Script → Nat
  | .hole => 0
  | .step _ below => below.foldl (init := 1) fun sum (_, script) => sum + script.length

/-- Whether a line is an alternative, as of `induction`, whose proof is still missing. -/
def isOpenAlternative (line : String) : Bool :=
  line.trimAsciiStart.startsWith "|" && line.endsWith "=> ?_"

/-- The script as it is written in a column. Where a step has as many open alternatives as it leaves
goals, `inAlternatives` puts the proofs there. -/
partial def Script.textAt (inAlternatives : Bool) (column : Nat) : Script → String
  | .hole => "sorry"
  | .step head below =>
    let text := head.textAt column
    let lines := text.splitOn "\n"
    if inAlternatives && !below.isEmpty && lines.countP isOpenAlternative == below.size then
      "\n".intercalate (filled lines (below.map (·.2)).toList)
    else
      below.foldl (init := text) fun text (isFocused, script) =>
        text ++ "\n" ++ "".pushn ' ' column ++
          if isFocused then "· " ++ script.textAt inAlternatives (column + 2)
          else script.textAt inAlternatives column
where
  /-- The lines of a step with proofs in the open alternatives. -/
  filled : List String → List Script → List String
    | line :: lines, script :: scripts =>
      if isOpenAlternative line then
        let column := indentation line + 2
        let text := script.textAt inAlternatives column
        let margin := if text.contains '\n' then "\n" ++ "".pushn ' ' column else " "
        ((line.dropEnd 3).copy ++ margin ++ text) :: filled lines scripts
      else
        line :: filled lines (script :: scripts)
    | lines, _ => lines

/-- The scripts with one step less. -/
partial def Script.shorter : Script → Array Script
  | .hole => #[]
  | .step head below =>
    let without := if let #[(false, only)] := below then #[only] else #[]
    without ++ (below.mapIdx fun i (isFocused, script) =>
      script.shorter.map fun script => .step head (below.set! i (isFocused, script))).flatten

/-- The script as one step, in each way to write it, the shortest first. -/
def Script.asSteps (script : Script) : CoreM (Array Step) :=
  let texts := [true, false].map (script.textAt · 0)
  texts.eraseDups.toArray.filterMapM Step.ofText?

/-- A script that closes the main goal, and the outcome of its check. -/
structure Proof where
  /-- The script. -/
  script : Script
  /-- The script as one step. -/
  step : Step
  /-- The outcome of its check. -/
  outcome : Outcome

/-- The limits of a whole script: the heartbeats of all its steps, and ten seconds. -/
def Limits.forScript (limits : Limits) (script : Script) : BaseIO Limits := do
  return { limits with
    heartbeats := limits.heartbeats * (script.length + 1)
    deadline := (← IO.monoMsNow) + 10000 }

/-- The script as a proof of the main goal, or the reason why it is none. It is run from the start,
within what is left of the user's own heartbeats. -/
def Guard.replay (guard : Guard) (limits : Limits) (script : Script) :
    TacticM (Except String Proof) := do
  let mut reason := "Lean cannot parse its steps together"
  for step in ← script.asSteps do
    let outcome ← guard.check (← limits.forScript script) step
    if outcome.closes then
      return .ok { script, step, outcome }
    reason := match outcome with
      | .fails fault => fault.reason
      | .stopped .time => "running it took too long"
      | .stopped limit => s!"`{limit.option}` was reached"
      | .works _ => "it leaves a goal"
  return .error reason

/-- A proof without the steps that it does not need, as far as they are found by a deadline. -/
partial def Guard.shorten (guard : Guard) (limits : Limits) (deadline : Nat) (proof : Proof) :
    TacticM Proof := do
  for script in proof.script.shorter do
    if (← IO.monoMsNow) ≥ deadline then
      break
    if let .ok shorter ← guard.replay limits script then
      return ← guard.shorten limits deadline shorter
  return proof

/-! ### Other names -/

/-- The step with other names for hypotheses. -/
def Step.renamed (step : Step) (names : List (Name × Name)) : CoreM (Option Step) := do
  let mut uses := #[]
  for part in step.stx.topDown (firstChoiceOnly := true) do
    if let .ident _ _ name _ := part then
      if let (some new, some range) := (names.lookup name.getRoot, part.getRange?) then
        uses := uses.push (range, toString (name.replacePrefix name.getRoot new))
  -- The last one first, so that the others stay where they are.
  let source := uses.reverse.foldl (init := step.source) fun text (range, name) =>
    String.Pos.Raw.extract text 0 range.start ++ name ++
      String.Pos.Raw.extract text range.stop text.rawEndPos
  Step.ofText? source

/-- The script with other names for hypotheses; `none` if Lean cannot parse it with them. -/
partial def Script.renamed? (names : List (Name × Name)) (script : Script) :
    CoreM (Option Script) := do
  if names.isEmpty then
    return some script
  let .step head below := script | return some script
  let some head ← head.renamed names | return none
  let mut scripts := #[]
  for (isFocused, script) in below do
    let some script ← script.renamed? names | return none
    scripts := scripts.push (isFocused, script)
  return some (.step head scripts)

end LlmSuggest
