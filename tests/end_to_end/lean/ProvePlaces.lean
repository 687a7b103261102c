import LlmSuggest

set_option llmsuggest.inBuild true
set_option llmsuggest.finishers ""
set_option llmprove.moves false
set_option llmprove.seconds 120
set_option linter.unusedVariables false

/-! Places in which `llmprove` can stand, each in a paragraph of its own. `test_prove.py` says what the
model answers to the goals, and inserts each proof. -/

macro "alias" : tactic => `(tactic| llmprove)
abbrev Both (p q : Prop) := p ∧ q
inductive Tree where
  | leaf
  | node (l : Tree) (x : Nat) (r : Tree)
def Tree.mirror : Tree → Tree
  | leaf => leaf
  | node l x r => node r.mirror x l.mirror
variable {p q r : Prop}

theorem block (hp : p) (hq : q) : p ∧ q := by
  llmprove
#print axioms block

theorem oneLine (hp : p) (hq : q) : p ∧ q := by llmprove
#print axioms oneLine

theorem inTerm (hp : p) (hq : q) : (p ∧ q) ∧ True :=
  ⟨by llmprove, trivial⟩
#print axioms inTerm

theorem braces (hp : p) (hq : q) : p ∧ q := by {
  llmprove
}
#print axioms braces

theorem brackets (hp : p) (hq : q) : p ∧ q := by
  (skip; llmprove)
#print axioms brackets

theorem semicolons (hp : p) (hq : q) : p ∧ q := by
  skip; llmprove; done
#print axioms semicolons

theorem focused (hp : p) (hq : q) : r → (p ∧ q) ∧ r := by
  intro hr
  constructor
  · llmprove
  · exact hr
#print axioms focused

theorem cased (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r := by
  constructor
  case right => exact hr
  case left => llmprove
#print axioms cased

theorem had (hp : p) (hq : q) : q ∧ p := by
  have both : p ∧ q := by
    llmprove
  exact ⟨both.2, both.1⟩
#print axioms had

theorem hadInLine (hp : p) (hq : q) : q := by
  have both : p ∧ q := by llmprove
  exact both.2
#print axioms hadInLine

theorem showed (hp : p) (hq : q) : q ∧ p :=
  have : p ∧ q := by
    llmprove
  ⟨this.2, this.1⟩
#print axioms showed

theorem sufficed (hp : p) (hq : q) : q ∧ p := by
  suffices h : p ∧ q by exact ⟨h.2, h.1⟩
  llmprove
#print axioms sufficed

theorem behindAll (hp : p) (hq : q) : (p ∧ q) ∧ (p ∧ q) := by
  constructor <;> llmprove
#print axioms behindAll

theorem onDifferentGoals (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r := by
  constructor <;> llmprove
#print axioms onDifferentGoals

theorem calculated (n : Nat) (hp : p) (hq : q) : n + 0 = n ∧ p ∧ q := by
  refine ⟨?_, by llmprove⟩
  calc
    n + 0 = n := by llmprove
    _ = n := rfl
#print axioms calculated

theorem firstOf (hp : p) (hq : q) : p ∧ q := by
  first
  | fail
  | llmprove
#print axioms firstOf

theorem withMetavariables (hp : p) : ∃ n : Nat, n = 3 ∧ p := by
  refine ⟨?w, ?h⟩
  case h => llmprove
#print axioms withMetavariables

theorem exists' (hp : p) : ∃ n : Nat, n = 3 ∧ p := by
  llmprove
#print axioms exists'

theorem matched (h : p ∨ q) (hr : r) : r ∧ (p ∨ q) := by
  match h with
  | .inl hp | .inr hq => llmprove
#print axioms matched

theorem inductive' (t : Tree) : t.mirror.mirror = t := by
  llmprove
#print axioms inductive'

theorem inAlternative (t : Tree) : t.mirror.mirror = t := by
  induction t with
  | leaf => llmprove
  | node l x r ihl ihr => llmprove
#print axioms inAlternative

theorem unneeded (hp : p) : id p := by
  llmprove
#print axioms unneeded

theorem inWhere (hp : p) (hq : q) : q ∧ p := ⟨both.2, both.1⟩
where
  both : p ∧ q := by
    llmprove
#print axioms inWhere

def inDefinition (n : Nat) (h : 0 < n) : Fin n :=
  ⟨0, by llmprove⟩
#print axioms inDefinition

instance inInstance : Nonempty (Fin 3) := by
  llmprove
#print axioms inInstance

example (hp : p) (hq : q) : p ∧ q := by
  alias
