import LlmSuggest
import FakeDaemon

/-!
# Answers that must not mislead a search

Each theorem stands in a paragraph of its own. The name says whether a proof is offered: `test_prove.py`
looks whether one is, and puts it in the place of the call.
-/

-- One theorem after the other, since each has answers of its own.
set_option Elab.async false
set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""
set_option llmprove.moves false
set_option llmprove.seconds 100
set_option llmprove.expansions 24
set_option llmprove.n 8
set_option linter.unusedVariables false

variable {p q r : Prop}

/-! Steps without an end. -/

answering "exact (sleep 1000000; hp)", "sleep 100000", "exact hp" in
theorem proved_sleep (hp : p) : p := by
  llmprove

answering "repeat (have := 1; clear this)" in
theorem refused_repeat : p := by
  llmprove

answering "iterate 100000000 skip" in
theorem refused_iterate : p := by
  llmprove

answering "simp [h1, h2]", "simp only [h1, h2] at *", "rw [h1, h2]" in
theorem refused_looping_simp (a b c : Nat) (h1 : a = b) (h2 : b = a) : a = c := by
  llmprove

answering "decide", "exact of_decide_eq_true rfl", "norm_num" in
theorem refused_huge (n : Nat) : 2 ^ 100000000 ≤ n := by
  llmprove

/-! A goal that comes back, in itself or with others. -/

answering "refine id ?_", "show p", "apply id", "have := hq" in
theorem refused_same_goal (hq : q) : p := by
  llmprove

answering "rw [Nat.add_comm]", "apply Eq.symm", "symm" in
theorem refused_there_and_back (a b c : Nat) : a + b = c := by
  llmprove

answering "apply h1", "apply h2" in
theorem refused_circle (h1 : q → p) (h2 : p → q) : p := by
  llmprove

answering "exact ⟨h1 ?_, h2 ?_⟩", "apply h1", "apply h2", "constructor" in
theorem refused_mutual (h1 : q → p) (h2 : p → q) : p ∧ q := by
  llmprove

answering "exfalso", "apply False.elim" in
theorem refused_exfalso (hp : p) : q := by
  llmprove

answering "have h := hp", "have := hp", "obtain h | h := Classical.em p" in
theorem refused_more_and_more (hp : p) : q := by
  llmprove

answering "apply h1", "apply h2", "exact hq" in
theorem proved_beside_a_circle (h1 : q → p) (h2 : p → q) (hq : q) : p := by
  llmprove

/-! The theorem itself, and what it would prove. -/

answering "exact refused_itself n", "apply refused_itself", "simp [refused_itself]" in
theorem refused_itself (n : Nat) : n = 2 := by
  llmprove

answering "exact second n", "omega", "simp" in
mutual
theorem refused_first (n : Nat) : n = 2 := by
  llmprove
theorem second (n : Nat) : n = 2 := by
  exact refused_first n
end

answering "exact this", "assumption", "exact ‹_›" in
theorem refused_this (n : Nat) : n = 2 := by
  llmprove

/-! Other goals. -/

answering "all_goals exact hp", "swap; exact hq", "rotate_left", "any_goals exact hq", "exact hp" in
theorem proved_first_of_two (hp : p) (hq : q) : p ∧ q := by
  refine ⟨?a, ?b⟩
  llmprove
  exact hq

answering "case b => exact hq", "pick_goal 2", "on_goal 2 => exact hq", "exact ?b" in
theorem refused_other_goals (hq : q) : p ∧ q := by
  refine ⟨?a, ?b⟩
  llmprove
  exact hq

answering "constructor", "all_goals exact hp", "exact hp", "exact hq" in
theorem proved_apart (hp : p) (hq : q) : p ∧ q := by
  llmprove

/-! Metavariables, with a wrong value first. -/

answering "apply Nat.le_trans", "exact h3", "exact h1", "exact h2" in
theorem proved_another_value (a b c d : Nat) (h3 : a ≤ d) (h1 : a ≤ b) (h2 : b ≤ c) : a ≤ c := by
  llmprove

answering "refine ⟨?_, ?_⟩", "exact 4", "exact 3", "rfl" in
theorem proved_witness : ∃ n : Nat, n = 3 := by
  llmprove

answering "refine ⟨?_, ?_⟩", "exact 4", "exact 5", "decide", "rfl" in
theorem refused_witness : ∃ n : Nat, n = 3 ∧ n = 2 := by
  llmprove

