import Lean
open Lean Elab Tactic

/-- Run a tactic given as text; any error in it, recovered from or not, is thrown. -/
def runText (text : String) : TacticM Unit := do
  match Parser.runParserCategory (← getEnv) `tactic text with
  | .error message => throwError "parse: {message}"
  | .ok parsed =>
    withoutRecover <| Term.withoutErrToSorry <| evalTactic parsed
    if (← Core.getMessageLog).hasErrors then throwError "an error was logged"

def finishers : List String :=
  ["assumption", "trivial", "omega", "simp_all", "grind", "(intros; simp_all)",
    "(intros; simp_all <;> omega)", "(intros; grind)"]

/-- Try Lean's automation on one goal. -/
def finish (goal : MVarId) : TacticM Bool :=
  finishers.anyM fun text => do
    let before ← saveState
    setGoals [goal]
    let closed ← tryCatchRuntimeEx (do runText text; return (← getUnsolvedGoals).isEmpty) fun _ => pure false
    unless closed do before.restore
    return closed

/-- What comes of running the step on the main goal: a verdict and its detail. -/
def verdict (step : String) : TacticM (String × String) := do
  let goal ← getMainGoal
  runText step
  let rest ← getUnsolvedGoals
  if (← instantiateMVars (.mvar goal)).hasSorry then return ("error", "sorry")
  if rest.isEmpty then return ("closed", "")
  if rest == [goal] then return ("error", "no progress")
  let shown ← rest.mapM fun g => return (← Meta.ppGoal g).pretty
  if ← rest.allM finish then return ("finished", "")
  return ("open", "\n".intercalate shown)

/-- Compare the goal with the text it should print as, judge the step, print the verdict. -/
elab "judge" number:num expected:str step:str : tactic => do
  let goal ← getMainGoal
  let printed := (← Meta.ppGoal goal).pretty
  let start ← saveState
  let (kind, detail) ←
    if printed != expected.getString then pure ("print", printed)
    else tryCatchRuntimeEx (verdict step.getString) fun e => return ("error", ← e.toMessageData.toString)
  start.restore
  let row := Json.arr #[toJson number.getNat, toJson kind, toJson detail]
  IO.println s!"VERDICT {row.compress}"
  admitGoal goal
  replaceMainGoal []

universe u v u_1
set_option linter.all false
set_option maxErrors 0
set_option maxHeartbeats 40000
