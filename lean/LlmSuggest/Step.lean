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

/-- The words of syntax that is not run for a check: it runs code that is part of the text, reads
files, starts other programs, trusts the compiler, cannot be stopped, or asks the model again. -/
def forbiddenWords : List String :=
  ["run_tac", "by_elab", "eval%", "include_str", "bv_decide", "bv_decide?", "bv_check", "polyrith",
    "native_decide", "sleep", "try?", "llmsuggest"]

/-- Whether a step may set an option for its own use. Others could lift the limits of the check or
switch off what protects Lean. -/
def isHarmlessOption (name : Name) : Bool :=
  name == `maxHeartbeats || name == `synthInstance.maxHeartbeats || name.getRoot == `pp ||
    name.getRoot == `linter

/-- Whether a part of a step keeps it from being run: it could do anything, or nothing could stop
it, or it could end Lean with an overflow of the stack. -/
def isForbidden (part : Syntax) : Bool :=
  match part with
  | .atom _ word => word ∈ forbiddenWords
  -- `decide +native`, and `decide +kernel`, since the kernel sets no bounds to numbers
  | .ident _ _ name _ => name == `native || name == `kernel
  | .node _ _ args =>
    (args[0]?.any fun first => first.isAtom && first.getAtomVal == "set_option") &&
      !(args[1]?.any fun name => isHarmlessOption name.getId)
  | .missing => true

/-- The largest size of a number that a step may make Lean compute, in bits. -/
def maxBits : Nat := 1000000

/-- The value of an expression of number literals, if it is one. It throws if that is too large a
number: Lean would compute it in one go, which nothing could stop. -/
partial def valueOf (stx : Syntax) : Except Unit (Option Nat) := do
  if let some n := stx.isNatLit? then
    return some n
  let args := stx.getArgs
  if stx.isOfKind ``Parser.Term.app then
    -- `Nat.pow 2 9`
    let values ← args[1]!.getArgs.mapM valueOf
    if let (.str _ function, #[some a, some b]) := (args[0]!.getId, values) then
      return ← compute function a b
    return none
  let values ← args.mapM valueOf
  match values with
  | #[_, value?, _] =>
    if stx.isOfKind ``Parser.Term.paren then
      return value?
    if let (some a, some b) := (values[0]!, values[2]!) then
      return ← compute args[1]!.getAtomVal a b
    return none
  | _ => return none
where
  /-- The value of an operation on two numbers. -/
  compute (operation : String) (a b : Nat) : Except Unit (Option Nat) := do
    match operation with
    | "^" | "pow" => if (a.log2 + 1) * b ≤ maxBits then return some (a ^ b) else throw ()
    | "<<<" | "shiftLeft" => if a.log2 + b ≤ maxBits then return some (a <<< b) else throw ()
    | "*" | "mul" => if a.log2 + b.log2 ≤ maxBits then return some (a * b) else throw ()
    | "+" | "add" => return some (a + b)
    | _ => return none

/-- Lean's parser on a text that starts with a tactic sequence. -/
def parserState (text : String) : CoreM Parser.ParserState := do
  let env ← getEnv
  let parser := Parser.andthenFn Parser.whitespace Parser.Tactic.tacticSeq.fn
  return parser.run (Parser.mkInputContext text "<suggestion>")
    { env, options := ← getOptions, currNamespace := ← getCurrNamespace,
      openDecls := ← getOpenDecls }
    (Parser.getTokenTable env) (Parser.mkParserState text)

/-- The tactic sequence that a text consists of, with whitespace and comments around it. -/
def parseTactics? (text : String) : CoreM (Option Syntax) := do
  let state ← parserState text
  if state.allErrors.isEmpty && state.pos.byteIdx ≥ text.utf8ByteSize then
    return some state.stxStack.back
  else
    return none

/-- The step that a text describes, or why it describes none. -/
def Step.parse (text : String) : CoreM (Except String Step) := do
  let source := text.replace "\r\n" "\n"
  if source.length > maxLength then
    return .error "it is too long"
  if !source.all isPlain then
    return .error "it has characters that do not belong into Lean code"
  let some stx ← parseTactics? source | return .error "it is not a tactic"
  if (stx.find? isForbidden).isSome then
    return .error "it has parts that are not run for a check"
  if valueOf stx matches .error _ then
    return .error "it has a number that is too large to compute"
  return .ok { source, stx }

/-- The tactics of a sequence, without what is between them. -/
def tacticsOf (sequence : Syntax) : Array Syntax :=
  if sequence[0].isOfKind ``Parser.Tactic.tacticSeq1Indented then
    sequence[0][0].getSepArgs
  else
    #[sequence[0]]

/-- Whether the step has to be put in brackets between what stands before and behind the call:
behind a `;` if it is several tactics, since they would not be in one column with those of the
block, and beside a `<;>` also if it is one that would take part of the chain for itself. -/
def Step.needsBrackets (step : Step) (before after : String) : Bool :=
  let inChain := before.trimAsciiEnd.endsWith "<;>" || after.trimAsciiStart.startsWith "<;>"
  match tacticsOf step.stx with
  | #[tactic] => inChain && !tactic.isOfKind ``Parser.Tactic.paren &&
    (tactic.find? fun part => part.isOfKind ``Parser.Tactic.tacticSeq ||
      part.isOfKind ``Parser.Tactic.«tactic_<;>_»).isSome
  | _ => inChain || before.trimAsciiEnd.endsWith ";"

/-- The step's text with its lines moved such that it starts in a column. -/
def Step.textAt (step : Step) (column : Nat) : String := Id.run do
  let some own := step.stx.getRange? | return ""
  let ownColumn := ((FileMap.ofString step.source).toPosition own.start).column
  let text := String.Pos.Raw.extract step.source own.start own.stop
  let lines := text.splitOn "\n" |>.mapIdx fun i line =>
    if i == 0 then line
    else if line.trimAscii.isEmpty then ""
    else "".pushn ' ' column ++ (line.drop (min ownColumn (indentation line))).copy
  return "\n".intercalate lines
where
  /-- The number of spaces that a line starts with. -/
  indentation (line : String) : Nat :=
    (line.takeWhile (· == ' ')).copy.length

/-- The text to put in the place of the call at `range`, such that Lean reads there the step that
was checked, whatever follows; `none` if there is no such text. -/
def Step.insertion? (step : Step) (map : FileMap) (range : Lean.Syntax.Range) :
    CoreM (Option String) := do
  let column := (map.toPosition range.start).column
  let before := String.Pos.Raw.extract map.source 0 range.start
  let after := String.Pos.Raw.extract map.source range.stop map.source.rawEndPos
  let margin := "".pushn ' ' column
  -- Moving the lines of a text changes it if a string literal goes over several of them.
  let plain := step.textAt column
  let some again ← parseTactics? (margin ++ plain) | return none
  unless again.structEq step.stx do return none
  unless step.needsBrackets before after do
    -- What follows in the file must not become part of the step, as in `by exists a, b`.
    let inChain := after.trimAsciiStart.startsWith "<;>"
    let read := tacticsOf (← parserState (margin ++ plain ++ after)).stxStack.back
    let own := tacticsOf step.stx
    if inChain || (own.size ≤ read.size &&
        own.size.all fun i _ => own[i]!.structEq read[i]!) then
      return plain
  let bracketed := s!"({step.textAt (column + 1)})"
  let some again ← parseTactics? (margin ++ bracketed) | return none
  let #[inner] := tacticsOf again | return none
  unless inner[1].structEq step.stx do return none
  return bracketed

end LlmSuggest
