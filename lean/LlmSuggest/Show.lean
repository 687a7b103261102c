/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Server.CodeActions.Basic
public meta import Lean.Widget.UserWidget
public meta import LlmSuggest.Site
public meta import LlmSuggest.Suggest

public meta section

/-!
# How suggestions are shown

The tactic's message, its code actions and the panel show the same: `[apply]`, the step as it is
written into the file, and a mark. The message is text for every editor, in the form of core's
"Try this"; in the infoview it has links, colours, and the goals that a step leaves.
-/

namespace LlmSuggest

open Lean Elab Tactic Server

/-- A suggestion as it is shown. -/
structure Entry where
  /-- The step, as it is written. -/
  text : String
  /-- The effect of the step on the goal, as a comment. -/
  mark : String
  /-- Whether it closes the goal. -/
  closes : Bool
  /-- The goals that it leaves, as the infoview shows them; empty if there are none. -/
  goals : String := ""
  /-- The change of the document that writes the step. -/
  edit : Lsp.TextEdit
  /-- The new position of the cursor, after the step. -/
  cursor : Lsp.Position
  deriving FromJson, ToJson

/-- The position behind a text that starts at a position. -/
def positionBehind (start : Lsp.Position) (text : String) : Lsp.Position :=
  let lines := text.splitOn "\n"
  let last := (lines.getLastD "").utf16Length
  if lines.length ≤ 1 then { start with character := start.character + last }
  else { line := start.line + lines.length - 1, character := last }

/-- The longest text of goals that is shown. -/
def maxGoals : Nat := 2000

/-- The goals that a step leaves. -/
def goalsText (outcome : Outcome) : TacticM String := do
  let .works effect := outcome | return ""
  if effect.goals.isEmpty then
    return ""
  let present ← saveState
  let goals ← effect.left.flatMapM fun (after, goals) => do
    after.restore (restoreInfo := true)
    goals.mapM fun goal => return (← Meta.ppGoal goal).pretty
  present.restore (restoreInfo := true)
  let text := "\n\n".intercalate goals
  return if text.length ≤ maxGoals then text else (text.take maxGoals).copy ++ "…"

/-- A step as it is written at a site; `none` if it cannot be written there. -/
def Site.entryOf? (site : Site) (step : Step) (mark : String) (closes : Bool) (goals : String) :
    CoreM (Option Entry) := do
  let some { range, text } ← site.insertion? step | return none
  let range := site.map.utf8RangeToLspRange range
  return some {
    text, mark, closes, goals
    edit := { range, newText := text }
    cursor := positionBehind range.start text }

/-- A suggestion that is written at a site; `none` if it cannot be written there. -/
def Site.entry? (site : Site) (suggestion : Suggestion) : TacticM (Option Entry) := do
  let outcome := suggestion.outcome
  site.entryOf? suggestion.step outcome.mark outcome.closes (← goalsText outcome)

/-! ### In the infoview -/

/-- Code that the infoview's scripts share. -/
def entriesScript : String := r"
import * as React from 'react'
import * as ReactDOM from 'react-dom'
import { EditorContext, EnvPosContext, RpcContext } from '@leanprover/infoview'

const e = React.createElement

// The goals that a step leaves, while the mouse is over its mark.
function Mark({ mark, closes, goals }) {
  const [place, setPlace] = React.useState(undefined)
  const show = event => {
    const { left, top, bottom } = event.currentTarget.getBoundingClientRect()
    const height = window.innerHeight
    // On the side where there is more room.
    setPlace({ left: Math.min(left, window.innerWidth / 2), maxHeight: height / 2,
      ...(bottom < height / 2 ? { top: bottom + 4 } : { bottom: height - top + 4 }) })
  }
  const shown = place && goals && ReactDOM.createPortal(
    e('div', { className: 'tooltip',
        style: { position: 'fixed', zIndex: 100, overflow: 'hidden', ...place } },
      e('div', { className: 'tooltip-content tooltip-code-content font-code pre-wrap' }, goals)),
    document.body)
  return e('span',
    { className: closes ? 'information' : 'o-60', onMouseEnter: show,
      onMouseLeave: () => setPlace(undefined) },
    mark, shown)
}

