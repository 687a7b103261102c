import LlmSuggest
import FakeDaemon

/-!
# Answers that are nearly steps
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option llmsuggest.showInvalid true
set_option linter.unusedVariables false

/-! Text that models put around tactics. -/

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] apply hp  -- closes the goal
  [apply] assumption  -- closes the goal
  [apply] show p; exact hp  -- closes the goal
  [apply] have := hp; exact this  -- closes the goal
  [apply] exact id hp  -- closes the goal
  [apply] skip
    exact hp  -- closes the goal
  [apply] exact id (id hp)  -- closes the goal
  [apply] exact (fun h => h) hp  -- closes the goal
-/
#guard_msgs in
answering "by exact hp", ":= by apply hp", "```lean\nassumption\n```", "```\nshow p; exact hp\n```",
  "`have := hp; exact this`", "exact id hp,", "by\n  skip\n  exact hp", ":= id (id hp)",
  "```lean4\nby exact (fun h => h) hp\n```\nThis closes the goal." in
set_option llmsuggest.n 9 in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Terms, which are steps only if they have the right type. -/

/--
info: Suggestions that do not work:
  "hp": Type mismatch hp has type p but is expected to have type p ∧ q
  "⟨hq, hp⟩": Application type mismatch: The argument hq has type q but is expected to have type p in the application And.intro hq
  "fun h => h": Type mismatch fun h => h has type ?m.2 → ?m.2 but is expected to have type p ∧ q
---
info: Try these:
  [apply] exact ⟨hp, hq⟩  -- closes the goal
  [apply] exact And.intro hp
      hq  -- closes the goal
-/
#guard_msgs in
answering "⟨hp, hq⟩", "hp", "And.intro hp\n  hq", "⟨hq, hp⟩", "fun h => h" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! Lines too far to the right, tabs, commas. -/

/--
info: Suggestions that do not work:
  "constructor\n  exact hp\n    exact hq": Function expected at hp but this term has type p
---
info: Try these:
  [apply] constructor
    · exact hp
    · exact hq  -- closes the goal
  [apply] constructor
    exact hp
    exact hq  -- closes the goal
  [apply] constructor
    exact hp
    assumption  -- closes the goal
  [apply] have h : p := by
      exact hp
    exact ⟨h, hq⟩  -- closes the goal
  [apply] constructor
    · assumption
    · assumption  -- closes the goal
-/
#guard_msgs in
answering "constructor\n    · exact hp\n    · exact hq", "constructor\n\texact hp\n\texact hq",
  "constructor\n  exact hp\n    exact hq", "constructor,\nexact hp,\nassumption,",
  "have h : p := by\n      exact hp\n    exact ⟨h, hq⟩",
  "by constructor\n   · assumption\n   · assumption" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

/-! Equal steps are listed once. -/

/--
info: Try this:
  [apply] exact hp  -- closes the goal
-/
#guard_msgs in
answering "exact hp", "by exact hp", "hp", "exact hp,", "```lean\nexact hp\n```" in
example (p : Prop) (hp : p) : p := by
  llmsuggest

/-! Steps that print what they do. -/

/--
info: Suggestions that do not work:
  "intro; simp?": Tactic `introN` failed: There are no additional binders or `let` bindings in the goal to introduce
---
info: Try these:
  [apply] simp only [Nat.add_zero]  -- closes the goal
  [apply] exact Nat.add_eq_left.mpr rfl  -- closes the goal
  [apply] exact of_eq_true (eq_self n)  -- closes the goal
  [apply] rw [@Nat.add_eq_left]  -- closes the goal
  [apply] have := n
    simp only [Nat.add_zero]  -- closes the goal
-/
#guard_msgs in
answering "simp?", "exact?", "show_term simp", "rw?", "have := n\nsimp?", "intro; simp?", "apply?" in
set_option llmsuggest.n 9 in
example (n : Nat) : n + 0 = n := by
  llmsuggest

/-! Steps with deprecated declarations come later. -/

@[deprecated Nat.add_comm (since := "2026-01-01")]
theorem addSwap (a b : Nat) : a + b = b + a := Nat.add_comm a b

/--
info: Try these:
  [apply] exact Nat.add_comm a b  -- closes the goal
  [apply] exact addSwap a b  -- closes the goal; deprecated: `addSwap`
  [apply] rw [addSwap]  -- closes the goal; deprecated: `addSwap`
-/
#guard_msgs in
answering "exact addSwap a b", "rw [addSwap]", "exact Nat.add_comm a b" in
example (a b : Nat) : a + b = b + a := by
  llmsuggest

/-! Reasons are whole sentences. -/

/--
info: Suggestions that do not work:
  "intro x\npositivity": `positivity` is unknown here: is an import missing?
  "omega": omega could not prove the goal
  "rfl": Tactic `rfl` failed: The left-hand side b is not definitionally equal to the right-hand side a
  "decide": Expected type must not contain free variables b < a
  "linarith [h]": `linarith` is unknown here: is an import missing?
  "rw [Nat.mul_comm]": Tactic `rewrite` failed: Did not find an occurrence of the pattern ?n * ?m in the target expression b < a
  "simp": `simp` made no progress
  "exact foo": Unknown identifier `foo`
  "constructor": Tactic `constructor` failed: no applicable constructor found
  "apply h": Tactic `apply` failed: could not unify the type of `h` a < b with the goal b < a
  "nlinarith": `nlinarith` is unknown here: is an import missing?
---
error: llmsuggest: none of the model's suggestions works here.
-/
#guard_msgs in
answering "omega", "rfl", "decide", "linarith [h]", "rw [Nat.mul_comm]", "simp", "exact foo", "constructor",
  "apply h", "nlinarith", "intro x\npositivity" in
example (a b : Nat) (h : a < b) : b < a := by
  llmsuggest

/--
info: Suggestions that do not work:
  "norm_num at h ⊢": `norm_num` is unknown here: is an import missing?
  "nlinarith [h]": `nlinarith` is unknown here: is an import missing?
  "positivity": `positivity` is unknown here: is an import missing?
---
error: llmsuggest: `norm_num`, `nlinarith`, `positivity` are unknown here: is an import missing?
-/
#guard_msgs in
answering "nlinarith [h]", "positivity", "norm_num at h ⊢" in
example (a b : Nat) (h : a < b) : b < a := by
  llmsuggest

/-- error: llmsuggest: `linarith` is unknown here: is an import missing? -/
#guard_msgs in
answering "linarith" in
set_option llmsuggest.showInvalid false in
example (a b : Nat) (h : a < b) : b < a := by
  llmsuggest
