"""The model's answers to the goals of `Places.lean`."""

PAIR = [
    "exact ⟨hp, hq⟩",
    "constructor\n· exact hp\n· exact hq",
    "constructor <;> assumption",
    "refine ⟨?_, hq⟩ -- )\nexact hp -- )",
    "  constructor\n  all_goals\n    assumption\n",
    "exact And.intro\n  hp\n   hq",
    "constructor",
    "refine ⟨hp, ?_⟩;",
    'have s := "one\ntwo"\nexact (fun _ => ⟨hp, hq⟩) s',
    "first | exact hp | exact ⟨hp, hq⟩",
    "apply And.intro hp <;> exact hq",
    "by\n  have h : p := by\n    exact hp\n  exact ⟨h, hq⟩",
    "⟨hp, hq⟩",
    "have := hp",
    "(constructor; exact hp; exact hq)",
    "simp [hp, hq]",
]
ZERO = [
    "rfl",
    "simp?",
    "show n = n\nrfl",
    "cases n <;> rfl",
    "induction n with\n| zero => rfl\n| succ n ih => rfl",
    "calc\n  n + 0 = n := Nat.add_zero n\n  _ = n := rfl",
    "exact (Nat.add_zero n);",
    "rw [Nat.add_comm]",
    "cases n",
    "conv => lhs; rw [Nat.add_zero]",
    "match n with\n| 0 => rfl\n| n + 1 => rfl",
    "show n = n",
]
SELF = [
    "intro h\nexact h",
    "exact id",
    "exact fun h => h",
    "intro h",
    "fun h => h",
    "intro h; exact h",
    "exact fun h => by\n  exact h",
    "show_term exact id",
]
SQUARE = [
    "exact ⟨7, rfl⟩",
    "exists 7",
    "refine ⟨7, ?_⟩",
    "refine ⟨7, ?_⟩\nrfl",
    "constructor\n· show 7 * 7 = 49\n  rfl",
    "constructor",
    "exact ⟨_, (rfl : 7 * 7 = 49)⟩",
    "have h : 7 * 7 = 49 := by decide\nexact ⟨7, h⟩",
]
#: Suggestions by the target of the goal.
ANSWERS = {
    "p ∧ q": PAIR,
    "n + 0 = n": ZERO,
    "p → p": SELF,
    "∃ n, n * n = 49": SQUARE,
}
