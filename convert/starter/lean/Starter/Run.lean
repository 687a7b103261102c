/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean
public meta import LlmSuggest.Check
public meta import Starter.Worlds

public meta section

/-!
# Running steps on goals: to judge given ones, and to search for ones that work

What a step does is decided by `LlmSuggest.runStep`, the check that the tactic itself uses.
-/

namespace Starter

open Lean Elab Tactic Meta LlmSuggest

/-- Where a goal comes from. -/
inductive Start where
  /-- Binders and type, as they stand behind `example`. -/
  | stated (source : String)
  /-- A theorem of the environment. -/
  | «theorem» (name : Name)

/-- Reads `{"stated": ...}` or `{"theorem": ...}`. -/
instance : FromJson Start where
  fromJson? json := do
    if let .ok source := json.getObjValAs? String "stated" then return .stated source
    return .theorem (← json.getObjValAs? String "theorem").toName

/-- The theorem that is being proved, which no proof may use. -/
def Start.itself : Start → Name
  | .stated _ => .anonymous
  | .theorem name => name

/-- The number of binders that stand before the colon, as far as a type tells. -/
partial def leadingBinders : Expr → Nat
  | .forallE name _ body info =>
    if name.hasMacroScopes && info != .instImplicit then 0 else leadingBinders body + 1
  | _ => 0

/-- Runs `x` on the goal that a person sees behind `:= by`. -/
def withGoal {α : Type} (start : Start) (x : TacticM α) : TermElabM α := do
  let (type, binders, levels) ← match start with
    | .stated source =>
      let context := Parser.mkInputContext source "<statement>"
      let env ← getEnv
      let state := (Parser.andthenFn Parser.whitespace Parser.Command.declSig.fn).run context
        { env, options := ← getOptions } (Parser.getTokenTable env) (Parser.mkParserState source)
      unless state.allErrors.isEmpty && context.atEnd state.pos do
        throwError "the statement cannot be read"
      let signature := state.stxStack.back
      let levels := [`u, `v, `w, `u_1, `u_2, `u_3]
      let (type, binders) ← Term.withLevelNames levels <|
        Term.elabBinders signature[0].getArgs fun xs => do
          let type ← Term.elabType signature[1][1]
          Term.synthesizeSyntheticMVarsNoPostponing
          return (← instantiateMVars (← mkForallFVars xs type), xs.size)
      pure (type, binders, levels)
    | .theorem name =>
      let info ← getConstInfo name
      pure (info.type, leadingBinders info.type, info.levelParams)
  if type.hasMVar || type.hasSorry then throwError "the statement is not complete"
  Term.withLevelNames levels do
    let whole ← mkFreshExprSyntheticOpaqueMVar type
    let (_, goal) ← whole.mvarId!.introNP binders
    Core.resetMessageLog
    let context := { elaborator := .anonymous, recover := false }
    (x context).run' { goals := [goal] }

/-- Whether the proof of `goal` uses the theorem that it is to prove, by itself or in a lemma that
the step added. -/
def circular (goal : MVarId) (itself : Name) : TacticM Bool := do
  if itself.isAnonymous then return false
  let env ← getEnv
  let mut parts := #[← instantiateMVars (.mvar goal)]
  let mut seen : NameSet := {}
  let mut next := 0
  while next < parts.size do
    for name in parts[next]!.getUsedConstants do
      if name == itself then return true
      unless seen.contains name || (env.getModuleIdxFor? name).isSome do
        seen := seen.insert name
        if let some value := (env.find? name).bind (·.value? (allowOpaque := true)) then
          parts := parts.push value
    next := next + 1
  return false

/-- What came of a step, and the state after it where it works. -/
structure Attempt where
  /-- `closes`, `leads`, `fails` or `unparsed`. -/
  kind : String
  /-- The number of goals left. -/
  left : Nat := 0
  /-- The state after it. -/
  after? : Option Tactic.SavedState := none

/-- The step that a text is, as it stands. Texts that only the tactic's repairs would make a step count
for no model. -/
def step? (text : String) : CoreM (Option Step) := do
  if text.length > maxLength || !text.all isPlain then return none
  Step.ofText? text

