/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Server.FileWorker.RequestHandling
public meta import Lean.Widget.UserWidget
public meta import LlmSuggest.Tactic

public meta section

/-!
# A panel that suggests without being asked

After `import LlmSuggest.Panel` and `show_panel_widgets [local llmSuggestPanel]`, the infoview shows
what `llmsuggest` would list for the goal at the cursor. A click on a suggestion writes it there.
The model is asked once the cursor has rested for a moment, beside everything else that Lean does,
and the request ends when the cursor moves on.

Nothing but Lean is needed: the panel is a user widget of core's, which calls `Panel.suggest`.
-/

namespace LlmSuggest.Panel

open Lean Elab Tactic Server

/-- What the panel asks for. -/
structure Params where
  /-- The cursor. -/
  pos : Lsp.Position
  /-- Which panel asks: a newer request of the same one supersedes the older one. -/
  client : String
  deriving FromJson, ToJson

/-- A suggestion as the panel shows it. -/
structure Entry where
  /-- The step. -/
  text : String
  /-- What the step does to the goal, as a comment. -/
  mark : String
  /-- Whether it closes the goal. -/
  closes : Bool
  /-- The change of the document that writes the step at the cursor. -/
  edit : Lsp.TextEdit
  deriving FromJson, ToJson

/-- What the panel shows. -/
structure Reply where
  /-- The suggestions that work, the best first. -/
  entries : Array Entry := #[]
  /-- Why there are none, with a remedy; empty if there are some. -/
  message : String := ""
  deriving FromJson, ToJson

/-! ### Where a suggestion goes -/

/-- What a suggestion replaces, and what stands around it there. -/
structure Place where
  /-- Where the command starts that it is a part of. -/
  command : String.Pos.Raw
  /-- What is replaced. -/
  range : Lean.Syntax.Range
  /-- What is written in front of the step. -/
  before : String := ""
  /-- What is written behind the step. -/
  after : String := ""

/-- Whether this is a `·` without its block. -/
def isDot (stx : Syntax) : Bool :=
  stx.isOfKind ``cdotTk

/-- Whether this is what stands in front of a block: a `by`, a `·`, or the head of a case up to its
`=>`. -/
def isOpener (stx : Syntax) : Bool :=
  stx.isToken "by" || isDot stx || stx.getArgs.back?.any (·.isToken "=>")

/-- Whether this stands for a step that is still to be found. -/
def isPlaceholder (stx : Syntax) : Bool :=
  stx.isOfKind ``Parser.Tactic.tacticSorry || stx.isOfKind ``llmsuggest

/-- Where a step goes that is run on the goals that the infoview shows at `cursor`: in the place of
a placeholder, in a blank line, or in a line of its own behind or before the tactic there. -/
def Place.of? (map : FileMap) (command : String.Pos.Raw) (found : GoalsAtResult)
    (cursor : String.Pos.Raw) : Option Place := do
  let stx := found.tacticInfo.stx
  let range ← stx.getRange?
  -- Of a block, what counts is its first tactic.
  let first? := if stx[0].isToken "by" then stx[1].getPos?
    else if isOpener stx then none
    else some range.start
  if let some first := first? then
    unless found.useAfter do
      return if isPlaceholder stx then { command, range } else
        { command, range := ⟨first, first⟩, after := "\n" ++ margin (map.toPosition first).column }
  let line := map.lineStart (map.toPosition cursor).line
  let rest := restOfLine cursor
  let isBlank := (slice line cursor).all Char.isWhitespace && rest.all Char.isWhitespace
  let column := match first? with
    | some first => (map.toPosition first).column
    | none =>
      let start := (map.toPosition range.start).line
      let column := (map.toPosition cursor).column
      if isBlank && column > indentation start then column else blockColumn start
  if isBlank && range.stop < line then
    return { command, range := ⟨line, cursor + rest⟩, before := margin column }
  -- A comment stays with the tactic in front of it.
  let rest := restOfLine range.stop
  let own := rest.trimAscii
  let stop := range.stop + rest
  if own.isEmpty && isDot stx then
    return { command, range := ⟨range.stop, stop⟩, before := " " }
  if own.isEmpty || own.startsWith "--" then
    let start := if own.isEmpty then range.stop else stop
    return { command, range := ⟨start, stop⟩, before := "\n" ++ margin column }
  -- Behind the opening of a block there is the block.
  if first?.isNone then
    let start := range.stop + (rest.takeWhile (· == ' ')).copy
    let column := (map.toPosition start).column
    return { command, range := ⟨start, start⟩, after := "\n" ++ margin column }
  return { command, range := ⟨range.stop, range.stop⟩, before := "\n" ++ margin column }
