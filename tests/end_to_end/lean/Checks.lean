import LlmSuggest
import FakeDaemon

/-!
# How suggestions are checked

Hostile answers are between the harmless ones: nothing of them may be marked as what it is not.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option linter.unusedVariables false

/-! Closing ones first, then fewer goals, then the model's order; the same once only. -/

/--
info: Try these:
  [apply] exact ⟨hp, hq, hr⟩  -- closes the goal
  [apply] exact And.intro hp ⟨hq, hr⟩  -- closes the goal
  [apply] refine ⟨hp, ?_⟩  -- leaves 1 goal
  [apply] constructor  -- leaves 2 goals
  [apply] refine ⟨?_, ?_, ?_⟩  -- leaves 3 goals
-/
#guard_msgs in
answering "refine ⟨?_, ?_, ?_⟩", "constructor", "exact ⟨hp, hq, hr⟩", "exact ⟨hp,  hq, hr⟩ -- x",
  "refine ⟨hp, ?_⟩", "exact And.intro hp ⟨hq, hr⟩", "  constructor" in
example (p q r : Prop) (hp : p) (hq : q) (hr : r) : p ∧ q ∧ r := by
  llmsuggest

/-! What does not work is hidden, unless one wants to see it. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hq", "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p := by
  llmsuggest

/--
info: Suggestions that do not work:
  "exact": it is not a tactic
  "exact hq": Type mismatch
  "skip": it changes nothing
---
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact", "exact hq", "skip", "exact hp" in
set_option llmsuggest.showInvalid true in
example (p q : Prop) (hp : p) (hq : q) : p := by
  llmsuggest

/--
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "exact hq" in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! A goal that is closed stays closed, one that is not stays open, and the other goals are as they
were. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
---
error: unsolved goals
case right
p q : Prop
hp : p
⊢ q
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) : p ∧ q := by
  constructor
  llmsuggest

/--
info: Try this:
  [apply] constructor  -- leaves 2 goals
---
error: unsolved goals
p q : Prop
hp : p
hq : q
⊢ p ∧ q
-/
#guard_msgs in
answering "constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! Proofs that are none. -/

/--
info: Suggestions that do not work:
  "stop": it is not a tactic
  "sorry": it leaves a `sorry`
  "admit": it leaves a `sorry`
  "exact (sorry : p)": it leaves a `sorry`
  "exact (by sorry)": it leaves a `sorry`
  "have h : p := sorry\nexact h": it leaves a `sorry`
  "as_aux_lemma => sorry": it leaves a `sorry`
  "refine And.left (b := p) ⟨sorry, ?_⟩": it changes nothing
---
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "sorry", "admit", "stop", "exact (sorry : p)", "exact (by sorry)",
  "have h : p := sorry\nexact h", "as_aux_lemma => sorry",
  "refine And.left (b := p) ⟨sorry, ?_⟩" in
set_option llmsuggest.showInvalid true in
example (p : Prop) : p := by
  llmsuggest

/--
info: Suggestions that do not work:
  "exact itself": it uses the theorem that is being proved
  "exact @itself": it uses the theorem that is being proved
  "apply itself": it uses the theorem that is being proved
  "as_aux_lemma => exact itself": it uses the theorem that is being proved
  "simp [itself]": it uses the theorem that is being proved
---
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "exact itself", "exact @itself", "apply itself", "as_aux_lemma => exact itself",
  "simp [itself]" in
set_option llmsuggest.showInvalid true in
theorem itself : ∀ n : Nat, n * n + 1 = n ^ 2 + 1 := by
  llmsuggest

/--
info: Suggestions that do not work:
  "first | exact hq | exact foo": Unknown identifier `foo`
  "all_goals exact hq": Type mismatch
  "· skip": unsolved goals
  "exact absurd rfl (by decide)": Expected type must not contain metavariables
  "exact h": Unknown identifier `h`
  "refine ⟨?a, ?a⟩.1": Invalid `⟨...⟩` notation: The expected type of this term could not be determined
  "constructor\n": Tactic `constructor` failed: target is not an inductive datatype
  "done": unsolved goals
---
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "first | exact hq | exact foo", "all_goals exact hq", "· skip",
  "exact absurd rfl (by decide)", "exact h", "refine ⟨?a, ?a⟩.1", "constructor\n", "done" in
