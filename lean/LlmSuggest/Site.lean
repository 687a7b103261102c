/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Elab.Term
public meta import Lean.Data.Lsp.Utf16
public meta import LlmSuggest.Step

public meta section

/-!
# Writing a step into the file

A text replaces a call only if Lean parses the whole command again and finds the checked step there,
and everything else unchanged. So this module needs no knowledge of the syntax around the call: it
tries the bare step, brackets and a new line after `by` until one of them fits.
-/

namespace LlmSuggest

open Lean Elab

/-- A tactic in the file that a step can replace. -/
structure Site where
  /-- The file. -/
  map : FileMap
  /-- The range of the tactic. -/
  range : Lean.Syntax.Range
  /-- The start of its command. -/
  start : String.Pos.Raw
  /-- The command, as Lean parses it. -/
  command : Syntax
  /-- The number of bytes after the command. -/
  rest : Nat
  /-- The number of errors when Lean parses the command. -/
  errors : Nat
  /-- The kind of the tactic. -/
  kind : SyntaxNodeKind

/-- Parses a command at a position: its syntax, the number of bytes after it, and the number of
errors. Unlike `Parser.parseCommand`, this does not skip text that it cannot parse. -/
def readCommand (text : String) (start : String.Pos.Raw) : CoreM (Syntax × Nat × Nat) := do
  let state ← parseFrom (Parser.andthenFn Parser.whitespace (Parser.commandParser).fn) text start
  return (state.stxStack.back, text.utf8ByteSize - state.pos.byteIdx, state.allErrors.size)

/-! ### Finding the call -/

/-- The call that a tactic stands for: itself, or the expansion of its macros, if the user has
defined another name for `llmsuggest`. -/
def isCallOf (call : SyntaxNodeKind) (stx : Syntax) : TermElabM Bool := do
  let mut stx := stx
  for _ in [:4] do
    if stx.isOfKind call then
      return true
    let some (_, .ok expansion) ← liftMacroM <| expandMacroImpl? (← getEnv) stx | return false
    stx := expansion
  return false

/-- The tactic at a range of a command that stands for a call. -/
def callAt? (call : SyntaxNodeKind) (command : Syntax) (range : Lean.Syntax.Range) :
    TermElabM (Option Syntax) := do
  for part in command.topDown do
    if part.getKind != nullKind && part.getRange? == some range then
      if ← isCallOf call part then
        return some part
  return none

/-- The starts of the lines up to that of `position`, after the indentation, from last to first. -/
def lineStarts (map : FileMap) (position : String.Pos.Raw) : List String.Pos.Raw :=
  let line := (map.toPosition position).line
  (List.range line).reverse.map fun i =>
    let start := map.lineStart (i + 1)
    let stop := if i + 1 == line then position else map.lineStart (i + 2)
    start + ((String.Pos.Raw.extract map.source start stop).takeWhile (· == ' ')).copy

/-- The site of a call at a range, in the innermost command around it. There is none if the file has
other text there, because a macro made the call. -/
def Site.of? (call : SyntaxNodeKind) (map : FileMap) (range : Lean.Syntax.Range) :
    TermElabM (Option Site) := do
  let size := map.source.utf8ByteSize
  for line in lineStarts map range.start do
    Core.checkInterrupted
    let mut start := line
    -- Several commands can stand in one line.
    repeat
      let (command, rest, errors) ← readCommand map.source start
      if let some tactic ← callAt? call command range then
        return some { map, range, start, command, rest, errors, kind := tactic.getKind }
      let stop : String.Pos.Raw := ⟨size - rest⟩
      unless start < stop && stop ≤ range.start && errors == 0 do break
      unless (map.toPosition stop).line == (map.toPosition start).line do break
      start := stop
  return none

/-! ### Whether Lean parses the insertion as intended -/

/-- Whether a tactic is the step, or the step in brackets. -/
def isStep (step : Step) (tactic : Syntax) : Bool :=
  if let #[only] := step.tactics then
    only.structEq tactic || isBracketed
  else
    isBracketed
where
  /-- Whether the tactic is the step in brackets. -/
  isBracketed : Bool :=
    tactic.isOfKind ``Parser.Tactic.paren && sameTactics (tacticsOf tactic[1])
  /-- Whether these are the tactics of the step. -/
  sameTactics (tactics : Array Syntax) : Bool :=
    tactics.size == step.tactics.size &&
      tactics.size.all fun i _ => tactics[i]!.structEq step.tactics[i]!

/-- Whether Lean parses the command as before, with the step instead of the call. -/
partial def Site.isReplaced (site : Site) (step : Step) (old new : Syntax) : Bool :=
  if isCall old then
    isStep step new
  else match old, new with
    | .node _ oldKind olds, .node _ newKind news =>
      oldKind == newKind && (sameSize olds news || spliced olds news)
    | _, _ => old.structEq new
