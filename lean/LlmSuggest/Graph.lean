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
# The graph of a search for a proof

A node is a goal in a saved state of Lean. An edge is a step that was checked there, with the nodes
that it leaves; all of them have to be proved. Goals that share metavariables form one node, since a
step on one goal may assign a metavariable of the other. Other goals are proved separately. Goals
that are equal up to the names of hypotheses are one node, so the graph may have cycles. A node
counts as proved only when all nodes of one of its edges were proved earlier, so no proof is
circular.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- A node that a step leaves. -/
structure Child where
  /-- The node. -/
  node : Nat
  /-- Hypotheses of the node, each with its name in this step's goal. -/
  names : List (Name × Name) := []
  /-- Whether the node existed before the step. -/
  isShared : Bool := false
  /-- Whether its proof stands behind a `·`. -/
  isFocused : Bool
  deriving Inhabited

/-- A step that works on a node. -/
structure Edge where
  /-- The step. -/
  step : Step
  /-- The negative logarithm of its probability. -/
  cost : Float
  /-- The nodes that it leaves. -/
  children : Array Child
  /-- Whether a proof with it failed when it was run from the start. -/
  isDead : Bool := false
  deriving Inhabited

/-- A goal, or several goals that share metavariables. A step acts on the first. -/
structure Node where
  /-- The goals. -/
  goals : List MVarId
  /-- Further goals of the state. A step must leave them as they are. -/
  behind : List MVarId
  /-- The text of the goals for the model. -/
  text : String
  /-- The names of its hypotheses, in their order; `anonymous` if one cannot be named. -/
  names : Array Name
  /-- The cost of the steps that lead here. -/
  cost : Float
  /-- The steps that work. -/
  edges : Array Edge := #[]
  /-- The texts of the steps that were run. -/
  run : Std.HashSet String := {}
  /-- Whether Lean's own steps were run. -/
  isTried : Bool := false
  /-- The number of steps in the last request for it; 0 before the first one. -/
  asked : Nat := 0
  /-- The edge of its proof. -/
  proof? : Option Nat := none
  deriving Inhabited

/-- The state of a search. -/
structure Graph where
  /-- The nodes. The first one is the goal of the search. -/
  nodes : Array Node := #[]
  /-- The state of each node, in which its goals are open. -/
  states : Array SavedState := #[]
  /-- Nodes by their goal, up to the names of hypotheses. -/
  index : Std.HashMap (Nat × Expr) (Array Nat) := {}
  /-- The number of steps that were run. -/
  steps : Nat := 0
  /-- The number of goals that the model was asked about. -/
  asked : Nat := 0
  /-- The reason why the last complete proof failed when it was run from the start. -/
  rejected? : Option String := none
  /-- The address of the server to which goals were sent, if the model is a remote one. -/
  sentTo? : Option String := none

/-- A search. -/
abbrev SearchM := StateRefT Graph TacticM

/-- The state of a node. -/
def stateOf (id : Nat) : SearchM SavedState := do
  let some state := (← get).states[id]? | throwError "llmprove: there is no node {id}"
  return state

/-! ### Equal goals -/

/-- The number of a goal's hypotheses and its target closed over them, if it has no metavariables;
and the name of each hypothesis. Lean compares expressions up to the names of bound variables. -/
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

/-- The names that differ between two equal goals, old and new; `none` if a hypothesis that can be
named in the old goal cannot be named in the new one. -/
def renaming? (old new : Array Name) : Option (List (Name × Name)) := do
  let pairs := (old.zip new).filter fun (a, b) => !a.isAnonymous && a != b
  guard (pairs.all fun (_, b) => !b.isAnonymous)
  return pairs.toList

/-! ### Goals that are proved separately -/

/-- Groups of goals that share no metavariable. Each group is a contiguous part of the list, so that
the groups can be proved one after another. -/
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

/-! ### Adding nodes and edges -/

/-- The node for goals in a state: a known one with an equal goal, or else a new one. -/
def addNode (state : SavedState) (goals behind : List MVarId) (isFocused : Bool) (cost : Float) :
    SearchM Child := do
  let state := { state with tactic := { goals := goals ++ behind } }
  let first := goals.headD default
  let ((identity?, names), text) ← inState state do
    return (← identityOf first, ← stateText (← goalText first) goals.tail)
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

