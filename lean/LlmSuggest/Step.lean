/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Tactic.Basic
public meta import Lean.Parser.Tactic

public meta section

/-!
# From a suggestion's text to a step that can be run

The model's answer may be any text. It is run only if Lean parses it as a tactic sequence without
forbidden syntax. Code fences, a leading `by` and similar habits of models are removed first.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- A suggestion that is one or more tactics. -/
structure Step where
  /-- The model's answer. -/
  said : String
  /-- The text that was parsed: the answer, repaired if Lean could not parse it. -/
  source : String
  /-- The `tacticSeq` that it is. -/
  stx : Syntax
  /-- The first word of a text that is no tactic and was parsed as a term. -/
  head? : Option String := none
  deriving Inhabited

/-- The reason why a suggestion is not shown. -/
inductive Fault where
  /-- It starts with a word that is no tactic here. -/
  | unknown (word : String)
  /-- Another reason, in a sentence. -/
  | other (reason : String)
  deriving Inhabited

/-- The reason in words. -/
def Fault.reason : Fault → String
  | .unknown word => s!"`{word}` is unknown here: is an import missing?"
  | .other reason => reason

instance : Coe String Fault := ⟨.other⟩

/-- The longest text that is parsed. Lean's parser recurses on nested syntax without a limit of
its own, so this also bounds the stack that it needs. -/
def maxLength : Nat := 1000

/-- Whether a character may occur in a suggestion. Lean code has no control characters. Those that
change the writing direction could make a text look like other code. -/
def isPlain (c : Char) : Bool :=
  c == '\n' || (c.val ≥ 0x20 && !(0x7f ≤ c.val && c.val ≤ 0x9f) &&
    !(0x202a ≤ c.val && c.val ≤ 0x202e) && !(0x2066 ≤ c.val && c.val ≤ 0x2069))

/-! ### Forbidden syntax -/

/-- The words of syntax that is not run for a check: it runs code that is part of the text, reads
files, starts other programs, trusts the compiler, cannot be stopped, or asks the model again. -/
def forbiddenWords : List String :=
  ["run_tac", "by_elab", "eval%", "include_str", "bv_decide", "bv_decide?", "bv_check", "polyrith",
    "native_decide", "sleep", "try?", "llmsuggest", "llmprove"]

/-- Whether a step may set an option for its own use. Other options could lift the limits of a check
or disable protections of Lean. -/
def isHarmlessOption (name : Name) : Bool :=
  name == `maxHeartbeats || name == `synthInstance.maxHeartbeats || name.getRoot == `pp ||
    name.getRoot == `linter

/-- Whether this names an option of `decide` that moves the computation out of the elaborator: to
compiled code, or to the kernel, which does not limit numbers. -/
def isComputing (option : Syntax) : Bool :=
  option.getId == `native || option.getId == `kernel

/-- Whether a configuration item of a tactic could turn on an option that is `isComputing`. -/
def isComputingItem (item : Syntax) : Bool :=
  if item.isOfKind ``Parser.Tactic.posConfigItem then
    isComputing item[1]
  else if item.isOfKind ``Parser.Tactic.valConfigItem then
    isComputing item[1] || item[1].getId == `config &&
      (item[3].find? fun part =>
        part.isOfKind ``Parser.Term.structInstLVal && isComputing part[0]).isSome
  else
    false

/-- Whether a value for all the configuration of a tactic has fields without names. -/
def hasUnnamedFields (item : Syntax) : Bool :=
  item.isOfKind ``Parser.Tactic.valConfigItem && item[1].getId == `config &&
    !item[3].isOfKind ``Parser.Term.structInst && !item[3].isOfKind choiceKind

/-- Whether a configuration item's value computes nothing but small numbers: a literal, a name, or a
structure, list or set of places of such values. Lean runs a value as compiled code. -/
partial def isPlainValue (value : Syntax) : Bool :=
  match value with
  | .atom .. | .ident .. => true
  | .node _ kind args =>
    if kind == ``Parser.Term.app then
      -- `.pos [1]` are the occurrences that `rw` rewrites
      args[0]!.isOfKind ``Parser.Term.dotIdent && args[0]![1].getId ∈ [`pos, `neg] &&
        isPlainValue args[1]!
    else
      (kind ∈ plainKinds || kind.toString.startsWith "Lean.Parser.Term.structInst") &&
        args.all isPlainValue
  | .missing => false
