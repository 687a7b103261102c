/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import Lean.Meta.CollectMVars
public meta import LlmSuggest.Ask
public meta import LlmSuggest.Script

public meta section

/-!
# What a search for a proof knows

A node is a goal in a saved state of Lean; an edge is a step that was checked there, with the nodes
that it leaves, all of which have to be proved. Goals that share metavariables are one node, since a
step on one may settle the other; the rest are proved apart. Goals that are equal up to the names of
hypotheses are one node, so the graph may have cycles. A node is proved once all nodes that an edge
leaves were proved before, so a proof never goes round.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- A node that a step leaves. -/
structure Child where
  /-- The node. -/
  node : Nat
  /-- Hypotheses of the node, and what they are called here. -/
  names : List (Name × Name) := []
  /-- Whether it is another step's node, too. -/
  isShared : Bool := false
  /-- Whether its proof stands behind a `·`. -/
  isFocused : Bool
  deriving Inhabited

/-- A step that works on a node. -/
structure Edge where
  /-- The step. -/
  step : Step
  /-- How unlikely it is, as the negative logarithm of a probability. -/
  cost : Float
  /-- What it leaves. -/
  children : Array Child
  /-- Whether a proof with it has turned out to be none. -/
  isDead : Bool := false
  deriving Inhabited

/-- A goal, or several that share metavariables: a step acts on the first. -/
structure Node where
  /-- The goals. -/
  goals : List MVarId
  /-- Goals that a step sees besides, and must leave as they are. -/
  behind : List MVarId
  /-- The first goal as the model is told it. -/
  text : String
  /-- The names that its hypotheses have, in their order; `anonymous` where there is none. -/
  names : Array Name
  /-- The cost of the steps that lead here. -/
  cost : Float
  /-- The steps that work. -/
  edges : Array Edge := #[]
  /-- The texts of the steps that were run. -/
  run : Std.HashSet String := {}
  /-- Whether Lean's own steps were tried. -/
  isTried : Bool := false
  /-- For how many steps the model has been asked. -/
  asked : Nat := 0
  /-- The edge of its proof. -/
  proof? : Option Nat := none
  deriving Inhabited

/-- All that a search has found. -/
structure Graph where
  /-- The nodes, the first one being what is to be proved. -/
  nodes : Array Node := #[]
  /-- The state of each node, in which its goals are open. -/
  states : Array SavedState := #[]
  /-- Nodes by what they ask for. -/
  index : Std.HashMap (Nat × Expr) (Array Nat) := {}
  /-- How many steps were run. -/
  steps : Nat := 0
  /-- How many goals the model was asked about. -/
  asked : Nat := 0
  /-- Why the last proof that was put together does not work from the start. -/
  rejected? : Option String := none

/-- A search. -/
abbrev SearchM := StateRefT Graph TacticM

/-- The state of a node. -/
def stateOf (id : Nat) : SearchM SavedState := do
  let some state := (← get).states[id]? | throwError "llmprove: there is no node {id}"
  return state

/-- Runs `x` in a saved state and comes back. -/
def inState {α : Type} (state : SavedState) (x : TacticM α) : TacticM α := do
  let present ← saveState
  state.restore (restoreInfo := true)
  try
    x
  finally
    present.restore (restoreInfo := true)

/-! ### Equal goals -/

