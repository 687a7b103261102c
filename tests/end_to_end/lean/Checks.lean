import LlmSuggest
import FakeDaemon

/-!
# How suggestions are checked

Some of the answers are hostile. No mark may claim more than the step does.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option linter.unusedVariables false

/-! Steps that close the goal come first, then fewer goals, then the model's order. -/

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

/-! Steps that fail are hidden, unless `showInvalid` is set. -/

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
  "exact hq": Type mismatch hq has type q but is expected to have type p
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
error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them.
-/
#guard_msgs in
answering "exact hq" in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! A goal that a suggestion closes stays closed, any other stays open, and the other goals are
unchanged. -/

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

/-! Invalid proofs. -/

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
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "sorry", "admit", "stop", "exact (sorry : p)", "exact (by sorry)",
  "have h : p := sorry\nexact h", "as_aux_lemma => sorry",
  "refine And.left (b := p) ⟨sorry, ?_⟩" in
set_option llmsuggest.showInvalid true in
example (p : Prop) : p := by
  llmsuggest

/--
info: Try these:
  [apply] exact itself  -- closes the goal; recursive: it uses `itself`
  [apply] exact @itself  -- closes the goal; recursive: it uses `itself`
  [apply] apply itself  -- closes the goal; recursive: it uses `itself`
  [apply] as_aux_lemma => exact itself  -- closes the goal; recursive: it uses `itself`
  [apply] simp [itself]  -- closes the goal; recursive: it uses `itself`
---
error: unsolved goals
⊢ ∀ (n : Nat), n * n + 1 = n ^ 2 + 1
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
  "all_goals exact hq": Type mismatch hq has type q but is expected to have type p
  "· skip": unsolved goals
  "exact absurd rfl (by decide)": Expected type must not contain metavariables ¬?_ = ?_
  "exact h": Unknown identifier `h`
  "refine ⟨?a, ?a⟩.1": Invalid `⟨...⟩` notation: The expected type of this term could not be determined
  "constructor\n": Tactic `constructor` failed: target is not an inductive datatype
  "done": unsolved goals
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "first | exact hq | exact foo", "all_goals exact hq", "· skip",
  "exact absurd rfl (by decide)", "exact h", "refine ⟨?a, ?a⟩.1", "constructor\n", "done" in
set_option pp.mvars.anonymous false in
set_option llmsuggest.showInvalid true in
example (p q : Prop) (hq : q) : p := by
  llmsuggest

/-! Text that is no tactic. -/

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
  "�": it contains characters that do not occur in Lean code
  "exact hp �[31m": it contains characters that do not occur in Lean code
  "exact hp -- �": it contains characters that do not occur in Lean code
  "exact id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id (id"…: it is too long
---
info: Try this:
  [apply] exact hp  -- closes the goal
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

/-- error: llmsuggest: none of the model's suggestions works here. `set_option llmsuggest.showInvalid true` lists them. -/
#guard_msgs in
answering "exact hp /- and", "/- exact hp" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Comments around a step are not inserted, since they could comment out the text after it. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "/- first -/ exact hp -- )" in
example (p : Prop) (hp : p) : p := (by llmsuggest)

/-! Tactics that are never run. -/

/--
info: Suggestions that do not work:
  "run_tac throwError \"run\"": it contains syntax that a check never runs
  "(sleep 100000000; exact hp)": it contains syntax that a check never runs
  "first | llmsuggest | exact hp": it contains syntax that a check never runs
  "native_decide": it contains syntax that a check never runs
  "exact by_elab throwError \"run\"": it contains syntax that a check never runs
  "set_option maxRecDepth 1000000 in repeat skip": it contains syntax that a check never runs
---
error: llmsuggest: none of the model's suggestions works here.
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
info: Suggestions that do not work:
  "repeat skip": it reaches Lean's recursion limit, `maxRecDepth`
  "iterate 100000000 skip": it reaches Lean's recursion limit, `maxRecDepth`
  "have : 10000 ∈ List.range 10000 := by simp (config := { maxSteps := 10 ^ 9, deci"…: it reaches Lean's recursion limit, `maxRecDepth`
  "set_option maxHeartbeats 0 in repeat skip": it reaches Lean's recursion limit, `maxRecDepth`
---
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "repeat skip", "iterate 100000000 skip",
  "have : 10000 ∈ List.range 10000 := by simp (config := { maxSteps := 10 ^ 9, decide := true }) [List.range, List.range.loop]",
  "set_option maxHeartbeats 0 in repeat skip", "exact hp" in
