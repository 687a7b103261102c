import LlmSuggest
import FakeDaemon

/-!
# A step that eats memory

Without the limit this ends Lean. The limit needs Linux's `/proc`.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000000
set_option llmsuggest.heartbeats 100000000

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] have : (Nat.repeat (fun s : String => s ++ s) 28 "a").length = 5 := by simp [Nat.repeat]  -- check stopped: `llmsuggest.memory` was reached
-/
#guard_msgs in
answering "have : (Nat.repeat (fun s : String => s ++ s) 28 \"a\").length = 5 := by simp [Nat.repeat]",
  "exact hp" in
set_option llmsuggest.memory 200 in
example (p : Prop) (hp : p) : p := by
  llmsuggest
