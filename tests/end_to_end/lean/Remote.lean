import LlmSuggest
import FakeDaemon

/-! # A remote model: messages name the server to which the goal was sent -/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option linter.unusedVariables false

/--
info: Try this (the goal was sent to https://lab.example.org):
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
replying 200 "{\"suggestions\": [{\"text\": \"exact hp\", \"score\": -0.5}], \"model\": \"lab\", \"remote\": \"https://lab.example.org\"}" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
The goal was sent to https://lab.example.org.
-/
#guard_msgs in
replying 200 "{\"suggestions\": [{\"text\": \"exact hq\", \"score\": -0.5}], \"model\": \"lab\", \"remote\": \"https://lab.example.org\"}" in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! A model on this machine: `remote` is `null`. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
replying 200 "{\"suggestions\": [{\"text\": \"exact hp\", \"score\": -0.5}], \"model\": \"starter\", \"remote\": null}" in
example (p : Prop) (hp : p) : p := by
  llmsuggest
