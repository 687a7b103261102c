/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean
public meta import Starter.Portfolio

public meta section

/-!
# The steps worth trying where a goal speaks of definitions of its own

A world is a few types, functions and predicates that somebody defined above the goal. Lean's
automation knows nothing of them unless it is told their names, which the goal shows.
-/

namespace Starter

open Lean Meta

/-- Whether a constant was defined by the commands of a world. -/
def isOwn (env : Environment) (name : Name) : Bool :=
  (env.getModuleIdxFor? name).isNone && env.contains name

/-- Whether an expression speaks of a world's definitions. -/
def speaksOfOwn (e : Expr) : MetaM Bool := do
  let env ← getEnv
  return (e.find? fun part => part.isConst && isOwn env part.constName!).isSome

/-- The constants of an expression, in the order in which a person reads them. -/
partial def constantsOf (e : Expr) (found : Array Name := #[]) : Array Name :=
  match e with
  | .const name _ => if found.contains name then found else found.push name
  | .app .. => e.getAppArgs.foldl (fun found arg => constantsOf arg found)
      (constantsOf e.getAppFn found)
  | .lam _ d b _ | .forallE _ d b _ => constantsOf b (constantsOf d found)
  | .mdata _ e | .proj _ _ e => constantsOf e found
  | _ => found

/-- A name as it is written. Without `public`, a world's names are private. -/
def written (name : Name) : String := toString (privateToUserName name)

/-- The functions among them that a world defines. -/
def ownFunctions (names : Array Name) : MetaM (Array Name) := do
  let env ← getEnv
  names.filterM fun name => do
    unless isOwn env name && !(privateToUserName name).isInternalDetail do return false
    let some (.defnInfo _) := env.find? name | return false
    return !(← isInstance name) && !(← isProjectionFn name) && !isMatcherCore env name

/-- The inductive type that a value or a proof belongs to, if any. -/
def inductiveOf? (type : Expr) : MetaM (Option InductiveVal) := do
  let .const name _ := (← whnfR type).getAppFn | return none
  let some (.inductInfo info) := (← getEnv).find? name | return none
  return some info

/-- Names for the variables that a target starts with, and whether each can be taken apart. -/
def introduced (target : Expr) : MetaM (Array String × Array Bool) := do
  let mut names : Array String := #[]
  let mut splits : Array Bool := #[]
  let mut rest ← unfoldNot target
  while names.size < 5 do
    let .forallE binder domain body _ := rest | break
    let name ← if domain.hasLooseBVars then freshFrom "h" names.toList
      else nameFor binder domain names.toList
    let info? ← if domain.hasLooseBVars then pure none else inductiveOf? domain
    names := names.push name
    splits := splits.push info?.isSome
    rest := body.instantiate1 (mkConst (.mkSimple name))
  return (names, splits)

/-- Steps that take a variable apart, with the simplifier told of the functions. -/
def splitting (x : String) (recursive : Bool) (list : String) (others : Array String) :
    Array String := Id.run do
  let mut out := #[]
  if recursive then
    out := out ++ #[s!"induction {x} <;> simp_all{list}", s!"induction {x} <;> simp{plus list "*"}",
      s!"induction {x} <;> grind{list}", s!"induction {x} <;> simp_all{list} <;> omega"]
    unless others.isEmpty do
      let rest := " ".intercalate others.toList
      out := out ++ #[s!"induction {x} generalizing {rest} <;> simp_all{list}",
        s!"induction {x} generalizing {rest} <;> grind{list}"]
  out := out ++ #[s!"cases {x} <;> rfl", s!"cases {x} <;> simp{list}"]
  unless recursive do
    out := out ++ #[s!"cases {x} <;> simp_all{list}", s!"cases {x} <;> grind{list}"]
  return out
where
  /-- The list of lemmas with one more. -/
  plus (list more : String) : String :=
    if list.isEmpty then s!" [{more}]" else ((list.dropEnd 1).copy ++ s!", {more}]")

