import LlmSuggest
import FakeDaemon

/-!
# How the daemon is found

`$LLMSUGGESTD_SOCKET` is empty here, and `$LLMSUGGESTD_HOME` is a fresh directory.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000

/-- error: llmsuggest: no daemon is running. Start it with `llmsuggestd start`. -/
#guard_msgs in
example : True := by
  llmsuggest

/-! The socket of the discovery file. -/

/--
info: Try this:
  [apply] trivial  -- closes the goal
-/
#guard_msgs in
answering "trivial" in
discovery "{\"socket\": \"$DIR/socket\", \"url\": \"http://127.0.0.1:1\", \"token_file\": \"\"}" in
example : True := by
  llmsuggest

/-! The port and its token, where there is no socket. -/

/--
info: Try this:
  [apply] exact (fun _ => trivial) "a\\b"  -- closes the goal
-/
#guard_msgs in
answering "exact (fun _ => trivial) \"a\\\\b\"" in
discovery "{\"socket\": null, \"url\": \"http://127.0.0.1:$PORT\", \"token_file\": \"$DIR/token\"}" in
example : True := by
  llmsuggest "exact (fun _ => trivial) \"a\\\\b"

/--
info: goal = ⊢ True
---
info: prefix = exact (fun _ => trivial) "a\\b
---
info: n = 5
-/
#guard_msgs in
#last_request

/-! A socket that nobody listens on. -/

/-- error: llmsuggest: no daemon answers. Start it with `llmsuggestd start`. -/
#guard_msgs in
discovery "{\"socket\": \"$DIR/port\", \"url\": \"\", \"token_file\": \"\"}" in
example : True := by
  llmsuggest

/-- error: llmsuggest: no daemon answers. Start it with `llmsuggestd start`. -/
#guard_msgs in
discovery "{\"socket\": null, \"url\": \"http://127.0.0.1:1\", \"token_file\": \"$DIR/token\"}" in
example : True := by
  llmsuggest
