import LlmSuggest
import FakeDaemon

/-!
# The inserted text, for calls in all kinds of places

`test_offers.py` also inserts suggestions in many more places, and runs the results.
-/

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option llmsuggest.finishers ""

/-! After `·`, and further to the right. -/

/--
info: Try this:
  [apply] constructor
      · exact hp
      · exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\n· exact hp\n· exact hq" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  · llmsuggest

/-! The model's own margin does not matter; lines inside a step keep their indentation. -/

/--
info: Try this:
  [apply] constructor
             · exact hp
             ·
               exact hq  -- closes the goal
-/
#guard_msgs in
answering "    constructor\n    · exact hp\n    ·\n      exact hq\n" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  skip; (( llmsuggest ))

/-! After a `by` on one line, in a term. -/

/--
info: Try this:
  [apply] 
      constructor
      exact hp
      exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\nexact hp\nexact hq" in
example (p q r : Prop) (hp : p) (hq : q) (f : p ∧ q → r) : r :=
  f (show p ∧ q from by llmsuggest)

/-! In nested blocks. -/

/--
info: Try this:
  [apply] intro hp
          exact hp  -- closes the goal
-/
#guard_msgs in
answering "intro hp\nexact hp" in
example (p : Prop) (n : Nat) : p → p := by
  cases n with
  | zero =>
    have h : p → p := by
        llmsuggest
    exact h
  | succ n => exact id

/-! Beside `<;>`, where several steps need brackets. -/

/--
info: Try these:
  [apply] (exact (fun h => h) ‹_›)  -- closes the goal
  [apply] (skip
              assumption)  -- closes the goal
  [apply] (skip <;> assumption)  -- closes the goal
  [apply] assumption  -- closes the goal
-/
#guard_msgs in
answering "(exact (fun h => h) ‹_›)", "skip\nassumption", "skip <;> assumption", "assumption" in
example (p : Prop) (hp : p) : p := by
  skip <;> llmsuggest

/--
info: Try this:
  [apply] (all_goals constructor)  -- leaves 2 goals
-/
#guard_msgs in
answering "all_goals constructor" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  llmsuggest <;> skip
  exact ⟨hp, hq⟩

/-! A step that cannot be moved without changing it is not offered. -/

/--
info: Try this:
  [apply] exact (fun _ => trivial) "one
  two"  -- closes the goal
-/
#guard_msgs in
answering "exact (fun _ => trivial) \"one\ntwo\"" in
example : True := by
  llmsuggest

/-! Comments around the call, and a `;` of the answer's own. -/

/--
info: Try these:
  [apply] (skip
                             exact hp)  -- closes the goal
  [apply] (have h := hp
                             exact h)  -- closes the goal
-/
#guard_msgs in
answering "skip\nexact hp", "have h := hp\nexact h" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  constructor; /- left -/ llmsuggest
  exact hq

/--
info: Try these:
  [apply] first | exact hp | exact hq  -- closes the goal
  [apply] (skip; assumption)  -- closes the goal
  [apply] (have h := hp
       assumption)  -- closes the goal
---
warning: unused variable `q`

Note: This linter can be disabled with `set_option linter.unusedVariables false`
-/
#guard_msgs in
answering "first | exact hp | exact hq", "skip; assumption", "have h := hp\nassumption" in
example (p q : Prop) (hp : p) : p ∧ p := by
  constructor <;> /- both -/
    -- of them
    llmsuggest

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] exact (hp)  -- closes the goal
-/
#guard_msgs in
answering "exact hp;", "exact (hp);\n" in
example (p q : Prop) (hp : p) (hq : q) : p ∧ q := by
  (constructor; llmsuggest; exact hq)

/--
info: Try these:
  [apply] exact hp  -- closes the goal
  [apply] (skip;
                                         exact hp)  -- closes the goal
-/
#guard_msgs in
answering "exact hp;", "skip;\nexact hp;" in
example (p : Prop) (hp : p) : p := by llmsuggest <;> done

/-! No brackets if none are needed. -/

/--
info: Try these:
  [apply] exact (by exact hp)  -- closes the goal
  [apply] · exact hp  -- closes the goal
  [apply] cases h with | inl h => exact h | inr h => exact h  -- closes the goal
---
warning: unused variable `h`

Note: This linter can be disabled with `set_option linter.unusedVariables false`
-/
#guard_msgs in
answering "exact (by exact hp)", "· exact hp", "cases h with | inl h => exact h | inr h => exact h" in
example (p : Prop) (hp : p) (h : p ∨ p) : p := by
  skip <;> llmsuggest

/-! Below a `by` or an arrow in the middle of a line. -/

/--
info: Try this:
  [apply] 
    constructor
    · exact hp
    · exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\n· exact hp\n· exact hq" in
theorem inOneLine (p q : Prop)
    (hp : p) (hq : q) : p ∧ q := by llmsuggest

/--
info: Try this:
  [apply] 
      constructor
      · exact hp
      · exact hq  -- closes the goal
---
info: Try this:
  [apply] 
        constructor
        · exact hp
        · exact hq  -- closes the goal
-/
#guard_msgs in
answering "constructor\n· exact hp\n· exact hq" in
example (p q : Prop) (hp : p) (hq : q) (n : Nat) : p ∧ q := by
  cases n with
  | zero => llmsuggest
  | succ n =>
    have h : p ∧
        q := by llmsuggest
    exact h

/--
info: Try this:
  [apply] 
        skip
        exact hp  -- closes the goal
-/
#guard_msgs in
answering "skip\nexact hp" in
example (p : Prop) (hp : p) : p ∧ p := by
  · exact ⟨by llmsuggest, hp⟩

/-! A comment of several lines is indented with the step, a string is not. -/

/--
info: Try this:
  [apply] have s := "one
    two"
        /- three
           four -/
        exact hp  -- closes the goal
-/
#guard_msgs in
answering "have s := \"one\n  two\"\n/- three\n   four -/\nexact hp" in
example (p : Prop) (hp : p) : p := by
      llmsuggest

/-! Steps that work and cannot be inserted are listed with the reason. -/

/--
info: Suggestions that do not work:
  "exact hp": Unknown identifier `hp`
---
info: Try this:
  [apply] (exists 3, 4)  -- closes the goal
-/
#guard_msgs in
answering "exact hp", "exists 3, 4" in
set_option llmsuggest.showInvalid true in
example : (∃ a b : Nat, a < b) ∧ True :=
  ⟨by llmsuggest, trivial⟩