where
  /-- Whether this is the call. -/
  isCall (stx : Syntax) : Bool :=
    stx.isOfKind site.kind && stx.getRange? == some site.range
  /-- Whether the parts are the same one by one, up to the call. -/
  sameSize (olds news : Array Syntax) : Bool :=
    olds.size == news.size &&
      olds.size.all fun i _ => site.isReplaced step olds[i]! news[i]!
  /-- Whether the call is one of several tactics, and the step several more of them. -/
  spliced (olds news : Array Syntax) : Bool := Id.run do
    let some i := olds.findIdx? isCall | return false
    let behind := olds.size - i - 1
    if news.size < i + 1 + behind then
      return false
    let front := i.all fun j _ => olds[j]!.structEq news[j]!
    let back := behind.all fun j _ => olds[i + 1 + j]!.structEq news[news.size - behind + j]!
    let middle := news.extract i (news.size - behind)
    let tactics := step.tactics
    return front && back && middle.size + 1 == 2 * tactics.size &&
      tactics.size.all fun j _ => tactics[j]!.structEq middle[2 * j]!

/-- Whether Lean parses the step, and everything else as before, after a text has replaced a range
of the file. -/
def Site.fits (site : Site) (step : Step) (range : Lean.Syntax.Range) (text : String) :
    CoreM Bool := do
  let source := site.map.source
  let new := String.Pos.Raw.extract source 0 range.start ++ text ++
    String.Pos.Raw.extract source range.stop source.rawEndPos
  let (command, rest, errors) ← readCommand new site.start
  return rest == site.rest && errors == site.errors && site.isReplaced step site.command command

/-! ### The texts that are tried -/

/-- A change of the file that writes a step. -/
structure Insertion where
  /-- The range that is replaced. -/
  range : Lean.Syntax.Range
  /-- The new text. -/
  text : String

/-- The pieces of syntax around the call, the innermost first. -/
def Site.around (site : Site) : List Syntax :=
  let covers := fun part : Syntax => part.getRange?.any fun range =>
    range.start ≤ site.range.start && site.range.stop ≤ range.stop
  let stack? := site.command.findStack? covers fun part =>
    part.isOfKind site.kind && part.getRange? == some site.range
  (stack?.getD []).map (·.1)

/-- The number of times that Lean runs the call: once for each alternative that shares its text, as
in `| inl h | inr h => llmsuggest`. -/
def Site.runs (site : Site) : Nat :=
  site.around.foldl (init := 1) fun runs part =>
    if part.isOfKind ``Parser.Tactic.inductionAlt then runs * max 1 part[0].getNumArgs else runs

/-- Whether only spaces and bullets stand in front of a position in its line. -/
def isFirstInLine (map : FileMap) (position : String.Pos.Raw) : Bool :=
  let line := map.lineStart (map.toPosition position).line
  (String.Pos.Raw.extract map.source line position).all fun c => c == ' ' || c == '·'

/-- If the call is the first of a block that is opened in the middle of its line, by a `by` or a
`=>`: the end of that word, and the column in which the block would be written below the line. -/
def Site.block? (site : Site) : Option (String.Pos.Raw × Nat) := do
  let outside := site.around.dropWhile fun part => part.getPos? == some site.range.start
  let opening ← outside.head?
  let word ← opening.getArgs.findSome? fun part => do
    guard (part.isToken "by" || part.isToken "=>")
    let stop ← part.getTailPos?
    let between := String.Pos.Raw.extract site.map.source stop site.range.start
    guard (stop ≤ site.range.start && between.all (· == ' '))
    return stop
  -- A block is two columns to the right of what it belongs to.
  let owner ← outside.findSome? fun part => do
    let start ← part.getPos?
    guard (isFirstInLine site.map start)
    return (site.map.toPosition start).column
  return (word, owner + 2)

/-- The insertion that replaces the call with a step. `none` if no text would be parsed as this
step. If the call is on the line of its `by`, a long step or one of several lines becomes a block
below that line. -/
def Site.insertion? (site : Site) (step : Step) : CoreM (Option Insertion) := do
  let column := (site.map.toPosition site.range.start).column
  let inPlace := step.textAt column
  let below := match site.block? with
    | some (start, column) => [(start, "\n" ++ "".pushn ' ' column ++ step.textAt column)]
    | none => []
  let texts := (if inPlace.contains '\n' || column + inPlace.length > 100 then below else []) ++
    [(site.range.start, inPlace), (site.range.start, s!"({step.textAt (column + 1)})")]
  for (start, text) in texts do
    let range := ⟨start, site.range.stop⟩
    if ← site.fits step range text then
      return some { range, text }
  return none

end LlmSuggest
