import LlmSuggest
import FakeDaemon

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000

/-! Calls in many places. `test_tactic.py` sets the answers and inserts each of them. -/

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q :=
  by llmsuggest "con"

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  · llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  · skip
    · skip; llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  skip <;> llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  skip <;>
    llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  skip
  llmsuggest <;> skip

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  first | llmsuggest | exact ⟨hp, hq⟩

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  all_goals llmsuggest

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  have h : p ∧ q := by
    llmsuggest
  exact h

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  show p ∧ q; (llmsuggest)

example (p q : Prop) (hp : p) (hq : q) (n : Nat) : p ∧ q := by
  cases n with
  | zero => llmsuggest
  | succ n =>
    exact ⟨hp, hq⟩

example (p q : Prop) (hp : p) (hq : q) (n : Nat) : p ∧ q := by
  match n with
  | 0 => exact ⟨hp, hq⟩
  | n + 1 =>
      llmsuggest

example (p q r : Prop) (hp : p) (hq : q) (f : p ∧ q → r → r) (hr : r) : r :=
  f (by llmsuggest) hr

example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by {
  llmsuggest
}

example (p q r : Prop) (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r := by
  constructor
  llmsuggest
  exact hr