/-- Runs a text on the main goal, and leaves everything as it was. -/
def attempt (text : String) (itself : Name) (heartbeats : Nat) : TacticM Attempt := do
  let some step ← step? text | return { kind := "unparsed" }
  let before ← saveState
  let traces ← getTraceState
  let goal ← getMainGoal
  let result : Except Exception Outcome ← LlmSuggest.observing <| withEnableInfoTree false <|
    -- What the kernel says of a lemma that the step adds has to come now.
    withOptions (Elab.async.set · false) <|
    withTheReader Core.Context ({ · with maxHeartbeats := heartbeats * 1000 }) <|
    withCurrHeartbeats do
      let outcome ← runStep step
      if ← circular goal itself then return .fails "it uses the theorem that is being proved"
      return outcome
  before.restore (restoreInfo := true)
  setTraceState traces
  let .ok (.works { after, goals, .. }) := result | return { kind := "fails" }
  let kind := if goals.isEmpty then "closes" else "leads"
  return { kind, left := goals.length, after? := some after }

/-- Runs the steps that come before a goal. -/
def follow (path : Array String) : TacticM Unit := do
  for text in path do
    let some step ← step? text | throwError "the path cannot be read"
    withoutRecover <| evalTactic step.stx
    Term.synthesizeSyntheticMVarsNoPostponing

/-- The main goal as the tactic gives it to the model. -/
def shown (goal : MVarId) : MetaM String := return (← Meta.ppGoal goal).pretty

/-! ## The search -/

/-- A step that works. -/
structure Kept where
  /-- Its text. -/
  text : String
  /-- Whether it closes the goal. -/
  closes : Bool
  /-- The number of goals it leaves. -/
  left : Nat
  /-- All steps that close the goal, from this one on. -/
  script : Array String

/-- What the search has seen and may still do. -/
structure Search where
  /-- Scripts by goals; `none` for those that were not closed. -/
  seen : Std.HashMap String (Option (Array String)) := {}
  /-- The goals with their steps, in the order of their completion. -/
  found : Array Json := #[]
  /-- The number of goals that may still be looked at. -/
  budget : Nat
  /-- The number of steps that were run. -/
  attempts : Nat := 0

/-- What the search is told. -/
structure Task where
  /-- The theorem to be proved. -/
  itself : Name
  /-- The limit of each step, in thousands. -/
  heartbeats : Nat
  /-- Whether the library is searched for lemmas. -/
  library : Bool

/-- The search's monad. -/
abbrev SearchM := StateRefT Search TacticM

/-- How late a closing step is listed: short ones that a person would write come first. -/
def cost (text : String) : Nat :=
  let base := match (text.takeWhile fun c => c.isAlphanum || c == '_' || c == '?').copy with
    | "rfl" => 0
    | "exact" => 4
    | "assumption" => 14
    | "omega" => 8
    | "decide" => 10
    | "contradiction" => 12
    | "simp" => 12
    | "rw" => 10
    | "simp_all" => 30
    | "grind" => 34
    | _ => 16
  base + text.length / 2 + if text.contains '\n' then 10 else 0

/-- The steps to keep: the best, not too many of a kind. -/
def choose (kept : Array Kept) (most : Nat := 12) : Array Kept := Id.run do
  let sorted := kept.qsort fun a b =>
    let key := fun k : Kept => (if k.closes then 0 else 1000) + cost k.text
    key a < key b || (key a == key b && a.text < b.text)
  let mut heads : Std.HashMap String Nat := {}
  let mut out := #[]
  for step in sorted do
    if out.size ≥ most then break
    let head := (step.text.takeWhile (· != ' ')).copy
    let limit := if head == "exact" then 4 else if head == "rw" then 2 else 3
    let count := heads.getD head 0
    if count < limit && !out.any (·.text == step.text) then
      heads := heads.insert head (count + 1)
      out := out.push step
  return out

/-- Fills the `?_` of a step with the scripts of the goals it leaves, if these are short. -/
def filled? (text : String) (scripts : Array (Array String)) : Option String := do
  let pieces := text.splitOn "?_"
  guard (pieces.length == scripts.size + 1 && pieces.length > 1)
  let inTerm := !text.contains '\n' && !(text.startsWith "cases" || text.startsWith "induction")
  let mut out := pieces.head!
  for piece in pieces.tail, script in scripts do
    guard (1 ≤ script.size && script.size ≤ (if inTerm then 1 else 2))
    let inner := "; ".intercalate script.toList
    guard (inner.length ≤ 60 && !inner.contains '\n')
    let inner ← if !inTerm then some inner
      else if inner.startsWith "exact " then some (inner.drop 6).copy
      else if inner == "rfl" then some "rfl"
      else some s!"by {inner}"
    let inner := if inTerm && !(piece.startsWith "⟩" || piece.startsWith ",") && inner.contains ' '
      then s!"({inner})" else inner
    out := out ++ inner ++ piece
  return if out.startsWith "refine " then "exact " ++ out.drop 7 else out

