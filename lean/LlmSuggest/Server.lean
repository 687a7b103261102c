/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Server.FileWorker.RequestHandling
public meta import LlmSuggest.Prove

public meta section

/-!
# Suggestions at the cursor

The language server's answers to the panel, and to the link that asks again: the list that
`llmsuggest` would show for the goal at a position, with the edits that insert it there.
-/

namespace LlmSuggest.Panel

open Lean Elab Tactic Server

/-- A request of the panel. -/
structure Params where
  /-- The cursor. -/
  pos : Lsp.Position
  /-- The panel's name. A newer request with the same name supersedes the older one. -/
  client : String
  deriving FromJson, ToJson

/-- The answer that the panel shows. -/
structure Reply where
  /-- The suggestions that work, the best first. -/
  entries : Array Entry := #[]
  /-- The reason why there are none, with a remedy; empty if there are some. -/
  message : String := ""
  /-- The server to which the goal was sent, in parentheses; empty for a model on this machine. -/
  sentNote : String := ""
  /-- Whether there is no daemon. -/
  isAbsent : Bool := false
  /-- The version of the document that the changes belong to. -/
  version : Nat := 0
  deriving FromJson, ToJson

/-! ### The place of a suggestion -/

/-- The range that a suggestion replaces, and the text around the step. -/
structure Place where
  /-- The range that is replaced. -/
  range : Lean.Syntax.Range
  /-- The text in front of the step. -/
  before : String := ""
  /-- The text behind the step. -/
  after : String := ""

/-- Whether this is a `·` without its block. -/
def isDot (stx : Syntax) : Bool :=
  stx.isOfKind ``cdotTk

/-- Whether this opens a block: a `by`, a `·`, or the head of a case up to its `=>`. -/
def isOpener (stx : Syntax) : Bool :=
  stx.isToken "by" || isDot stx || stx.getArgs.back?.any (·.isToken "=>")

/-- Whether this is a placeholder, such as `sorry`. -/
def isPlaceholder (stx : Syntax) : Bool :=
  stx.isOfKind ``Parser.Tactic.tacticSorry || stx.isOfKind ``llmsuggest ||
    stx.isOfKind ``llmprove

/-- The place of a step that is run on the goals that the infoview shows at `cursor`: a placeholder,
a blank line, or a new line after or before the tactic there. -/
def Place.of? (map : FileMap) (found : GoalsAtResult) (cursor : String.Pos.Raw) :
    Option Place := do
  let stx := found.tacticInfo.stx
  let range ← stx.getRange?
  -- For a block, the place is that of its first tactic.
  let first? := if stx[0].isToken "by" then stx[1].getPos?
    else if isOpener stx then none
    else some range.start
  if let some first := first? then
    unless found.useAfter do
      return if isPlaceholder stx then { range } else
        { range := ⟨first, first⟩, after := "\n" ++ margin (map.toPosition first).column }
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
    return { range := ⟨line, cursor + rest⟩, before := margin column }
  -- A comment stays with the tactic in front of it.
  let rest := restOfLine range.stop
  let own := rest.trimAscii
  let stop := range.stop + rest
  if own.isEmpty && isDot stx then
    return { range := ⟨range.stop, stop⟩, before := " " }
  if own.isEmpty || own.startsWith "--" then
    let start := if own.isEmpty then range.stop else stop
    return { range := ⟨start, stop⟩, before := "\n" ++ margin column }
  -- After the opening of a block follows the block.
  if first?.isNone then
    let start := range.stop + (rest.takeWhile (· == ' ')).copy
    let column := (map.toPosition start).column
    return { range := ⟨start, start⟩, after := "\n" ++ margin column }
  return { range := ⟨range.stop, range.stop⟩, before := "\n" ++ margin column }
where
  /-- A part of the file. -/
  slice (start stop : String.Pos.Raw) : String :=
    String.Pos.Raw.extract map.source start stop
  /-- The text from a position to the end of its line. -/
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

/-- The site of a call of `llmsuggest` that would be written at a place. `none` if Lean would not
parse the text as this call, or would parse the rest of the file differently. -/
def Place.site? (place : Place) (map : FileMap) : TermElabM (Option Site) := do
  let call := "llmsuggest"
  let head := String.Pos.Raw.extract map.source 0 place.range.start ++ place.before
  let tail := String.Pos.Raw.extract map.source place.range.stop map.source.rawEndPos
  let withCall := FileMap.ofString (head ++ call ++ place.after ++ tail)
  let some site ← Site.of? ``llmsuggest withCall ⟨head.rawEndPos, head.rawEndPos + call⟩
    | return none
  let (_, rest, errors) ← readCommand map.source site.start
  return if site.rest ≤ rest && site.errors ≤ errors then some site else none

