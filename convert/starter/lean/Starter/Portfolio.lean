/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean
public meta import Starter.Terms

public meta section

/-!
# The steps worth trying on a goal

They are chosen by the shape of the goal and of its hypotheses, so that little time goes to steps
that cannot work. A `?_` in a step stands for a goal that it leaves.
-/

namespace Starter

open Lean Meta

/-- Names that say nothing, which the library gives to the fields of connectives. -/
def dullNames : List String := ["a", "h", "left", "right", "w", "intro", "inl", "inr", "self"]

/-- The name of a part of a taken-apart proof or value. -/
def partName (binder : Name) (type : Expr) (taken : List String) : MetaM String := do
  let dull := dullNames.contains (toString binder.eraseMacroScopes)
  if dull && (← isProp type) then freshFrom (← proofName type) taken
  else nameFor binder type taken

/-- The pattern that takes a proposition apart, and the names in it. -/
partial def pattern (binder : Name) (type : Expr) (taken : List String) (depth : Nat) :
    MetaM (String × List String) := do
  let whole : MetaM (String × List String) := do
    let name ← partName binder type taken
    return (name, name :: taken)
  if depth == 0 then return ← whole
  match_expr ← whnfR type with
  | And a b =>
    let (first, taken) ← pattern .anonymous a taken (depth - 1)
    let (second, taken) ← pattern .anonymous b taken depth
    let second := if second.startsWith "⟨" then ((second.drop 1).dropEnd 1).copy else second
    return (s!"⟨{first}, {second}⟩", taken)
  | Or a b =>
    let (first, taken₁) ← pattern .anonymous a taken (depth - 1)
    let (second, taken₂) ← pattern .anonymous b taken depth
    return (s!"{first} | {second}", taken₁ ++ taken₂)
  | Exists domain predicate =>
    let .lam binder _ _ _ := predicate | whole
    let value ← nameFor binder domain taken
    withLocalDeclD (.mkSimple value) domain fun x => do
      let (rest, taken) ← pattern .anonymous (predicate.beta #[x]) (value :: taken) depth
      let rest := if rest.startsWith "⟨" then ((rest.drop 1).dropEnd 1).copy else rest
      return (s!"⟨{value}, {rest}⟩", taken)
  | _ => whole

/-- `cases x with` or `induction x with` and its alternatives, if that suits. -/
def alternatives (x : Known) (induction : Bool) : MetaM (Option String) := do
  let type ← whnfR x.type
  let .const name levels := type.getAppFn | return none
  let some (.inductInfo info) := (← getEnv).find? name | return none
  unless info.numIndices == 0 && 1 ≤ info.ctors.length && info.ctors.length ≤ 4 do return none
  if induction && !info.isRec then return none
  let mut lines := #[]
  for ctor in info.ctors do
    let some constructor := (← getEnv).find? ctor | return none
    let constructorType ← instantiateForall
      (constructor.type.instantiateLevelParams constructor.levelParams levels)
      (type.getAppArgs.extract 0 info.numParams)
    let names ← forallTelescope constructorType fun fields _ => do
      let mut names : List String := []
      let mut inductive_ : List String := []
      for field in fields do
        let decl ← field.fvarId!.getDecl
        let binder := match toString decl.userName with
          | "head" => `x
          | "fst" => `a
          | "snd" => `b
          | "val" => `x
          | _ => decl.userName
        let again := decl.type.getAppFn.isConstOf name
        let fieldName ← if again && !names.contains x.text then pure x.text
          else partName binder decl.type (names ++ inductive_)
        names := names ++ [fieldName]
        if again && induction then inductive_ := inductive_ ++ [← freshFrom "ih" inductive_]
      return names ++ inductive_
    lines := lines.push s!"| {" ".intercalate (ctor.getString! :: names)} => ?_"
  let tactic := if induction then "induction" else "cases"
  return some <| "\n".intercalate (s!"{tactic} {x.text} with" :: lines.toList)

/-- Whether the constant occurs. -/
def mentions (e : Expr) (names : List Name) : Bool :=
  (e.find? fun part => part.isConst && names.contains part.constName!).isSome

/-- The subterms that a rewrite could change, at most so many. -/
partial def subterms (e : Expr) (most : Nat := 14) : Array Expr :=
  go e #[]
where
  /-- Collects them from outside in. -/
  go (e : Expr) (found : Array Expr) : Array Expr :=
    if found.size ≥ most then found else
    match e with
    | .app .. =>
      let found := if e.hasLooseBVars || found.contains e then found else found.push e
      e.getAppArgs.foldl (init := found) fun found arg => go arg found
    | .mdata _ e => go e found
    | .forallE _ d b _ => go b (go d found)
    | .lam _ _ b _ => go b found
    | _ => found

/-- Lemmas that Lean's simplifier would use here. -/
def simpLemmas (target : Expr) (except : Name) : MetaM (Array Name) := do
  let lemmas ← getSimpTheorems
  let mut found := #[]
  for part in subterms target do
    for entry in ← lemmas.post.getMatch part do
      if let .decl name _ _ := entry.origin then
        unless found.contains name || name == except || name == ``eq_self ||
            isPrivateName name || name.isInternal do
          found := found.push name
  return found.extract 0 10

/-- Lemmas of arithmetic that people rewrite with. -/
def commonLemmas (target : Expr) : List String := Id.run do
  let mut found := []
  for (type, root) in [(``Nat, "Nat"), (``Int, "Int")] do
    if mentions target [type] then
      for (operation, lemmas) in
          [(``HAdd.hAdd, ["add_comm", "add_assoc"]), (``HMul.hMul, ["mul_comm", "mul_assoc"])] do
        if mentions target [operation] then
          found := found ++ lemmas.map (s!"{root}.{·}")
      if mentions target [``HAdd.hAdd] && mentions target [``HMul.hMul] then
        found := found ++ [s!"{root}.mul_add", s!"{root}.add_mul"]
  return found

/-- What the library offers for the goal: terms that prove it from it and the hypotheses, and
lemmas to apply. -/
def fromLibrary (goal : MVarId) (except : Name) (most : Nat := 24) :
    MetaM (Array String × Array String) := do
  let target ← goal.getType
  let lemmas ← LibrarySearch.libSearchFindDecls target
  let mut terms := #[]
  let mut applied := #[]
  for (name, modifier) in lemmas.toList.take most do
    if name == except || isPrivateName name || name.isInternal then continue
    if Linter.isDeprecated (← getEnv) name then continue
    if terms.size ≥ 4 then break
    let before ← saveState
    let outcome? ← observing? <| withReducible do
      let lemma ← mkConstWithFreshMVarLevels name
      let lemma ← match modifier with
        | .none => pure lemma
        | .mp => mapForallTelescope (fun e => mkAppM ``Iff.mp #[e]) lemma
        | .mpr => mapForallTelescope (fun e => mkAppM ``Iff.mpr #[e]) lemma
      let copy ← mkFreshExprSyntheticOpaqueMVar target
      let goals ← copy.mvarId!.apply lemma
      let mut left := 0
      for goal in goals do
        unless ← goal.isAssigned do
          unless ← (do goal.assumption; return true) <|> pure false do left := left + 1
      let proof ← instantiateMVars copy
      if left == 0 && !proof.hasMVar then
        let text ← withOptions (pp.proofs.set · true) <| ppExpr proof
        return some text.pretty
      return none
    restore before
    match outcome? with
    | some (some text) => terms := terms.push s!"exact {text}"
    | some none =>
      if applied.size < 3 then
        match modifier with
        | .none => applied := applied.push s!"apply {name}"
        | .mp => applied := applied.push s!"apply {name}.mp"
        | .mpr => applied := applied.push s!"apply {name}.mpr"
    | none => pure ()
  return (terms, applied)
where
  /-- Back to the state before a lemma was tried. -/
  restore (before : Meta.SavedState) : MetaM Unit := before.restore

/-- Steps that introduce what the target starts with. -/
def introductions (target : Expr) : MetaM (Array String) := do
  let mut names : Array String := #[]
  let mut types : Array Expr := #[]
  let mut rest ← unfoldNot target
  let mut first? : Option (Name × Expr) := none
  while names.size < 6 do
    let .forallE binder domain body _ := rest | break
    if domain.hasLooseBVars then break
    let name ← nameFor binder domain names.toList
    if first?.isNone then first? := some (binder, domain)
    names := names.push name
    types := types.push domain
    -- The body may speak of the variable; its name is all that is needed of it.
    rest := body.instantiate1 (mkConst (.mkSimple name))
  let some (binder, domain) := first? | return #[]
  let mut found := #[s!"intro {names[0]!}"]
  if names.size > 1 then found := found.push s!"intro {" ".intercalate names.toList}"
  if ← isProp domain then
    let (text, _) ← pattern binder domain [] 2
    if text.startsWith "⟨" then found := found.push s!"rintro {text}"
    else if text != names[0]! then found := found.push s!"rintro ({text})"
  return found

/-- Steps that take a hypothesis apart or use it. -/
def uses (fact : Known) (target : Expr) : MetaM (Array String) := do
  let h := fact.text
  let type ← whnfR fact.type
  let mut found := #[]
  match_expr type with
  | And _ _ =>
    let (shallow, _) ← pattern .anonymous type [] 1
    found := found.push s!"obtain {shallow} := {h}"
    let (deep, _) ← pattern .anonymous type [] 3
    found := found.push s!"rcases {h} with {deep}"
    if let some text ← alternatives fact false then found := found.push text
  | Or _ _ =>
    let (deep, _) ← pattern .anonymous type [] 3
    found := found ++ #[s!"rcases {h} with {deep}", s!"obtain {deep} := {h}"]
    if let some text ← alternatives fact false then found := found.push text
  | Exists _ _ =>
    let (deep, names) ← pattern .anonymous type [] 3
    found := found.push s!"obtain {deep} := {h}"
    let (shallow, _) ← pattern .anonymous type [] 1
    found := found.push s!"rcases {h} with {shallow}"
    if names.length == 2 then
      found := found.push s!"cases {h} with\n| intro {" ".intercalate names.reverse} => ?_"
  | Iff a b =>
    found := found ++ #[s!"rw [{h}]", s!"rw [← {h}]", s!"simp [{h}]"]
    if target == b then found := found.push s!"apply {h}.mp"
    if target == a then found := found.push s!"apply {h}.mpr"
  | Eq _ a b =>
    found := found ++ #[s!"rw [{h}]", s!"rw [← {h}]", s!"simp [{h}]"]
    if a.isFVar || b.isFVar then found := found.push s!"subst {h}"
    if a.getAppFn.isConst && b.getAppFn.isConst then
      found := found ++ #[s!"injection {h} with {h}", s!"cases {h}"]
    if let some (_, x, y) := target.eq? then
      if x.isApp && y.isApp then found := found.push s!"exact congrArg _ {h}"
    found := found.push s!"simp at {h}"
  | False => found := found ++ #[s!"exact {h}.elim", s!"cases {h}"]
  | _ =>
    if let some negated := type.not? then
      if target.isConstOf ``False then found := found.push s!"apply {h}"
      if negated.isAppOfArity ``Or 2 || negated.isForall then
        found := found.push s!"simp at {h}"
    else if type.isForall then
      let conclusion := type.getForallBody
      if conclusion.getAppFn == target.getAppFn || conclusion.getAppFn.isBVar then
        found := found.push s!"apply {h}"
        unless type.bindingBody!.hasLooseBVars do found := found.push s!"refine {h} ?_"
      if conclusion.isEq then found := found ++ #[s!"rw [{h}]", s!"simp [{h}]"]
      if conclusion.isConstOf ``False then found := found.push s!"apply {h}"
    else if type.getAppFn.isConst then
      found := found.push s!"simp at {h}"
  return found

/-- The constants of arithmetic that `omega` knows. -/
def arithmetic : List Name := [``Nat, ``Int, ``Fin]

/-- The steps to try on a goal. `except` is the theorem that is being proved; `library` says
whether to search the library, `inductive_` whether to split variables. -/
def candidates (goal : MVarId) (except : Name) (library inductive_ : Bool) :
    MetaM (Array String) :=
  goal.withContext do
  let target ← instantiateMVars (← goal.getType)
  let known ← atHand
  let given ← onlyProofs known
  let isProof := fun k : Known => given.any (·.text == k.text)
  let values ← (known.filter (!isProof ·)).filterM fun k => return !(← whnfR k.type).isType
  let facts ← consequences given values
  let whole := given.foldl (init := target) fun e k => mkAnd k.type e
  let numbers := mentions whole arithmetic
  let shape ← unfoldNot target
  let logical := !(mentions whole [``Eq, ``LE.le, ``LT.lt, ``HAdd.hAdd, ``List])
  let mut out := #[]
  for (text, _) in (← proofs facts values target 3).take 6 do
    out := out.push s!"exact {text}"
  if facts.any (·.type == target) then out := out.push "assumption"
  -- Automation
  let quantified := shape.isForall
  unless quantified do
    if target.isEq || target.isAppOf ``Iff || target.isAppOf ``LE.le || target.isAppOf ``HEq then
      out := out.push "rfl"
    if numbers then out := out.push "omega"
    unless target.hasFVar do out := out.push "decide"
    if facts.any (·.type.isConstOf ``False) || given.any (·.type.isEq) then
      out := out.push "contradiction"
    unless given.isEmpty do out := out.push "simp_all"
  unless logical && facts.size ≤ 1 do out := out.push "simp"
  -- The target
  out := out ++ (← introductions target)
  match_expr shape with
  | And _ _ =>
    out := out ++ #["constructor", "refine ⟨?_, ?_⟩"]
    if let [text, _] := (← proofs facts values shape.appFn!.appArg! 2).take 2 |>.map (·.1) then
      out := out.push s!"refine ⟨{text}, ?_⟩"
  | Or _ _ =>
    out := out ++ #["left", "right", "apply Or.inl", "apply Or.inr"]
  | Iff a b =>
    out := out.push "constructor"
    let (left, _) ← pattern .anonymous a [] 0
    let (right, _) ← pattern .anonymous b [] 0
    out := out ++ #[s!"exact ⟨fun {left} => ?_, fun {right} => ?_⟩".replace "exact" "refine"]
  | Exists domain _ =>
    for witness in ← witnesses values domain do
      out := out ++ #[s!"exists {witness.text}", s!"refine ⟨{witness.text}, ?_⟩"]
      for last in (if numbers then ["by omega", "by simp", "rfl"] else ["by simp", "rfl"]) do
        out := out.push s!"exact ⟨{witness.text}, {last}⟩"
  | Eq type a _ =>
    if (← whnfR type).isForall then
      let binder := match a with
        | .lam binder .. => binder
        | _ => `x
      let name ← nameFor binder (← whnfR type).bindingDomain! []
      out := out ++ #[s!"funext {name}", s!"ext {name}"]
    if type.isProp then out := out.push "apply propext"
    if type.isAppOfArity ``Prod 2 then out := out.push "apply Prod.ext"
  | False => pure ()
  | _ => unless given.isEmpty do
      if facts.any (·.type.isConstOf ``False) then out := out.push "exfalso"
  if mentions target [``ite, ``dite] || (target.find? fun e => isMatcherCore' e).isSome then
    out := out.push "split"
    if let some condition := target.find? fun e => e.isAppOf ``ite && e.getAppNumArgs ≥ 5 then
      let text := (← ppExpr (condition.getArg! 1)).pretty
      if text.length < 40 && !(condition.getArg! 1).hasLooseBVars then
        let name ← freshFrom "h" []
        let split := s!"by_cases {name} : {text}"
        out := out ++ #[split, s!"{split} <;> simp [{name}]"]
  -- The hypotheses
  for fact in given.reverse.extract 0 6 do
    unless quantified && fact.type.isForall do
      out := out ++ (← uses fact target)
  for fact in (facts.filter fun k => k.size == 1 && !k.atomic).extract 0 2 do
    unless fact.type == target || fact.type.isConstOf ``False do
      out := out.push s!"have {← freshFrom (← proofName fact.type) []} := {fact.text}"
  if (given.filter (·.type.isEq)).size ≥ 2 && target.isEq then
    let names := (given.filter (·.type.isEq)).toList.map (·.text)
    out := out ++ #[s!"rw [{", ".intercalate names}]", s!"simp [{", ".intercalate names}]"]
  -- Cases and induction on variables
  unless quantified do
    for value in values do
      unless target.containsFVar value.proof.fvarId! do continue
      if ← isProp value.type then continue
      if value.type.isProp then
        if logical && mentions target [``Not, ``Or] then
          let name ← proofName value.proof
          out := out.push s!"by_cases {← freshFrom name []} : {value.text}"
        continue
      match (← whnfR value.type).getAppFn.constName? with
      | some ``Nat | some ``List =>
        for induction in (if inductive_ then [true, false] else []) do
          if let some text ← alternatives value induction then out := out.push text
      | some ``Bool =>
        for last in ["rfl", "simp", "simp_all"] do
          out := out.push s!"cases {value.text} <;> {last}"
      | some ``Option | some ``Sum | some ``Prod | some ``Except | some ``Subtype | some ``Fin =>
        if let some text ← alternatives value false then out := out.push text
        out := out.push s!"cases {value.text} <;> simp"
      | _ => pure ()
  -- Lemmas
  unless quantified || logical do
    let lemmas ← simpLemmas target except
    for name in lemmas.extract 0 4 do
      out := out.push s!"rw [{name}]"
    for name in commonLemmas target do
      unless toString except == name do out := out.push s!"rw [{name}]"
  if library && !quantified then
    if let some (terms, applied) ← observing? <| fromLibrary goal except then
      out := out ++ terms ++ applied
  -- Last, so that it can be left out where a hypothesis closes a goal on the way.
  return (out.push "grind").toList.eraseDups.toArray
where
  /-- Whether this is a `match`. -/
  isMatcherCore' (e : Expr) : Bool :=
    e.isConst && (e.constName!.getString!.startsWith "match_")

end Starter