/-- The number of a goal's hypotheses and its target closed over them, if it has no metavariables;
and how each hypothesis can be referred to. Expressions are equal up to the names of what they bind.
-/
def identityOf (goal : MVarId) : MetaM (Option (Nat × Expr) × Array Name) := goal.withContext do
  let lctx ← getLCtx
  let decls := lctx.foldl (init := #[]) fun all decl =>
    if decl.isImplementationDetail then all else all.push decl
  let names := decls.map fun decl =>
    let isVisible := (lctx.findFromUserName? decl.userName).any (·.fvarId == decl.fvarId)
    if isVisible && !decl.userName.hasMacroScopes then decl.userName else .anonymous
  let target ← instantiateMVars (← goal.getType)
  if target.hasExprMVar then
    return (none, names)
  let closed ← instantiateMVars (← Meta.mkForallFVars (decls.map (·.toExpr)) target)
  return (if closed.hasExprMVar then none else some (decls.size, closed), names)

/-- How hypotheses of an old goal are called in an equal one, if all that can be referred to there
can be here. -/
def renaming? (old new : Array Name) : Option (List (Name × Name)) := do
  let pairs := (old.zip new).filter fun (a, b) => !a.isAnonymous && a != b
  guard (pairs.all fun (_, b) => !b.isAnonymous)
  return pairs.toList

/-! ### Goals that are proved apart -/

/-- Goals in groups that share no metavariable. Each group is a part of the list without gaps, so
that the groups can be proved one after another. -/
def groups (goals : List MVarId) : MetaM (List (List MVarId)) := do
  let mut groups : List (List MVarId × Std.HashSet MVarId) := []
  for goal in goals do
    let shared ← (← goal.getMVarDependencies).toList.filterM fun mvar =>
      return !(← mvar.isAssigned)
    let mut group := [goal]
    let mut mvars := Std.HashSet.ofList (goal :: shared)
    let (apart, joined) := groups.span fun (_, others) =>
      !others.any fun mvar => mvar == goal || shared.contains mvar
    for (goals, others) in joined.reverse do
      group := goals ++ group
      mvars := mvars.insertMany others.toList
    groups := apart ++ [(group, mvars)]
  return groups.map (·.1)

/-! ### Growing -/

/-- The node for goals in a state, which is a new one if no equal goal is known. -/
def addNode (state : SavedState) (goals behind : List MVarId) (isFocused : Bool) (cost : Float) :
    SearchM Child := do
  let state := { state with tactic := { goals := goals ++ behind } }
  let first := goals.headD default
  let ((identity?, names), text) ← inState state do
    return (← identityOf first, ← goalText first)
  let identity? := if goals.length == 1 then identity? else none
  let graph ← get
  for known in (identity? >>= (graph.index[·]?)).getD #[] do
    let node := graph.nodes[known]!
    if let some names := renaming? node.names names then
      modify fun graph => { graph with
        nodes := graph.nodes.modify known fun node => { node with cost := min node.cost cost } }
      return { node := known, names, isShared := true, isFocused }
  let id := graph.nodes.size
  modify fun graph => { graph with
    nodes := graph.nodes.push { goals, behind, text, names, cost }
    states := graph.states.push state
    index := match identity? with
      | some identity => graph.index.alter identity fun ids? => some ((ids?.getD #[]).push id)
      | none => graph.index }
  return { node := id, isFocused }

/-- Whether the value of the main goal has something that is left open for good: that was not open
before the search, is none of the goals that are left, and none of these depends on it. -/
def isUndetermined (main : MVarId) (root : SavedState) (left : List MVarId) : MetaM Bool := do
  if left.isEmpty then
    return ← isOpen main root
  let known := root.term.meta.meta.mctx
  let mut kept := Std.HashSet.ofList left
  for goal in left do
    kept := kept.insertMany (← goal.getMVarDependencies)
  return (← Meta.getMVarsNoDelayed (← instantiateMVars (.mvar main))).any fun mvar =>
    !kept.contains mvar && !known.decls.contains mvar

/-- Adds a step that works on a node. -/
def addEdge (root : SavedState) (id : Nat) (step : Step) (effect : Effect) (cost : Float) :
    SearchM Unit := do
  let node := (← get).nodes[id]!
  if effect.recursive?.isSome || node.edges.any (·.step.stx.structEq step.stx) then
    return
  let left := effect.after.tactic.goals.filter (!node.behind.contains ·)
  let (isUndetermined, parts) ← inState effect.after do
    return (← isUndetermined (node.goals.headD default) root left, ← groups left)
  if isUndetermined then
    return
  let mut children := #[]
  let mut behind := left
  for goals in parts do
    behind := behind.drop goals.length
    let isFocused := parts.length > 1 && goals.length == 1
    let others := if isFocused then [] else behind ++ node.behind
    children := children.push (← addNode effect.after goals others isFocused (node.cost + cost))
  if children.any (·.node == id) then
    return
  modify fun graph => { graph with
    nodes := graph.nodes.modify id fun node =>
      { node with edges := node.edges.push { step, cost, children } } }

/-! ### What is proved -/

/-- Finds the nodes that are proved. -/
partial def Graph.settle (graph : Graph) : Graph := Id.run do
  let mut graph := graph
  let mut isSettled := false
  while !isSettled do
    isSettled := true
    for id in [:graph.nodes.size] do
      let node := graph.nodes[id]!
      if node.proof?.isNone then
        let proof? := node.edges.findIdx? fun edge => !edge.isDead &&
          edge.children.all fun child => graph.nodes[child.node]!.proof?.isSome
        if proof?.isSome then
          graph := { graph with nodes := graph.nodes.modify id ({ · with proof? }) }
          isSettled := false
  return graph

/-- Takes an edge out, and all that was proved with it. -/
def Graph.kill (graph : Graph) (id edge : Nat) : Graph :=
  let nodes := graph.nodes.map ({ · with proof? := none })
  let nodes := nodes.modify id fun node =>
    { node with edges := node.edges.modify edge ({ · with isDead := true }) }
  { graph with nodes }.settle

/-- The proof of a node. -/
partial def Graph.proofOf? (graph : Graph) (id : Nat) : CoreM (Option Script) := do
  let node := graph.nodes[id]!
  let some edge := node.proof? >>= (node.edges[·]?) | return some .hole
  let mut below := #[]
  for child in edge.children do
    let some script ← graph.proofOf? child.node | return none
    let some script ← script.renamed? child.names | return none
    below := below.push (child.isFocused, script)
  return some (.step edge.step below)

/-- The edge to suspect when the proof of a node turns out to be none: the first that leads to a
node which was reached in another way, or else the first of all. -/
partial def Graph.suspect (graph : Graph) (id : Nat) : Nat × Nat :=
  (shared? id).getD (id, graph.nodes[id]!.proof?.getD 0)
where
  /-- The first edge of a proof that leads to a shared node. -/
  shared? (id : Nat) : Option (Nat × Nat) := do
    let node := graph.nodes[id]!
    let i ← node.proof?
    let edge ← node.edges[i]?
    if edge.children.any (·.isShared) then
      return (id, i)
    edge.children.findSome? fun child => shared? child.node

/-- The best part of a proof of a node: that with the fewest holes, where it proves something.
`path` are the nodes above. -/
partial def Graph.partOf (graph : Graph) (id : Nat) (path : List Nat) : CoreM Script := do
  let node := graph.nodes[id]!
  if node.proof?.isSome then
    return (← graph.proofOf? id).getD .hole
  let mut best := Script.hole
  for edge in node.edges do
    unless edge.isDead || edge.children.any fun child => (id :: path).contains child.node do
      let mut below := #[]
      for child in edge.children do
        let script ← graph.partOf child.node (id :: path)
        below := below.push (child.isFocused, (← script.renamed? child.names).getD .hole)
      let script := Script.step edge.step below
      if provesSome script && (best matches .hole || script.holes < best.holes) then
        best := script
  return best
where
  /-- Whether something is proved, and not only turned into something else. -/
  provesSome : Script → Bool
    | .hole => false
    | .step _ below => below.isEmpty || below.any fun (_, script) => provesSome script

/-! ### What to look at next -/

/-- The largest number of steps that the model is asked for on one goal. -/
def maxAsked : Nat := 32

/-- Whether nothing more can be found for a node. -/
def Node.isExhausted (node : Node) : Bool :=
  node.proof?.isNone && node.asked ≥ maxAsked && node.edges.all (·.isDead)

/-- What it costs to look at a node next. One that the model was asked about comes again later, for
more steps. -/
def Node.priority (node : Node) : Float :=
  node.cost + 2.0 * (node.asked.toFloat + 1).log

/-- The nodes that a proof of the first one may need and of which more could be found, the most
likely ones first. -/
partial def Graph.frontier (graph : Graph) : Array Nat :=
  let ids := (visit 0 |>.run #[]).2.filter fun id => graph.nodes[id]!.asked < maxAsked
  ids.qsort fun a b => graph.nodes[a]!.priority < graph.nodes[b]!.priority
where
  /-- Collects the nodes that are open. -/
  visit (id : Nat) : StateM (Array Nat) Unit := do
    if (← get).contains id || graph.nodes[id]!.proof?.isSome then
      return
    modify (·.push id)
    for edge in graph.nodes[id]!.edges do
      unless edge.isDead || edge.children.any (graph.nodes[·.node]!.isExhausted) do
        for child in edge.children do
          visit child.node

end LlmSuggest