set_option llmsuggest.showInvalid true in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! No limit for checks: the user's own limit holds. -/

/--
info: Suggestions that do not work:
  "(iterate 40 have : 10 * a < 10 * b := by omega); omega": it exceeds what is left of `maxHeartbeats` here
---
info: Try this:
  [apply] exact Nat.le_of_lt h  -- closes the goal
-/
#guard_msgs in
answering "(iterate 40 have : 10 * a < 10 * b := by omega); omega", "exact Nat.le_of_lt h" in
set_option maxHeartbeats 1000 in
set_option llmsuggest.heartbeats 0 in
set_option llmsuggest.showInvalid true in
example (a b : Nat) (h : a < b) : a ≤ b := by
  llmsuggest

/-! Lean goes on after an error of elaboration, in a check as in the file. -/

/--
info: Suggestions that do not work:
  "constructor\nany_goals exact id hp\nexact hq": Application type mismatch: The argument hp has type p but is expected to have type q in the application id hp
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "constructor\nany_goals exact id hp\nexact hq" in
set_option llmsuggest.showInvalid true in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! The limit of all checks together: later steps are not run. -/

/--
info: Try this:
  [apply] exact hp  -- check stopped: `llmsuggest.checkTime` was reached
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

/-! Steps that are not used leave no messages, declarations or names. -/

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
  [apply] simp only [Nat.add_zero]  -- closes the goal
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

/-! A step that exceeds Lean's recursion depth would also fail in the file. -/

/--
info: Suggestions that do not work:
  "simp [h1, h2]": it reaches Lean's recursion limit, `maxRecDepth`
  "simp only [h1, h2]": it reaches Lean's recursion limit, `maxRecDepth`
---
info: Try this:
  [apply] rw [h1]  -- leaves 1 goal
---
error: unsolved goals
a b c : Nat
h1 : a = b
h2 : b = a
⊢ a + c = c + b
-/
#guard_msgs in
answering "simp [h1, h2]", "simp only [h1, h2]", "rw [h1]" in
set_option llmsuggest.showInvalid true in
example (a b c : Nat) (h1 : a = b) (h2 : b = a) : a + c = c + b := by
  llmsuggest

/--
info: Suggestions that do not work:
  "decide": it reaches Lean's recursion limit, `maxRecDepth`
  "rfl": it reaches Lean's recursion limit, `maxRecDepth`
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "decide", "rfl" in
set_option llmsuggest.showInvalid true in
example : (List.range 3000).length = 3000 := by
  llmsuggest

/-! Each step has a time slice, so a slow step does not use up the time of later ones. -/

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] trivial  -- closes the goal
  [apply] iterate 10 (iterate 20 (iterate 20 (iterate 20 (iterate 20 skip))))  -- check stopped: `llmsuggest.checkTime` was reached
-/
#guard_msgs in
answering "iterate 10 (iterate 20 (iterate 20 (iterate 20 (iterate 20 skip))))", "exact hp", "trivial" in
set_option llmsuggest.heartbeats 100000000 in
set_option llmsuggest.checkTime 3000 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! A `sorry` of the user does not count against a step. -/

/--
info: Suggestions that do not work:
  "exact fun n => sorry": it leaves a `sorry`
  "intro n\nsorry": it leaves a `sorry`
---
info: Try these:
  [apply] intro n
    rfl  -- closes the goal
  [apply] exact fun n => rfl  -- closes the goal
---
warning: declaration uses `sorry`
-/
#guard_msgs in
answering "intro n\nrfl", "exact fun n => rfl", "exact fun n => sorry", "intro n\nsorry" in
set_option llmsuggest.showInvalid true in
example : ∃ f : Nat → Nat, ∀ n, f n = f n := by
  refine ⟨sorry, ?_⟩
  llmsuggest

/-- warning: declaration uses `sorry` -/
#guard_msgs in
def unknown : Nat := sorry

/--
info: Suggestions that do not work:
  "exact (sorry : unknown = unknown)": it leaves a `sorry`
  "sorry": it leaves a `sorry`
---
info: Try these:
  [apply] rfl  -- closes the goal
  [apply] unfold unknown; rfl  -- closes the goal
  [apply] simp [unknown]  -- closes the goal
