/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean

public meta section

/-!
# Short proof terms from the hypotheses, as a person would write them

Nothing here has to be right: whatever is proposed is run before it becomes data.
-/

namespace Starter

open Lean Meta

/-- A proof or a value at hand, with its text. -/
structure Known where
  /-- As it is written. -/
  text : String
  /-- Whether it stands as an argument without brackets. -/
  atomic : Bool
  /-- What it is. -/
  proof : Expr
  /-- What it proves, or its type. -/
  type : Expr
  /-- The number of steps it was made in. -/
  size : Nat
deriving Inhabited

/-- The text as an argument of a function. -/
def Known.argument (known : Known) : String :=
  if known.atomic then known.text else s!"({known.text})"

/-- A term's text and whether it is atomic. -/
abbrev Written := String × Bool

/-- The text as an argument of a function. -/
def Written.argument (written : Written) : String :=
  if written.2 then written.1 else s!"({written.1})"

/-- `p → False` for what unfolds to it at once, other types as they are. -/
def unfoldNot (type : Expr) : MetaM Expr := do
  let type ← whnfR type
  if let some p := type.not? then
    mkArrow p (mkConst ``False)
  else
    return type

/-- What the context offers under names that can be written, propositions and others. -/
def atHand : MetaM (Array Known) := do
  let lctx ← getLCtx
  let mut found := #[]
  for decl in lctx do
    if decl.isImplementationDetail || decl.userName.hasMacroScopes then continue
    unless (lctx.findFromUserName? decl.userName).any (·.fvarId == decl.fvarId) do continue
    let type ← instantiateMVars decl.type
    found := found.push ⟨toString decl.userName, true, decl.toExpr, type, 0⟩
  return found

/-- Those that are proofs. -/
def onlyProofs (known : Array Known) : MetaM (Array Known) :=
  known.filterM fun k => isProp k.type

/-- The premise and the conclusion of a proposition that is an implication. -/
def implication? (type : Expr) : MetaM (Option (Expr × Expr)) := do
  let .forallE _ domain body _ := ← unfoldNot type | return none
  return if body.hasLooseBVars then none else some (domain, body)

/-- Whether two types are the same; what cannot be is told apart without unfolding anything. -/
def same (a b : Expr) : MetaM Bool := do
  if a == b then return true
  if a.getAppFn.isFVar || b.getAppFn.isFVar || a.isForall || b.isForall then return false
  if a.getAppFn != b.getAppFn then return false
  withReducible <| isDefEq a b