where
  /-- A part of the file. -/
  slice (start stop : String.Pos.Raw) : String :=
    String.Pos.Raw.extract map.source start stop
  /-- What stands between a position and the end of its line. -/
  restOfLine (start : String.Pos.Raw) : String :=
    ((slice start map.source.rawEndPos).takeWhile (· != '\n')).copy
  /-- The spaces in front of a column. -/
  margin (column : Nat) : String :=
    "".pushn ' ' column
  /-- The number of spaces that a line of the file starts with. -/
  indentation (line : Nat) : Nat :=
    ((restOfLine (map.lineStart line)).takeWhile (· == ' ')).copy.length
  /-- The column of the block that is opened in a line: that of the line below, if it belongs to
  the block. -/
  blockColumn (line : Nat) : Nat :=
    max (indentation (line + 1)) (indentation line + 2)

/-- The command that starts at a position of a file, how much of the file follows it, and whether it
has an error. -/
def parseCommand (text : String) (start : String.Pos.Raw) : CoreM (Syntax × Nat × Bool) := do
  let context := {
    env := ← getEnv, options := ← getOptions
    currNamespace := ← getCurrNamespace, openDecls := ← getOpenDecls }
  let (stx, state, messages) :=
    Parser.parseCommand (Parser.mkInputContext text "<file>") context { pos := start } {}
  return (stx, text.utf8ByteSize - state.pos.byteIdx, messages.hasErrors)

/-- The change of the file that writes a step at a place; `none` if the step cannot stand there. -/
def Place.edit? (place : Place) (map : FileMap) (step : Step) : CoreM (Option Lsp.TextEdit) := do
  -- The step is written as it would be in the place of a call there.
  let call := "llmsuggest"
  let head := String.Pos.Raw.extract map.source 0 place.range.start ++ place.before
  let tail := String.Pos.Raw.extract map.source place.range.stop map.source.rawEndPos
  let withCall := FileMap.ofString (head ++ call ++ place.after ++ tail)
  let some text ← step.insertion? withCall ⟨head.rawEndPos, head.rawEndPos + call⟩ | return none
  -- Lean has to read it there as this step, and the command as far as before.
  let (_, restBefore, wasWrong) ← parseCommand map.source place.command
  let (command, rest, isWrong) ← parseCommand (head ++ text ++ place.after ++ tail) place.command
  let isThere := (command.find? fun part => part.getPos? == some head.rawEndPos &&
    (part.structEq (tacticsOf step.stx)[0]! || part[1].structEq step.stx)).isSome
  unless isThere && rest ≤ restBefore && (wasWrong || !isWrong) do return none
  return some {
    range := map.utf8RangeToLspRange place.range
    newText := place.before ++ text ++ place.after }

/-! ### What is suggested -/

/-- The answers that work on the main goal, as entries. -/
def entries (answers : Array Answer) (place : Place) (map : FileMap) : TacticM (Array Entry) := do
  let (steps, _) ← parseAnswers answers
  let checked ← checkSteps steps
  let sorted := checked.toList.mergeSort fun a b => a.2.rank ≤ b.2.rank
  sorted.toArray.filterMapM fun (step, outcome) => do
    if outcome matches .fails _ then
      return none
    let some text ← step.insertion? (FileMap.ofString "") ⟨0, 0⟩ | return none
    let some edit ← place.edit? map step | return none
    return some { text, mark := outcome.mark, closes := outcome matches .closes _, edit }

/-- What the panel shows for the main goal. -/
def reply (client : String) (place : Place) (map : FileMap) : TacticM Reply := do
  match ← askFor (← getMainGoal) "" client with
  | .canceled => return {}
  | .failure message => return { message }
  | .answers answers =>
    let entries ← entries answers place map
    let message := if answers.isEmpty then "The model has no suggestion for this goal."
      else if entries.isEmpty then "None of the model's suggestions works here." else ""
    return { entries, message }

