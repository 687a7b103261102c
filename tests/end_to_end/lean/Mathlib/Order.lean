module

/-! A module that has the name of one of Mathlib's. -/

public section

/-- Something of Mathlib's. -/
def Mathlib.IsTop (n : Nat) : Prop := ∀ m, m ≤ n