/-- Which steps are followed first: those that take something apart. -/
def rank (text : String) : Nat :=
  match (text.takeWhile Char.isAlpha).copy with
  | "intro" => 0
  | "constructor" | "cases" | "rcases" | "obtain" | "induction" | "rintro" | "split" => 1
  | "left" | "right" | "exists" | "funext" | "ext" | "apply" | "refine" | "subst" => 2
  | "have" | "congr" => 4
  | _ => 3

/-- Whether the step is out of place where a short one closes the goal. -/
def isDetour (text : String) : Bool :=
  text.contains "| zero" || text.contains "| nil" || text.startsWith "rw [Nat." ||
    text.startsWith "rw [Int." || text.startsWith "congr"

/-- Whether this is propositional logic only, which `grind` decides. -/
def logical (type : Expr) : Bool :=
  (type.find? fun part => part.isConst &&
    ![``And, ``Or, ``Not, ``Iff, ``True, ``False].contains part.constName!).isNone

/-- The number of closing steps after which no more are tried on a goal of a world. -/
def enough : Nat := 7

/-- Whether a step is an induction. -/
def isInduction (text : String) : Bool := text.contains "induction "

/-- Whether a goal or a hypothesis speaks of a world's definitions. -/
def inWorld (goal : MVarId) : MetaM Bool := goal.withContext do
  if ← speaksOfOwn (← instantiateMVars (← goal.getType)) then return true
  (← getLCtx).anyM fun decl => do
    return !decl.isImplementationDetail && (← speaksOfOwn (← instantiateMVars decl.type))

