import LlmSuggest
import FakeDaemon

/-!
# What is asked and what is shown
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""

/--
info: Try these:
  [apply] exact ⟨hp, hq⟩  -- closes the goal
  [apply] constructor  -- leaves 2 goals
-/
#guard_msgs in
answering "constructor", "exact ⟨hp, hq⟩" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/--
info: goal = p q : Prop
hp : p
hq : q
⊢ p ∧ q
---
info: prefix = ⏎
---
info: n = 5
-/
#guard_msgs in
#last_request

/-! The main goal alone is sent, as many suggestions are asked for as the option says, and what
follows the call is run. -/

/--
info: Try this:
  [apply] show id p  -- leaves 1 goal
-/
#guard_msgs in
answering "show id p" in
set_option llmsuggest.n 3 in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor
  · llmsuggest "exact h"
    exact hp
  · exact hq

/--
info: goal = case left
p q : Prop
hp : p
hq : q
⊢ p
---
info: prefix = exact h
---
info: n = 3
-/
#guard_msgs in
#last_request

/-! No more are asked for than the daemon gives, and no fewer than one. -/

/--
info: Try this:
  [apply] trivial  -- closes the goal
-/
#guard_msgs in
answering "trivial" in
set_option llmsuggest.n 1000 in
example : True := by
  llmsuggest

/--
info: goal = ⊢ True
---
info: prefix = ⏎
---
info: n = 32
-/
#guard_msgs in
#last_request

/--
info: Try this:
  [apply] trivial  -- closes the goal
-/
#guard_msgs in
answering "trivial" in
set_option llmsuggest.n 0 in
example : True := by
  llmsuggest

/--
info: goal = ⊢ True
---
info: prefix = ⏎
---
info: n = 1
-/
#guard_msgs in
#last_request

/-! # Answers that are none -/

/-- error: llmsuggest: the model has no suggestion for this goal. -/
#guard_msgs in
answering in
example : True := by
  llmsuggest

/--
error: llmsuggest: the model is still loading
Try again in a moment.
-/
#guard_msgs in
replying 503 "{\"error\": {\"code\": \"loading\", \"message\": \"the model is still loading\", \"hint\": \"Try again in a moment.\"}}" in
example : True := by
  llmsuggest

/-- error: llmsuggest: the goal is too long -/
#guard_msgs in
replying 413 "{\"error\": {\"code\": \"too_long\", \"message\": \"the goal is too long\"}}" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 404). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
replying 404 "<html>not found</html>" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
replying 200 "{\"suggestions\": [\"simp\"]}" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "empty" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "html" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "nul and control characters" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "half" in
example : True := by
  llmsuggest

/--
error: llmsuggest: another program or version answers at the daemon's address (status unknown). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "not UTF-8" in
example : True := by
  llmsuggest

/--
error: llmsuggest: the request to the daemon failed (curl: (63) Maximum file size exceeded). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "ten megabytes" in
example : True := by
  llmsuggest

/--
error: llmsuggest: the request to the daemon failed (curl: (52) Empty reply from server). Run `llmsuggestd doctor` to find the cause.
-/
#guard_msgs in
behaving "hang up" in
example : True := by
  llmsuggest

/--
error: llmsuggest: no answer within 1 s. `llmsuggestd status` shows what the daemon is doing; `set_option llmsuggest.timeout` sets the limit.
-/
#guard_msgs in
behaving "slow" in
set_option llmsuggest.timeout 0 in
example : True := by
  llmsuggest

/-! A model that is being loaded has more time. -/

/--
error: llmsuggest: no answer within 3 s: the model is still being loaded. `llmsuggestd status` shows what the daemon is doing; `set_option llmsuggest.loadTimeout` sets the limit.
-/
#guard_msgs in
behaving "loading" in
set_option llmsuggest.timeout 1 in
set_option llmsuggest.loadTimeout 3 in
example : True := by
  llmsuggest

/-! A text without its end. -/

/--
info: Suggestions that do not work:
  "exact foo (": it was cut off: the model reached its limit of tokens
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
replying 200 "{\"suggestions\": [{\"text\": \"exact foo (\", \"score\": -1, \"finished\": false}]}" in
set_option llmsuggest.showInvalid true in
example (p : Prop) : p := by
  llmsuggest

/-! `try?` is as it was: only `import LlmSuggest.Try` lets it ask. -/

/--
info: Try this:
  [apply] trivial  -- closes the goal
-/
#guard_msgs in
answering "trivial" in
example : True := by
  llmsuggest

/--
error: Tactic `try?` failed: consider using `grind` manually, or `try? +missing` for partial proofs containing `sorry`

⊢ ∃ n, n * n * n = 343
-/
#guard_msgs in
answering "exact ⟨7, rfl⟩" in
example : ∃ n, n * n * n = 343 := by
  try?

/--
info: goal = ⊢ True
---
info: prefix = ⏎
---
info: n = 5
-/
#guard_msgs in
#last_request
