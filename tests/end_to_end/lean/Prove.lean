import LlmSuggest
import FakeDaemon

/-!
# What `llmprove` finds and what it tells

The model gives the same steps for each goal.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option llmprove.moves false
set_option llmprove.seconds 100
set_option linter.unusedVariables false

/-! Goals are proved apart. -/

/--
info: Try this:
  [apply] constructor
    · exact hp
    · exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor", "exact hp", "exact hq" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmprove

/--
info: Try this:
  [apply] intro hp hq hr
    constructor
    · constructor
      · exact hp
      · exact hq
    · exact hr  -- closes the goal
-/
#guard_msgs in
answering "intro hp hq hr", "constructor", "exact hp", "exact hq", "exact hr" in
example (p q r : Prop) : p → q → r → (p ∧ q) ∧ r := by
  llmprove

/-! Those that share a metavariable are proved one after another. -/

/--
info: Try this:
  [apply] refine ⟨?_, ?_, ?_⟩
    exact 3
    · exact rfl
    · decide  -- closes the goal
-/
#guard_msgs in
answering "refine ⟨?_, ?_, ?_⟩", "exact rfl", "decide", "exact 3" in
example : ∃ n : Nat, n = 3 ∧ 2 < n := by
  llmprove

/-! Equal goals are one, whatever their hypotheses are called. -/

/--
info: Try this:
  [apply] cases h with
    | inl a => exact a
    | inr b => exact b  -- closes the goal
-/
#guard_msgs in
answering "cases h with\n| inl a => ?_\n| inr b => ?_", "exact a" in
example (p : Prop) (h : p ∨ p) : p := by
  llmprove

/-! What is used up, and the best part. -/

/--
info: Try this:
  [apply] constructor
    · exact hp
    · sorry  -- not finished: 1 goal is left as `sorry`
---
error: llmprove: no proof was found, and no step is left to try (6 goals asked about, 6 steps run).
-/
#guard_msgs in
answering "constructor", "exact hp" in
example (p q : Prop) (hp : p) : p ∧ q := by
  llmprove

/--
info: Try this:
  [apply] rw [Nat.add_comm]  -- leaves 1 goal
---
error: llmprove: no proof was found (1 goals asked about, 1 steps run). `set_option llmprove.expansions 2` lets it ask about more goals.
-/
#guard_msgs in
answering "rw [Nat.add_comm]" in
set_option llmprove.expansions 1 in
example (a b c : Nat) : a + b = c := by
  llmprove

/--
error: llmprove: no proof was found in 1 s (0 goals asked about, 0 steps run). `set_option llmprove.seconds 2` gives the search more time.
-/
#guard_msgs in
behaving "slow" in
set_option llmprove.seconds 1 in
example (a b : Nat) : a = b := by
  llmprove

/-- error: llmprove: the request to the daemon failed (curl: (52) Empty reply from server). Run `llmsuggestd doctor` to find the cause. -/
#guard_msgs in
behaving "hang up" in
example (a b : Nat) : a = b := by
  llmprove

/-- error: llmprove: another program or version answers at the daemon's address (status 200). Run `llmsuggestd doctor` to find the cause. -/
#guard_msgs in
behaving "html" in
example (a b : Nat) : a = b := by
  llmprove

/-! What Lean finds alone needs no model. -/

/--
info: Try this:
  [apply] omega  -- closes the goal
-/
#guard_msgs in
behaving "hang up" in
set_option llmsuggest.finishers "rfl, omega" in
example (a b : Nat) : a + b = b + a := by
  llmprove

inductive Tree where
  | leaf
  | node (l : Tree) (x : Nat) (r : Tree)

def Tree.mirror : Tree → Tree
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror

/--
info: Try this:
  [apply] induction t with
    | leaf => rfl
    | node l x r ih1 ih2 => simp_all [Tree.mirror]  -- closes the goal
-/
#guard_msgs in
answering in
set_option llmsuggest.finishers "rfl" in
set_option llmprove.moves true in
example (t : Tree) : t.mirror.mirror = t := by
  llmprove

/-! # Answers that must not be offered -/

/-! Axioms, and what cannot be read. -/

/--
error: llmprove: no proof was found, and no step is left to try (3 goals asked about, 5 steps run).
-/
#guard_msgs in
answering "sorry", "exact sorry", "admit", "exact lcProof", "native_decide", "exact h" in
example (p : Prop) : p := by
  llmprove

/-! The theorem itself. -/

/--
error: llmprove: no proof was found, and no step is left to try (3 goals asked about, 2 steps run).
-/
#guard_msgs in
answering "exact self n", "simp [self]" in
theorem self (n : Nat) : n = 2 := by
  llmprove

/-! Other goals, and their help. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "all_goals exact hp", "swap; exact hp", "· exact hp\n· exact hq", "case b => exact hq", "exact hp" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  refine ⟨?a, ?b⟩
  llmprove
  exact hq

/-! Steps without an end. -/

/--
error: llmprove: no proof was found, and no step is left to try (3 goals asked about, 2 steps run).
-/
#guard_msgs in
answering "repeat (have := 1; clear this)", "iterate 100000000 skip" in
set_option llmsuggest.heartbeats 200 in
example (p : Prop) : p := by
  llmprove

/-! The user's own limit is that of the whole proof. -/

/--
error: llmprove: no proof was found, and no step is left to try (5 goals asked about, 6 steps run). A proof was found, but it failed when run from the start: it exceeds what is left of `maxHeartbeats` here.
-/
#guard_msgs in
answering "constructor", "iterate 100 (have := 1; clear this)\nassumption" in
set_option maxHeartbeats 1000 in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmprove

/-! Outside of an editor, and again on the same goal. -/

/-- error: llmprove: a proof is searched for only in an editor. Replace this call with the proof, or set the option `llmsuggest.inBuild`. -/
#guard_msgs in
answering "trivial" in
set_option llmsuggest.inBuild false in
example : True := by
  llmprove

/--
info: Try this:
  [apply] first
                    | exact hp
                    | exact hq  -- closes the goal
-/
#guard_msgs in
answering "exact hp", "exact hq" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor <;> llmprove