answering "apply Nat.le_trans", "exact Nat.le_refl _", "exact Nat.zero_le _" in
theorem refused_undetermined (a b : Nat) : a ≤ b := by
  llmprove

answering "have h : PUnit := ⟨⟩\nexact hp", "exact (fun _ : PUnit => hp) ⟨⟩", "have x := PUnit.unit" in
theorem refused_universe (hp : p) : p := by
  llmprove

answering "exact Exists.elim ⟨_, rfl⟩ (fun _ _ => hp)", "exact hp" in
theorem proved_no_hole (hp : p) : p := by
  llmprove

/-! What is no proof. -/

answering "sorry", "exact sorry", "admit", "exact (sorry : q → p) hq", "constructor <;> sorry" in
theorem refused_sorry (hq : q) : p := by
  llmprove

answering "native_decide", "decide +native", "decide +kernel", "exact Lean.ofReduceBool _ _ rfl" in
theorem refused_compiler : 3 ∣ 12345 := by
  llmprove

answering "exact lcProof", "exact lcUnreachable", "exact unsafeCast hq", "exact cast lcProof hq" in
theorem refused_unsafe (hq : q) : p := by
  llmprove

answering "exact lcAny", "run_tac return", "exact by_elab return .const `True.intro []", "eval% 1" in
theorem refused_code : p := by
  llmprove

answering "set_option debug.skipKernelTC true in exact hp", "set_option maxRecDepth 9 in exact hp" in
theorem refused_option (hp : p) : p := by
  llmprove

answering "try?", "llmsuggest", "llmprove", "exact (by llmprove)" in
theorem refused_asking_again (hp : p) : p := by
  llmprove

/-! What cannot be read, or could be read as something else. -/

answering ")", "exact (", "· ", "", " ", "-- exact hp", "/- exact hp -/", "import Lean" in
theorem refused_no_step (hp : p) : p := by
  llmprove

answering "exact hp\nend\ntheorem x : False := by sorry", "exact hp -/", "exact h\u202ep" in
theorem refused_more_than_a_step (hp : p) : p := by
  llmprove

answering "constructor -- )\n", "exact hp -- }", "exact hq /- -/" in
theorem proved_with_comments (hp : p) (hq : q) : p ∧ q := by
  llmprove

answering "constructor;", "exact hp;", "exact hq <;> skip" in
theorem proved_with_separators (hp : p) (hq : q) : p ∧ q := by
  llmprove

answering "```lean\nby constructor\n```", "by exact hp", "exact hq," in
theorem proved_mended (hp : p) (hq : q) : p ∧ q := by
  llmprove

answering "refine ⟨?_, ?_⟩ <;> first\n| exact hp\n| exact hq" in
theorem proved_lines (hp : p) (hq : q) : p ∧ q := by
  llmprove

/-! Names of hypotheses. -/

answering "cases h", "exact h_1", "assumption", "rename_i x\nexact x" in
theorem proved_hidden_names (h : p ∨ p) : p := by
  llmprove

answering "intro h", "intro h\nexact h" in
theorem proved_same_name : p → q → q := by
  llmprove

answering "rcases h with a | b", "exact a" in
theorem proved_renamed (h : p ∨ p) : p := by
  llmprove

answering "rcases h with «a b» | «c d»", "exact «a b»" in
theorem proved_quoted_name (h : p ∨ p) : p := by
  llmprove

answering "rcases h with ⟨a, b⟩ | ⟨c, d⟩", "exact a", "exact (fun a => a) a" in
theorem proved_bound_names (h : p ∧ q ∨ p ∧ q) : p := by
  llmprove

/-! What depends on where a step stands. -/

answering "constructor", "exact hp", "exact hq" in
theorem proved_in_term (hp : p) (hq : q) : (p ∧ q) ∧ True := ⟨by
  llmprove, trivial⟩

answering "grind", "exact ⟨hp, by grind⟩" in
theorem proved_own_lemmas (hp : p) (hq : q) : p ∧ q ∧ p := by
  llmprove

answering "simp?", "exact?", "rw?" in
theorem proved_printing (xs : List Nat) : xs ++ [] = xs := by
  llmprove

answering "intro n", "induction n with\n| zero => ?_\n| succ n ih => ?_", "rfl", "rw [Nat.zero_add]" in
theorem proved_induction : ∀ n : Nat, 0 + n = n := by
  llmprove
