import LlmSuggest
import LlmSuggest.Panel

/-! Type `llmsuggest` in the place of a `sorry`, and click a suggestion in the infoview. -/

theorem and_swap (p q : Prop) (h : p ∧ q) : q ∧ p := by
  sorry

theorem or_swap (p q : Prop) (h : p ∨ q) : q ∨ p := by
  cases h with
  | inl hp => sorry
  | inr hq => sorry

/-! With a text, as in `llmsuggest "induction"`, all suggestions start with it. -/

theorem zero_add' (n : Nat) : 0 + n = n := by
  sorry

theorem length_append (xs ys : List α) : (xs ++ ys).length = ys.length + xs.length := by
  sorry

/-! From here on, a panel lists suggestions for the goal at the cursor, without a call. -/

show_panel_widgets [local llmSuggestPanel]

theorem le_of_add (a b : Nat) : a ≤ a + b := by
  sorry
