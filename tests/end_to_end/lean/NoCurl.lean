import LlmSuggest

/-! # Outside of an editor, and without `curl` -/

/--
error: llmsuggest: the model is asked only in an editor. Replace this call with a suggestion, or set the option `llmsuggest.inBuild`.
-/
#guard_msgs in
example : True := by
  llmsuggest

set_option llmsuggest.inBuild true

/--
error: llmsuggest: the program `curl` cannot be run. Install it, or put it on the editor's PATH.
-/
#guard_msgs in
example : True := by
  llmsuggest
