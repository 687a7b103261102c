/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Meta.CollectMVars
public meta import Lean.Meta.Match.MatcherInfo
public meta import LlmSuggest.Options
public meta import LlmSuggest.Step

public meta section

/-!
# Steps of Lean's own

What needs no model. Finishers are tactics that may close a goal by themselves. Moves are steps that
a goal's shape proposes: to introduce what is quantified over, to go by induction on a variable. A
search for a proof takes them beside the model's steps.
-/

namespace LlmSuggest

open Lean Meta

/-! ### What the user has defined -/

/-- Where definitions come from whose lemmas Lean's tactics know already. -/
def libraries : List Name := [`Init, `Std, `Lean, `Batteries, `Mathlib]

/-- Whether a constant was defined by the user: in this file, or in one of no library. -/
def isOwn (env : Environment) (name : Name) : Bool :=
  match env.getModuleIdxFor? name with
  | none => true
  | some index => (env.allImportedModuleNames[index.toNat]?).all fun name =>
    !libraries.contains name.getRoot

/-- How many definitions are named in a tactic at most. -/
def maxNamed : Nat := 8

/-- The constants that a goal mentions in its target and its hypotheses. -/
def constantsOf (goal : MVarId) : MetaM NameSet := goal.withContext do
  let mut names := (← instantiateMVars (← goal.getType)).getUsedConstantsAsSet
  for hypothesis in ← getLCtx do
    unless hypothesis.isImplementationDetail do
      names := names.append (← instantiateMVars hypothesis.type).getUsedConstantsAsSet
  return names

/-- Whether this is a function or a proposition that can be unfolded, and nothing that Lean makes by
itself for a type. -/
def canUnfold (env : Environment) (name : Name) : MetaM Bool := do
  if (privateToUserName name).isInternalDetail || (← isInstance name) || isMatcherCore env name ||
      env.isProjectionFn name then
    return false
  return (env.find? name).any (· matches .defnInfo _)

/-- The user's functions that a goal mentions, and the user's inductive predicates, as they are
written here. -/
def ownNames (goal : MVarId) : MetaM (Array String × Array String) := goal.withContext do
  let env ← getEnv
  let mut functions := #[]
  let mut predicates := #[]
  for name in ← constantsOf goal do
    unless isOwn env name do continue
    if ← canUnfold env name then
      functions := functions.push (toString (← unresolveNameGlobal name))
    else if let some (.inductInfo info) := env.find? name then
      if ← isPropFormerType info.type then
        predicates := predicates.push (toString (← unresolveNameGlobal name))
  return (functions.take maxNamed, predicates.take maxNamed)

/-! ### Finishers -/

/-- The texts of the tactics that may close a goal: those of the option, and the stronger ones again
with what the user has defined. -/
def finisherTexts (goal : MVarId) : MetaM (Array String) := do
  let listed := (llmsuggest.finishers.get (← getOptions)).splitOn ","
  let texts := (listed.map (·.trimAscii.copy)).toArray.filter (!·.isEmpty)
  if texts.isEmpty then
    return #[]
  let (functions, predicates) ← ownNames goal
  let withNames (tactic : String) (names : Array String) : Array String :=
    if names.isEmpty then #[] else #[s!"{tactic} [{", ".intercalate names.toList}]"]
  return texts ++ withNames "simp_all" functions ++ withNames "grind" (functions ++ predicates)

/-- The tactics that may close a goal. -/
def finishersOf (goal : MVarId) : MetaM (Array Step) := do
  (← finisherTexts goal).filterMapM fun text => Step.ofText? text

/-- Whether a tactic looks for something that it then prints, as `exact?` does: it takes long. -/
def Step.isQuery (step : Step) : Bool :=
  step.source.endsWith "?"

/-- How much work a finisher may take, in the unit of `maxHeartbeats`. -/
def finisherHeartbeats : Nat := 20000

/-! ### Moves -/

/-- A step that the shape of a goal proposes. -/
structure Move where
  /-- The step's text. -/
  text : String
  /-- How unlikely it is to be right, as the negative logarithm of a probability. -/
  cost : Float

/-- A name like `base` that is not among those in use, and these with it. -/
def freshName (base : Name) (other : String) (used : Array Name) : Name × Array Name := Id.run do
  let isPlain := !base.isAnonymous && !base.isInaccessibleUserName && !base.hasMacroScopes
  let base := if isPlain then base else .mkSimple other
  let mut name := base
  let mut i := 1
  while used.contains name do
    name := base.appendAfter (toString i)
    i := i + 1
  return (name, used.push name)

/-- The names of the hypotheses that a step can refer to. -/
def usedNames : MetaM (Array Name) := do
  return (← getLCtx).foldl (init := #[]) fun names decl => names.push decl.userName

/-- Introduces what the goal quantifies over: all of it, or the first, of which the rest may then be
proved by induction. -/
def introMoves (target : Expr) : MetaM (Array Move) := do
  let used ← usedNames
  if target.isAppOf ``Not then
    return #[⟨s!"intro {(freshName .anonymous "h" used).1}", 0.3⟩]
  let names ← forallTelescope (← whnfCore target) fun args _ => do
    let mut used := used
    let mut names := #[]
    for arg in args do
      let decl ← arg.fvarId!.getDecl
      let (name, others) := freshName decl.userName (if ← isProp decl.type then "h" else "x") used
      names := names.push (toString name)
      used := others
    return names
  let all := s!"intro {" ".intercalate names.toList}"
  match names with
  | #[] => return #[]
  | #[_] => return #[⟨all, 0.3⟩]
  | _ => return #[⟨all, 0.3⟩, ⟨s!"intro {names[0]!}", 1.5⟩]

/-- One alternative of an `induction` or `cases`, which names what the constructor takes, and the
induction hypotheses. -/
def alternative (info : ConstructorVal) (isInduction : Bool) : MetaM String := do
  let used ← usedNames
  forallTelescope info.type fun args _ => do
    let mut used := used
    let mut words := #[]
    let mut recursive := 0
    for arg in args.extract info.numParams args.size do
      let decl ← arg.fvarId!.getDecl
      if (decl.type.getForallBody.getAppFn.constName?) == some info.induct then
        recursive := recursive + 1
      if decl.binderInfo.isExplicit then
        let (name, others) := freshName decl.userName "a" used
        words := words.push (toString name)
        used := others
    if isInduction then
      for i in [:recursive] do
        let base := if recursive == 1 then "ih" else s!"ih{i + 1}"
        let (name, others) := freshName (.mkSimple base) base used
        words := words.push (toString name)
        used := others
    let name := Name.mkSimple info.name.getString!
    return s!"| {" ".intercalate (toString name :: words.toList)} => ?_"

/-- How many constructors a type has at most whose cases are looked at. -/
def maxConstructors : Nat := 8

/-- Whether a hypothesis can be named in a step. -/
def canBeNamed (decl : LocalDecl) : MetaM Bool := do
  if decl.isImplementationDetail || decl.userName.hasMacroScopes ||
      decl.userName.isInaccessibleUserName then
    return false
  return ((← getLCtx).findFromUserName? decl.userName).any (·.fvarId == decl.fvarId)

/-- The variables that an induction may leave general: those of the target that are no proofs. -/
def generalizable (hypothesis : LocalDecl) (target : Expr) : MetaM (Array Name) := do
  let mut names := #[]
  for decl in ← getLCtx do
    if decl.fvarId != hypothesis.fvarId && (← canBeNamed decl) && target.containsFVar decl.fvarId &&
        !hypothesis.type.containsFVar decl.fvarId && (← isClass? decl.type).isNone then
      unless (← whnfR decl.type).isSort || (← isProp decl.type) do
        names := names.push decl.userName
  return names

/-- Induction on a hypothesis, or its cases, if there are some. -/
def casesMoves (decl : LocalDecl) (target : Expr) : MetaM (Array Move) := do
  let env ← getEnv
  let some name := (← whnfR decl.type).getAppFn.constName? | return #[]
  let some (.inductInfo info) := env.find? name | return #[]
  let isProof ← isProp decl.type
  if info.ctors.length > maxConstructors || isClass env name then
    return #[]
  let alternatives (isInduction : Bool) : MetaM String := do
    let lines ← info.ctors.mapM fun ctor => do
      let .ctorInfo info ← getConstInfo ctor | return ""
      alternative info isInduction
    return " with\n" ++ "\n".intercalate lines
  let hypothesis := toString decl.userName
  let away := if target.containsFVar decl.fvarId || isProof then 0.0 else 2.0
  let mut moves := #[]
  if info.isRec then
    let cases ← alternatives true
    moves := moves.push ⟨s!"induction {hypothesis}{cases}", 1.5 + away⟩
    let others ← generalizable decl target
    unless others.isEmpty do
      let others := " ".intercalate (others.map toString).toList
      moves := moves.push ⟨s!"induction {hypothesis} generalizing {others}{cases}", 1.8 + away⟩
  if isOwn env name && !info.ctors.isEmpty then
    moves := moves.push ⟨s!"cases {hypothesis}{← alternatives false}", 2.2 + away⟩
  return moves

/-- Induction as the user's own recursive functions go, where they are applied to variables. -/
def functionMoves (target : Expr) : MetaM (Array Move) := do
  let env ← getEnv
  let found ← IO.mkRef (#[] : Array Expr)
  target.forEach' fun part => do
    if let some name := part.getAppFn.constName? then
      if part.isApp && isOwn env name && !part.hasLooseBVars &&
          part.getAppArgs.any (·.isFVar) && (← canUnfold env name) then
        found.modify fun all => if all.contains part then all else all.push part
    return true
  ((← found.get).take 3).mapM fun part => do
    return ⟨s!"fun_induction {(← ppExpr part).pretty}", 2.0⟩

/-- What the target's own shape proposes. -/
def targetMoves (target : Expr) : MetaM (Array Move) := do
  let env ← getEnv
  let mut moves := #[]
  if (target.find? fun e => e.isAppOf ``ite || e.isAppOf ``dite ||
      e.getAppFn.constName?.any (isMatcherCore env)).isSome then
    moves := moves.push ⟨"split", 1.8⟩
  if let some (type, _, _) := target.eq? then
    if (← whnfR type).isForall then
      moves := moves.push ⟨"funext x", 1.0⟩
  else if let some name := target.getAppFn.constName? then
    if let some (.inductInfo info) := env.find? name then
      if isOwn env name then
        for ctor in info.ctors.take maxConstructors do
          moves := moves.push ⟨s!"apply {← unresolveNameGlobal ctor}", 1.8⟩
      else
        moves := moves.push ⟨"constructor", 2.0⟩
  return moves

/-- How many hypotheses are looked at for their cases. -/
def maxHypotheses : Nat := 6

/-- The steps that the shape of a goal proposes, unless the option `llmprove.moves` is off. -/
def movesFor (goal : MVarId) : MetaM (Array Move) := goal.withContext do
  unless llmprove.moves.get (← getOptions) do
    return #[]
  let target ← instantiateMVars (← goal.getType)
  let mut moves ← introMoves target
  unless moves.isEmpty do
    return moves
  moves := moves ++ (← targetMoves target) ++ (← functionMoves target)
  let mut looked := 0
  for decl in ← getLCtx do
    if looked < maxHypotheses && (← canBeNamed decl) then
      let new ← casesMoves decl target
      unless new.isEmpty do
        looked := looked + 1
      moves := moves ++ new
  return moves

end LlmSuggest
