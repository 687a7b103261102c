/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Graph
public meta import LlmSuggest.Own
public meta import LlmSuggest.Suggest

public meta section

/-!
# Searching for a proof

The search takes the most likely goals, runs Lean's own steps on them, asks the model about several
goals in one request, and checks each step of the answer. It ends when the first goal is proved or a
limit is reached.
-/

namespace LlmSuggest

open Lean Elab Tactic

/-- `set_option trace.llmprove true` shows each step that a search runs. -/
initialize registerTraceClass `llmprove

/-- The limits of a search. -/
structure Budget where
  /-- Its end, in milliseconds of the monotonic clock. -/
  deadline : Nat
  /-- The time limit of one step, in milliseconds. -/
  stepTime : Nat
  /-- The largest number of goals that the model is asked about. -/
  expansions : Nat
  /-- The number of steps in the first request for a goal. -/
  n : Nat

/-- The budget that the options set. -/
def Budget.fromOptions : CoreM Budget := do
  let options ← getOptions
  let seconds := llmprove.seconds.get options
  return {
    deadline := (← IO.monoMsNow) + 1000 * seconds
    stepTime := max 1000 (100 * seconds)
    expansions := llmprove.expansions.get options
    n := max 1 (min maxAsked (llmprove.n.get options)) }

/-- A running search. -/
structure Search where
  /-- Stops its checks at their limits. -/
  guard : Guard
  /-- The state in which it started. -/
  root : SavedState
  /-- Its limits. -/
  budget : Budget
  /-- The client's name for the daemon. -/
  client : String
  /-- The heartbeats that were spent when it started. -/
  spent : Nat
  /-- Is called with the graph after each step. -/
  report : Graph → BaseIO Unit

/-- The largest number of goals in one request. -/
def maxGoalsAtOnce : Nat := 4

/-- The cost above which a goal gets no moves: nested inductions would use up the time. -/
def maxMoveCost : Float := 4.5

/-- Whether the time is up. -/
def Search.isOver (search : Search) : BaseIO Bool := do
  return (← IO.monoMsNow) ≥ search.budget.deadline

/-- The limits for one step. -/
def Search.limits (search : Search) : CoreM Limits := do
  let now ← IO.monoMsNow
  Limits.fromOptions (min search.budget.deadline (now + search.budget.stepTime))

/-- Whether a node is proved. -/
def isProved (id : Nat) : SearchM Bool := do
  return (← get).nodes[id]!.proof?.isSome

/-- Runs a step on a node, and adds the edge if it works. -/
def Search.run (search : Search) (limits : Limits) (id : Nat) (step : Step) (cost : Float) :
    SearchM Unit := do
  -- The heartbeats of a search do not count for the user's own proof.
  IO.setNumHeartbeats search.spent
  if (← get).nodes[id]!.run.contains step.source then
    return
  let state ← stateOf id
  let outcome ← search.guard.checkOn limits state step
  modify fun graph => { graph with
    steps := graph.steps + 1
    nodes := graph.nodes.modify id fun node => { node with run := node.run.insert step.source } }
  trace[llmprove] "{id}: {step.source}  {outcome.mark}"
  let mut suggestions := #[({ step, outcome } : Suggestion)]
  if suggestions.any (·.prints) then
    suggestions ← inState (← stateOf id) <| withMainContext <|
      search.guard.replacePrinting limits suggestions
  for { step, outcome } in suggestions do
    if let .works effect := outcome then
      unless effect.prints do
        addEdge search.root id step effect cost
  search.report (← get)

/-- Tries Lean's own steps on a node. -/
def Search.tryOwn (search : Search) (id : Nat) : SearchM Unit := do
  let node := (← get).nodes[id]!
  if node.isTried then
    return
  modify fun graph => { graph with nodes := graph.nodes.modify id ({ · with isTried := true }) }
  let goal := node.goals.headD default
  let (finishers, moves) ← inState (← stateOf id) do
    let moves ← if node.cost ≤ maxMoveCost then movesFor goal else pure #[]
    return (← finishersOf goal, moves)
  for step in finishers.filter (!·.isQuery) do
    if (← isProved id) || (← search.isOver) then
      return
    let limits ← search.limits
    let limits := { limits with heartbeats := min limits.heartbeats finisherHeartbeats }
    search.run limits id step 1.5
  for move in moves do
    if (← isProved id) || (← search.isOver) then
      return
    if let some step ← Step.ofText? move.text then
      search.run (← search.limits) id step move.cost

/-- Runs the model's answers on a node, the best first. -/
def Search.tryAnswers (search : Search) (id : Nat) (answers : Array Answer) : SearchM Unit := do
  let (steps, _) ← inState (← stateOf id) (readAnswers answers)
  for step in steps do
    if (← isProved id) || (← search.isOver) then
      return
    let score := ((answers.find? (·.text == step.said)).map (·.score)).getD 0.0
    search.run (← search.limits) id step (max 0.0 (0.0 - score))

/-- Why a search ended. -/
inductive End where
  /-- A proof was found. -/
  | proved (proof : Proof)
  /-- The time is up. -/
  | time
  /-- The model was asked about the largest number of goals. -/
  | expansions
  /-- No goal is left for which more steps can be found. -/
  | exhausted
  /-- The daemon failed. -/
  | failure (message : String)

/-- Asks the model about nodes, and runs its answers. Returns the reason to end, if there is one. -/
def Search.askAbout (search : Search) (ids : Array Nat) : SearchM (Option End) := do
  let nodes := (← get).nodes
  -- A request has one number of steps for all its goals.
  let n := (ids.map fun id => nodes[id]!.asked).foldl max 0
  let n := if n == 0 then search.budget.n else min maxAsked (2 * n)
  match ← askForAll (ids.map (nodes[·]!.text)) n search.client search.budget.deadline with
  | none => return some .time
  | some (.error message) => return some (.failure message)
  | some (.ok answers) =>
    modify fun graph => { graph with
      asked := graph.asked + ids.size
      sentTo? := answers.sentTo? <|> graph.sentTo?
      nodes := ids.foldl (init := graph.nodes) fun nodes id =>
        nodes.modify id ({ · with asked := n }) }
    for (id, answers) in ids.zip answers.forEach do
      search.tryAnswers id answers
      if ← isProved 0 then
        break
    return none

/-- The proof of the first node, run from the start. If it fails, the suspected edge is removed and
the next proof is tried, until the time is up. -/
def Search.proof? (search : Search) : SearchM (Option Proof) := do
  while ← isProved 0 do
    Core.checkInterrupted
    if ← search.isOver then
      return none
    let graph ← get
    if let some script ← graph.proofOf? 0 then
      let limits ← search.limits
      match ← inState search.root <| withMainContext <| search.guard.replay limits script with
      | .ok proof => return some proof
      | .error reason => modify ({ · with rejected? := reason })
    let (id, edge) := graph.suspect 0
    modify (·.kill id edge)
  return none

/-- A round of the search. Returns the reason to end, if there is one. -/
def Search.advance (search : Search) : SearchM (Option End) := do
  if let some proof ← search.proof? then
    return some (.proved proof)
  if ← search.isOver then
    return some .time
  let room := search.budget.expansions - (← get).asked
  if room == 0 then
    return some .expansions
  let ids := (← get).frontier.take maxGoalsAtOnce
  if ids.isEmpty then
    return some .exhausted
  for id in ids do
    unless ← isProved 0 do
      search.tryOwn id
  -- These steps may have proved some goals and added better ones.
  let graph ← get
  let ids := (graph.frontier.filter (graph.nodes[·]!.isTried)).take (min room maxGoalsAtOnce)
  if (← isProved 0) || ids.isEmpty || (← search.isOver) then
    return none
  search.askAbout ids

/-- Runs rounds until one ends the search. -/
def Search.go (search : Search) : SearchM End := do
  -- A loop, since recursion would overflow the interpreter's stack.
  repeat
    Core.checkInterrupted
    if let some ended ← search.advance then
      return ended
  return .exhausted

/-- Searches for a proof of the main goal. It uses none of the user's heartbeats. -/
def searchFor (budget : Budget) (client : String)
    (report : Graph → BaseIO Unit := fun _ => pure ()) : TacticM (End × Graph) := do
  let root ← saveState
  let goal :: behind ← getUnsolvedGoals | throwError "there is no goal"
  let spent ← IO.getNumHeartbeats
  try
    withGuard fun guard => do
      let search := { guard, root, budget, client, spent, report : Search }
      let run : SearchM End := do
        discard <| addNode root [goal] behind false 0.0
        search.go
      let («end», graph) ← run.run {}
      if let .proved proof := «end» then
        let limits ← search.limits
        let now ← IO.monoMsNow
        let deadline := min (now + 3000) (max budget.deadline (now + 1000))
        let shorter ← guard.shorten limits deadline proof
        return (.proved shorter, graph)
      return («end», graph)
  finally
    IO.setNumHeartbeats spent

end LlmSuggest
