/-
Copyright (c) 2026 the llmsuggestd authors. All rights reserved.
Released under Apache 2.0 license as described in the file LICENSE.
Authors: the llmsuggestd authors
-/
module

public meta import LlmSuggest.Server
public meta import LlmSuggest.Tactic

/-!
# llmsuggest

`import LlmSuggest` gives two tactics: `llmsuggest` asks the `llmsuggestd` daemon on this machine
for the next step of a proof, and `llmprove` searches for a whole proof with its help. Nothing but
Lean is needed in the project that imports it.
-/