/-- Whether the value of the main goal has a metavariable that no later step can assign: it was not
there before the search, is not among the goals that are left, and none of these depends on it. -/
def isUndetermined (main : MVarId) (root : SavedState) (left : List MVarId) : MetaM Bool := do
  if left.isEmpty then
    return ← isOpen main root
  let known := root.term.meta.meta.mctx
  let mut kept := Std.HashSet.ofList left
  for goal in left do
    kept := kept.insertMany (← goal.getMVarDependencies)
  return (← Meta.getMVarsNoDelayed (← instantiateMVars (.mvar main))).any fun mvar =>
    !kept.contains mvar && !known.decls.contains mvar

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
  modify (·.settle)

/-! ### Proofs -/

/-- Removes an edge, and all proofs with it. -/
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

/-- The edge that most likely made the proof of a node fail: the first that leads to a node which
was reached in another way, or else the first of all. -/
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

/-- For each node, whether a proved one is among the nodes that its steps lead to. -/
partial def Graph.promising (graph : Graph) : Array Bool :=
  grown (graph.nodes.map (·.proof?.isSome))
where
  /-- All promising nodes, from those that are known. -/
  grown (known : Array Bool) : Array Bool :=
    let next := graph.nodes.mapIdx fun id node => known[id]! || node.edges.any fun edge =>
      !edge.isDead && edge.children.any (known[·.node]!)
    if next == known then known else grown next

/-- The largest number of nodes that are looked at for a partial proof, each time that a step leads
to them. Steps that undo each other, such as rewriting there and back, lead to billions of paths. -/
def maxLooks : Nat := 2000

/-- The best partial proof of a node that was found: the one with the fewest holes that proves some
goal. `path` are the nodes above. Only `promising` nodes are searched for one. The state is the
number of nodes that may still be looked at. -/
partial def Graph.partOf (graph : Graph) (promising : Array Bool) (id : Nat) (path : List Nat) :
    StateRefT Nat CoreM Script := do
  Core.checkInterrupted
  if !promising[id]! || (← get) == 0 then
    return .hole
  modify (· - 1)
  let node := graph.nodes[id]!
  if node.proof?.isSome then
    return (← graph.proofOf? id).getD .hole
  let mut best := Script.hole
  for edge in node.edges do
    unless edge.isDead || edge.children.any fun child => (id :: path).contains child.node do
      let mut below := #[]
      for child in edge.children do
        let script ← graph.partOf promising child.node (id :: path)
        below := below.push (child.isFocused, (← script.renamed? child.names).getD .hole)
      let script := Script.step edge.step below
      if provesSome script && (best matches .hole || script.holes < best.holes) then
        best := script
  return best
where
  /-- Whether the script proves some goal. -/
  provesSome : Script → Bool
    | .hole => false
    | .step _ below => below.isEmpty || below.any fun (_, script) => provesSome script

/-! ### The next nodes -/

/-- The largest number of steps in a request for a goal. -/
def maxAsked : Nat := 32

/-- Whether no more steps can be found for a node. -/
def Node.isExhausted (node : Node) : Bool :=
  node.proof?.isNone && node.asked ≥ maxAsked && node.edges.all (·.isDead)

/-- The priority of a node; the smallest comes next. A node that the model was asked about comes
again later, for more steps. -/
def Node.priority (node : Node) : Float :=
  node.cost + 2.0 * (node.asked.toFloat + 1).log

/-- The nodes that a proof of the first node may need and for which more steps can be found, the
most likely first. -/
partial def Graph.frontier (graph : Graph) : Array Nat :=
  let ids := (visit 0 |>.run #[]).2.filter fun id => graph.nodes[id]!.asked < maxAsked
  ids.qsort fun a b => graph.nodes[a]!.priority < graph.nodes[b]!.priority
where
  /-- Collects the open nodes. -/
  visit (id : Nat) : StateM (Array Nat) Unit := do
    if (← get).contains id || graph.nodes[id]!.proof?.isSome then
      return
    modify (·.push id)
    for edge in graph.nodes[id]!.edges do
      unless edge.isDead || edge.children.any (graph.nodes[·.node]!.isExhausted) do
        for child in edge.children do
          visit child.node

end LlmSuggest