/-- The steps to try on a goal that speaks of a world's definitions. `inductive_` says whether to try
induction. -/
def worldSteps (goal : MVarId) (inductive_ : Bool) : MetaM (Array String) := goal.withContext do
  let target ← instantiateMVars (← goal.getType)
  let shape ← unfoldNot target
  let known ← atHand
  let given ← onlyProofs known
  let values ← (known.filter fun k => !given.any (·.text == k.text)).filterM fun k =>
    return !(← whnfR k.type).isType && !k.type.isSort
  let env ← getEnv
  let inTarget := constantsOf target
  let all := given.foldl (fun found k => constantsOf k.type found) inTarget
  let functions := (← ownFunctions inTarget).map written
  let everywhere := (← ownFunctions all).map written
  let bracket := fun (names : Array String) =>
    if names.isEmpty then "" else s!" [{", ".intercalate names.toList}]"
  let list := bracket functions
  let listAll := bracket everywhere
  let facts ← consequences given values
  let equations := given.filter fun k => k.type.isEq || k.type.isForall
  let mut out := #[]
  for (text, _) in (← proofs facts values target 2).take 3 do
    out := out.push s!"exact {text}"
  if facts.any (·.type == target) then out := out.push "assumption"
  if target.isEq || target.isAppOf ``Iff || target.isAppOf ``LE.le then out := out.push "rfl"
  unless functions.isEmpty do out := out.push s!"simp{list}"
  unless given.isEmpty do
    unless everywhere.isEmpty do out := out.push s!"simp_all{listAll}"
    out := out.push "simp_all"
    unless functions.isEmpty || equations.isEmpty do
      let more := functions ++ (equations.extract 0 3).map (·.text)
      out := out ++ #[s!"simp{bracket more}", s!"rw{bracket more}"]
  unless target.hasFVar do out := out.push "decide"
  -- What the target starts with
  if shape.isForall then
    let (names, splits) ← introduced target
    out := out.push s!"intro {names[0]!}"
    let whole := " ".intercalate names.toList
    if names.size > 1 then out := out.push s!"intro {whole}"
    for name in names, split in splits do
      if split then
        out := out ++ #[s!"intro {whole}; induction {name} <;> simp_all{list}",
          s!"intro {whole}; induction {name} <;> grind{list}",
          s!"intro {whole}; cases {name} <;> simp_all{list}", s!"intro {whole}; cases {name} <;> rfl"]
    let last := names.back!
    out := out ++ #[s!"intro {whole}; cases {last}; assumption", s!"intro {whole}; simp_all{list}",
      "nofun"]
  -- Variables
  let mut split := 0
  let targetVariables := values.filter fun value => target.containsFVar value.proof.fvarId!
  for value in targetVariables do
    if split ≥ 3 || shape.isForall then break
    let some info ← inductiveOf? value.type | continue
    if value.type.isProp then continue
    split := split + 1
    let others := (← targetVariables.filterM fun other => do
      return other.text != value.text && !(← whnfR other.type).isForall &&
        !value.type.containsFVar other.proof.fvarId!).map (·.text)
    let recursive := info.isRec && inductive_
    out := out ++ splitting value.text recursive (if recursive then list else listAll) others
    if let some text ← alternatives value recursive then out := out.push text
    else out := out.push s!"{if recursive then "induction" else "cases"} {value.text}"
    if !info.isRec && info.ctors.length == 1 then
      let rest ← fieldNames value
      out := out.push s!"obtain {rest} := {value.text}"
  let pairs := targetVariables.filter fun value => value.type.getAppFn.isConst
  if let (some x, some y) := (pairs[0]?, pairs[1]?) then
    unless shape.isForall do
      out := out ++ #[s!"cases {x.text} <;> cases {y.text} <;> rfl",
        s!"cases {x.text} <;> cases {y.text} <;> simp_all{listAll}"]
  for name in (← ownFunctions inTarget).extract 0 3 do
    if let some call := target.find? fun part =>
        part.isAppOf name && part.getAppArgs.any (·.isFVar) && !part.hasLooseBVars then
      if let some explicit ← ppCall? call then
        out := out.push s!"fun_induction {explicit} <;> simp_all{list}"
  -- Hypotheses
  for fact in given.reverse.extract 0 4 do
    let h := fact.text
    let type ← whnfR fact.type
    if type.isEq then
      out := out ++ #[s!"cases {h}", s!"cases {h}; rfl", s!"injection {h}", s!"rw [{h}]",
        s!"rw [← {h}]", s!"simp{bracket everywhere} at {h}"]
      if let some (_, a, b) := type.eq? then
        if a.isFVar || b.isFVar then out := out.push s!"subst {h}"
    else if let some info ← inductiveOf? type then
      if isOwn env info.name && !type.isForall then
        out := out ++ #[s!"cases {h}", s!"cases {h} <;> assumption", s!"nomatch {h}",
          s!"cases {h} <;> simp_all{listAll}"]
        if info.isRec && inductive_ then
          let name := written info.name
          out := out ++ #[s!"induction {h} <;> simp_all{listAll}",
            s!"induction {h} <;> grind{bracket (everywhere.push name)}",
            s!"induction {h} <;> constructor <;> assumption", s!"induction {h}"]
      else
        out := out ++ (← uses fact target)
    else
      out := out ++ (← uses fact target)
  -- The target's shape
  match_expr shape with
  | And _ _ => out := out ++ #["constructor", "refine ⟨?_, ?_⟩"]
  | Or _ _ => out := out ++ #["left", "right"]
  | Iff _ _ => out := out.push "constructor"
  | Exists domain _ =>
    for witness in ← witnesses values domain do
      out := out ++ #[s!"exact ⟨{witness.text}, by simp_all{listAll}⟩",
        s!"refine ⟨{witness.text}, ?_⟩"]
  | Eq type _ _ =>
    if (← whnfR type).isForall then
      out := out ++ #["funext x", s!"funext x; simp{list}", s!"funext x; induction x <;> simp_all{list}",
        s!"funext x; cases x <;> rfl"]
  | _ =>
    if let some info ← inductiveOf? shape then
      if isOwn env info.name then
        out := out ++ #["constructor", "constructor <;> assumption", "repeat constructor",
          s!"grind [{written info.name}]", s!"simp_all [{", ".intercalate (written info.name :: everywhere.toList)}]"]
        for ctor in (info.ctors.toArray.extract 0 4).map written do
          out := out ++ #[s!"apply {ctor}", s!"apply {ctor} <;> assumption"]
  if mentions target [``ite, ``dite] || (target.find? fun e => e.isConst &&
      (e.constName!.getString!.startsWith "match_")).isSome then
    out := out ++ #["split", "split <;> simp_all", "split <;> rfl"]
  for name in functions.extract 0 2 do
    out := out ++ #[s!"unfold {name}", s!"rw [{name}]", s!"simp only [{name}]"]
  if mentions target [``Nat] then out := out.push "omega"
  unless everywhere.isEmpty do out := out.push s!"grind{listAll}"
  return (out.push "grind").toList.eraseDups.toArray
where
  /-- A pattern for the value of a structure. -/
  fieldNames (value : Known) : MetaM String := do
    let some text ← alternatives value false | return value.text
    let fields := ((text.splitOn "| ").getLast!.splitOn " =>").head!.splitOn " " |>.tail
    return s!"⟨{", ".intercalate fields}⟩"
  /-- A call with its explicit arguments, if all are short. -/
  ppCall? (call : Expr) : MetaM (Option String) := do
    let name := call.getAppFn.constName!
    let info ← getFunInfo call.getAppFn
    let mut parts := #[written name]
    for arg in call.getAppArgs, param in info.paramInfo do
      if param.isExplicit then
        let text := (← ppExpr arg).pretty
        if text.length > 20 then return none
        parts := parts.push (if arg.isApp then s!"({text})" else text)
    return some (" ".intercalate parts.toList)

end Starter
