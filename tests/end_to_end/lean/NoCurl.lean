import LlmSuggest

/-! # Outside of an editor, and without `curl` -/

/--
error: llmsuggest: the model is asked in an editor only. Put one of its suggestions in the place of this call, or set the option `llmsuggest.inBuild`.
-/
#guard_msgs in
example : True := by
  llmsuggest

set_option llmsuggest.inBuild true

/--
error: llmsuggest: the program `curl` cannot be run. Install it, or put it on the PATH of the editor.
-/
#guard_msgs in
example : True := by
  llmsuggest
