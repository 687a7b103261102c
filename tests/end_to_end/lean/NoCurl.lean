import LlmSuggest

/--
error: llmsuggest: the program `curl` cannot be run. Install it, or put it on the PATH of the editor.
-/
#guard_msgs in
example : True := by
  llmsuggest