/-- What a proof gives by itself: its parts, its mirror image, its instances for `values`. -/
def parts (known : Known) (values : Array Known) : MetaM (Array Known) := do
  let size := known.size + 1
  let base := known.argument
  let type ← whnfR known.type
  match_expr type with
  | And a b =>
    return #[
      ⟨s!"{base}.1", true, (← mkAppM ``And.left #[known.proof]), a, size⟩,
      ⟨s!"{base}.2", true, (← mkAppM ``And.right #[known.proof]), b, size⟩]
  | Iff a b =>
    return #[
      ⟨s!"{base}.mp", true, (← mkAppM ``Iff.mp #[known.proof]), (← mkArrow a b), size⟩,
      ⟨s!"{base}.mpr", true, (← mkAppM ``Iff.mpr #[known.proof]), (← mkArrow b a), size⟩]
  | Eq _ a b =>
    return #[⟨s!"{base}.symm", true, (← mkAppM ``Eq.symm #[known.proof]), (← mkEq b a), size⟩]
  | Or a b =>
    return #[⟨s!"{base}.symm", true, (← mkAppM ``Or.symm #[known.proof]), mkOr b a, size⟩]
  | _ =>
    let .forallE _ domain body info := type | return #[]
    unless info.isExplicit && body.hasLooseBVars do return #[]
    let fitting ← values.filterM fun value => isDefEq domain value.type
    return fitting.extract 0 3 |>.map fun value =>
      ⟨s!"{known.text} {value.argument}", false, .app known.proof value.proof,
        body.instantiate1 value.proof, size⟩

/-- `a = c` from `a = b` and `b = c`. -/
def trans? (first second : Known) : MetaM (Option Known) := do
  let some (_, a, b) := (← whnfR first.type).eq? | return none
  let some (_, b', c) := (← whnfR second.type).eq? | return none
  unless b == b' && a != c do return none
  let proof ← mkAppM ``Eq.trans #[first.proof, second.proof]
  return some ⟨s!"{first.argument}.trans {second.argument}", false, proof, ← mkEq a c,
    first.size + second.size + 1⟩

/-- The proofs that follow from those given in a few steps, each proposition once. -/
def consequences (given values : Array Known) (most : Nat := 30) : MetaM (Array Known) := do
  let mut facts := given
  let mut implications : Array (Option (Expr × Expr)) := #[]
  let mut next := 0
  while next < facts.size do
    if facts.size ≥ most then break
    let fact := facts[next]!
    implications := implications.push (← implication? fact.type)
    next := next + 1
    if fact.size > 3 then continue
    let mut new ← parts fact values
    for i in [0:next] do
      let other := facts[i]!
      for (f, a, implication?) in
          [(fact, other, implications[next - 1]!), (other, fact, implications[i]!)] do
        if let some (domain, conclusion) := implication? then
          if ← same domain a.type then
            new := new.push ⟨s!"{f.text} {a.argument}", false, .app f.proof a.proof, conclusion,
              f.size + a.size + 1⟩
      if fact.size + other.size ≤ 1 && fact.type.isEq && other.type.isEq then
        if let some found ← trans? fact other then new := new.push found
        if let some found ← trans? other fact then new := new.push found
    for found in new do
      unless facts.any (·.type == found.type) do facts := facts.push found
  return facts

/-- A name that is not in use, made from `base`. -/
partial def freshFrom (base : String) (taken : List String) : MetaM String := do
  let lctx ← getLCtx
  let used := fun name => taken.contains name || lctx.usesUserName (.mkSimple name)
  let rec next (i : Nat) : String :=
    let name := if i == 0 then base else base ++ subscript i
    if used name && i < 50 then next (i + 1) else name
  return next 0
where
  /-- A number as a subscript. -/
  subscript (i : Nat) : String :=
    String.join <| (toString i).toList.map fun c => toString (Char.ofNat (0x2080 + c.toNat - 48))

/-- The usual name of a proof of this proposition. -/
def proofName (type : Expr) : MetaM String := do
  let (negated, body) := match type.not? with
    | some p => (true, p)
    | none => (false, type)
  match body.getAppFn with
  | .fvar id =>
    let name := toString (← id.getUserName).eraseMacroScopes
    if name.length == 1 then
      return (if negated then "hn" else "h") ++ name.toLower
    return "h"
  | _ => return "h"

/-- The usual name of a value of this type. -/
def valueName (type : Expr) : MetaM String := do
  let type ← whnfR type
  if type.isProp then return "p"
  if type.isForall then return "f"
  match type.getAppFn.constName? with
  | some ``Nat => return "n"
  | some ``Int => return "a"
  | some ``Bool => return "b"
  | some ``List => return "l"
  | some ``Array => return "xs"
  | some ``String => return "s"
  | _ => return "x"

/-- A fresh name for a variable of this type, from the binder's where that can be used. -/
def nameFor (binder : Name) (type : Expr) (taken : List String) : MetaM String := do
  if ← isProp type then
    let own := toString binder.eraseMacroScopes
    let base ← if binder.hasMacroScopes || binder.isAnonymous || own.startsWith "_" || own == "a"
      then proofName type else pure own
    freshFrom base taken
  else
    let own := toString binder.eraseMacroScopes
    let base ← if binder.hasMacroScopes || binder.isAnonymous || own.startsWith "_"
      then valueName type else pure own
    freshFrom base taken

/-- Values to try where one of this type is asked for. -/
def witnesses (values : Array Known) (type : Expr) : MetaM (List Known) := do
  let mut found := (← values.filterM fun value => isDefEq value.type type).toList.take 3
  let literals := match (← whnfR type).getAppFn.constName? with
    | some ``Nat => ["0", "1"]
    | some ``Int => ["0"]
    | some ``Bool => ["true", "false"]
    | some ``List => ["[]"]
    | _ => []
  for literal in literals do
    let proof? ← observing? do
      match literal with
      | "0" => if type.isConstOf ``Nat then pure (mkNatLit 0) else mkNumeral type 0
      | "1" => mkNumeral type 1
      | "true" => pure (mkConst ``true)
      | "false" => pure (mkConst ``false)
      | _ => mkAppOptM ``List.nil #[type.getAppArgs[0]?]
    if let some proof := proof? then
      found := found ++ [⟨literal, true, proof, type, 0⟩]
  if (← whnfR type).isConstOf ``Nat then
    if let some value := found.head? then
      if value.proof.isFVar then
        let next := mkNatAdd value.proof (mkNatLit 1)
        found := found ++ [⟨s!"{value.text} + 1", false, next, type, 1⟩]
  return found

/-- A few short terms that prove the target from the facts, shortest first. -/
partial def proofs (facts values : Array Known) (target : Expr) (depth : Nat) :
    MetaM (List Written) := do
  let target ← instantiateMVars target
  let mut found : Array Written := #[]
  for fact in facts do
    if found.size ≥ 2 then break
    if ← same fact.type target then
      found := found.push (fact.text, fact.atomic)
  if let some absurdity := facts.find? (·.type.isConstOf ``False) then
    unless target.isConstOf ``False do
      found := found.push (s!"{absurdity.argument}.elim", true)
      if let [f, a] := absurdity.text.splitOn " " then
        found := found.push (s!"absurd {a} {f}", false)
  if depth == 0 then return found.toList
  let shape ← unfoldNot target
  match_expr shape with
  | True => found := found.push ("trivial", true)
  | And a b =>
    let as ← proofs facts values a (depth - 1)
    unless as.isEmpty do
      for y in (← proofs facts values b (depth - 1)).take 2 do
        for x in as.take 2 do
          let second := if b.isAppOfArity ``And 2 && y.1.startsWith "⟨" then
            ((y.1.drop 1).dropEnd 1).copy else y.1
          found := found.push (s!"⟨{x.1}, {second}⟩", true)
          if found.size < 3 then
            found := found.push (s!"And.intro {x.argument} {y.argument}", false)
  | Or a b =>
    for x in (← proofs facts values a (depth - 1)).take 2 do
      found := found ++ #[(s!"Or.inl {x.argument}", false), (s!".inl {x.argument}", false)]
    for x in (← proofs facts values b (depth - 1)).take 2 do
      found := found ++ #[(s!"Or.inr {x.argument}", false), (s!".inr {x.argument}", false)]
  | Iff a b =>
    let as ← proofs facts values (← mkArrow a b) (depth - 1)
    unless as.isEmpty do
      for y in (← proofs facts values (← mkArrow b a) (depth - 1)).take 1 do
        for x in as.take 2 do
          found := found.push (s!"⟨{x.1}, {y.1}⟩", true)
  | Exists domain predicate =>
    for witness in ← witnesses values domain do
      for x in (← proofs facts values (predicate.beta #[witness.proof]) (depth - 1)).take 1 do
        found := found.push (s!"⟨{witness.text}, {x.1}⟩", true)
  | Eq _ a b => if a == b then found := found.push ("rfl", true)
  | _ =>
    if let .forallE binder domain body info := shape then
      if info.isExplicit && found.isEmpty then
        let name ← nameFor binder domain []
        let inner ← withLocalDecl (.mkSimple name) info domain fun x => do
          let new : Known := ⟨name, true, x, domain, 0⟩
          let proposition ← isProp domain
          let facts ← if proposition then consequences (facts.push new) values (facts.size + 12)
            else pure facts
          let values := if proposition then values else values.push new
          proofs facts values (body.instantiate1 x) (depth - 1)
        for x in inner.take 2 do
          if x.1.startsWith "fun " then
            found := found.push (s!"fun {name} {x.1.drop 4}", false)
          else
            found := found.push (s!"fun {name} => {x.1}", false)
  if found.isEmpty && depth ≥ 2 then
    for fact in facts do
      if fact.size > 1 then continue
      match_expr fact.type with
      | Or a b =>
        let fs ← proofs facts values (← mkArrow a target) (depth - 2)
        unless fs.isEmpty do
          for g in (← proofs facts values (← mkArrow b target) (depth - 2)).take 1 do
            for f in fs.take 1 do
              found := found.push (s!"{fact.argument}.elim {f.argument} {g.argument}", false)
      | _ => pure ()
  return found.toList

end Starter