where
  /-- Syntax that computes nothing, or a number whose size `valueOf` limits. -/
  plainKinds : List SyntaxNodeKind := [nullKind, choiceKind, groupKind, numLitKind, strLitKind,
    charLitKind, scientificLitKind, nameLitKind, ``Parser.Term.dotIdent, ``Parser.Term.paren,
    ``Parser.Term.optEllipsis, ``Parser.Term.hygienicLParen, hygieneInfoKind, `«term[_]»,
    `«term{}», `«term_^_», `«term_*_», `«term_+_»]

/-- Whether a configuration item of a tactic has a value that is code. -/
def isComputedItem (item : Syntax) : Bool :=
  (item.isOfKind ``Parser.Tactic.valConfigItem || item.isOfKind ``Parser.Tactic.config) &&
    !isPlainValue item[3]

/-- Whether a word names a command that asks a server, such as Mathlib's `#search`, which is also a
tactic and a term. `#[` and `#v[` open arrays and vectors. -/
def isQueryWord (word : String) : Bool :=
  word.startsWith "#" && !word.endsWith "[" && (word.drop 1).copy.any Char.isAlpha

/-- Whether a part of a step is forbidden: it runs arbitrary code, asks a server, cannot be stopped,
or could overflow Lean's stack. -/
def isForbidden (part : Syntax) : Bool :=
  match part with
  | .atom _ word => word ∈ forbiddenWords || isQueryWord word
  | .ident .. => false
  | .node _ kind args =>
    isComputingItem part || isComputedItem part ||
      (kind == ``Parser.Tactic.decide && (part.find? hasUnnamedFields).isSome) ||
      (args[0]?.any fun first => first.isAtom && first.getAtomVal == "set_option") &&
        !(args[1]?.any fun name => isHarmlessOption name.getId)
  | .missing => true

/-- The largest size of a number that a step may make Lean compute, in bits. -/
def maxBits : Nat := 1000000

/-- The value of an expression of number literals, if it is one. Throws if the number is
too large: its computation cannot be interrupted. -/
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

/-! ### Reading -/

/-- Lean's parser on a text, from a position on. -/
def parseFrom (parser : Parser.ParserFn) (text : String) (start : String.Pos.Raw := 0) :
    CoreM Parser.ParserState := do
  let env ← getEnv
  return parser.run (Parser.mkInputContext text "<suggestion>")
    { env, options := ← getOptions, currNamespace := ← getCurrNamespace,
      openDecls := ← getOpenDecls }
    (Parser.getTokenTable env) { Parser.mkParserState text with pos := start }

/-- Lean's parser on a text that starts with a tactic sequence. -/
def parseSequence (text : String) : CoreM Parser.ParserState :=
  parseFrom (Parser.andthenFn Parser.whitespace Parser.Tactic.tacticSeq.fn) text

/-- The tactic sequence that a text consists of, with whitespace and comments around it. -/
def parseTactics? (text : String) : CoreM (Option Syntax) := do
  let state ← parseSequence text
  if state.allErrors.isEmpty && state.pos.byteIdx ≥ text.utf8ByteSize then
    return some state.stxStack.back
  else
    return none

/-- The tactic sequence that a text consists of, if it has no characters but those of Lean code. -/
def parsePlain? (text : String) : CoreM (Option Syntax) :=
  if text.all isPlain then parseTactics? text else return none

/-- The number of spaces that a line starts with. -/
def indentation (line : String) : Nat :=
  (line.takeWhile (· == ' ')).copy.length

/-- The text inside of the first code fence, or inside of quotes of code. -/
def withoutFence (text : String) : String :=
  match text.splitOn "```" with
  | _ :: inside :: _ =>
    -- The first line may name the language.
    match inside.splitOn "\n" with
    | first :: second :: rest =>
      if first.any Char.isWhitespace then inside else "\n".intercalate (second :: rest)
    | _ => inside
  | _ => if text.startsWith "`" && text.endsWith "`" then text.replace "`" "" else text

/-- The text without a `:=` or a `by` in front. -/
def withoutOpening (text : String) : String :=
  withoutWord "by" <| withoutWord ":=" text
where
  /-- The text without a word that it starts with. -/
  withoutWord (word text : String) : String :=
    let rest := (text.drop word.length).copy
    if text.startsWith word && (rest.isEmpty || rest.front.isWhitespace) then
      rest.trimAsciiStart.copy
    else
      text

/-- The text with the lines behind the first as far to the left as they can be together. -/
def withoutMargin (text : String) : String :=
  match text.splitOn "\n" with
  | first :: rest =>
    let margins := (rest.filter fun line => !line.trimAscii.isEmpty).map indentation
    let margin := margins.min?.getD 0
    let cut := fun line : String => (line.drop (min margin (indentation line))).copy
    "\n".intercalate (first :: rest.map cut)
  | [] => text

/-- The text without commas at its end. -/
def withoutComma (text : String) : String :=
  (text.trimAsciiEnd.copy.dropEndWhile (· == ',')).copy

/-- A text without what some models put around tactics. -/
def mended (text : String) : String :=
  let plain := ((withoutFence text.trimAscii.copy).replace "\t" "  ").trimAscii.copy
  withoutComma (withoutMargin (withoutOpening plain))

/-- Possible meanings of a mended text, in the order in which they are tried: the text itself; with
its lines in one column; without the commas that end lines in Lean 3. -/
def meanings (mended : String) : List String :=
  let lines := mended.splitOn "\n"
  [mended, "\n".intercalate (lines.map (·.trimAsciiStart.copy)),
    "\n".intercalate (lines.map withoutComma)].eraseDups

/-- The word that a text starts with, if it could be a name. -/
def firstWord? (text : String) : Option String :=
  let word := (text.takeWhile fun c => isIdRest c || c == '.').copy
  if word.isEmpty || !isIdFirst word.front then none else some word

/-- Whether a tactic starts with a word. -/
def startsTactic (word : String) : CoreM Bool := do
  let categories := (Parser.parserExtension.getState (← getEnv)).categories
  return (Parser.getCategory categories `tactic).any fun category =>
    category.tables.leadingTable.contains word.toName

/-- Whether a tactic is expected behind a text: at the start of a line, or behind a separator. -/
def expectsTactic (before : String) : Bool :=
  let before := (before.dropEndWhile ' ').copy
  before.isEmpty || ["\n", ";", "<;>", "·", "{", "by", "=>"].any (before.endsWith ·)

/-- The word at which Lean stopped parsing a text as tactics, if a tactic is expected there and the
word is none of Lean's own. -/
def strangeWord? (text : String) : CoreM (Option String) := do
  let stop := (← parseSequence text).pos
  -- Lean can stop inside of a word.
  let before := String.Pos.Raw.extract text 0 stop
  let isPart (c : Char) : Bool := isIdRest c || c == '.'
  let inside := (before.takeEndWhile isPart).copy
  unless expectsTactic (before.dropEndWhile isPart).copy do
    return none
  let rest := String.Pos.Raw.extract text stop text.rawEndPos
  let some word := firstWord? (inside ++ rest) | return none
  let isToken := ((Parser.getTokenTable (← getEnv)).find? word).isSome
  return if isToken || (← startsTactic word) then none else some word

/-- The step, unless it must not be run. -/
def Step.vet (step : Step) : Except Fault Step := do
  if (step.stx.find? isForbidden).isSome then
    throw <| .other "it contains syntax that a check never runs"
  if valueOf step.stx matches .error _ then
    throw <| .other "it contains a number that is too large to compute"
  return step

/-- The steps that a text may stand for, or why it stands for none. A text that Lean can parse
stands for itself, any other one for its `meanings`. -/
def Step.read (said : String) : CoreM (Except Fault (Array Step)) := do
  if said.length > maxLength then
    return .error "it is too long"
  let mended := mended said
  let text := said.replace "\r\n" "\n"
  let readings := if (← parsePlain? text).isSome then [text] else meanings mended
  let steps ← readings.toArray.filterMapM fun source => do
    return (← parsePlain? source).map fun stx => { said, source, stx : Step }
  unless steps.isEmpty do
    return steps.mapM Step.vet
  unless mended.all isPlain do
    return .error "it contains characters that do not occur in Lean code"
  let word? ← strangeWord? mended
  let fault := match word? with
    | some word => .unknown word
    | none => .other "it is not a tactic"
  if ← (firstWord? mended).toArray.anyM startsTactic then
    return .error fault
  -- An unknown first word may be a tactic of a package that is not imported.
  let source := "exact " ++ mended.replace "\n" "\n  "
  if let some stx ← parseTactics? source then
    return (#[·]) <$> Step.vet { said, source, stx, head? := word? }
  return .error fault

/-- The step that a text is. -/
def Step.ofText? (source : String) : CoreM (Option Step) := do
  let some stx ← parseTactics? source | return none
  return (Step.vet { said := source, source, stx }).toOption

/-- The tactics of a sequence, without what is between them. -/
def tacticsOf (sequence : Syntax) : Array Syntax :=
  if sequence[0].isOfKind ``Parser.Tactic.tacticSeq1Indented then
    sequence[0][0].getSepArgs
  else
    #[sequence[0]]

/-- The tactics of a step. -/
def Step.tactics (step : Step) : Array Syntax :=
  tacticsOf step.stx

/-- The tokens of a piece of syntax that go over more than one line, as strings can. -/
def longTokens (stx : Syntax) (source : String) : Array Lean.Syntax.Range := Id.run do
  let mut found := #[]
  for part in stx.topDown do
    if part.isAtom || part.isIdent then
      if let some range := part.getRange? then
        if (String.Pos.Raw.extract source range.start range.stop).contains '\n' then
          found := found.push range
  return found

/-- The step's text with its lines moved such that it starts in a column. What is around its tactics
is left out, so that a comment or a bracket in the model's text cannot capture the text behind the
step. Lines that start inside of a string stay as they are. -/
def Step.textAt (step : Step) (column : Nat) : String := Id.run do
  let tactics := step.tactics
  let some start := tactics[0]? >>= (·.getPos?) | return ""
  let some stop := tactics.back? >>= (·.getTailPos?) | return ""
  let ownColumn := ((FileMap.ofString step.source).toPosition start).column
  let tokens := longTokens step.stx step.source
  let mut position := start
  let mut lines := #[]
  for line in (String.Pos.Raw.extract step.source start stop).splitOn "\n" do
    let isInside := tokens.any fun token => token.start < position && position < token.stop
    lines := lines.push <|
      if lines.isEmpty || isInside then line
      else if line.trimAscii.isEmpty then ""
      else "".pushn ' ' column ++ (line.drop (min ownColumn (indentation line))).copy
    position := position + line + '\n'
  return "\n".intercalate lines.toList

end LlmSuggest