-/
#guard_msgs in
answering "rfl", "unfold unknown; rfl", "simp [unknown]", "exact (sorry : unknown = unknown)", "sorry" in
set_option llmsuggest.showInvalid true in
example : id unknown = unknown := by
  llmsuggest

/--
info: Suggestions that do not work:
  "exact sorry": it leaves a `sorry`
  "admit": it leaves a `sorry`
---
info: Try these:
  [apply] exact h 3  -- closes the goal
  [apply] exact (fun _ : x = x => h 3) rfl  -- closes the goal
---
warning: declaration uses `sorry`
-/
#guard_msgs in
answering "exact h 3", "exact (fun _ : x = x => h 3) rfl", "exact sorry", "admit" in
set_option llmsuggest.showInvalid true in
example (p : Nat → Prop) (h : ∀ n, p n) : p 3 := by
  let x : Nat := sorry
  have y : p 4 := sorry
  llmsuggest

/-! The mark lists metavariables that a step assigns. Steps that assign none come first. -/

/--
info: Try these:
  [apply] exact Nat.le_refl _  -- closes the goal; sets ?m := a
  [apply] exact h1  -- closes the goal; sets ?m := b
---
error: Type mismatch
  h2
has type
  b ≤ c
but is expected to have type
  a ≤ c
-/
#guard_msgs in
answering "exact Nat.le_refl _", "exact h1" in
example (a b c : Nat) (h1 : a ≤ b) (h2 : b ≤ c) : a ≤ c := by
  apply Nat.le_trans
  · llmsuggest
  · exact h2

/--
info: Try this:
  [apply] exact hy  -- closes the goal
-/
#guard_msgs in
answering "exact hx 4", "exact hy" in
example (x : Nat → Prop) (y : Prop) (hx : ∀ n, x n) (hy : y) (f : ∀ n, x n ∨ y → x n) : x 4 := by
  apply f _ (Or.inr ?_)
  llmsuggest

/--
info: Try these:
  [apply] rfl  -- closes the goal; sets ?a := ?b
  [apply] constructor  -- closes the goal; sets ?a := ?b
---
error: unsolved goals
case b
f : ∀ {α : Type} (a b : α), a = b → ∀ (a : α), 0 = 0
⊢ Nat
-/
#guard_msgs in
answering "exact rfl", "rfl", "constructor" in
example (f : ∀ {α : Type} (a b : α), a = b → α → 0 = 0) : 0 = 0 := by
  apply f
  · llmsuggest
  · exact 3

/-! A name with the spelling of a forbidden option is allowed. -/

/--
info: Suggestions that do not work:
  "exact (by decide +kernel)": it contains syntax that a check never runs
  "decide (kernel := true)": it contains syntax that a check never runs
  "decide (config := ⟨true, false, true, false⟩)": it contains syntax that a check never runs
  "decide -kernel": Expected type must not contain free variables p
---
info: Try these:
  [apply] exact kernel  -- closes the goal
  [apply] exact native kernel  -- closes the goal
  [apply] simp (config := {}) [kernel]  -- closes the goal
-/
#guard_msgs in
answering "exact kernel", "exact native kernel", "exact (by decide +kernel)", "simp (config := {}) [kernel]",
  "decide (kernel := true)", "decide (config := ⟨true, false, true, false⟩)", "decide -kernel" in
set_option llmsuggest.showInvalid true in
set_option llmsuggest.n 9 in
example (p : Prop) (kernel : p) (native : p → p) : p := by
  llmsuggest

/-! The model gets the goal as Lean prints it by default. -/

/--
info: Try this:
  [apply] exact h  -- closes the goal
-/
#guard_msgs in
answering "exact h" in
set_option pp.notation false in
set_option pp.explicit true in
set_option pp.all true in
example (a b : Nat) (h : a = b ∧ a < b) : a = b ∧ a < b := by
  llmsuggest

/--
info: goal = a b : Nat
h : a = b ∧ a < b
⊢ a = b ∧ a < b
---
info: prefix = ⏎
---
info: n = 5
-/
#guard_msgs in
#last_request

/-! Uses of the theorem itself come last: only the complete proof can show that they are valid. -/

/--
info: Try these:
  [apply] omega  -- closes the goal
  [apply] have h := double n
      omega  -- closes the goal; recursive: it uses `double`
-/
#guard_msgs in
answering "exact double n", "have h := double n\nomega", "omega" in
theorem double : (n : Nat) → n + n = 2 * n
  | 0 => rfl
  | n + 1 => by
    have := double n
    llmsuggest
