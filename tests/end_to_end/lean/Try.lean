import LlmSuggest.Try
import FakeDaemon

/-! # The model's suggestions in `try?` -/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmprove.seconds 0
set_option linter.unusedVariables false

/-! What closes the goal is offered; what leaves goals, and what does not work, is not. -/

/--
info: Try these:
  [apply] exact ⟨7, rfl⟩
  [apply] · refine ⟨7, ?_⟩; rfl
-/
#guard_msgs in
answering "constructor", "exact ⟨7, rfl⟩", "exact sorry", "refine ⟨7, ?_⟩\nrfl", "exact foo" in
example : ∃ n, n * n * n = 343 := by
  try?

/-! Without a daemon, or without a useful answer, there is not a word of it. -/

/--
error: Tactic `try?` failed: consider using `grind` manually, or `try? +missing` for partial proofs containing `sorry`

⊢ ∃ n, n * n * n = 343
-/
#guard_msgs in
behaving "hang up" in
example : ∃ n, n * n * n = 343 := by
  try?

/--
error: Tactic `try?` failed: consider using `grind` manually, or `try? +missing` for partial proofs containing `sorry`

⊢ ∃ n, n * n * n = 343
-/
#guard_msgs in
behaving "html" in
example : ∃ n, n * n * n = 343 := by
  try?

/--
error: Tactic `try?` failed: consider using `grind` manually, or `try? +missing` for partial proofs containing `sorry`

⊢ ∃ n, n * n * n = 343
-/
#guard_msgs in
answering "exact foo" in
example : ∃ n, n * n * n = 343 := by
  try?

/--
info: Try these:
  [apply] assumption
  [apply] simp [*]
  [apply] simp only [hp]
  [apply] grind
  [apply] grind only
  [apply] simp_all
-/
#guard_msgs in
behaving "html" in
example (p : Prop) (hp : p) : p := by
  try?

/-! Nor outside of an editor. -/

/--
error: Tactic `try?` failed: consider using `grind` manually, or `try? +missing` for partial proofs containing `sorry`

⊢ ∃ n, n * n * n = 343
-/
#guard_msgs in
answering "exact ⟨7, rfl⟩" in
set_option llmsuggest.inBuild false in
example : ∃ n, n * n * n = 343 := by
  try?

/-! A proof of several steps, where no single one closes the goal. -/

/--
info: Try this:
  [apply] · refine ⟨?_, ?_⟩; exact 7; rfl
-/
#guard_msgs in
answering "refine ⟨?_, ?_⟩", "exact 7", "rfl" in
set_option llmprove.seconds 100 in
set_option llmprove.moves false in
set_option llmsuggest.finishers "" in
example : ∃ n, n * n * n = 343 := by
  try?
