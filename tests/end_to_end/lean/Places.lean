import LlmSuggest

set_option llmsuggest.inBuild true
set_option llmsuggest.checkTime 100000
set_option linter.unusedVariables false
set_option linter.unusedSectionVars false
set_option linter.constructorNameAsVariable false

/-! Places in which a call can stand, each in a paragraph of its own. `test_offers.py` says what the
model answers to the goals, and inserts each suggestion. -/

universe u
variable {p q r : Prop} (hp : p) (hq : q) (hr : r)
macro "alias" : tactic => `(tactic| llmsuggest)
macro "then " t:tactic : tactic => `(tactic| (skip; $t))
macro "block " t:tacticSeq : tactic => `(tactic| · $t)
macro "quick " t:tacticSeq "end" : tactic => `(tactic| ($t))
macro "lemma " n:declId s:declSig v:declVal : command => `(theorem $n $s $v:declVal)
notation "⟪" a "⟫" => id a
syntax "prove " term " using " tacticSeq : term
macro_rules | `(prove $t using $s) => `((by $s : $t))
abbrev Both (p q : Prop) := p ∧ q
structure Pair (p q : Prop) where
  left : p
  both : p ∧ q
def Vect (n : Nat) := { xs : List Nat // xs.length = n }

include hp hq hr

-- Blocks.

theorem inTheorem : p ∧ q := by
  llmsuggest

theorem inOneLine : p ∧ q := by llmsuggest

theorem below : p ∧ q :=
  by llmsuggest

theorem below' : p ∧ q :=
by
  llmsuggest

theorem farIn : p ∧ q := by
            llmsuggest

theorem withBraces : p ∧ q := by {
  llmsuggest
}

theorem withBracesInOneLine : p ∧ q := by { skip; llmsuggest }

theorem withBrackets : p ∧ q := by
  (llmsuggest)

theorem withManyBrackets : p ∧ q := by
  (( skip; (  llmsuggest  ) ))

theorem behindOthers : p ∧ q := by
  skip
  have := hr
  llmsuggest

theorem beforeOthers : p ∧ q := by
  llmsuggest
  all_goals skip

theorem afterSemicolon : p ∧ q := by
  skip; llmsuggest

theorem afterSemicolonAndComment : p ∧ q := by
  skip; /- a comment; -/ llmsuggest

theorem betweenSemicolons : p ∧ q := by
  skip; llmsuggest; all_goals skip

theorem beforeSemicolon : p ∧ q := by
  llmsuggest; done

theorem inBracketsBeforeSemicolon : p ∧ q := by
  (llmsuggest; done)

theorem afterLineComment : p ∧ q := by
  -- the pair
  llmsuggest -- is to be found

theorem amongComments : p ∧ q := by /- one -/
  /- two -/ llmsuggest /- three -/ -- four
  /- five -/

theorem afterUnicode : p ∧ q := by
  have «ħ⁻¹ ∀∃» := hr; /- ∀ ε > 0, ∃ δ -/ llmsuggest

/-- With a documentation. -/
theorem documented : p ∧ q := by
  llmsuggest

@[simp]
theorem withAttribute : p ∧ q := by
  llmsuggest

@[simp] private theorem withModifiers : p ∧ q := by llmsuggest

protected theorem Nat.isProtected : p ∧ q := by
  llmsuggest

-- Combinators.

example : p ∧ q := by
  skip <;> llmsuggest

example : p ∧ q := by
  skip <;>
    llmsuggest

example : p ∧ q := by
  skip <;> /- which? -/ llmsuggest

example : p ∧ q := by
  llmsuggest <;> skip

example : p ∧ q := by
  llmsuggest
    <;> skip

example : p ∧ q := by
  skip <;> llmsuggest <;> skip

example : p ∧ q := by
  skip <;> (skip; llmsuggest)

example : p ∧ q := by
  first | llmsuggest | exact ⟨hp, hq⟩

example : p ∧ q := by
  first
  | fail
  | llmsuggest
  | skip

example : p ∧ q := by
  first | done | skip; llmsuggest

example : p ∧ q := by
  try llmsuggest

example : p ∧ q := by
  try
    skip
    llmsuggest

example : p ∧ q := by
  all_goals llmsuggest

example : p ∧ q := by
  any_goals
    llmsuggest

example : p ∧ q := by
  focus llmsuggest

example : p ∧ q := by
  focus
    skip
    llmsuggest

example : p ∧ q := by
  repeat llmsuggest

example : p ∧ q := by
  iterate 1 llmsuggest

example : p ∧ q := by
  · llmsuggest

example : p ∧ q := by
  . llmsuggest

example : p ∧ q := by
  · · · llmsuggest

example : p ∧ q := by
  · skip
    · skip; llmsuggest

example : p ∧ q := by
  ·
    llmsuggest

example : p ∧ q := by
  next => llmsuggest

example : p ∧ q := by
  next =>
    llmsuggest

example : p ∧ q := by
  case' _ => skip
  case _ => llmsuggest

example : p ∧ q := by
  exact show _ from by llmsuggest

example : p ∧ q := by
  with_reducible llmsuggest

example : p ∧ q := by
  set_option pp.all true in llmsuggest

example : p ∧ q := by
  set_option pp.notation false in
  llmsuggest

example : p ∧ q := by
  open Nat in llmsuggest

example : p ∧ q := by
  open Nat List in
  skip
  llmsuggest

example : p ∧ q := by
  alias

example : p ∧ q := by
  skip <;> alias

example : p ∧ q := by
  then llmsuggest

example : p ∧ q := by
  then then llmsuggest

example : p ∧ q := by
  block llmsuggest

example : p ∧ q := by
  block
    skip
    llmsuggest

example : p ∧ q := by
  quick llmsuggest end

-- Cases.

example (n : Nat) : p ∧ q := by
  cases n with
  | zero => llmsuggest
  | succ n => exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  cases n with
  | zero => exact ⟨hp, hq⟩
  | succ n =>
    llmsuggest

example (n : Nat) : p ∧ q := by
  induction n with
  | zero => exact ⟨hp, hq⟩
  | succ n ih => skip; llmsuggest

example (n : Nat) : p ∧ q := by
  induction n with
  | zero | succ => llmsuggest

example (n : Nat) : p ∧ q := by
  induction n with (skip)
  | zero => llmsuggest
  | _ => exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  cases n
  case zero => llmsuggest
  case succ => exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  cases n
  case zero | succ => llmsuggest

example (n : Nat) : p ∧ q := by
  cases n
  · llmsuggest
  · exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  cases n <;> llmsuggest

example (n : Nat) : p ∧ q := by
  rcases n with _ | n
  next => exact ⟨hp, hq⟩
  next => llmsuggest

example (n : Nat) : p ∧ q := by
  match n with
  | 0 => exact ⟨hp, hq⟩
  | n + 1 =>
      llmsuggest

example (n : Nat) : p ∧ q := by
  match n with
  | 0 | 1 => llmsuggest
  | n + 2 => exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  match h : n, hp with
  | 0, _ => exact ⟨hp, hq⟩
  | n + 1, h' => skip; llmsuggest

example (n : Nat) : p ∧ q := by
  if n = 0 then
    llmsuggest
  else
    exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q := by
  if h : n = 0 then exact ⟨hp, hq⟩ else llmsuggest

example (n : Nat) : p ∧ q := by
  by_cases h : n = 0
  · exact ⟨hp, hq⟩
  · llmsuggest

example (n : Nat) : p ∧ q := by
  by_cases h : n = 0 <;> llmsuggest

-- Terms in tactics.

example : p ∧ q := by
  have h : p ∧ q := by
    llmsuggest
  exact h

example : p ∧ q := by
  have h : p ∧ q := by llmsuggest
  exact h

example : p ∧ q := by
  have h : p ∧
      q := by llmsuggest
  exact h

example : p ∧ q := by
  have : p ∧ q := by
        llmsuggest
  exact this

example : p ∧ q := by
  have ⟨a, b⟩ : p ∧ q := by llmsuggest
  exact ⟨a, b⟩

example : p ∧ q := by
  obtain ⟨a, b⟩ : p ∧ q := by llmsuggest
  exact ⟨a, b⟩

example : p ∧ q := by
  suffices h : p ∧ q by exact h
  llmsuggest

example : p ∧ q := by
  suffices h : q ∧ p from ⟨h.2, h.1⟩
  exact ⟨hq, (show p ∧ q by llmsuggest).1⟩

example : p ∧ q := by
  exact by llmsuggest

example : p ∧ q := by
  exact (by llmsuggest)

example : (p ∧ q) ∧ r := by
  exact ⟨by llmsuggest, hr⟩

example : r ∧ (p ∧ q) := by
  refine ⟨hr, ?_⟩
  llmsuggest

example : (p ∧ q) ∧ r := by
  refine ⟨?_, hr⟩; llmsuggest

example : (p ∧ q) ∧ r := by
  refine ⟨?a, ?b⟩
  case b => exact hr
  llmsuggest

example : (p ∧ q) ∧ r := by
  constructor
  llmsuggest
  exact hr

example : (p ∧ q) ∧ r := by
  constructor; llmsuggest; exact hr

example : (p ∧ q) ∧ r := by
  constructor
  · llmsuggest
  · exact hr

example : r ∧ p ∧ q := by
  apply And.intro hr
  llmsuggest

example : r ∧ p ∧ q := by
  apply And.intro (by exact hr) (by llmsuggest)

example (f : p ∧ q → r → r) : r := by
  apply f (by llmsuggest) hr

example (f : p ∧ q → r → r) : r := by
  exact f (by
    llmsuggest) hr

example (f : p ∧ q → r → r) : r := by
  exact f
    (by llmsuggest)
    hr

example (f : p ∧ q → r) : r := by
  exact f <| by llmsuggest

example (f : p ∧ q → r) : r := by
  exact f $ by
    llmsuggest

example (f : p ∧ q → r) : r := by
  let x : Nat := 5
  let rec g : p ∧ q := by llmsuggest
  exact f g

example : p ∧ q := by
  apply Iff.mp (b := p ∧ q) (a := True)
  calc
    True ↔ True := Iff.rfl
    _ ↔ (p ∧ q) := iff_of_true trivial (by llmsuggest)
  trivial

example (a b : Prop) (h : a = (p ∧ q)) : a := by
  rw [h]
  llmsuggest

example (a b : Prop) (h : (p ∧ q) → a = b) (ha : a) : b := by
  rw [← h (by llmsuggest)]
  exact ha

example (a b : Nat) (h : (p ∧ q) → a = b) : a = b := by
  simp [h (by llmsuggest)]

example : ∃ n : Nat, n = n ∧ p ∧ q := by
  exact ⟨0, rfl, by llmsuggest⟩

-- Terms.

example (f : p ∧ q → r → r) : r :=
  f (by llmsuggest) hr

example (f : p ∧ q → r → r) : r :=
  f (by llmsuggest)
    hr

example (f : r → p ∧ q → r) : r :=
  f hr <| by llmsuggest

example (f : p ∧ q → r → r) : r := f (by skip; llmsuggest) hr

example : (p ∧ q) ∧ (p ∧ q) :=
  ⟨by llmsuggest, ⟨hp, hq⟩⟩

example : (p ∧ q) ∧ (p ∧ q) := ⟨
  ⟨hp, hq⟩,
  by
    llmsuggest⟩

example : Pair p q where
  left := hp
  both := by llmsuggest

example : Pair p q where
  left := hp
  both := by
    llmsuggest

example : Pair p q := { left := hp, both := by llmsuggest }

example : Pair p q :=
  { left := hp
    both := by llmsuggest }

example : Pair p q := ⟨hp, by llmsuggest⟩

example : p ∧ q :=
  have h : p ∧ q := by llmsuggest
  h

example : p ∧ q :=
  have h := (by llmsuggest : p ∧ q); h

example : p ∧ q :=
  let h : p ∧ q := by
    llmsuggest
  h

example : p ∧ q :=
  show p ∧ q by llmsuggest

example : p ∧ q :=
  show p ∧ q from by
    llmsuggest

example : p ∧ q :=
  suffices h : p ∧ q from h
  by llmsuggest

example : True → p ∧ q := fun _ => by llmsuggest

example : True → p ∧ q := fun _ ↦ by
  llmsuggest

example : True → p ∧ q
  | trivial => by llmsuggest

example : Nat → p ∧ q
  | 0 => by llmsuggest
  | n + 1 => ⟨hp, hq⟩

example : Nat → p ∧ q
  | 0 | 1 => by llmsuggest
  | n + 2 => ⟨hp, hq⟩

example (n : Nat) : p ∧ q :=
  match n with
  | 0 => by llmsuggest
  | n + 1 => by exact ⟨hp, hq⟩

example (n : Nat) : p ∧ q :=
  match n with
  | 0 => ⟨hp, hq⟩
  | n + 1 => by
    llmsuggest

example (n : Nat) : p ∧ q :=
  if h : n = 0 then by llmsuggest else ⟨hp, hq⟩

example (n : Nat) : p ∧ q :=
  if h : n = 0 then
    ⟨hp, hq⟩
  else by
    llmsuggest

example (f : List (PLift (p ∧ q)) → r) : r :=
  f [⟨by llmsuggest⟩, ⟨hp, hq⟩]

example (f : PProd (p ∧ q) Nat → r) : r :=
  f ⟨by llmsuggest, 3⟩

example (f : Id (PLift (p ∧ q)) → r) : r := f do
  let x := 3
  return ⟨by llmsuggest⟩

example (f : p ∧ q → r) : r :=
  (by llmsuggest : p ∧ q) |> f

example (f : p ∧ q → r) : r :=
  f ⟪by llmsuggest⟫

example (f : String → r) : r :=
  f s!"{((fun _ => 3) (by llmsuggest : p ∧ q) : Nat)}"

example : p ∧ q := prove p ∧ q using llmsuggest

example : p ∧ q :=
  prove p ∧ q using
    skip
    llmsuggest

example : Both p q := by
  show p ∧ q
  llmsuggest

example : p ∧ q := h
where
  h : p ∧ q := by llmsuggest

example : p ∧ q := h
where
  /-- Both. -/
  h : p ∧ q := by
    llmsuggest

-- Declarations.

lemma withLemma : p ∧ q := by
  llmsuggest

def inDef : { _n : Nat // p ∧ q } := ⟨5, by llmsuggest⟩

def inDef' : { _n : Nat // p ∧ q } := by
  refine ⟨5, ?_⟩
  llmsuggest

abbrev inAbbrev : PLift (p ∧ q) := ⟨by llmsuggest⟩

instance : Inhabited (PLift (p ∧ q)) := ⟨⟨by llmsuggest⟩⟩

instance : Inhabited (PLift (p ∧ q)) where
  default := by
    constructor
    llmsuggest

opaque inOpaque : PLift (p ∧ q) := ⟨by llmsuggest⟩

noncomputable
def inTwoLines : PLift (p ∧ q) := ⟨by llmsuggest⟩

open Nat in
example : p ∧ q := by
  llmsuggest

set_option pp.all true in
open List in
/-- Documented. -/
example : p ∧ q := by llmsuggest

section example : p ∧ q := by llmsuggest
end

namespace Inner
  theorem indented : p ∧ q := by
    llmsuggest
end Inner

mutual
  theorem one : p ∧ q := by llmsuggest
  theorem two : p ∧ q := ⟨hp, hq⟩
end

omit hr in
example : p ∧ q := by
  llmsuggest

#check (by llmsuggest : p ∧ q)

-- Other goals.

example (n : Nat) : n + 0 = n := by
  llmsuggest

example (n : Nat) : n + 0 = n := by llmsuggest

example (n : Nat) : n + 0 = n ∧ True :=
  ⟨by llmsuggest, trivial⟩

example (n : Nat) : n + 0 = n := by
  skip <;> llmsuggest <;> skip

example (n m : Nat) (h : n = m) : n + 0 = m := by
  calc
    n + 0 = n := by llmsuggest
    _ = m := h

example (n m : Nat) (h : n = m) : n + 0 = m := by
  calc n + 0
    _ = n := by
      llmsuggest
    _ = m := h

example (n m : Nat) (h : n = m) : n + 0 = m :=
  (by llmsuggest : n + 0 = n).trans h

example (n m : Nat) : (n + 0) * m = n * m := by
  rw [show n + 0 = n by llmsuggest]

example (n m : Nat) : (n + 0) * m = n * m := by
  congr 1
  llmsuggest

example (n : Nat) : n + 0 = n := by
  first | fail | llmsuggest | skip

example (n : Nat) (f : n + 0 = n → Nat) : Nat := f (by llmsuggest)

def half : Nat → Nat
  | 0 => 0
  | n + 1 => half (n / 2)
decreasing_by
  have : n + 0 = n := by llmsuggest
  omega

example (n : Nat) (v : Vect (n + 0)) : Vect n :=
  (show n + 0 = n by llmsuggest) ▸ v

example : p → p := by
  llmsuggest

example : p → p := by llmsuggest

example : (p → p) ∧ True := ⟨by llmsuggest, trivial⟩

example (f : (p → p) → q → r) : r :=
  f (by llmsuggest) hq

example : True ∧ (p → p) := by
  constructor; trivial; llmsuggest

example : p → p := by
  (skip <;> llmsuggest)

example : ∃ n : Nat, n * n = 49 := by
  llmsuggest

example : (∃ n : Nat, n * n = 49) ∧ True :=
  ⟨by llmsuggest, trivial⟩

example (f : (∃ n : Nat, n * n = 49) → r) : r := f (by
  llmsuggest)

example : ∃ n : Nat, n * n = 49 :=
  (by llmsuggest : ∃ n : Nat, n * n = 49).elim fun n h => by exact ⟨n, h⟩

example : (∃ n : Nat, n * n = 49) ∨ False := by
  left; llmsuggest

-- The end of the file.

example : p ∧ q := by
  skip
  llmsuggest