// The suggestions, each with a link that writes it into the document. One click is all that they
// take: the text then is another one, to which their ranges do not belong.
function Entries({ uri, version, header, entries }) {
  const editor = React.useContext(EditorContext)
  const used = React.useRef(false)
  const apply = async ({ edit, cursor }) => {
    if (used.current) return
    used.current = true
    await editor.api.applyEdit(version === undefined ? { changes: { [uri]: [edit] } } :
      { documentChanges: [{ textDocument: { uri, version }, edits: [edit] }] })
    await editor.revealPosition({ uri, ...cursor })
  }
  const entry = (one, i) => e('span', { key: i },
    '\n  ',
    e('a', { className: 'link pointer dim', title: 'Apply suggestion', onClick: () => apply(one) },
      '[apply]'),
    ' ' + one.text.replaceAll('\n', '\n  ') + '  ', e(Mark, one))
  return e('span', { className: 'font-code pre-wrap' }, header, entries.map(entry))
}

let lastClient = 0
// What the server answers to a method of `Panel` for a position.
function askAt(rpc, method, pos, client, abortSignal) {
  return rpc.call(`LlmSuggest.Panel.${method}`, { pos, client }, { abortSignal })
    .catch(error => ({ entries: [], message: error.message ?? String(error) }))
}
const newClient = () => `panel ${Math.random().toString(36).slice(2)}`
const headerOf = ({ entries, sentNote }) =>
  (entries.length === 1 ? 'Try this' : 'Try these') + (sentNote ?? '') + ':'
"

/-- A list of suggestions in a message. Without suggestions, it has a link that asks again. -/
@[widget_module]
def entriesWidget : Widget.Module where
  javascript := entriesScript ++ r"
function Again({ pos }) {
  const rpc = React.useContext(RpcContext)
  const [client] = React.useState(newClient)
  const [reply, setReply] = React.useState({ entries: [], message: '' })
  const { uri, line, character } = pos
  const ask = async () => {
    setReply(undefined)
    setReply(await askAt(rpc, 'suggest', { line, character }, client))
  }
  if (!reply) return e('span', { className: 'o-60' }, '\nAsking the model …')
  if (reply.entries.length > 0)
    return e('span', {}, '\n', e(Entries,
      { uri, version: reply.version, header: headerOf(reply), entries: reply.entries }))
  return e('span', {}, reply.message && '\n' + reply.message, '\n',
    e('a', { className: 'link pointer dim', title: 'Ask the model again', onClick: ask },
      '[ask again]'))
}

export default function ({ header, entries }) {
  const pos = React.useContext(EnvPosContext)
  if (entries.length === 0) return e(Again, { pos })
  return e(Entries, { uri: pos.uri, header, entries })
}
"

/-- Entries for the infoview; `text` is what is shown elsewhere. -/
def entriesMessage (header : String) (entries : Array Entry) (text : String) : MessageData :=
  .ofWidget {
    id := ``entriesWidget
    javascriptHash := entriesWidget.javascriptHash
    props := return .mkObj [("header", header), ("entries", toJson entries)] } text

/-! ### Code actions -/

/-- The data that a call leaves in the info tree for code actions. -/
structure CallInfo where
  /-- The suggestions. -/
  entries : Array Entry
  /-- Whether a code action offers to ask again. -/
  canAsk : Bool
  deriving TypeName

/-- The title of the code action for an entry, on one line. -/
def Entry.title (entry : Entry) : String :=
  let lines := (entry.text.splitOn "\n").map (·.trimAscii.copy) |>.filter (!·.isEmpty)
  s!"Try this: {shortened (" ⏎ ".intercalate lines) 80}  {entry.mark}"

/-- A change that makes Lean elaborate a call again: it adds a space behind the call, or removes a
trailing one. -/
def againEdit (map : FileMap) (range : Lean.Syntax.Range) : Lsp.TextEdit :=
  let behind := String.Pos.Raw.extract map.source range.stop map.source.rawEndPos
  let isSpare := behind.startsWith " " && ((behind.drop 1).copy.isEmpty ||
    (behind.drop 1).copy.front.isWhitespace)
  let stop := if isSpare then range.stop + ' ' else range.stop
  { range := map.utf8RangeToLspRange ⟨range.stop, stop⟩, newText := if isSpare then "" else " " }