set_option llmsuggest.showInvalid true in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! Text that is no step. -/

/--
info: Suggestions that do not work:
  "": it is not a tactic
  "   \n": it is not a tactic
  "-- exact hp": it is not a tactic
  "exact (hp": it is not a tactic
  "exact hp)": it is not a tactic
  "theorem foo : False := sorry": it is not a tactic
  "end LlmSuggest": it is not a tactic
  "#eval 1": it is not a tactic
  "exact hp\n\ntheorem foo : False := by exact foo": it is not a tactic
  "�": it has characters that do not belong into Lean code
  "exact hp �[31m": it has characters that do not belong into Lean code
  "�exact hp": it has characters that do not belong into Lean code
  "exact hp -- �": it has characters that do not belong into Lean code
  "exact id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id"…: it is too long
---
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "", "   \n", "-- exact hp", "exact (hp", "exact hp)",
  "theorem foo : False := sorry", "end LlmSuggest", "#eval 1",
  "exact hp\n\ntheorem foo : False := by exact foo", "\x00", "exact hp \x1b[31m", "\texact hp",
  "exact hp -- \u202e", "\
  exact id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id \
  (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id" in
set_option llmsuggest.showInvalid true in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-- error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them. -/
#guard_msgs in
answering "exact hp /- and", "/- exact hp" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Comments around a step are not inserted, so that they cannot swallow what follows. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "/- first -/ exact hp -- )" in
example (p : Prop) (hp : p) : p := (by llmsuggest)

/-! Tactics that are not run at all. -/

/--
info: Suggestions that do not work:
  "run_tac throwError \"run\"": it has parts that are not run for a check
  "(sleep 100000000; exact hp)": it has parts that are not run for a check
  "first | llmsuggest | exact hp": it has parts that are not run for a check
  "native_decide": it has parts that are not run for a check
  "exact by_elab throwError \"run\"": it has parts that are not run for a check
  "set_option maxRecDepth 1000000 in repeat skip": it has parts that are not run for a check
---
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` shows them.
-/
#guard_msgs in
answering "run_tac throwError \"run\"", "(sleep 100000000; exact hp)",
  "first | llmsuggest | exact hp", "native_decide", "exact by_elab throwError \"run\"",
  "set_option maxRecDepth 1000000 in repeat skip" in
set_option llmsuggest.showInvalid true in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Limits. -/

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] repeat skip  -- not checked to the end: it reached a limit
  [apply] iterate 100000000 skip  -- not checked to the end: it reached a limit
  [apply] have : 10000 ∈ List.range 10000 := by simp (config := { maxSteps := 10 ^ 9, decide := true }) [List.range, List.range.loop]  -- not checked to the end: it reached a limit
  [apply] set_option maxHeartbeats 0 in repeat skip  -- not checked to the end: it reached a limit
-/
#guard_msgs in
answering "repeat skip", "iterate 100000000 skip",
  "have : 10000 ∈ List.range 10000 := by simp (config := { maxSteps := 10 ^ 9, decide := true }) [List.range, List.range.loop]",
  "set_option maxHeartbeats 0 in repeat skip", "exact hp" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! The limit of all checks together: what comes after it is not run. -/

/--
info: Try this:
  [apply] exact hp  -- not checked to the end: it reached a limit
---
error: unsolved goals
p : Prop
hp : p
⊢ p
-/
#guard_msgs in
answering "exact hp" in
set_option llmsuggest.checkTime 0 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! No trace: messages, declarations and names of what is not used. -/

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] (trace "seen"; constructor)  -- leaves 2 goals
-/
#guard_msgs in
answering "(trace \"seen\"; constructor)", "exact hp" in
example (p q : Prop) (hp : p ∧ q) : p ∧ q := by
  llmsuggest

/--
info: Try this:
  [apply] simp?  -- closes the goal
-/
#guard_msgs in
answering "simp?" in
example (n : Nat) : n + 0 = n := by
  llmsuggest

/-! Errors that were there before do not count against a step. -/

/--
error: Type mismatch
  hp
has type
  p
but is expected to have type
  q
---
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp" in
example (p q : Prop) (hp : p) : q ∧ p := by
  constructor
  · exact hp
  · llmsuggest