/-- The site is one of the file with a call at the place. Turns an insertion there into a change of
the real file and the cursor's position after it. -/
def Place.translate (place : Place) (map : FileMap) (site : Site) (insertion : Insertion) :
    Lsp.TextEdit × Lsp.Position :=
  let slice := String.Pos.Raw.extract site.map.source
  let start := min place.range.start insertion.range.start
  let stop : String.Pos.Raw := ⟨site.map.source.utf8ByteSize -
    (map.source.utf8ByteSize - place.range.stop.byteIdx)⟩
  let text := slice start insertion.range.start ++ insertion.text
  let range := map.utf8RangeToLspRange ⟨start, place.range.stop⟩
  ({ range, newText := text ++ slice insertion.range.stop stop }, positionBehind range.start text)

/-- A step as an entry that writes it at a place. -/
def Place.entryOf? (place : Place) (map : FileMap) (site : Site) (step : Step) (mark : String)
    (closes : Bool) (goals : String) : CoreM (Option Entry) := do
  let some insertion ← site.insertion? step | return none
  let (edit, cursor) := place.translate map site insertion
  return some { text := step.textAt 0, mark, closes, goals, edit, cursor }

/-- A suggestion as an entry that writes it at a place. -/
def Place.entry? (place : Place) (map : FileMap) (site : Site) (suggestion : Suggestion) :
    TacticM (Option Entry) := do
  let { step, outcome } := suggestion
  place.entryOf? map site step outcome.mark outcome.closes (← goalsText outcome)

/-! ### The suggestions -/

/-- The names of the universes in a goal. -/
def universeNames (goal : MVarId) : MetaM (List Name) := do
  let mut found := collectLevelParams {} (← instantiateMVars (← goal.getType))
  for hypothesis in ← getLCtx do
    found := collectLevelParams found (← instantiateMVars hypothesis.type)
  return found.params.toList