/-- Runs `x` on the goals that the infoview shows. -/
def runOn {α : Type} (found : GoalsAtResult) (token : IO.CancelToken) (x : TacticM α) :
    RequestM (Option α) := do
  let info := found.tacticInfo
  let (mctx, goals) := if found.useAfter then (info.mctxAfter, info.goalsAfter)
    else (info.mctxBefore, info.goalsBefore)
  let goal :: _ := goals | return none
  let context := { found.ctxInfo with mctx }
  context.runMetaM {} <| goal.withContext <|
    withTheReader Core.Context ({ · with cancelTk? := some token }) <| withCurrHeartbeats <|
    Term.TermElabM.run' (ctx := { declName? := context.parentDecl? }) do
      -- The lemmas that a step makes, as `grind` does, have to be named after the theorem.
      let parent? := (← getEnv).asyncPrefix? <|> context.parentDecl?
      setDeclNGen { namePrefix := parent?.getD .anonymous }
      some <$> ((x { elaborator := .anonymous, recover := false }).run' { goals })

/-- A token that is set when the infoview no longer wants the answer, or an edit has made it
pointless. -/
def cancelToken : RequestM IO.CancelToken := do
  let token ← IO.CancelToken.new
  for task in (← readThe RequestContext).cancelTk.cancellationTasks do
    discard <| ServerTask.BaseIO.mapTaskCheap (fun _ => token.set) task
  return token

/-- The suggestions for the goal at the cursor. Called by the panel. -/
@[server_rpc_method]
def suggest (params : Params) : RequestM (RequestTask Reply) := do
  let doc ← RequestM.readDoc
  let map := doc.meta.text
  let cursor := map.lspPosToUtf8Pos params.pos
  let token ← cancelToken
  let nothing := RequestM.asTask (return {})
  RequestM.bindWaitFindSnap doc (·.endPos ≥ cursor) nothing fun command =>
    RequestM.mapTaskCostly (FileWorker.findGoalsAt? doc cursor) fun goals? => do
      let some found := goals?.bind (·.head?) | return {}
      let some start := command.stx.getPos? | return {}
      let some place := Place.of? map start found cursor | return {}
      try
        return (← runOn found token (reply params.client place map)).getD {}
      catch error =>
        return { message := if ← token.isSet then "" else error.message }

end LlmSuggest.Panel

/-- A panel of the infoview with suggestions for the goal at the cursor:

```
show_panel_widgets [local llmSuggestPanel]
``` -/
@[widget_module]
def llmSuggestPanel : Lean.Widget.Module where
  javascript := r"
import * as React from 'react'
import {
  EditorContext, RpcContext, TaggedText_stripTags, useClientNotificationEffect
} from '@leanprover/infoview'

const e = React.createElement
// How long the cursor rests before the model is asked, in milliseconds.
const REST = 300
// Whether the panel is open; kept while the cursor is where there is none.
let wasOpen = true

// What the goal says. Its name inside Lean changes whenever Lean looks at the file again.
function asText(goal) {
  const hypotheses = goal.hyps.map(({ names, type, val }) =>
    [names.join(' '), type, val].map(part =>
      part && typeof part === 'object' ? TaggedText_stripTags(part) : part))
  return JSON.stringify([hypotheses, TaggedText_stripTags(goal.type)])
}

export default function LlmSuggestPanel({ pos, goals }) {
  const rpc = React.useContext(RpcContext)
  const editor = React.useContext(EditorContext)
  const [client] = React.useState(() => 'panel ' + Math.random().toString(36).slice(2))
  const [isOpen, setOpen] = React.useState(wasOpen)
  const [edits, setEdits] = React.useState(0)
  const [reply, setReply] = React.useState(undefined)
  const goal = goals.length > 0 ? asText(goals[0]) : ''
  useClientNotificationEffect('textDocument/didChange', () => setEdits(n => n + 1), [])

  React.useEffect(() => {
    setReply(undefined)
    if (!isOpen || !goal) return
    const abort = new AbortController()
    const ask = async () => {
      const position = { line: pos.line, character: pos.character }
      let reply
      try {
        reply = await rpc.call('LlmSuggest.Panel.suggest', { pos: position, client },
          { abortSignal: abort.signal })
      } catch (error) {
        reply = { entries: [], message: error.message ?? String(error) }
      }
      if (!abort.signal.aborted) setReply(reply)
    }
    const timer = setTimeout(ask, REST)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [rpc, pos.uri, pos.line, pos.character, goal, edits, isOpen])

  if (!goal) return null
  const apply = edit => editor.api.applyEdit({ changes: { [pos.uri]: [edit] } })
  const entry = ({ text, mark, closes, edit }, i) =>
    e('div', { key: i, className: 'flex font-code' },
      e('a', { className: 'link pointer dim mr2', title: 'Insert', onClick: () => apply(edit) },
        '[apply]'),
      e('span', { className: 'pre-wrap' }, text, '  ',
        e('span', { className: closes ? 'information' : 'o-60' }, mark)))
  const shown =
    reply === undefined ? e('span', { className: 'o-60' }, 'Asking the model …')
    : reply.message ? e('span', { className: 'pre-wrap' }, reply.message)
    : reply.entries.map(entry)
  return e('details', { open: isOpen, onToggle: event => setOpen(wasOpen = event.target.open) },
    e('summary', { className: 'mv2 pointer non-selectable' }, 'Suggestions'),
    e('div', { className: 'ml1', id: 'llmsuggest-panel' }, shown))
}
"