/-- The code actions of a call: to apply one of its suggestions, or to ask again where it failed. -/
@[code_action_provider]
def callProvider : CodeActionProvider := fun params snap => do
  let doc ← RequestM.readDoc
  let map := doc.meta.text
  -- A call on several goals leaves one list per goal. The last one is for all of them.
  let calls : Array (Lean.Syntax.Range × CallInfo) := snap.infoTree.foldInfo (init := #[])
    fun _ info calls => Id.run do
      let .ofCustomInfo { stx, value } := info | return calls
      let (some call, some range) := (value.get? CallInfo, stx.getRange?) | return calls
      let { start, «end» } := map.utf8RangeToLspRange range
      unless start.line ≤ params.range.end.line && params.range.start.line ≤ «end».line do
        return calls
      return (calls.filter (·.1 != range)).push (range, call)
  return calls.flatMap fun (range, call) =>
    let actions := call.entries.mapIdx fun i entry => action doc entry.title (i == 0) entry.edit
    if call.canAsk then
      actions.push (action doc "Ask the model again" false (againEdit map range))
    else
      actions
where
  /-- A code action that changes the document. -/
  action (doc : FileWorker.EditableDocument) (title : String) (isPreferred : Bool)
      (edit : Lsp.TextEdit) : LazyCodeAction := {
    eager := {
      title
      kind? := "quickfix"
      isPreferred? := if isPreferred then some true else none
      edit? := some <| .ofTextEdit doc.versionedIdentifier edit } }

/-- Leaves code actions at a call. -/
def addCodeActions (call : Syntax) (entries : Array Entry) (canAsk := false) : CoreM Unit :=
  pushInfoLeaf <| .ofCustomInfo { stx := call, value := .mk { entries, canAsk : CallInfo } }

/-! ### Messages -/

/-- The tag of the messages with suggestions. -/
def messageTag : Name := `llmsuggest.suggestions

/-- Lists suggestions in a message at their call, with links and code actions. The message names the
server to which the goal was sent, if there is one. -/
def logEntries (call : Syntax) (entries : Array Entry) (sentTo? : Option String) : CoreM Unit := do
  addCodeActions call entries
  let header := if entries.size == 1 then "Try this" else "Try these"
  let header := header ++ sentNote sentTo? ++ ":"
  let lines := entries.map fun entry =>
    s!"\n  [apply] {entry.text.replace "\n" "\n  "}  {entry.mark}"
  logInfoAt call <| .tagged messageTag <|
    entriesMessage header entries (header ++ String.join lines.toList)

/-- Lists suggestions without links, behind a sentence with the reason. -/
def logWithoutLinks (call : Syntax) (why : String) (suggestions : Array Suggestion) :
    CoreM Unit := do
  addCodeActions call #[]
  let lines := suggestions.map fun { step, outcome } =>
    s!"\n  {(step.textAt 0).replace "\n" "\n  "}  {outcome.mark}"
  logInfoAt call <| .tagged messageTag m!"{why}{String.join lines.toList}"

/-- A text of the model's on one line of a limited length, without characters that could hide
something. -/
def quoted (text : String) : String :=
  let visible := (text.take 80).copy.map fun c => if isPlain c then c else '\ufffd'
  visible.quote ++ if visible.length < text.length then "…" else ""

/-- Lists what does not work, in a message without links. -/
def logInvalid (call : Syntax) (invalid : Array (String × Fault)) : CoreM Unit := do
  let line := fun (text, fault) => s!"\n  {quoted text}: {Fault.reason fault}"
  logInfoAt call m!"Suggestions that do not work:{String.join (invalid.map line).toList}"

/-- Ends a call with an error, and offers to ask again. -/
def throwNoSuggestion {α : Type} (call : Syntax) (message : String) : CoreM α := do
  addCodeActions call #[] (canAsk := true)
  throwErrorAt call m!"llmsuggest: {message}{entriesMessage "" #[] ""}"

end LlmSuggest