/-- Runs `x` on the goals that the infoview shows. Some versions of Lean run it in `IO`, others in
`EIO Exception`. -/
def runOn {m : Type → Type} [Monad m] [MonadLiftT IO m] [MonadLiftT (EIO Exception) m] {α : Type}
    (found : GoalsAtResult) (token : IO.CancelToken) (x : TacticM α) : m (Option α) := do
  let info := found.tacticInfo
  let (mctx, goals) := if found.useAfter then (info.mctxAfter, info.goalsAfter)
    else (info.mctxBefore, info.goalsBefore)
  let goal :: _ := goals | return none
  let context := { found.ctxInfo with mctx }
  let maxHeartbeats := Core.getMaxHeartbeats context.options
  context.runMetaM {} <| goal.withContext <|
    withTheReader Core.Context ({ · with maxHeartbeats, cancelTk? := some token }) <|
    withCurrHeartbeats <| Term.TermElabM.run' (ctx := { declName? := context.parentDecl? }) do
      -- The lemmas that a step makes, as `grind` does, have to be named after the theorem.
      let parent? := (← getEnv).asyncPrefix? <|> context.parentDecl?
      setDeclNGen { namePrefix := parent?.getD .anonymous }
      Term.withLevelNames (← universeNames goal) do
        some <$> ((x { elaborator := .anonymous }).run' { goals })

/-- A token that is set when the infoview cancels the request, or an edit makes it obsolete. -/
def cancelToken : RequestM IO.CancelToken := do
  let token ← IO.CancelToken.new
  for task in (← readThe RequestContext).cancelTk.cancellationTasks do
    discard <| ServerTask.BaseIO.mapTaskCheap (fun _ => token.set) task
  return token

/-- The suggestions that also work on another goal of the same place. -/
def alsoOn (suggestions : Array Suggestion) : TacticM (Array Suggestion) := do
  let limits ← Limits.fromOptions ((← IO.monoMsNow) + llmsuggest.checkTime.get (← getOptions))
  withGuard fun guard => do
    let checked ← suggestions.mapM fun { step, outcome } => do
      return { step, outcome := outcome.and (← guard.check limits step) : Suggestion }
    return sorted <| checked.filter fun suggestion => !suggestion.outcome matches .fails _

/-- The place of a request and its goals. -/
structure Spot where
  /-- The panel's name. -/
  client : String
  /-- The file. -/
  map : FileMap
  /-- The place for a step. -/
  place : Place
  /-- The goals there. The first is the main goal. -/
  found : GoalsAtResult
  /-- The goals of other runs of the same text. -/
  others : List GoalsAtResult
  /-- Is set when the answer is obsolete. -/
  token : IO.CancelToken

/-- The answer where no step can be written. -/
def noSpot : Reply :=
  { message := "None of the model's suggestions works here." }

/-- The suggestions that work on all goals of a spot. -/
def Spot.onAll (spot : Spot) (suggestions : Array Suggestion) : TacticM (Array Suggestion) :=
  spot.others.foldlM (init := suggestions) fun suggestions other =>
    return (← runOn other spot.token (alsoOn suggestions)).getD #[]

/-- The suggestions for the main goal of a spot. -/
def Spot.suggest (spot : Spot) : TacticM Reply := do
  let { client, map, place, found, .. } := spot
  let some site ← place.site? map | return noSpot
  let goal ← getMainGoal
  let call := found.tacticInfo.stx
  let «prefix» := if call.isOfKind ``llmsuggest then (call[1][0].isStrLit?).getD "" else ""
  let above := place.range.start
  let state ← stateText (← goalText goal) (← getUnsolvedGoals).tail
  match ← askFor state «prefix» client map above (← Term.getDeclName?) with
  | .canceled => return {}
  | .failure message isAbsent => return { message, isAbsent }
  | .answers answers =>
    let (suggestions, faults) ← suggestionsFrom answers.suggestions «prefix»
    let entries ← (← spot.onAll suggestions).filterMapM (place.entry? map site)
    if entries.isEmpty then
      return { message := (← noneMessage goal answers faults).capitalize }
    return { entries, sentNote := sentNote answers.sentTo? }

/-- Answers for the spot at the cursor. -/
def answerAt (params : Params) (answer : Spot → TacticM Reply) : RequestM (RequestTask Reply) := do
  let doc ← RequestM.readDoc
  let map := doc.meta.text
  let cursor := map.lspPosToUtf8Pos params.pos
  let token ← cancelToken
  let nothing := RequestM.asTask (return {})
  RequestM.bindWaitFindSnap doc (·.endPos ≥ cursor) nothing fun _ =>
    RequestM.mapTaskCostly (FileWorker.findGoalsAt? doc cursor) fun goals? => do
      let found :: others := goals?.getD [] | return {}
      let some place := Place.of? map found cursor | return {}
      -- The text of one place can be run on several goals, as behind `| 0 | 1 =>`.
      let others := others.filter fun other =>
        other.tacticInfo.stx.getRange? == found.tacticInfo.stx.getRange?
      try
        let reply ← runOn found token (answer { params with map, place, found, others, token })
        return { reply.getD {} with version := doc.meta.version }
      catch error =>
        return { message := if ← token.isSet then "" else error.message }

/-- The suggestions for the goal at the cursor. Called by the panel and by the link of a message. -/
@[server_rpc_method]
def suggest (params : Params) : RequestM (RequestTask Reply) :=
  answerAt params Spot.suggest

/-! ### A search for a proof -/

/-- The progress of a search. -/
structure Progress where
  /-- The number of goals that are not proved. -/
  openGoals : Nat
  /-- The number of goals that are proved. -/
  provedGoals : Nat
  /-- The number of steps that were run. -/
  steps : Nat
  deriving FromJson, ToJson

/-- The running searches, by the panel's name. -/
initialize searches : IO.Ref (Std.HashMap String Progress) ← IO.mkRef {}

/-- A proof of the main goal of a spot, or a partial one. -/
def Spot.prove (spot : Spot) : TacticM Reply := do
  let { client, map, place, .. } := spot
  let some site ← place.site? map | return noSpot
  let report (graph : Graph) : BaseIO Unit := do
    let provedGoals := graph.nodes.countP (·.proof?.isSome)
    let openGoals := graph.nodes.size - provedGoals
    searches.modify (·.insert client { openGoals, provedGoals, steps := graph.steps })
  try
    let (ended, graph) ← searchFor (← Budget.fromOptions) client report
    let sentNote := sentNote graph.sentTo?
    if let .proved { step, outcome, .. } := ended then
      let entries ← (← spot.onAll #[{ step, outcome }]).filterMapM (place.entry? map site)
      let message := if entries.isEmpty then "A proof was found, but it does not work here." else ""
      return { entries, message, sentNote }
    let some (step, mark) ← part? graph | return { message := (← ended.message graph).capitalize }
    let entry? ← place.entryOf? map site step mark (closes := false) ""
    return { entries := entry?.toArray, message := (← ended.message graph).capitalize, sentNote }
  finally
    searches.modify (·.erase client)

/-- A proof of the goal at the cursor, as `llmprove` finds it. Called by the panel. -/
@[server_rpc_method]
def prove (params : Params) : RequestM (RequestTask Reply) :=
  answerAt params Spot.prove

/-- The progress of a panel's search; `none` if there is none. -/
@[server_rpc_method]
def progress (client : String) : RequestM (RequestTask (Option Progress)) :=
  RequestM.pureTask do
    return (← searches.get)[client]?

end LlmSuggest.Panel
