/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import Lean.Meta.Tactic.TryThis
public meta import Lean.Parser.Tactic

public meta section

/-!
# From a suggestion's text to a step that can be run and inserted

The model may answer anything. What is run is syntax, and what is inserted is the text of that
syntax and nothing around it, so that a comment or a bracket of the model's cannot swallow what
stands behind the call.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- A suggestion that is one or more tactics. -/
structure Step where
  /-- The text that the model gave. -/
  source : String
  /-- The `tacticSeq` that it is. -/
  stx : Syntax

/-- The longest text that is looked at. Lean's parser recurses on nested syntax without a limit of
its own, so this also bounds the stack that it needs. -/
def maxLength : Nat := 1000

/-- Whether a character may occur in a suggestion. Control characters are no part of Lean code, and
those that change the direction of writing could make it look like other code. -/
def isPlain (c : Char) : Bool :=
  c == '\n' || (c.val ≥ 0x20 && !(0x7f ≤ c.val && c.val ≤ 0x9f) &&
    !(0x202a ≤ c.val && c.val ≤ 0x202e) && !(0x2066 ≤ c.val && c.val ≤ 0x2069))

/-- What is not run for a check: it could do anything, or nothing could stop it, or it could end
Lean with an overflow of the stack. -/
def isForbidden (part : Syntax) : Bool :=
  part.getId == `maxRecDepth || part.getKind ∈
    [``Lean.Parser.Tactic.runTac, ``Lean.Parser.Tactic.sleep, ``Lean.Parser.Tactic.nativeDecide,
      `Lean.byElab, `LlmSuggest.llmsuggest]

/-- The tactic sequence that a text consists of, with whitespace and comments around it. -/
def parseTactics (text : String) : CoreM (Except String Syntax) := do
  let context := Parser.mkInputContext text "<suggestion>"
  let env ← getEnv
  let parser := Parser.andthenFn Parser.whitespace Parser.Tactic.tacticSeq.fn
  let state := parser.run context
    { env, options := ← getOptions, currNamespace := ← getCurrNamespace,
      openDecls := ← getOpenDecls }
    (Parser.getTokenTable env) (Parser.mkParserState text)
  if !state.allErrors.isEmpty then
    return .error (state.toErrorMsg context)
  else if !context.atEnd state.pos then
    return .error ((state.mkError "end of input").toErrorMsg context)
  else
    return .ok state.stxStack.back

/-- The step that a text describes, or why it describes none. -/
def Step.parse (text : String) : CoreM (Except String Step) := do
  let source := text.replace "\r\n" "\n"
  if source.length > maxLength then
    return .error "it is too long"
  if !source.all isPlain then
    return .error "it has characters that do not belong into Lean code"
  match ← parseTactics source with
  | .error _ => return .error "it is not a tactic"
  | .ok stx =>
    if (stx.find? isForbidden).isSome then
      return .error "it has parts that are not run for a check"
    else
      return .ok { source, stx }

/-- The tactic that the step consists of, if it is one. -/
def Step.single? (step : Step) : Option Syntax :=
  let sequence := step.stx[0]
  if sequence.isOfKind ``Parser.Tactic.tacticSeq1Indented && sequence[0].getNumArgs == 1 then
    some sequence[0][0]
  else
    none

/-- Whether the step has to be put in brackets to stand in the place of the call at `range`: behind
a `;` if it is several tactics, since they would not be in one column with those of the block, and
beside a `<;>` also if it is one that would take part of the chain for itself. -/
def Step.needsBrackets (step : Step) (map : FileMap) (range : Lean.Syntax.Range) : Bool :=
  let before := (String.Pos.Raw.extract map.source 0 range.start).trimAsciiEnd
  let after :=
    (String.Pos.Raw.extract map.source range.stop map.source.rawEndPos).trimAsciiStart
  let inChain := before.endsWith "<;>" || after.startsWith "<;>"
  match step.single? with
  | none => inChain || before.endsWith ";"
  | some tactic => inChain && !tactic.isOfKind ``Parser.Tactic.paren &&
    (tactic.find? fun part => part.isOfKind ``Parser.Tactic.tacticSeq ||
      part.isOfKind ``Parser.Tactic.«tactic_<;>_»).isSome

/-- The text to put in the place of the call at `range`, such that Lean reads there the step that
was checked; `none` if there is no such text. -/
def Step.insertion? (step : Step) (map : FileMap) (range : Lean.Syntax.Range) :
    CoreM (Option String) := do
  let some own := step.stx.getRange? | return none
  let ownMap := FileMap.ofString step.source
  let text := String.Pos.Raw.extract step.source own.start own.stop
  let bracket := step.needsBrackets map range
  let ownColumn := (ownMap.toPosition own.start).column
  let column := (map.toPosition range.start).column + if bracket then 1 else 0
  let margin := "".pushn ' ' column
  let lines := text.splitOn "\n" |>.mapIdx fun i line =>
    if i == 0 then line
    else if line.trimAscii.isEmpty then ""
    else margin ++ (line.drop (min ownColumn (indentation line))).copy
  let moved := "\n".intercalate lines
  -- Moving the lines of a text changes it if a string literal goes over several of them.
  let .ok again ← parseTactics (margin ++ moved) | return none
  unless again.structEq step.stx do return none
  return if bracket then s!"({moved})" else moved
where
  /-- The number of spaces that a line starts with. -/
  indentation (line : String) : Nat :=
    (line.takeWhile (· == ' ')).copy.length

end LlmSuggest
