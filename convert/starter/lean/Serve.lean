import Std
import Starter.Run

/-! Does the jobs in the file that `STARTER_JOBS` names, for `convert/starter/lean_runner.py`. -/

open Lean Elab Command in
elab "#serve" : command => liftTermElabM do
  let some file ← IO.getEnv "STARTER_JOBS" | throwError "STARTER_JOBS is not set"
  Starter.runAll file

set_option maxHeartbeats 0
set_option maxRecDepth 512
#serve
