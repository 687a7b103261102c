import LlmSuggest
import FakeDaemon

/-! # A daemon that `test_tactic.py` has put where the environment says -/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000

/--
info: Try this:
  [apply] trivial  -- closes the goal
-/
#guard_msgs in
answering "trivial" in
example : True := by
  llmsuggest
