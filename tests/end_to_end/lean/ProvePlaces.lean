import LlmSuggest
import FakeDaemon

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
#own_axioms block

theorem oneLine (hp : p) (hq : q) : p ∧ q := by llmprove
#own_axioms oneLine

theorem asTerm (hp : p) (hq : q) : (p ∧ q) ∧ True :=
  ⟨by llmprove, trivial⟩
#own_axioms asTerm

theorem braces (hp : p) (hq : q) : p ∧ q := by {
  llmprove
}
#own_axioms braces

theorem brackets (hp : p) (hq : q) : p ∧ q := by
  (skip; llmprove)
#own_axioms brackets

theorem semicolons (hp : p) (hq : q) : p ∧ q := by
  skip; llmprove; done
#own_axioms semicolons

theorem focused (hp : p) (hq : q) : r → (p ∧ q) ∧ r := by
  intro hr
  constructor
  · llmprove
  · exact hr
#own_axioms focused

theorem cased (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r := by
  constructor
  case right => exact hr
  case left => llmprove
#own_axioms cased

theorem had (hp : p) (hq : q) : q ∧ p := by
  have both : p ∧ q := by
    llmprove
  exact ⟨both.2, both.1⟩
#own_axioms had

theorem hadInLine (hp : p) (hq : q) : q := by
  have both : p ∧ q := by llmprove
  exact both.2
#own_axioms hadInLine

theorem showed (hp : p) (hq : q) : q ∧ p :=
  have : p ∧ q := by
    llmprove
  ⟨this.2, this.1⟩
#own_axioms showed

theorem sufficed (hp : p) (hq : q) : q ∧ p := by
  suffices h : p ∧ q by exact ⟨h.2, h.1⟩
  llmprove
#own_axioms sufficed

theorem behindAll (hp : p) (hq : q) : (p ∧ q) ∧ (p ∧ q) := by
  constructor <;> llmprove
#own_axioms behindAll

theorem onDifferentGoals (hp : p) (hq : q) (hr : r) : (p ∧ q) ∧ r := by
  constructor <;> llmprove
#own_axioms onDifferentGoals

theorem calculated (n : Nat) (hp : p) (hq : q) : n + 0 = n ∧ p ∧ q := by
  refine ⟨?_, hp, hq⟩
  calc
    n + 0 = n := by llmprove
    _ = n := rfl
#own_axioms calculated

theorem firstOf (hp : p) (hq : q) : p ∧ q := by
  first
  | fail
  | llmprove
#own_axioms firstOf

theorem withMetavariables (hp : p) : ∃ n : Nat, n = 3 ∧ p := by
  refine ⟨?w, ?h⟩
  case h => llmprove
#own_axioms withMetavariables

theorem exists' (hp : p) : ∃ n : Nat, n = 3 ∧ p := by
  llmprove
#own_axioms exists'

theorem matched (h : p ∨ q) (hr : r) : r ∧ (p ∨ q) := by
  match h with
  | .inl hp | .inr hq => llmprove
#own_axioms matched

theorem inductive' (t : Tree) : t.mirror.mirror = t := by
  llmprove
#own_axioms inductive'

theorem inAlternative (t : Tree) : t.mirror.mirror = t := by
  induction t with
  | leaf => rfl
  | node l x r ihl ihr => llmprove
#own_axioms inAlternative

theorem unneeded (hp : p) : id p := by
  llmprove
#own_axioms unneeded

theorem inWhere (hp : p) (hq : q) : q ∧ p := ⟨both.2, both.1⟩
where
  both : p ∧ q := by
    llmprove
#own_axioms inWhere

def inDefinition (n : Nat) (h : 0 < n) : Fin n :=
  ⟨0, by llmprove⟩
#own_axioms inDefinition

instance inInstance : Nonempty (Fin 3) := by
  llmprove
#own_axioms inInstance

example (hp : p) (hq : q) : p ∧ q := by
  alias