/-- The steps that work on a goal, and a script that closes it. -/
partial def explore (task : Task) (goal : MVarId) (path : Array String) (depth : Nat) :
    SearchM (Option (Array String)) := do
  let text ← shown goal
  if let some known := (← get).seen[text]? then return known
  if (← get).budget == 0 || text.length > 900 then return none
  let type ← instantiateMVars (← goal.getType)
  if type.hasExprMVar then return none
  modify fun s => { s with seen := s.seen.insert text none, budget := s.budget - 1 }
  let before ← (saveState : TacticM Tactic.SavedState)
  setGoals [goal]
  let isSplit := path.any fun step => step.contains "| zero" || step.contains "| nil"
  let own ← inWorld goal
  let texts ← (LlmSuggest.observing <|
    withTheReader Core.Context ({ · with maxHeartbeats := 20000 * 1000 }) <| withCurrHeartbeats <|
    (if own then worldSteps goal (!path.any isInduction)
      else candidates goal task.itself (task.library && path.size ≤ 1) (!isSplit) : MetaM _) :
    TacticM _)
  let texts := match texts with
    | .ok texts => texts
    | .error _ => #["simp", "omega", "grind", "rfl"]
  let mut kept : Array Kept := #[]
  let mut leads : Array (String × Nat × Tactic.SavedState) := #[]
  for step in texts do
    if own && (kept.filter (·.closes)).size ≥ enough then break
    let result ← attempt step task.itself task.heartbeats
    modify fun s => { s with attempts := s.attempts + 1 }
    if result.kind == "closes" then
      kept := kept.push { text := step, closes := true, left := 0, script := #[step] }
    else if result.kind == "leads" && result.left ≤ 4 && !(own && step.contains "<;>") then
      if let some after := result.after? then leads := leads.push (step, result.left, after)
  -- Goals that no automation closes are seldom closed after another step, and only those few that
  -- such a step makes easy are worth the time.
  let easy := own || kept.any fun step =>
    ["grind", "exact ", "simp", "omega"].any (step.text.startsWith ·)
  let depth := if easy then depth else if logical type then 0 else min depth 1
  let most := if path.isEmpty then 8 else if easy then 4 else 3
  if depth > 0 then
    -- Nobody does induction on what a term proves.
    let direct := kept.any fun step =>
      ["exact ", "rfl", "omega", "decide"].any (step.text.startsWith ·)
    let closed := kept.any (·.closes)
    let most := if own then (if closed then 2 else 3) else most
    let sorted := leads.filter (fun step => !(direct && isDetour step.1) &&
        !(own && closed && rank step.1 > 1))
      |>.qsort fun a b => rank a.1 < rank b.1
    for (step, left, after) in sorted.extract 0 most do
      after.restore
      let mut scripts := #[]
      let mut script := #[step]
      let mut closed := true
      for next in ← getUnsolvedGoals do
        match ← explore task next (path ++ script) (depth - 1) with
        | some steps =>
          scripts := scripts.push steps
          script := script ++ steps
        | none => closed := false; break
      before.restore
      setGoals [goal]
      if closed then
        -- `apply` and the like, put into one step
        if let some whole := filled? step scripts then
          let result ← attempt whole task.itself task.heartbeats
          if result.kind == "closes" then
            kept := kept.push { text := whole, closes := true, left := 0, script := #[whole] }
        else if step.startsWith "intro " && scripts.size == 1 && scripts[0]!.size == 1 then
          let inner := scripts[0]![0]!
          if inner.startsWith "exact " && inner.length ≤ 60 then
            let whole := s!"exact fun {step.drop 6} => {inner.drop 6}"
            let result ← attempt whole task.itself task.heartbeats
            if result.kind == "closes" then
              kept := kept.push { text := whole, closes := true, left := 0, script := #[whole] }
        kept := kept.push { text := step, closes := false, left, script }
        -- The constructors of a world's types cannot be read off a goal.
        if own && step.contains " with\n" then
          kept := kept.push { text := (step.splitOn " with\n").head!, closes := false, left, script }
  before.restore
  let chosen := choose kept
  let best := chosen.foldl (init := none) fun best step => match best with
    | none => some step.script
    | some script => if step.script.size < script.size then some step.script else some script
  unless chosen.isEmpty do
    let steps := chosen.map fun step =>
      Json.arr #[step.text, if step.closes then "closes" else "leads", step.left]
    let entry := Json.mkObj [("goal", text), ("steps", .arr steps), ("path", toJson path)]
    modify fun s => { s with found := s.found.push entry }
  modify fun s => { s with seen := s.seen.insert text best }
  return best

/-! ## Jobs -/

/-- A line of the answer: on standard error, since Lean keeps standard output to itself. -/
def answer (fields : List (String × Json)) : IO Unit :=
  IO.eprintln s!"@@ {(Json.mkObj fields).compress}"

/-- The goals after a step. -/
def goalsAfter (attempt : Attempt) : TacticM (Array String) := do
  let some after := attempt.after? | return #[]
  let before ← (saveState : TacticM Tactic.SavedState)
  after.restore
  let texts ← (← getUnsolvedGoals).toArray.mapM (shown ·)
  before.restore
  return texts

/-- Gives the outcome of each candidate, one line for each. -/
def judge (id : Nat) (start : Start) (path candidates : Array String) (first heartbeats : Nat) :
    TermElabM Unit := withGoal start do
  follow path
  answer [("id", id), ("goal", ← shown (← getMainGoal))]
  for i in [first:candidates.size] do
    let result ← attempt candidates[i]! start.itself heartbeats
    let kind := if result.kind == "leads" then "valid" else result.kind
    -- The goals of a step come first. Others may be left from the path.
    let goals := (← goalsAfter result).extract 0 result.left
    answer [("id", id), ("candidate", i), ("verdict", kind), ("left", result.left),
      ("goals", toJson goals)]

/-- Searches from a statement, and gives all goals on the way with their steps. -/
def search (id : Nat) (start : Start) (heartbeats budget depth : Nat) (library : Bool) :
    TermElabM Unit := withGoal start do
  let began ← IO.monoMsNow
  let task : Task := { itself := start.itself, heartbeats, library }
  let root ← shown (← getMainGoal)
  let (_, result) ← (explore task (← getMainGoal) #[] depth).run { budget }
  answer [("id", id), ("root", root), ("found", .arr result.found), ("attempts", result.attempts),
    ("milliseconds", (← IO.monoMsNow) - began)]

/-- Whether a constant is a theorem that somebody wrote. -/
def isWritten (env : Environment) (name : Name) : Bool :=
  (wasOriginallyTheorem env name || (env.find? name).any (· matches .thmInfo _)) &&
  !name.isInternalDetail && !isPrivateName name && !isInstanceCore env name &&
  !Linter.isDeprecated env name &&
  !name.components.any (fun part =>
    [`Internal, `Impl, `Lean, `Tactic, `Linarith, `Grind].contains part) &&
  !(["injEq", "inj", "sizeOf_spec", "noConfusion", "congr_simp", "eq_def", "brecOn", "ctorIdx",
    "induct", "induct_unfolding", "fun_cases", "fun_cases_unfolding", "elim",
    "mutual_induct"].contains name.getString!) && !name.getString!.startsWith "eq_"

/-- Lists the theorems of Init and Std with the roots of their modules. -/
def theorems (id : Nat) : TermElabM Unit := do
  let env ← getEnv
  let mut rows : Array Json := #[]
  for i in [0:env.header.moduleNames.size] do
    let module := env.header.moduleNames[i]!
    unless [`Init, `Std].contains module.getRoot do continue
    for name in env.header.moduleData[i]!.constNames do
      if name.isStr && isWritten env name then
        rows := rows.push (.arr #[toString name, toString module])
  answer [("id", id), ("theorems", .arr rows)]

/-- A job: to list the theorems, to judge candidates after a path, or to search. -/
structure Request where
  /-- Comes back with the answers. -/
  id : Nat
  /-- `theorems`, `judge` or `search`. -/
  job : String
  /-- The statement. -/
  start? : Option Start
  /-- The steps before the goal to be judged on. -/
  path : Array String
  /-- The steps to be judged. -/
  candidates : Array String
  /-- The first candidate to be judged. -/
  first : Nat
  /-- The limit of each step, in thousands. -/
  heartbeats : Nat
  /-- The number of goals that a search looks at. -/
  budget : Nat
  /-- The number of steps that a search follows. -/
  depth : Nat
  /-- Whether a search looks for lemmas in the library. -/
  library : Bool
deriving FromJson

/-- Does a job that is given as JSON. -/
def run (job : Json) : TermElabM Unit := do
  let .ok request := fromJson? (α := Request) job | throwError "the job cannot be read"
  match request.job with
  | "theorems" => theorems request.id
  | "judge" =>
    let some start := request.start? | throwError "no start"
    judge request.id start request.path request.candidates request.first request.heartbeats
  | "search" =>
    let some start := request.start? | throwError "no start"
    search request.id start request.heartbeats request.budget request.depth request.library
  | _ => throwError "no such job"

/-- The environment in which the commands of a world have been run. -/
def worldEnv (commands : String) : TermElabM Environment := do
  let input := Parser.mkInputContext commands "<world>"
  let state ← Elab.IO.processCommands input {} (Command.mkState (← getEnv) {} (← getOptions))
  for message in state.commandState.messages.toList do
    if message.severity == .error then throwError "the world: {← message.data.toString}"
  return state.commandState.env

/-- Does the jobs of a file, a line of JSON each. -/
def runAll (file : System.FilePath) : TermElabM Unit := do
  let input ← IO.FS.readFile file
  -- Lean makes the index of its library when it is first asked for; no step should wait for that.
  if (input.splitOn "exact?").length > 1 || (input.splitOn "\"library\": true").length > 1 then
    discard <| LibrarySearch.libSearchFindDecls (mkConst ``True)
  let mut world := ("", ← getEnv)
  for line in input.splitOn "\n" do
    if line.isEmpty then continue
    match Json.parse line with
    | .error _ => pure ()
    | .ok job =>
      let before ← saveState
      let id := (job.getObjValAs? Nat "id").toOption.getD 0
      answer [("id", id), ("begins", true)]
      let commands := (job.getObjVal? "start" >>= (·.getObjValAs? String "world")).toOption.getD ""
      try
        if commands != world.1 then
          let env ← if commands.isEmpty then getEnv else worldEnv commands
          world := (commands, env)
        setEnv world.2
      catch error =>
        answer [("id", id), ("error", ← error.toMessageData.toString), ("ends", true)]
        continue
      controlAt CoreM fun runInCore => fun context state => do
        try
          runInCore (withCurrHeartbeats (run job)) context state
        catch error =>
          let message ← error.toMessageData.toString
          runInCore (answer [("id", id), ("error", message)]) context state
      answer [("id", id), ("ends", true)]
      before.restore

end Starter
